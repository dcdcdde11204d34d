# Sourced by test.sh, after tests/e2e/clients.sh. Installs or builds the real clients, pinned, from their registries; each
# becomes a command $MILLSTREAM_COMPAT/CLIENT that takes BOOTSTRAP [SCENARIO...] and prints one line per scenario.
# What cannot be had is written to $MILLSTREAM_SKIPPED, once each, with the reason.

compat_sources="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
compat_cache="${XDG_CACHE_HOME:-$HOME/.cache}/millstream/compat-1"
MILLSTREAM_COMPAT="$compat_cache/run"
export MILLSTREAM_COMPAT
rm -rf "$MILLSTREAM_COMPAT"
mkdir -p "$MILLSTREAM_COMPAT"

# compat_command CLIENT COMMAND...: what runs a client.
compat_command() {
  local client=$1
  shift
  { printf '#!/usr/bin/env bash\nexec'; printf ' %q' "$@"; printf ' "$@"\n'; } >"$MILLSTREAM_COMPAT/$client"
  chmod +x "$MILLSTREAM_COMPAT/$client"
}

# compat_client CLIENT FUNCTION: runs the function, which prepares it; one that fails is a skipped client.
compat_client() {
  local log="$compat_cache/$1.log"
  # Not `if (set -e; ...)`: bash ignores `set -e` within a condition, so each step says `|| return`.
  if ! "$2" >"$log" 2>&1; then
    local reason
    reason=$(grep -v '^[[:space:]]*$' "$log" | tail -n 1 | cut -c1-200)
    echo "compat $1: ${reason:-no reason given}" | tee -a "${MILLSTREAM_SKIPPED:-/dev/null}" >&2
  fi
}

compat_python() {
  local venv="$compat_cache/python" pins
  pins=$(cat "$compat_sources/clients/python/requirements.txt")
  if [ "$(cat "$venv/pins" 2>/dev/null)" != "$pins" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" || return
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$compat_sources/clients/python/requirements.txt" || return
    echo "$pins" >"$venv/pins"
  fi
  compat_command confluent-kafka "$venv/bin/python" "$compat_sources/clients/python/confluent.py"
  compat_command kafka-python "$venv/bin/python" "$compat_sources/clients/python/kafka_python.py"
  compat_command aiokafka "$venv/bin/python" "$compat_sources/clients/python/aio.py"
}

compat_kafkajs() {
  command -v node npm || { echo "node and npm are not installed"; return 1; }
  local folder="$compat_cache/kafkajs"
  mkdir -p "$folder"
  if ! cmp -s "$compat_sources/clients/kafkajs/package-lock.json" "$folder/ready"; then
    cp "$compat_sources"/clients/kafkajs/package*.json "$folder/" || return
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund) || return
    cp "$folder/package-lock.json" "$folder/ready" || return
  fi
  compat_command kafkajs env NODE_PATH="$folder/node_modules" KAFKAJS_NO_PARTITIONER_WARNING=1 \
    node "$compat_sources/clients/kafkajs/main.js"
}

compat_java() {
  command -v java javac || { echo "java and javac are not installed"; return 1; }
  local folder="$compat_cache/java" jars source="$compat_sources/clients/java/Compat.java"
  jars=$("$compat_sources/kafka.sh" jars) || return
  mkdir -p "$folder"
  if ! cmp -s "$source" "$folder/Compat.java"; then
    javac -nowarn -cp "$jars/*" -d "$folder" "$source" || return
    cp "$source" "$folder/" || return
  fi
  compat_command java java -XX:TieredStopAtLevel=1 -cp "$folder:$jars/*" Compat
}

compat_franz_go() {
  command -v go || { echo "go is not installed"; return 1; }
  (cd "$compat_sources/clients/franz-go" && go build -mod=readonly -o "$compat_cache/franz-go" .) || return
  compat_command franz-go "$compat_cache/franz-go"
}

compat_rdkafka() {
  command -v cmake >/dev/null && command -v cc >/dev/null || { echo "cmake or a C compiler is not installed"; return 1; }
  (cd "$compat_sources/clients/rdkafka" && CARGO_TARGET_DIR="$compat_cache/rdkafka" cargo build --quiet --locked) || return
  compat_command rdkafka "$compat_cache/rdkafka/debug/millstream-compat-rdkafka"
}

compat_kcat() {
  command -v kcat || { echo "kcat is not installed"; return 1; }
  compat_command kcat bash "$compat_sources/clients/kcat/run.sh"
}

compat_client python compat_python
compat_client kafkajs compat_kafkajs
compat_client java compat_java
compat_client franz-go compat_franz_go
compat_client rdkafka compat_rdkafka
compat_client kcat compat_kcat
