#!/bin/sh
# Run once by the entry point of PostgreSQL's image, on an empty volume: the role that owns Veza's tables, and the role
# that the application connects as. On a server of your own, run the same three statements as a superuser.
set -eu

psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set=owner_password="$(cat /run/secrets/postgres_owner_password)" \
    --set=application_password="$(cat /run/secrets/postgres_password)" <<'SQL'
CREATE ROLE veza_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE veza LOGIN PASSWORD :'application_password';
CREATE DATABASE veza OWNER veza_owner;
SQL
