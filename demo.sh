#!/usr/bin/env bash
# The main job on the embedded default: real data through a pipeline, in one process. Needs a Rust toolchain, nothing else.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/millstream/target}"

if [ ! -x "$CARGO_TARGET_DIR/debug/millstream" ]; then
  echo "Building millstream (the first time takes some minutes; about 350 crates) ..." >&2
else
  echo "Building what changed ..." >&2
fi
cargo build --package millstream
rm -rf examples/flights/out examples/flights/state
echo "Running examples/flights/pipeline.yaml: CSV -> topic -> SQL -> topic -> Parquet and NDJSON" >&2
"$CARGO_TARGET_DIR/debug/millstream" run examples/flights/pipeline.yaml --until-end --listen none "$@"
echo "Wrote examples/flights/out:" >&2
find examples/flights/out -name '*.parquet' -o -name '*.ndjson' | sort | head -5 >&2
