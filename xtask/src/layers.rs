//! A crate depends only on crates of a lower layer, by the table in the root `Cargo.toml`.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// The crate that only unifies features: everybody depends on it, it depends on none of ours.
const HACK: &str = "millstream-hack";

pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()?;
    let table = metadata.workspace_metadata["layers"]
        .as_object()
        .context("no [workspace.metadata.layers]")?;
    let layer_of_folder: BTreeMap<&str, u64> = table
        .iter()
        .filter_map(|(folder, layer)| Some((folder.as_str(), layer.as_u64()?)))
        .collect();

    let mut findings = Vec::new();
    let mut layers = BTreeMap::new();
    for package in &metadata.packages {
        let folder = package
            .manifest_path
            .parent()
            .context("a manifest lies in a folder")?;
        let folder = folder.strip_prefix(&metadata.workspace_root)?.as_str();
        match layer_of_folder.get(folder) {
            Some(layer) => _ = layers.insert(package.name.as_str(), *layer),
            None => findings.push(format!("{folder}: not in [workspace.metadata.layers]")),
        }
        if let Some(wanted) = wanted_name(folder).filter(|wanted| wanted != package.name.as_str()) {
            findings.push(format!(
                "{folder}: package is named {}, should be {wanted}",
                package.name
            ));
        }
    }
    findings.extend(
        metadata
            .packages
            .iter()
            .flat_map(|package| edges_up(package, &layers)),
    );
    Ok(findings)
}

/// `millstream-<path-with-dashes>`; the binary and the repository's own tools have names of their own.
fn wanted_name(folder: &str) -> Option<String> {
    match folder {
        "cli" | "xtask" => None,
        folder => Some(format!("millstream-{}", folder.replace('/', "-"))),
    }
}

fn edges_up(package: &Package, layers: &BTreeMap<&str, u64>) -> Vec<String> {
    let Some(own) = layers.get(package.name.as_str()) else {
        return Vec::new();
    };
    let upward = |dependency: &&cargo_metadata::Dependency| {
        dependency.name != HACK
            && dependency.kind != DependencyKind::Development
            && layers
                .get(dependency.name.as_str())
                .is_some_and(|layer| layer >= own)
    };
    let edge = |dependency: &cargo_metadata::Dependency| {
        format!(
            "{} (layer {own}) depends on {} of layer {}",
            package.name, dependency.name, layers[&*dependency.name]
        )
    };
    package.dependencies.iter().filter(upward).map(edge).collect()
}
