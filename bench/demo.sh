#!/bin/sh
# The demo: start everything in a folder of its own, load the hall, fight for it, judge, stop.
# A Prometheus watches, if there is one on the PATH.
set -eu
data=$(mktemp -d "${TMPDIR:-/tmp}/ticket-war.XXXXXX")
wanted=${PORT:-8000}
port=$(python -c "from bench.rig.stand import this_or_free_port as p; print(p($wanted))")
[ "$port" = "$wanted" ] || echo "Port $wanted is taken; the demo uses port $port."
here=$(dirname "$0")
watcher=

RATE_LIMITS=off engine up --data "$data" --port "$port" --workers 1 >"$data/up.log" 2>&1 &
up=$!
finish() {
  [ -z "$watcher" ] || { kill -TERM "$watcher" 2>/dev/null && wait "$watcher" || true; }
  kill -TERM "$up" 2>/dev/null && wait "$up" || true
  rm -rf "$data"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "Starting Valkey, Postgres, the API, the expirer and the writer ..."
answers() {
  python -c "import urllib.request as u; u.urlopen('$1', timeout=1)" 2>/dev/null
}
for _ in $(seq 600); do
  kill -0 "$up" 2>/dev/null || { cat "$data/up.log"; exit 1; }
  answers "http://127.0.0.1:$port/readyz" && break
  sleep 0.1
done

if command -v prometheus >/dev/null; then
  prometheus_url=http://127.0.0.1:$(python -c "from bench.rig.stand import free_port; print(free_port())")
  mkdir "$data/prometheus"
  cp -R "$here/../deploy/prometheus/rules" "$data/prometheus/"
  sed "s/127.0.0.1:8000/127.0.0.1:$port/" "$here/../deploy/prometheus/one-machine.yml" \
    >"$data/prometheus/prometheus.yml"
  prometheus --config.file "$data/prometheus/prometheus.yml" --storage.tsdb.path "$data/prometheus/data" \
    --web.listen-address "${prometheus_url#http://}" >"$data/prometheus.log" 2>&1 &
  watcher=$!
  echo "Prometheus watches until the end: $prometheus_url"
else
  echo "No prometheus on the PATH, so nothing is recorded (Debian: apt-get install prometheus)"
fi

engine load venue:hall --event gala --hold-ttl 4 --data "$data"
engine war --event gala --url "http://127.0.0.1:$port" --seconds 20 --buyers 300 --data "$data"
engine status gala --once --data "$data"
if [ -n "$watcher" ]; then
  python -m bench.war.prometheus_summary "$prometheus_url" || { tail -n 5 "$data/prometheus.log"; exit 1; }
fi
