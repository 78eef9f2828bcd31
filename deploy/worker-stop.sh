#!/bin/sh
# Stop a Prefect worker and lose nothing: deploy/worker-stop.sh PID
#
# A worker that ends kills its flows at once. Asked first, they commit, ship and say what they did. The worker itself
# drains at the first SIGTERM and stays; the second one ends it.
#
# First the worker is made to stand still: what it would start meanwhile, nobody would know of.
set -eu
worker=$1

# Wait until a process has ended, for what is left of the tenths of a second.
gone() {
    while [ -e "/proc/$1" ] && [ "$(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null)" != Z ]; do
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        sleep 0.1
    done
}

kill -STOP "$worker" 2>/dev/null || exit 0
flows=$(cat "/proc/$worker/task/"*/children 2>/dev/null || true)
for flow in $flows; do
    kill -TERM "$flow" 2>/dev/null || true
done
tenths=100
for flow in $flows; do
    gone "$flow" || { echo "flow $flow does not end" >&2; kill -KILL "$flow" 2>/dev/null || true; }
done
kill -TERM "$worker" 2>/dev/null || exit 0
kill -CONT "$worker" 2>/dev/null || exit 0
tenths=80
gone "$worker" && exit 0
kill -TERM "$worker" 2>/dev/null || exit 0
tenths=80
gone "$worker" || echo "worker $worker does not end" >&2
