# Short names for what the scripts and cargo do. `just` alone lists them.

export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", env("XDG_CACHE_HOME", env("HOME") / ".cache") / "millstream/target")

default:
    @just --list

# the main job on real data, in one process
demo:
    ./demo.sh

# everything that CI runs
test:
    ./test.sh

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- -D warnings

# layers, generated files, links; reports sizes
tidy:
    cargo xtask tidy

# write the generated files
codegen:
    cargo xtask codegen

deny:
    cargo deny check

# durable append and sealed read against raw system calls
bench-storage:
    cargo bench -p millstream-broker-storage

# the flights year through a pipeline against a straight-line program
bench-pipeline:
    cargo bench -p millstream-tests-e2e --bench pipeline

# fuzz one target for a minute (needs nightly and cargo-fuzz)
fuzz target:
    cd tests/fuzz && cargo +nightly fuzz run {{target}} -- -max_total_time=60
