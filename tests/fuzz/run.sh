#!/usr/bin/env bash
# Fuzzes with libFuzzer: tests/fuzz/run.sh [SECONDS [TARGET...]]; all targets for 60 seconds each by default, as many at once
# as there are processors.
#
# It goes on with the inputs that former runs have found to be of interest, from a random number that is shown. With
# MILLSTREAM_FUZZ_SEED=NUMBER (which is how ./test.sh runs it) it begins with the seeds and with what did harm once, from that
# number, so that a run does what another did as far as time allows.
#
# An input that does harm is written to tests/fuzz/found/TARGET/, where every `cargo test` tries it from then on.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
cache="${XDG_CACHE_HOME:-$HOME/.cache}/millstream"
skip() {
  echo "SKIPPED: libFuzzer: $1" >&2
  [ -z "${MILLSTREAM_SKIPPED:-}" ] || echo "libFuzzer: $1" >>"$MILLSTREAM_SKIPPED"
  exit 0
}

seconds="${1:-60}"
shift || true
rustc +nightly --version >/dev/null 2>&1 || skip "needs a nightly toolchain: rustup toolchain install nightly"
command -v c++ >/dev/null || skip "needs a C++ compiler, which builds libFuzzer"
if ! cargo fuzz --version >/dev/null 2>&1; then
  log="$(mktemp)"
  cargo install cargo-fuzz --locked --quiet >"$log" 2>&1 || skip "cargo install cargo-fuzz: $(tail -n 1 "$log" | cut -c1-200)"
fi

scratch="$(mktemp -d)"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$scratch"' EXIT
if [ -n "${MILLSTREAM_FUZZ_SEED:-}" ]; then
  seed=$MILLSTREAM_FUZZ_SEED
  corpora="$scratch/corpora"
else
  seed=$((RANDOM + 1))
  corpora="$cache/fuzz"
fi

# One build for all of them, in a folder of its own: other flags, another toolchain. Of the versions that the product has.
cp "$here/../../Cargo.lock" libfuzzer/Cargo.lock
CARGO_TARGET_DIR="$cache/fuzz-target" cargo +nightly fuzz build --fuzz-dir libfuzzer
built="$cache/fuzz-target/$(rustc +nightly --version --verbose | sed -n 's/^host: //p')/release/any"
seeds() { cargo run --quiet --package millstream-tests-fuzz --bin seeds -- "$@"; }
[ $# -gt 0 ] || set -- $(seeds)

# fuzz TARGET: leaves its log, and its verdict, in the scratch folder.
fuzz() {
  local found="$here/found/$1/" log="$scratch/$1.log"
  mkdir -p "$found"
  # An input is slow by far at 25 seconds, and large at 1 GB, of which AddressSanitizer takes its part.
  if (cd "$scratch" && MILLSTREAM_FUZZ_TARGET=$1 ASAN_OPTIONS=detect_odr_violation=0 "$built" "$corpora/$1" -artifact_prefix="$found" -seed="$seed" \
    -max_total_time="$seconds" -timeout=25 -report_slow_units=25 -malloc_limit_mb=512 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 >"$log" 2>&1); then
    echo "$1: $(grep '^#[0-9]*.*DONE' "$log" | tr -s '\t ' ' ')" >&2
  else
    {
      printf '\n-- %s\n' "$1"
      tail -n 60 "$log"
    } >&2
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    echo "$1: found ${input:-nothing that was written down}" >>"$scratch/failed"
    [ -z "$input" ] || [ "$(wc -c <"$input")" -gt 4096 ] || echo "  base64: $(base64 -w 0 "$input")" >>"$scratch/failed"
    [ -z "$input" ] ||
      echo "  again: MILLSTREAM_FUZZ_TARGET=$1 $built '$input', or cargo test -p millstream-tests-fuzz" >>"$scratch/failed"
  fi
  rmdir "$found" 2>/dev/null || true
}

echo "$# targets for $seconds seconds each, MILLSTREAM_FUZZ_SEED=$seed" >&2
for target in "$@"; do
  seeds "$target" "$corpora/$target"
done
for target in "$@"; do
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
  fuzz "$target" &
done
wait
if [ -s "$scratch/failed" ]; then
  echo "libFuzzer found something:" >&2
  cat "$scratch/failed" >&2
  # A search is another one each time, whatever its seed: what it finds is no verdict on the change that it ran for.
  [ -n "${MILLSTREAM_FOUND:-}" ] || exit 1
  sed 's/^/libFuzzer: /' "$scratch/failed" >>"$MILLSTREAM_FOUND"
fi
