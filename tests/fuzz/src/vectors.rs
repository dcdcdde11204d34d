//! Requests that real clients sent, captured by `tests/compat/capture.py`.

use std::{fs, path::Path};

/// Name and frame, the length not included, in the order of the names.
pub(crate) fn captured() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../broker/server/tests/vectors");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut vectors: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.expect("the folder can be listed").path();
            let text = fs::read_to_string(&path).expect("a vector can be read");
            let name = path.file_stem().expect("a vector has a name");
            (name.to_string_lossy().into_owned(), bytes_of(text.trim_end()))
        })
        .collect();
    vectors.sort();
    vectors
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("vectors are hexadecimal"))
        .collect()
}
