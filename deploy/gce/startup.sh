#!/usr/bin/env bash
# What a machine does at each boot: swap, data disk, settings and secrets, the release, its services. Again is harmless.
#
# All that differs from machine to machine is in the instance's metadata; see machine.tf.
set -euo pipefail

metadata() {
    curl --silent --fail --header 'Metadata-Flavor: Google' \
        "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1" || true
}
say() { printf 'depth: %s\n' "$*"; }

# Two collectors and a verify run fit into 1 GB only with some of the rest swapped out.
if [[ ! -e /swapfile ]]; then
    fallocate --length 2G /swapfile
    chmod 0600 /swapfile
    mkswap /swapfile
    printf '/swapfile none swap sw 0 0\n' >>/etc/fstab
    printf 'vm.swappiness = 10\n' >/etc/sysctl.d/60-depth.conf
    sysctl --quiet --load=/etc/sysctl.d/60-depth.conf
fi
swapon --all

# The disk that outlives the machine.
disk=/dev/disk/by-id/google-depth-data
if ! blkid "$disk" >/dev/null; then
    mkfs.ext4 -q -L depth-data "$disk"
fi
mkdir --parents /var/lib/depth
if ! grep --quiet ' /var/lib/depth ' /etc/fstab; then
    printf 'LABEL=depth-data /var/lib/depth ext4 defaults,noatime,nofail 0 2\n' >>/etc/fstab
fi
mountpoint --quiet /var/lib/depth || mount /var/lib/depth

if ! dpkg-query --show python3-venv >/dev/null 2>&1; then
    apt-get update --quiet
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes python3-venv
fi

# Settings, then the secrets that have a version; readable by root and the services alone.
install --directory /etc/depth
settings=$(metadata depth-settings)
[[ -n $settings ]] || { say "the metadata have no depth-settings: nothing is changed"; exit 1; }
umask 0077
printf '%s\n' "$settings" >/etc/depth/depth.env.part
for name in $(metadata depth-secrets); do
    if value=$(gcloud secrets versions access latest --secret="$(hostname --short)-$name" 2>/dev/null); then
        printf '%s=%s\n' "$name" "$value" >>/etc/depth/depth.env.part
    elif grep --quiet "^$name=" /etc/depth/depth.env 2>/dev/null; then
        say "$name cannot be read: it stays as it was"
        grep "^$name=" /etc/depth/depth.env >>/etc/depth/depth.env.part
    fi
done
umask 0022
mv /etc/depth/depth.env.part /etc/depth/depth.env

release=$(metadata depth-release)
if [[ -z $release ]]; then
    say "no release yet: send one with deploy/gce/release.sh"
    exit 0
fi

fresh=
if [[ $(readlink /opt/depth/current || true) != "releases/$release" ]]; then
    work=$(mktemp --directory)
    gcloud artifacts generic download --repository="$(metadata depth-releases)" --location="$(metadata depth-region)" \
        --package=depth --version="$release" --destination="$work"
    mkdir "$work/depth"
    tar --extract --gzip --file "$work/depth.tar.gz" --directory "$work/depth"
    if [[ -e /opt/depth/current ]]; then
        "$work/depth/deploy/upgrade.sh" "$release"
    else
        "$work/depth/deploy/install.sh" "$release"
    fi
    rm -rf "$work"
    fresh=1
fi
chgrp depth /etc/depth/depth.env
chmod 0640 /etc/depth/depth.env
chown depth:depth /var/lib/depth

services=$(metadata depth-services)
for service in $services; do
    # A worker begins once the server knows the flows.
    if [[ $service == depth-worker && -n $fresh ]]; then
        /opt/depth/current/deploy/as-depth.sh deploy/flows.sh ||
            say "the flows are not deployed: run deploy/flows.sh once Prefect answers"
    fi
    systemctl enable --now "$service"
done

if [[ $(metadata depth-ops-agent) == true && ! -e /etc/google-cloud-ops-agent ]]; then
    curl --silent --show-error --fail --output /tmp/ops-agent.sh https://dl.google.com/cloudagents/add-google-cloud-ops-agent-repo.sh
    bash /tmp/ops-agent.sh --also-install
    install --mode=0644 /opt/depth/current/deploy/gce/ops-agent.yaml /etc/google-cloud-ops-agent/config.yaml
    systemctl restart google-cloud-ops-agent
fi
say "release $release runs: $services"
