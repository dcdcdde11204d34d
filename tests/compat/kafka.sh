#!/usr/bin/env bash
# Apache Kafka beside ours: one combined KRaft node on loopback, from its published jars (Maven), or from KAFKA_HOME.
#
#   kafka.sh jars                            fetches the jars and prints their folder
#   kafka.sh serve DIR PORT [key=value...]   formats DIR if it is new and serves it on 127.0.0.1:PORT; the controller
#                                            listens on PORT+1, or KAFKA_CONTROLLER_PORT. Prints `ready PID` when the port answers; SIGTERM stops.
set -euo pipefail

version=4.3.1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/millstream/kafka-$version"

unavailable() { echo "apache kafka $version: $*" >&2; exit 69; }

jars() {
  if [ -n "${KAFKA_HOME:-}" ]; then
    [ -d "$KAFKA_HOME/libs" ] || unavailable "KAFKA_HOME=$KAFKA_HOME has no libs"
    echo "$KAFKA_HOME/libs"
    return
  fi
  if [ ! -e "$cache/ready" ]; then
    command -v mvn >/dev/null || unavailable "neither KAFKA_HOME nor mvn"
    mkdir -p "$cache"
    mvn -q -B -f "$here/pom.xml" -Dkafka.version="$version" dependency:copy-dependencies -DoutputDirectory="$cache/lib" \
      >"$cache/log" 2>&1 || unavailable "mvn: $(grep -m1 ERROR "$cache/log" | cut -c1-200)"
    touch "$cache/ready"
  fi
  echo "$cache/lib"
}

serve() {
  local dir=$1 port=$2 lib pid
  shift 2
  command -v java >/dev/null || unavailable "java is not installed"
  lib=$(jars)
  mkdir -p "$dir"
  local controller=${KAFKA_CONTROLLER_PORT:-$((port + 1))} properties="$dir/server.properties"
  cat >"$properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$dir/log
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
END
  printf '%s\n' "$@" >>"$properties"
  cat >"$dir/log4j2.properties" <<END
status=error
rootLogger.level=warn
rootLogger.appenderRef.err.ref=err
appender.err.type=Console
appender.err.name=err
appender.err.target=SYSTEM_ERR
appender.err.layout.type=PatternLayout
appender.err.layout.pattern=%d %p %m (%c)%n%throwable
END
  local java=(java "-Xmx${KAFKA_HEAP:-1g}" "-Xms${KAFKA_HEAP:-1g}" -XX:+UseG1GC -XX:MaxGCPauseMillis=20
    -XX:InitiatingHeapOccupancyPercent=35 "-Dlog4j2.configurationFile=$dir/log4j2.properties" -cp "$lib/*")
  [ -e "$dir/log/meta.properties" ] ||
    "${java[@]}" kafka.tools.StorageTool format -t AAAAAAAAQACAAAAAAAAAAQ -c "$properties" >"$dir/format.log" 2>&1 ||
    { cat "$dir/format.log" >&2; exit 1; }
  "${java[@]}" kafka.Kafka "$properties" 2>"$dir/stderr.log" >"$dir/stdout.log" &
  pid=$!
  trap 'kill -TERM $pid 2>/dev/null; wait $pid || true; exit 0' TERM INT
  for _ in $(seq 600); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "ready $pid"
      wait $pid || { tail -n 20 "$dir/stderr.log" >&2; exit 1; }
      return
    fi
    kill -0 $pid 2>/dev/null || { tail -n 20 "$dir/stderr.log" "$dir/stdout.log" >&2; exit 1; }
    sleep 0.1
  done
  kill -KILL $pid
  echo "no answer on port $port within a minute" >&2
  exit 1
}

case "${1:-}" in
jars) jars ;;
serve) shift && serve "$@" ;;
*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
