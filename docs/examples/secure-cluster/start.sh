#!/bin/sh
# Makes a secret if there is none, and runs both nodes until Ctrl-C.
set -eu
cd "$(dirname "$0")"
skyring=${SKYRING:-../../../target/release/skyring}
if [ ! -f cluster.secret ]; then
    (umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >cluster.secret)
fi
"$skyring" run config_db &
db=$!
trap 'kill "$db" 2>/dev/null || true' EXIT INT TERM
"$skyring" run config_gate
