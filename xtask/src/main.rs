//! Repository checks and generators: `cargo xtask tidy`, `cargo xtask codegen`.
//!
//! `tidy` also runs as a test of this crate, so `cargo test` keeps the house in order.
#![allow(clippy::print_stdout, reason = "a tool for people at a terminal")]

mod codegen;
mod layers;
mod links;
mod sizes;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Parser;

#[derive(Parser)]
#[command(about = "Repository checks and generators")]
enum Task {
    /// Check layers, generated files and links in the documents; report sizes.
    Tidy,
    /// Write the generated files that are committed.
    Codegen,
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Tidy => {
            let findings = tidy()?;
            print!("{}", sizes::report(&root())?);
            if !findings.is_empty() {
                bail!("{}", findings.join("\n"));
            }
            println!("tidy");
            Ok(())
        }
        Task::Codegen => codegen::write(&root()),
    }
}

/// Everything that is out of order, one line each.
fn tidy() -> Result<Vec<String>> {
    let root = root();
    let mut findings = layers::check(&root)?;
    findings.extend(sizes::check(&root)?);
    findings.extend(links::check(&root)?);
    findings.extend(codegen::check(&root)?);
    Ok(findings)
}

fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask
        .parent()
        .expect("xtask is a folder of the workspace")
        .to_path_buf()
}

/// Files that git knows below `root`, with that extension.
fn tracked(root: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let listing = std::process::Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            &format!("*.{extension}"),
        ])
        .current_dir(root)
        .output()?;
    if !listing.status.success() {
        bail!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&listing.stderr)
        );
    }
    let names = String::from_utf8(listing.stdout)?;
    Ok(names
        .lines()
        .map(PathBuf::from)
        .filter(|file| root.join(file).is_file())
        .collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_tidy() {
        let findings = super::tidy().expect("tidy runs");
        assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    }
}
