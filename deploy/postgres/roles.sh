#!/bin/sh
# Run once by the Postgres image, when its data folder is new: the engine owns its database and
# nothing else, the exporter may read statistics and no rows. Neither is a superuser.
# Passwords come from files; none appears in a command line.
set -eu
folder=${SECRETS:-/run/secrets}
export folder

psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set engine_password `cat "$folder/postgres_engine_password"`
\set monitor_password `cat "$folder/postgres_monitor_password"`
CREATE ROLE engine LOGIN PASSWORD :'engine_password';
CREATE ROLE monitor LOGIN PASSWORD :'monitor_password' CONNECTION LIMIT 5;
GRANT pg_monitor TO monitor;
CREATE DATABASE engine OWNER engine;
REVOKE ALL ON DATABASE engine FROM PUBLIC;
GRANT CONNECT ON DATABASE engine TO monitor;
SQL
