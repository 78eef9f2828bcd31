#!/bin/sh
# Run a Prefect worker in a container: ask for a collector if one is wanted, then work until SIGTERM, and end well.
set -eu
cd "$(dirname "$0")/.."
python -m flows.boot || true
prefect worker start --pool depth-pool --limit 6 &
worker=$!
trap 'deploy/worker-stop.sh "$worker"' TERM INT
# A signal ends the first wait; the second one gives the worker's own exit code.
wait "$worker" || wait "$worker"
