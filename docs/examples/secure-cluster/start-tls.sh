#!/bin/sh
# Makes a CA and certificates if there are none, and runs both nodes with TLS until Ctrl-C.
set -eu
cd "$(dirname "$0")"
skyring=${SKYRING:-../../../target/release/skyring}
if [ ! -f ca.pem ]; then
    "$skyring" cert ca
    "$skyring" cert node db
    "$skyring" cert node gate
fi
"$skyring" run config_db_tls &
db=$!
trap 'kill "$db" 2>/dev/null || true' EXIT INT TERM
"$skyring" run config_gate_tls
