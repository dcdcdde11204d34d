# Sourced by test.sh. Finds or installs what the end-to-end tests compare with: Python packages in a virtual environment
# of their own, and kcat. What cannot be had is written to $MILLSTREAM_SKIPPED, once each, with the reason.
# Sets MILLSTREAM_PYTHON (empty: no such interpreter) and MILLSTREAM_SKIPPED.

MILLSTREAM_SKIPPED="$(mktemp)"
MILLSTREAM_PYTHON=""
export MILLSTREAM_SKIPPED MILLSTREAM_PYTHON

clients_venv="${XDG_CACHE_HOME:-$HOME/.cache}/millstream/clients-1"
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

if ! command -v kcat >/dev/null; then
  { apt-get install -y --no-install-recommends kcat || { apt-get update && apt-get install -y --no-install-recommends kcat; }; } \
    >"$clients_log" 2>&1 || echo "kcat: $(tail -n 1 "$clients_log" | cut -c1-200)" >>"$MILLSTREAM_SKIPPED"
fi
command -v kcat >&2 || true
