//! Compares what is there with what should be there, as a multiset: order does not count, each copy does.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Examples of each kind that a report shows.
const SHOWN: usize = 5;

/// What is missing and what is too much, each with how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub missing: BTreeMap<String, usize>,
    pub surplus: BTreeMap<String, usize>,
}

/// `None` if both hold the same items equally often.
pub fn difference(
    expected: impl IntoIterator<Item = String>,
    actual: impl IntoIterator<Item = String>,
) -> Option<Difference> {
    let mut balance: BTreeMap<String, i64> = BTreeMap::new();
    for item in expected {
        *balance.entry(item).or_default() -= 1;
    }
    for item in actual {
        *balance.entry(item).or_default() += 1;
    }
    let mut difference = Difference {
        missing: BTreeMap::new(),
        surplus: BTreeMap::new(),
    };
    for (item, count) in balance {
        let side = match count {
            0 => continue,
            ..0 => &mut difference.missing,
            1.. => &mut difference.surplus,
        };
        side.insert(item, count.unsigned_abs() as usize);
    }
    let same = difference.missing.is_empty() && difference.surplus.is_empty();
    (!same).then_some(difference)
}

/// All lines of all files under `dir` whose name ends in `suffix`. Hidden files and folders (`.x`, `_x`) are left out.
pub fn lines_under(dir: &Path, suffix: &str) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut folders: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(['.', '_']) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if name.ends_with(suffix) {
                let path = entry.path();
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                lines.extend(text.lines().map(str::to_owned));
            }
        }
    }
    Ok(lines)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut side = |what: &str, items: &BTreeMap<String, usize>| {
            let total: usize = items.values().sum();
            writeln!(f, "{total} {what}")?;
            items
                .iter()
                .take(SHOWN)
                .try_for_each(|(item, count)| writeln!(f, "  {count} x {item}"))
        };
        side("missing", &self.missing)?;
        side("too much", &self.surplus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn order_does_not_count_but_copies_do() {
        assert_eq!(difference(items("a b b"), items("b a b")), None);
        let found = difference(items("a b b c"), items("b d b b")).unwrap();
        assert_eq!(found.missing, BTreeMap::from([("a".into(), 1), ("c".into(), 1)]));
        assert_eq!(found.surplus, BTreeMap::from([("b".into(), 1), ("d".into(), 1)]));
        assert!(found.to_string().contains("2 missing\n  1 x a"), "{found}");
    }

    #[test]
    fn reads_lines_of_visible_files_only() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("part")).unwrap();
        fs::create_dir(dir.path().join("_millstream")).unwrap();
        for (file, text) in [
            ("part/a.txt", "1\n2\n"),
            ("b.txt", "3"),
            ("c.csv", "4"),
            ("_millstream/d.txt", "5"),
        ] {
            fs::write(dir.path().join(file), text).unwrap();
        }
        let mut lines = lines_under(dir.path(), ".txt").unwrap();
        lines.sort();
        assert_eq!(lines, ["1", "2", "3"]);
    }
}
