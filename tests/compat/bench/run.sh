#!/usr/bin/env bash
# bench/run.sh [--quick] [--mb N] [--rows N] [--rounds N] [--only BROKER]: builds what it needs and runs bench.py. BENCH_DIR names a disk.
set -eo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../.."
. tests/e2e/clients.sh
. tests/compat/setup.sh
client=$("$here/client.sh")
idle=()
if command -v go >/dev/null; then
  (cd "$here/../clients/franz-go" && go build -mod=readonly -o "$compat_cache/idle" ./idle)
  idle=(--idle "$compat_cache/idle")
fi
cargo build --release --package millstream
"$compat_cache/python/bin/python" "$here/bench.py" --client "$client" "${idle[@]}" ${BENCH_DIR:+--dir "$BENCH_DIR"} \
  --binary "${CARGO_TARGET_DIR:-target}/release/millstream" "$@"
