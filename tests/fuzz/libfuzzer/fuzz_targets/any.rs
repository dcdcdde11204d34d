//! All targets in one program, which is built and linked once: `MILLSTREAM_FUZZ_TARGET` names the one that is run.
#![no_main]

use std::{env, sync::LazyLock};

use millstream_tests_fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = env::var("MILLSTREAM_FUZZ_TARGET").expect("MILLSTREAM_FUZZ_TARGET names a target");
    let found = TARGETS.iter().find(|target| target.name == name);
    *found.unwrap_or_else(|| panic!("there is no target {name}"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
