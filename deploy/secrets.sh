#!/bin/sh
# Creates the secrets of docker-compose.yml at random, in deploy/secrets/ or the given folder.
# An existing password is never overwritten: to change it, delete its file and run this again.
# The files that only repeat passwords (URLs, the users of Redis) are rewritten each time.
#
# Only the owner can enter the folder (0700). The files in it are 0444: compose mounts a file with the
# mode it has here, and no two images run under the same uid; none of them could read a file of mode
# 0600. The mode of the folder keeps all other users out.
set -eu
umask 077
export LC_ALL=C
here=$(dirname "$0")
secrets=${1:-$here/secrets}
mkdir -p "$secrets"
chmod 700 "$secrets"

# 48 letters and digits: more than 280 bits, and no character that a URL would have to escape.
random() {
  tr -dc 'A-Za-z0-9' </dev/urandom | dd bs=1 count=48 2>/dev/null
}

sha256() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

# store NAME: writes standard input to the file atomically.
store() {
  cat >"$secrets/.$1.new"
  [ -s "$secrets/.$1.new" ] || { echo "secrets.sh: $1 came out empty" >&2; exit 1; }
  chmod 444 "$secrets/.$1.new"
  mv "$secrets/.$1.new" "$secrets/$1"
}

for name in jwt_secret payment_webhook_secret grafana_admin_password postgres_password \
  postgres_engine_password postgres_monitor_password \
  redis_engine_password redis_exporter_password redis_insight_password redis_admin_password; do
  [ -e "$secrets/$name" ] || { random | store "$name"; echo "made $secrets/$name"; }
done

read_secret() { cat "$secrets/$1"; }
hash_of() { printf %s "$(read_secret "$1")" | sha256; }

printf 'redis://engine:%s@redis:6379/0' "$(read_secret redis_engine_password)" | store redis_url
printf 'postgresql://engine:%s@postgres:5432/engine' "$(read_secret postgres_engine_password)" |
  store database_url
sed -e "s/@ENGINE@/$(hash_of redis_engine_password)/" \
  -e "s/@EXPORTER@/$(hash_of redis_exporter_password)/" \
  -e "s/@ADMIN@/$(hash_of redis_admin_password)/" \
  -e "s/@INSIGHT@/$(hash_of redis_insight_password)/" "$here/redis/users.acl.in" | store users.acl
printf '[{"id":"ticket-wars","name":"ticket-wars","host":"redis","port":6379,"username":"insight","password":"%s"}]\n' \
  "$(read_secret redis_insight_password)" | store redis_insight.json
