#!/usr/bin/env bash
# Builds librdkafka's own rdkafka_performance from the sources in the crate rdkafka-sys and prints its path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/millstream/rdkafka_performance-2.12.1"
program="$cache/librdkafka/examples/rdkafka_performance"
if [ ! -x "$program" ]; then
  manifest=$(cargo metadata --locked --format-version 1 --manifest-path "$here/../clients/rdkafka/Cargo.toml" |
    python3 -c 'import json,sys; print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "rdkafka-sys"))')
  rm -rf "$cache" && mkdir -p "$cache"
  cp -r "$(dirname "$manifest")/librdkafka" "$cache/"
  cd "$cache/librdkafka"
  {
    ./configure --disable-ssl --disable-gssapi --disable-curl --disable-zstd --disable-lz4-ext --disable-syslog
    make -j2 -C src librdkafka.a
    cc -O2 -I src examples/rdkafka_performance.c -o "$program.new" src/librdkafka.a -lm -lpthread -ldl -lrt -lz
  } >"$cache/log" 2>&1 || { tail -n 5 "$cache/log" >&2; exit 1; }
  mv "$program.new" "$program"
fi
echo "$program"
