//! References in scalar values: `${env.NAME}`, with a default as `${env.NAME:-text}`. `$${` stands for `${`.

use crate::yaml::Fault;

/// The text with its references replaced; `None` if it holds none.
pub(crate) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, Fault> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let end = from.find('}').ok_or_else(|| Fault {
            message: "'${' without '}'".into(),
            help: "write ${env.NAME}, or $${ where the text '${' itself is meant".into(),
        })?;
        out.push_str(&value(&from[2..end], env)?);
        rest = &from[end + 1..];
    }
    out.push_str(rest);
    Ok(Some(out))
}

fn value(reference: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Fault> {
    let (reference, default) = match reference.split_once(":-") {
        Some((reference, default)) => (reference, Some(default)),
        None => (reference, None),
    };
    if let Some(name) = reference.strip_prefix("env.") {
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(valid) {
            return Err(Fault {
                message: format!("'{name}' is not the name of an environment variable"),
                help: "letters, digits and '_' are allowed".into(),
            });
        }
        return env(name)
            .or_else(|| default.map(Into::into))
            .ok_or_else(|| Fault {
                message: format!("the environment variable {name} is not set"),
                help: format!("set it, or give a default: ${{env.{name}:-value}}"),
            });
    }
    if reference.starts_with("secrets.") {
        return Err(Fault {
            message: "secrets are not available in this version".into(),
            help: "take it from the environment: ${env.NAME}".into(),
        });
    }
    Err(Fault {
        message: format!("nothing is known by '${{{reference}}}'"),
        help: "write ${env.NAME}, or $${ where the text '${' itself is meant".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<Option<&str>, &str>) {
        let env = |name: &str| (name == "HOME").then(|| "/root ${env.HOME}".to_owned());
        let found = expand(text, &env).map_err(|fault| fault.message);
        assert_eq!(
            found,
            expected.map(|o| o.map(String::from)).map_err(String::from),
            "{text}"
        );
    }

    #[test]
    fn replaces_what_is_set_and_refuses_what_is_not() {
        check("plain $x {y}", Ok(None));
        check("a ${env.HOME}/b", Ok(Some("a /root ${env.HOME}/b")));
        check("${env.NONE:-a:-b}", Ok(Some("a:-b")));
        check("${env.NONE:-}", Ok(Some("")));
        check("$${env.HOME}", Ok(Some("${env.HOME}")));
        check("${env.NONE}", Err("the environment variable NONE is not set"));
        check("${env.}", Err("'' is not the name of an environment variable"));
        check("${evn.HOME}", Err("nothing is known by '${evn.HOME}'"));
        check(
            "${secrets.rds.password}",
            Err("secrets are not available in this version"),
        );
        check("${env.HOME", Err("'${' without '}'"));
    }
}
