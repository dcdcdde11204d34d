#!/usr/bin/env bash
# Fuzzes with libFuzzer: tests/fuzz/run.sh [SECONDS [TARGET...]]; all targets for 60 seconds each by default.
# Installs cargo-fuzz if it is not there. What is found lies in tests/fuzz/libfuzzer/artifacts/TARGET/; a file from there,
# copied to tests/fuzz/found/TARGET/, is tried by every `cargo test` from then on.
set -euo pipefail
cd "$(dirname "$0")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/millstream"
skip() {
  echo "SKIPPED: fuzzing: $1" >&2
  [ -z "${MILLSTREAM_SKIPPED:-}" ] || echo "fuzzing: $1" >>"$MILLSTREAM_SKIPPED"
  exit 0
}

seconds="${1:-60}"
shift || true
cargo +nightly --version >/dev/null 2>&1 || skip "needs a nightly toolchain: rustup toolchain install nightly"
if ! cargo fuzz --version >/dev/null 2>&1; then
  log="$(mktemp)"
  cargo install cargo-fuzz --locked --quiet >"$log" 2>&1 || skip "cargo install cargo-fuzz: $(tail -n 1 "$log" | cut -c1-200)"
fi

seeds() { cargo run --quiet --package millstream-tests-fuzz --bin seeds -- "$@"; }
[ $# -gt 0 ] || set -- $(seeds)
failed=()
for target in "$@"; do
  corpus="$cache/fuzz/$target"
  seeds "$target" "$corpus"
  printf '\n== %s for %s seconds, %s inputs to begin with\n' "$target" "$seconds" "$(ls "$corpus" | wc -l)" >&2
  # an input is slow by far at 10 seconds, and large at 1 GB, of which AddressSanitizer takes its part
  CARGO_TARGET_DIR="$cache/fuzz-target" cargo +nightly fuzz run --fuzz-dir libfuzzer "$target" "$corpus" -- \
    -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=512 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 ||
    failed+=("$target")
done
[ ${#failed[@]} -eq 0 ] || { echo "found something: ${failed[*]}" >&2; exit 1; }
