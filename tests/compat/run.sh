#!/usr/bin/env bash
# run.sh ours|kafka [CLIENT...]: the suite against the broker, or against Apache Kafka, which checks the suite itself.
set -eo pipefail
cd "$(dirname "$0")/../.."
against=$1
shift
. tests/e2e/clients.sh
. tests/compat/setup.sh

if [ "$against" = kafka ]; then
  folder=$(mktemp -d)
  port=${KAFKA_PORT:-39092}
  tests/compat/kafka.sh serve "$folder" "$port" group.initial.rebalance.delay.ms=0 >"$folder/ready" &
  kafka=$!
  trap 'kill $kafka 2>/dev/null || true; wait $kafka 2>/dev/null || true; rm -rf "$folder"' EXIT
  until grep -q ready "$folder/ready"; do
    kill -0 $kafka 2>/dev/null || exit 1
    sleep 0.1
  done
  export MILLSTREAM_COMPAT_KAFKA="127.0.0.1:$port"
fi
cargo test -p millstream-tests-compat -- "$@"
