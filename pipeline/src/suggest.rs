//! The known name that was probably meant.

/// "did you mean" for the known name nearest to what was written; `None` if none is near.
pub(crate) fn did_you_mean<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let (name, _) = nearest(given, known)?;
    Some(format!("did you mean '{name}'?"))
}

/// The nearest name and its distance in edits, if a third of the word or less would have to change.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<(&'a str, usize)> {
    let given = given.to_lowercase();
    let limit = (given.chars().count() / 3).max(1);
    known
        .map(|name| (name, strsim::damerau_levenshtein(&given, &name.to_lowercase())))
        .filter(|(_, distance)| *distance <= limit)
        .min_by_key(|(_, distance)| *distance)
}
