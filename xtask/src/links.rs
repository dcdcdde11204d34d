//! Links between the documents lead somewhere.

use std::{fs, path::Path};

use anyhow::Result;

use crate::tracked;

pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for document in tracked(root, "md")? {
        let text = fs::read_to_string(root.join(&document))?;
        let folder = root.join(document.parent().unwrap_or(Path::new("")));
        let dead = targets(&text).filter(|target| !folder.join(target).exists());
        findings.extend(dead.map(|target| format!("{}: dead link {target}", document.display())));
    }
    Ok(findings)
}

/// The file part of every `](target)` that is not a web address or an anchor in the same document.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#', ' ']).next()?;
        (!target.is_empty() && !target.contains("://")).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::targets;

    #[test]
    fn finds_file_links_only() {
        let text = "[a](docs/a.md) [b](https://x.y) [c](#here) [d](b.md#part)";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["docs/a.md", "b.md"]);
    }
}
