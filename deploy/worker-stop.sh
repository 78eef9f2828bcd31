#!/bin/sh
# Stop a Prefect worker and lose nothing: deploy/worker-stop.sh PID
#
# A worker that ends kills its flows at once. Asked first, they commit, ship and say what they did. The worker itself
# drains at the first SIGTERM and stays; the second one ends it.
set -eu
worker=$1

# Wait until a process has ended, for so many tenths of a second.
gone() {
    tenths=$2
    while [ -e "/proc/$1" ] && [ "$(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null)" != Z ]; do
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        sleep 0.1
    done
}

flows=$(cat "/proc/$worker/task/"*/children 2>/dev/null || true)
for flow in $flows; do
    kill -TERM "$flow" 2>/dev/null || true
done
for flow in $flows; do
    gone "$flow" 100 || echo "flow $flow does not end" >&2
done
for _ in first second; do
    kill -TERM "$worker" 2>/dev/null || exit 0
    gone "$worker" 80 && exit 0
done
echo "worker $worker does not end" >&2
