#!/bin/sh
# Tell a Prefect server of the flows: work pool, deployments, automations. Needs PREFECT_API_URL; again is harmless.
set -eu
cd "$(dirname "$0")/.."
: "${PREFECT_API_URL:?is not set: for a server on this machine it is http://127.0.0.1:4200/api}"
bin=.venv/bin
if [ ! -d "$bin" ]; then
    prefect=$(command -v prefect) || { echo "no Prefect is installed here: make setup, or use /opt/depth/current" >&2; exit 2; }
    bin=$(dirname "$prefect")
fi
tries=60
until "$bin/python" -c 'import os, httpx; httpx.get(os.environ["PREFECT_API_URL"] + "/health").raise_for_status()' 2>/dev/null; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo "Prefect at $PREFECT_API_URL does not answer" >&2; exit 1; }
    sleep 2
done
"$bin/prefect" work-pool create depth-pool --type process --overwrite
"$bin/prefect" --no-prompt deploy --all
if [ -f deploy/automations.py ]; then
    "$bin/python" -m deploy.automations
fi
