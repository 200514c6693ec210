#!/bin/sh
# The demo: start everything in a folder of its own, load the hall, fight for it, judge, stop.
set -eu
data=$(mktemp -d "${TMPDIR:-/tmp}/ticket-war.XXXXXX")
port=${PORT:-8000}

RATE_LIMITS=off engine up --data "$data" --port "$port" --workers 1 >"$data/up.log" 2>&1 &
up=$!
finish() {
  kill -TERM "$up" 2>/dev/null && wait "$up" || true
  rm -rf "$data"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "Starting Valkey, Postgres, the API, the expirer and the writer ..."
for _ in $(seq 600); do
  kill -0 "$up" 2>/dev/null || { cat "$data/up.log"; exit 1; }
  python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/readyz', timeout=1)" \
    2>/dev/null && break
  sleep 0.1
done

engine load venue:hall --event gala --hold-ttl 4 --data "$data"
engine war --event gala --url "http://127.0.0.1:$port" --seconds 20 --buyers 300 --data "$data"
engine status gala --data "$data"
