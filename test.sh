#!/usr/bin/env bash
# Everything that CI runs. Needs a Rust toolchain; finds or installs the rest itself and says what it could not have.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/millstream/target}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"

step() { printf '\n== %s\n' "$*" >&2; }

step "foreign clients for the end-to-end tests"
. tests/e2e/clients.sh
step "real clients for the compatibility suite"
. tests/compat/setup.sh

step "format"
cargo fmt --all --check
step "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
step "tests"
cargo test --workspace --locked --no-fail-fast
step "a minute of libFuzzer for each decoder"
found="$(mktemp)"
MILLSTREAM_FOUND="$found" MILLSTREAM_FUZZ_SEED=1 tests/fuzz/run.sh 60

step "summary"
if [ -s "$MILLSTREAM_SKIPPED" ]; then
  sort -u "$MILLSTREAM_SKIPPED" | sed 's/^/SKIPPED: /'
fi
[ ! -s "$found" ] || sed 's/^/FOUND: /' "$found"
rm -f "$found"
echo "tests passed; $(sort -u "$MILLSTREAM_SKIPPED" | wc -l) skipped for want of something"
