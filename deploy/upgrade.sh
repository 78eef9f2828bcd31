#!/usr/bin/env bash
# Install this checkout beside what runs and go over to it without a lost second; run it as root.
#
#   sudo deploy/upgrade.sh [NAME]
#
# Whenever a collector stops, another one captures: the services of two are restarted one after the other, and while the
# worker is restarted a collector of the new release stands in. `systemctl start` of a collector returns with its first
# row; one of the new release that brings none is taken away, and the old release stays.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
current=${DEPTH_ROOT:-}/opt/depth/current
standin=depth-collect@upgrade
patience=${PATIENCE:-180}

say() { printf '%s\n' "$*" >&2; }
active() { systemctl --quiet is-active "$1"; }

before=$(readlink "$current" || true)
"$here/deploy/install.sh" "$@"

if ! systemctl start "$standin"; then
    systemctl stop "$standin"
    if [[ -n $before ]]; then
        ln --symbolic --no-dereference --force "$before" "$current.part"
        mv --no-target-directory "$current.part" "$current"
    fi
    say "the new release captures nothing: see journalctl --unit=$standin; nothing was restarted, ${before:-no release} stays"
    exit 1
fi
trap 'systemctl stop "$standin"' EXIT

mapfile -t collectors < <(systemctl list-units --plain --no-legend --state=active 'depth-collect@*' | cut -d ' ' -f 1)
for unit in "${collectors[@]}"; do
    [[ $unit == "$standin"* ]] || systemctl restart "$unit"
done

if active depth-server; then
    systemctl restart depth-server
fi
if active depth-worker; then
    # The deployments name the folder of a release: from here on, of the new one.
    "$current/deploy/as-depth.sh" deploy/flows.sh
    systemctl restart depth-worker
    say "waiting for a collector of the worker"
    until=$((SECONDS + patience))
    sleep 15 # rows of the run that has just ended are too old by then
    wanted=$((${#collectors[@]} + 1))
    until "$current/deploy/as-depth.sh" python -m depth health --max-age 10 --collectors "$wanted"; do
        if ((SECONDS >= until)); then
            trap - EXIT
            say "the worker brings no collector: see journalctl --unit=depth-worker; $standin goes on"
            exit 1
        fi
        sleep 2
    done
fi
say "upgraded"
