#!/bin/sh
# Run a Prefect worker in a container: ask for a collector if one is wanted, then work until SIGTERM, and end well.
set -eu
cd "$(dirname "$0")/.."
python -m flows.boot || true
prefect worker start --pool depth-pool --limit 6 &
worker=$!
stopping=
trap 'stopping=1; deploy/worker-stop.sh "$worker"' TERM INT
code=0
wait "$worker" || code=$?
# What a second SIGTERM does to a worker is a kill: told to stop, it has ended well.
[ -z "$stopping" ] || exit 0
exit "$code"
