#!/usr/bin/env bash
# Send this checkout's last commit to a machine: archive, upload, install beside what runs, go over to it.
#
#   deploy/gce/release.sh PROJECT REGION ZONE [MACHINE]
set -euo pipefail

[[ $# -ge 3 ]] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
project=$1 region=$2 zone=$3 machine=${4:-binance-collector}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
release=$(git -C "$root" rev-parse --short=12 HEAD)
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT

git -C "$root" archive --format=tar.gz --output="$work/depth.tar.gz" HEAD
gcloud artifacts generic upload --project="$project" --location="$region" --repository="$machine-releases" \
    --package=depth --version="$release" --source="$work/depth.tar.gz"
gcloud compute instances add-metadata "$machine" --project="$project" --zone="$zone" --metadata="depth-release=$release"
gcloud compute ssh "$machine" --project="$project" --zone="$zone" --tunnel-through-iap \
    --command='sudo google_metadata_script_runner startup'
