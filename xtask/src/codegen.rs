//! Generated files that are committed: written by `codegen`, compared by `tidy`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

/// The file, and the arguments with which the binary prints it.
const GENERATED: &[(&str, &[&str])] = &[("schemas/pipeline.schema.json", &["schema"])];

pub(crate) fn write(root: &Path) -> Result<()> {
    for (file, arguments) in GENERATED {
        let path = root.join(file);
        fs::create_dir_all(path.parent().context("a generated file lies in a folder")?)?;
        fs::write(path, generate(root, arguments)?)?;
        println!("wrote {file}");
    }
    Ok(())
}

pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for (file, arguments) in GENERATED {
        let committed = fs::read(root.join(file)).unwrap_or_default();
        if committed != generate(root, arguments)? {
            findings.push(format!("{file} is out of date: run `cargo xtask codegen`"));
        }
    }
    Ok(findings)
}

fn generate(root: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "millstream", "--"])
        .args(arguments)
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        bail!(
            "millstream {arguments:?} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}
