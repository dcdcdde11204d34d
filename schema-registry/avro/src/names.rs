//! Which names Java 1.12 takes: its `NameValidator.UTF_VALIDATOR`.

use std::sync::LazyLock;

use regex::Regex;

/// Java looks at UTF-16 units, where a character beyond U+FFFF is two that are no letters.
static LETTERS_AND_DIGITS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\A[\p{L}_&&[\x{0}-\x{FFFF}]][\p{L}\p{Nd}_&&[\x{0}-\x{FFFF}]]*\z")
        .expect("the pattern is valid")
});
static INITIAL_LETTER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\A[\p{L}_&&[\x{0}-\x{FFFF}]]").expect("the pattern is valid"));

/// Checks one part of a name; the error is what Java says.
pub(crate) fn validate(name: &str) -> Result<(), String> {
    let Some(&first) = name.as_bytes().first() else {
        return Err("Empty name".into());
    };
    let plain = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let valid = if name.is_ascii() {
        plain(first) && name.bytes().all(|b| plain(b) || b.is_ascii_digit())
    } else {
        LETTERS_AND_DIGITS.is_match(name)
    };
    if valid {
        Ok(())
    } else if INITIAL_LETTER.is_match(name) {
        Err(format!("Illegal character in: {name}"))
    } else {
        Err(format!("Illegal initial character: {name}"))
    }
}

/// Checks every part of a full name: the namespace's too, which Java does not below 1.12.
pub(crate) fn validate_full(full: &str) -> Result<(), String> {
    let (namespace, name) = match full.rsplit_once('.') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, full),
    };
    for part in namespace.iter().flat_map(|n| n.split('.')) {
        validate(part).map_err(|error| format!("Namespace part \"{part}\" is invalid: {error}"))?;
    }
    validate(name).map_err(|error| format!("Name \"{name}\" is invalid: {error}"))
}

/// Whether a name is also the word for a type, so that Java writes it out in full.
pub(crate) fn is_type_word(name: &str) -> bool {
    matches!(name, "record" | "enum" | "array" | "map" | "union" | "fixed") || is_primitive(name)
}

pub(crate) fn is_primitive(name: &str) -> bool {
    matches!(
        name,
        "string" | "bytes" | "int" | "long" | "float" | "double" | "boolean" | "null"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_letters_digits_and_underscores_of_any_script() {
        let check = |name: &str, expected: Result<(), &str>| {
            assert_eq!(validate(name), expected.map_err(String::from), "{name}");
        };
        check("_a1", Ok(()));
        check("Größe", Ok(()));
        check("日本1", Ok(()));
        check("a٣", Ok(()));
        check("", Err("Empty name"));
        check("1a", Err("Illegal initial character: 1a"));
        check("a-b", Err("Illegal character in: a-b"));
        check("é-", Err("Illegal character in: é-"));
        check("aⅫ", Err("Illegal character in: aⅫ"));
        check("𝒜", Err("Illegal initial character: 𝒜"));
        check("a b", Err("Illegal character in: a b"));
    }

    #[test]
    fn every_part_of_a_namespace_is_a_name() {
        assert_eq!(validate_full("a.b.C"), Ok(()));
        assert_eq!(validate_full("C"), Ok(()));
        let error = "Namespace part \"1b\" is invalid: Illegal initial character: 1b";
        assert_eq!(validate_full("a.1b.C"), Err(error.into()));
        assert_eq!(
            validate_full("a..C"),
            Err("Namespace part \"\" is invalid: Empty name".into())
        );
    }
}
