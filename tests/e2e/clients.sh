# Sourced by test.sh. Finds or installs what the end-to-end tests compare with: Python packages in a virtual environment
# of their own, Node packages, and kcat. What cannot be had is written to $MILLSTREAM_SKIPPED, once each, with the reason.
# Sets MILLSTREAM_PYTHON (empty: no such interpreter), MILLSTREAM_NODE (the folder of the packages, or empty) and
# MILLSTREAM_SKIPPED.

MILLSTREAM_SKIPPED="$(mktemp)"
MILLSTREAM_PYTHON=""
MILLSTREAM_NODE=""
export MILLSTREAM_SKIPPED MILLSTREAM_PYTHON MILLSTREAM_NODE

clients_venv="${XDG_CACHE_HOME:-$HOME/.cache}/millstream/clients-2"
clients_log="$(mktemp)"

if [ -x "$clients_venv/ready" ] || {
  command -v python3 >/dev/null &&
    python3 -m venv "$clients_venv" >"$clients_log" 2>&1 &&
    "$clients_venv/bin/pip" install --quiet -r tests/e2e/requirements.txt >>"$clients_log" 2>&1 &&
    printf '#!/bin/sh\n' >"$clients_venv/ready" && chmod +x "$clients_venv/ready"
}; then
  MILLSTREAM_PYTHON="$clients_venv/bin/python"
  echo "Python clients: $clients_venv" >&2
else
  echo "python clients (confluent-kafka, duckdb): $(tail -n 1 "$clients_log" | cut -c1-200)" >>"$MILLSTREAM_SKIPPED"
fi

clients_node="${XDG_CACHE_HOME:-$HOME/.cache}/millstream/clients-node-1"
if ! command -v node npm >/dev/null; then
  echo "KafkaJS's registry client: node and npm are not installed" >>"$MILLSTREAM_SKIPPED"
elif cmp -s tests/e2e/node/package-lock.json "$clients_node/ready" || {
  mkdir -p "$clients_node" && cp tests/e2e/node/package*.json "$clients_node/" &&
    (cd "$clients_node" && npm ci --ignore-scripts --no-audit --no-fund) >"$clients_log" 2>&1 &&
    cp "$clients_node/package-lock.json" "$clients_node/ready"
}; then
  MILLSTREAM_NODE="$clients_node/node_modules"
  echo "Node clients: $clients_node" >&2
else
  echo "KafkaJS's registry client: $(tail -n 1 "$clients_log" | cut -c1-200)" >>"$MILLSTREAM_SKIPPED"
fi

if ! command -v kcat >/dev/null; then
  { apt-get install -y --no-install-recommends kcat || { apt-get update && apt-get install -y --no-install-recommends kcat; }; } \
    >"$clients_log" 2>&1 || echo "kcat: $(tail -n 1 "$clients_log" | cut -c1-200)" >>"$MILLSTREAM_SKIPPED"
fi
command -v kcat >&2 || true
