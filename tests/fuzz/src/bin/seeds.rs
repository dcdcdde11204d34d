//! Writes what to begin a target with, a file each: `seeds TARGET FOLDER`. Without arguments it lists the targets.
#![expect(clippy::print_stdout, reason = "a tool for scripts")]

use std::{env, fs, path::Path};

use millstream_tests_fuzz::TARGETS;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [target, folder] = arguments.as_slice() else {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        return;
    };
    let target = TARGETS
        .iter()
        .find(|found| found.name == target)
        .unwrap_or_else(|| panic!("there is no target {target}"));
    fs::create_dir_all(folder).expect("the folder can be made");
    for (n, seed) in target.inputs().into_iter().enumerate() {
        fs::write(Path::new(folder).join(format!("seed-{n:03}")), seed).expect("a seed can be written");
    }
}
