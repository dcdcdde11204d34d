//! Which files there are: paths and globs to a sorted list, and how a file is known again.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Component, Path, PathBuf},
};

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

use crate::hash::Fnv;

/// More files than this per task are refused: the position names each of them.
pub(crate) const MAX_FILES: usize = 5_000;
/// How many of its first bytes tell a file from another one.
const FINGERPRINT_BYTES: u64 = 1_024;
/// Folders below a glob's `**` are followed this deep.
const MAX_DEPTH: usize = 32;

/// The paths and globs of a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns(Vec<Pattern>);

#[derive(Clone, Debug)]
enum Pattern {
    Path(PathBuf),
    Glob {
        /// The folders before the first wildcard.
        root: PathBuf,
        matcher: GlobMatcher,
        depth: usize,
    },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("cannot list '{}': {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("more than {MAX_FILES} files match")]
    TooMany,
}

/// What makes a file the same file: the device and inode that hold it, and its first bytes (inodes are used again).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// How many bytes `hash` covers.
    pub(crate) length: u64,
    pub(crate) hash: u64,
}

impl Patterns {
    /// `paths` are absolute or relative to the working directory. The error names the index of the pattern.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self, (usize, String)> {
        let patterns = paths.into_iter().enumerate();
        patterns
            .map(|(index, path)| Pattern::new(&path).map_err(|message| (index, message)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The files that are there now, sorted by path, each once. A plain path that does not exist is not in it.
    pub(crate) fn list(&self) -> Result<BTreeSet<PathBuf>, ListError> {
        let mut found = BTreeSet::new();
        for pattern in &self.0 {
            match pattern {
                Pattern::Path(path) if path.is_file() => {
                    found.insert(path.clone());
                }
                Pattern::Path(_) => {}
                Pattern::Glob { root, matcher, depth } => walk(root, matcher, *depth, &mut found)?,
            }
        }
        if found.len() > MAX_FILES {
            return Err(ListError::TooMany);
        }
        Ok(found)
    }

    /// The plain paths among the patterns, which must exist unless the files are followed.
    pub(crate) fn plain(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|pattern| match pattern {
            Pattern::Path(path) => Some(path.as_path()),
            Pattern::Glob { .. } => None,
        })
    }
}

impl Pattern {
    fn new(path: &Path) -> Result<Self, String> {
        let text = path.to_str().ok_or("the path is not UTF-8 text")?;
        let is_wild = |component: &Component<'_>| {
            component
                .as_os_str()
                .to_string_lossy()
                .contains(['*', '?', '[', '{'])
        };
        let components: Vec<_> = path.components().collect();
        let Some(first_wild) = components.iter().position(is_wild) else {
            return Ok(Self::Path(path.into()));
        };
        let matcher = GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map_err(|error| error.kind().to_string())?
            .compile_matcher();
        let wild = components.len() - first_wild;
        Ok(Self::Glob {
            root: components[..first_wild].iter().collect(),
            matcher,
            depth: if text.contains("**") { MAX_DEPTH } else { wild },
        })
    }
}

fn walk(
    folder: &Path,
    matcher: &GlobMatcher,
    depth: usize,
    found: &mut BTreeSet<PathBuf>,
) -> Result<(), ListError> {
    let unreadable = |source| ListError::Unreadable {
        path: folder.into(),
        source,
    };
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = match fs::read_dir(here) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let path = folder.join(entry.file_name());
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Folders behind symbolic links are not followed: they may lead back up.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth > 1 {
                walk(&path, matcher, depth - 1, found)?;
            }
        } else if matcher.is_match(&path) && path.is_file() {
            found.insert(path);
        }
        if found.len() > MAX_FILES {
            return Err(ListError::TooMany);
        }
    }
    Ok(())
}

impl Identity {
    /// Reads the first bytes of `file`.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let length = metadata.len().min(FINGERPRINT_BYTES);
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length,
            hash: hash_of_first(file, length)?,
        })
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.length == FINGERPRINT_BYTES
    }

    /// Whether `file` still begins as it did.
    pub(crate) fn begins_alike(&self, file: &File) -> io::Result<bool> {
        match hash_of_first(file, self.length) {
            Ok(hash) => Ok(hash == self.hash),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn is_at(&self, metadata: &fs::Metadata) -> bool {
        (self.device, self.inode) == (metadata.dev(), metadata.ino())
    }
}

fn hash_of_first(file: &File, length: u64) -> io::Result<u64> {
    let mut first = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut first, 0)?;
    Ok(Fnv::of(&first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_list_files_in_order_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "b.csv",
            "a.csv",
            "sub/c.csv",
            "sub/deep/d.csv",
            ".hidden.csv",
            "x.txt",
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let check = |patterns: &[&str], expected: &[&str]| {
            let patterns = Patterns::new(patterns.iter().map(|p| dir.path().join(p))).unwrap();
            let expected: BTreeSet<_> = expected.iter().map(|p| dir.path().join(p)).collect();
            assert_eq!(patterns.list().unwrap(), expected);
        };
        check(&["*.csv"], &["a.csv", "b.csv"]);
        check(&["*.csv", "a.csv", "none.csv"], &["a.csv", "b.csv"]);
        check(&["*/*.csv"], &["sub/c.csv"]);
        check(&["**/*.csv"], &["a.csv", "b.csv", "sub/c.csv", "sub/deep/d.csv"]);
        check(&["{a,x}.*"], &["a.csv", "x.txt"]);
        check(&["absent/*.csv"], &[]);
        assert!(Patterns::new([dir.path().join("[")]).is_err());
    }
}
