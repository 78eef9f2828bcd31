#!/bin/sh
# Run a command of this release with the settings of this machine, as the user of its services; run it as root.
#
#   sudo /opt/depth/current/deploy/as-depth.sh python -m depth health --max-age 60
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "which command? for example: $0 python -m depth doctor" >&2; exit 2; }
exec systemd-run --quiet --wait --pipe --uid=depth --working-directory="$PWD" \
    --property=EnvironmentFile=/etc/depth/depth.env --setenv=PREFECT_HOME=/var/lib/depth/prefect \
    env PATH="$PWD/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
