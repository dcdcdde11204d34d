//! Files stay small enough to read: a limit for code, and a report of the largest.

use std::{fmt::Write, fs, path::Path};

use anyhow::Result;

use crate::tracked;

/// `docs/style.md`: think at 500 lines, split by 800.
const MAX_LINES: usize = 800;
const REPORTED: usize = 12;

pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let too_long = |(lines, file): &(usize, String)| *lines > MAX_LINES && !file.contains("tests");
    let finding = |(lines, file)| format!("{file}: {lines} lines, split it by {MAX_LINES}");
    Ok(lines_of_code(root)?
        .into_iter()
        .filter(too_long)
        .map(finding)
        .collect())
}

/// The largest source files and the total.
pub(crate) fn report(root: &Path) -> Result<String> {
    let mut files = lines_of_code(root)?;
    files.sort_unstable_by(|a, b| b.cmp(a));
    let total: usize = files.iter().map(|(lines, _)| lines).sum();
    let mut text = format!("{total} lines in {} Rust files; the largest:\n", files.len());
    for (lines, file) in files.iter().take(REPORTED) {
        writeln!(text, "{lines:6} {file}")?;
    }
    Ok(text)
}

fn lines_of_code(root: &Path) -> Result<Vec<(usize, String)>> {
    let count = |file: std::path::PathBuf| {
        let lines = fs::read_to_string(root.join(&file))?.lines().count();
        Ok((lines, file.display().to_string()))
    };
    tracked(root, "rs")?.into_iter().map(count).collect()
}
