//! The known name that was probably meant.

use millstream_sdk::{ConfigPath, Problem};

/// "did you mean" for the known name nearest to what was written; `None` if none is near.
pub(crate) fn did_you_mean<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let (name, _) = nearest(given, known)?;
    Some(format!("did you mean '{name}'?"))
}

/// The nearest name and its distance in edits, if a third of the word or less would have to change (of very short
/// words: no more than the case).
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<(&'a str, usize)> {
    let given = given.to_lowercase();
    let limit = given.chars().count() / 3;
    known
        .map(|name| (name, strsim::damerau_levenshtein(&given, &name.to_lowercase())))
        .filter(|(_, distance)| *distance <= limit)
        .min_by_key(|(_, distance)| *distance)
}

/// That a name is not known, and which one is.
pub(crate) fn unknown_name<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    path: ConfigPath,
) -> Problem {
    let problem = Problem::new(path, format!("{what} '{name}' is not known"));
    let help = did_you_mean(name, known.clone()).unwrap_or_else(|| {
        let known: Vec<&str> = known.take(12).collect();
        if known.is_empty() {
            "there is none".into()
        } else {
            format!("known: {}", known.join(", "))
        }
    });
    problem.help(help)
}
