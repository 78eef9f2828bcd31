#!/usr/bin/env bash
# Run the collector in a container: build the image, replace the container that runs, show its logs.
#
#   ./run.sh [options of collect]        for example ./run.sh --step 0.00002 --steps 40 --interval 1
#
# The old container goes only after the new one has captured and stored, so that no second is lost between them. One that
# does not get there is taken away, and the old one stays. Settings come from the environment and from a file .env.
#
#   IMAGE       binance-collector:latest    PULL=1 uses it as it is, without a build
#   CONTAINER   binance-collector
#   VOLUME      depth-data                  spool and database
#   PATIENCE    120                         seconds until the new container must be well
#   FOLLOW      1                           0: print the first lines of the log and return
set -euo pipefail

image=${IMAGE:-binance-collector:latest}
container=${CONTAINER:-binance-collector}
volume=${VOLUME:-depth-data}
patience=${PATIENCE:-120}
next=$container-next
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { printf '%s\n' "$*" >&2; }
exists() { docker container inspect "$1" >/dev/null 2>&1; }

# Passed on where they are set; README.md says what each is for.
settings=(
    DB_BACKEND SQLITE_PATH SPOOL_PATH SPOOL_MAX_MB RETENTION_DAYS
    BIGTABLE_PROJECT_ID BIGTABLE_INSTANCE_ID BIGTABLE_APP_PROFILE_ID BIGTABLE_EMULATOR_HOST
    BINANCE_REST_URL BINANCE_WS_URL CONNECTIONS FLUSH_SECONDS COLLECTOR_GROUP
    ALERT_WEBHOOK_URL ALERT_WEBHOOK_SECRET ALERT_URLS HEARTBEAT_URL METRICS_HOST METRICS_PORT LOG_LEVEL LOG_FORMAT
)

command -v docker >/dev/null || { say "docker is not installed: apt-get install docker.io"; exit 2; }

if [[ -z ${PULL:-} ]]; then
    docker build --tag "$image" "$here"
fi

arguments=(--detach --name "$next" --restart unless-stopped --stop-timeout 20 --memory 300m --volume "$volume:/app/data")
# Both containers are collectors of one group: the new one takes over what the old one leaves in the spool.
arguments+=(--env "COLLECTOR_GROUP=${COLLECTOR_GROUP:-$container}")
[[ -f $here/.env ]] && arguments+=(--env-file "$here/.env")
for name in "${settings[@]}"; do
    [[ -n ${!name:-} && $name != COLLECTOR_GROUP ]] && arguments+=(--env "$name")
done

if exists "$next"; then
    docker rm --force "$next" >/dev/null
fi
docker run "${arguments[@]}" "$image" python -m depth collect "$@" >/dev/null

# The spool is shared: the rows of the old container would do for a health check that does not name its collector.
ready() {
    # shellcheck disable=SC2016  # expanded in the container
    docker exec "$next" sh -c 'exec python -m depth health --max-age 30 --collector "$(hostname)-"' >/dev/null 2>&1
}
well=
until=$((SECONDS + patience))
while ((SECONDS < until)); do
    if ready; then
        well=1
        break
    fi
    # A container that ends by itself is begun anew by its policy: one restart is enough to know.
    [[ $(docker container inspect --format '{{.State.Running}} {{.RestartCount}}' "$next") == "true 0" ]] || break
    sleep 1
done
if [[ -z $well ]]; then
    docker logs --tail 20 "$next" >&2 || true
    docker rm --force "$next" >/dev/null
    if exists "$container"; then
        say "the new container captures nothing: it is taken away, the old one goes on"
    else
        say "the container captures nothing: it is taken away; see its last lines above, and ask python -m depth doctor"
    fi
    exit 1
fi

if exists "$container"; then
    docker stop "$container" >/dev/null
    docker rm "$container" >/dev/null
fi
docker rename "$next" "$container"
say "$container runs; stop it with: docker stop $container"
if [[ ${FOLLOW:-1} == 0 ]]; then
    docker logs --tail 20 "$container"
else
    docker logs --tail 20 --follow "$container"
fi
