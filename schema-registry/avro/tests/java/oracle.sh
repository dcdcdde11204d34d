#!/usr/bin/env bash
# Runs Oracle.java: what Apache Avro's Java library says about schemas, one JSON line in, one out. Fetches the jars (Maven)
# and compiles on first use, into the cache of the user. Exit 69 with a reason on stderr: it cannot be had here.
set -euo pipefail

version=1.12.1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/millstream/avro-$version"

unavailable() { echo "apache avro $version: $*" >&2; exit 69; }

command -v java >/dev/null && command -v javac >/dev/null || unavailable "java and javac are not installed"
mkdir -p "$cache"
# Test processes that start together prepare it once.
exec 9>"$cache/lock"
flock 9
if [ ! -e "$cache/ready" ]; then
  command -v mvn >/dev/null || unavailable "mvn is not installed"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache/lib" >"$cache/log" 2>&1 ||
    unavailable "mvn: $(grep -m1 ERROR "$cache/log" | cut -c1-200)"
  touch "$cache/ready"
fi
if ! cmp -s "$here/Oracle.java" "$cache/Oracle.java"; then
  javac -nowarn -cp "$cache/lib/*" -d "$cache" "$here/Oracle.java" >"$cache/log" 2>&1 ||
    unavailable "javac: $(head -n 1 "$cache/log" | cut -c1-200)"
  cp "$here/Oracle.java" "$cache/Oracle.java"
fi
flock -u 9
exec java -Xss64m -XX:TieredStopAtLevel=1 -cp "$cache:$cache/lib/*" Oracle
