#!/usr/bin/env python3
"""Writes the dependencies of hack/Cargo.toml anew: every crate whose features differ between building one member of the
workspace and building all of them, with the features of the whole (docs/adr/0002-one-build.md).

    hack/update.py          run it after adding a dependency, until it says that nothing changed
"""

import collections
import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).parent.parent
MANIFEST = ROOT / "hack/Cargo.toml"
TARGET = "x86_64-unknown-linux-gnu"
# Fuzz targets use a few crates only and are built for themselves: they need no unification, and not all these crates.
TABLE = "[target.'cfg(not(fuzzing))'.{}]"
DEPENDENCIES = TABLE.format("dependencies")


def tree(*selection):
    """The lines `name version|features` of a build."""
    command = ["cargo", "tree", *selection, "-e", "normal,build,dev", "--prefix", "none", "-f", "{p}|{f}", "--target", TARGET]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {line.replace(" (*)", "") for line in text.splitlines() if line.strip()}


def members():
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    return [package["name"] for package in metadata["packages"] if package["name"] != "millstream-hack"]


def short(crate):
    """`serde v1.0.229` -> (`serde`, `1.0`), as the manifest names it."""
    name, version = crate.split()[:2]
    return name, ".".join(version.lstrip("v").split("+")[0].split(".")[:2])


def listed():
    """What the manifest lists already: once unified, a crate no longer differs, but must stay."""
    found = set()
    for line in MANIFEST.read_text().split(DEPENDENCIES, 1)[1].splitlines():
        if match := re.match(r'([\w-]+) = \{ version = "([\d.]+)", (?:package = "([\w-]+)", )?', line):
            found.add((match[3] or match[1], match[2]))
    return found


def wanted():
    whole = tree("--workspace")
    features = collections.defaultdict(list)
    for line in whole:
        crate, flags = line.split("|")
        features[crate].append(set(filter(None, flags.split(","))))
    twice = {crate for crate, sets in features.items() if len(sets) > 1}
    known = listed()
    crates = {crate for crate in features if short(crate) in known}
    for member in members():
        lines = tree("-p", member)
        crates |= {line.split("|")[0] for line in lines - whole}
        crates |= {line.split("|")[0] for line in lines} & twice
    return {crate: set().union(*features[crate]) for crate in crates if "(/" not in crate}


def rows(crates):
    by_name = collections.defaultdict(list)
    for crate in crates:
        by_name[crate.split()[0]].append(crate)
    for name in sorted(by_name):
        for crate in sorted(by_name[name]):
            version = crate.split()[1].lstrip("v").split("+")[0]
            alone = len(by_name[name]) == 1
            key = name if alone else f"{name}-{version.replace('.', '_')}"
            package = "" if alone else f'package = "{name}", '
            flags = ", ".join(f'"{flag}"' for flag in sorted(crates[crate] - {"default"}))
            default = str("default" in crates[crate]).lower()
            yield f'{key} = {{ version = "{short(crate)[1]}", {package}default-features = {default}, features = [{flags}] }}'


def main():
    before = MANIFEST.read_text()
    head = before.split(f"\n{DEPENDENCIES}\n", 1)[0]
    table = "\n".join(rows(wanted()))
    after = f"{head}\n{DEPENDENCIES}\n{table}\n\n{TABLE.format('build-dependencies')}\n{table}\n"
    MANIFEST.write_text(after)
    print("nothing changed" if after == before else "changed: run it again")


if __name__ == "__main__":
    main()
