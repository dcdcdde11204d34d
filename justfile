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

# real clients against the broker (`just compat java` runs one)
compat *clients:
    tests/compat/run.sh ours {{clients}}

# the same scenarios against Apache Kafka: whether the suite itself is right
compat-kafka *clients:
    tests/compat/run.sh kafka {{clients}}

# ours and Apache Kafka one after the other, ratios side by side (`--quick` takes about 4 minutes)
bench-kafka *options:
    tests/compat/bench/run.sh {{options}}

# durable append and sealed read against raw system calls
bench-storage:
    cargo bench -p millstream-broker-storage

# Avro data: validate, decode to Arrow, encode, beside apache-avro and arrow-avro in one run
bench-avro:
    cargo bench -p millstream-formats --bench avro

# the port over loopback: throughput, latency, memory and CPU of the broker
bench-broker:
    cargo bench -p millstream-broker-server

# schemas: reading, comparing, a thousand versions; the published crate beside ours
bench-registry-avro:
    cargo bench -p millstream-schema-registry-avro

# the schema registry: reads, registrations, comparisons, and a start with 100,000 versions
bench-registry *scenarios:
    cargo bench -p millstream-broker-embedded --bench registry -- {{scenarios}}

# the flights year through a pipeline against a straight-line program
bench-pipeline:
    cargo bench -p millstream-tests-e2e --bench pipeline

# faults against the broker under load; the cases that repeat a fault go on that many minutes
faults minutes="5":
    . tests/e2e/clients.sh && MILLSTREAM_FAULTS_MINUTES={{minutes}} cargo test -p millstream-tests-faults -- --nocapture --test-threads 1

# the broker and many clients under a virtual clock, so many seeds
sim seeds="1000":
    SIM_SEEDS={{seeds}} cargo test -p millstream-tests-sim -- --nocapture

# libFuzzer on every target, or on some, so many seconds each (needs a nightly toolchain)
fuzz seconds="60" *targets:
    tests/fuzz/run.sh {{seconds}} {{targets}}
