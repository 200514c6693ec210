#!/bin/sh
# `make up` and `make down`: creates the secrets and runs compose, or says what is missing.
set -eu
cd "$(dirname "$0")/.."

need() {
  echo "make $verb needs $1. Without containers: make demo, or engine up (README, Five minutes)." >&2
  exit 1
}
verb=$1
command -v docker >/dev/null 2>&1 || need "Docker, which is not installed here"
docker compose version >/dev/null 2>&1 || need "the compose plugin of Docker (docker compose, 2.24 or newer)"
docker info >/dev/null 2>&1 || need "a running Docker engine that you may use (docker info fails)"

case $verb in
up)
  sh deploy/secrets.sh
  docker compose up --detach --build
  echo "API      http://localhost:8000/api/docs"
  echo "Grafana  http://localhost:3000  user operator, password: cat deploy/secrets/grafana_admin_password"
  echo "Watch    docker compose ps; docker compose logs --follow app"
  ;;
down)
  docker compose down
  echo "The data is kept. To delete it too: docker compose down --volumes"
  ;;
esac
