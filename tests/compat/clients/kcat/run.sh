#!/usr/bin/env bash
# kcat (Debian's, librdkafka 2.0). Arguments and output as in ../python/harness.py.
bootstrap=$1
shift
chosen=" $* "
run="$((RANDOM))-$$"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

kafka() { timeout 40 kcat -b "$bootstrap" "$@"; }
die() { echo "$*" >&2; return 1; }
same() { diff <(printf '%s' "$1") <(printf '%s' "$2") >"$folder/diff" || die "${3:-it} differs: $(head -n 4 "$folder/diff" | tr '\n' ' ')"; }

codecs() {
  local codec topic sent
  for codec in none gzip snappy lz4 zstd; do
    topic="kcat-codec-$codec-$run"
    sent=$(seq 1 500 | sed "s/^/$codec a line that can be compressed, compressed, compressed /")
    kafka -P -t "$topic" -z "$codec" <<<"$sent" || return
    same "$(kafka -C -t "$topic" -o beginning -e -q)" "$sent" "$codec" || return
  done
}

records() {
  local topic="kcat-records-$run"
  printf 'k:v\n' | kafka -P -t "$topic" -K : -H a=1 -H b=2 -p 0 || return
  printf 'tombstone:\n' | kafka -P -t "$topic" -K : -Z -p 0 || return
  same "$(kafka -C -t "$topic" -o beginning -e -q -Z -f '%o %k %s %h %S\n')" "$(printf '0 k v a=1,b=2 1\n1 tombstone NULL  -1')"
}

idempotence() {
  local topic="kcat-idempotence-$run"
  seq 1 2000 | kafka -P -t "$topic" -X enable.idempotence=true -X linger.ms=0 -X batch.num.messages=10 -p 0 || return
  same "$(kafka -C -t "$topic" -o beginning -e -q)" "$(seq 1 2000)"
}

offsets_for_times() {
  local topic="kcat-times-$run" from
  seq 1 5 | kafka -P -t "$topic" -p 0 || return
  from=$(kafka -C -t "$topic" -o beginning -e -q -f '%T\n' | tail -n 1)
  seq 6 9 | kafka -P -t "$topic" -p 0 || return
  same "$(kafka -Q -t "$topic:0:0")" "$topic [0] offset 0" || return
  same "$(kafka -Q -t "$topic:0:-1")" "$topic [0] offset 9" || return
  same "$(kafka -C -t "$topic" -o "s@$((from + 1))" -e -q)" "$(seq 6 9)"
}

commits() {
  local topic="kcat-commits-$run"
  seq 1 10 | kafka -P -t "$topic" -p 0 || return
  same "$(kafka -q -c 4 -X auto.offset.reset=earliest -G "kcat-$run" "$topic")" "$(seq 1 4)" || return
  same "$(kafka -q -c 6 -X auto.offset.reset=earliest -G "kcat-$run" "$topic")" "$(seq 5 10)" "after resuming"
}

transactions() {
  local topic="kcat-tx-$run"
  seq 1 3 | kafka -P -t "$topic" -X transactional.id="kcat-$run" -p 0 || return
  same "$(kafka -C -t "$topic" -o beginning -e -q -X isolation.level=read_committed)" "$(seq 1 3)"
}

cluster() {
  local topic="kcat-cluster-$run"
  echo x | kafka -P -t "$topic" || return
  kafka -L -J -t "$topic" >"$folder/metadata" || return
  grep -q "\"name\":\"$bootstrap\"" "$folder/metadata" && grep -q "\"topic\":\"$topic\"" "$folder/metadata" ||
    die "metadata: $(cut -c1-200 "$folder/metadata")"
}

for name in codecs records idempotence offsets-for-times commits transactions cluster; do
  if [ $# -gt 0 ] && [[ "$chosen" != *" $name "* ]]; then continue; fi
  started=$SECONDS
  if "${name//-/_}" 2>"$folder/err"; then
    echo "ok $name $((SECONDS - started))"
  else
    cat "$folder/err" >&2
    echo "fail $name $(tail -n 1 "$folder/err" | cut -c1-300)"
  fi
done
