#!/usr/bin/env bash
# Install this checkout on a machine with systemd (Debian 12 or like it) and Python 3.11 or newer; run it as root.
#
#   sudo deploy/install.sh [NAME]        NAME of the release; the time where none is given
#
# The release goes to /opt/depth/releases/NAME with an environment of its own, and /opt/depth/current points to it.
# Nothing is started or restarted: see docs/OPERATIONS.md, or let deploy/upgrade.sh do it without a lost second.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=${1:-$(date -u +%Y%m%dT%H%M%SZ)}
# Another root: for tests and for images. No user is made there and systemd is left alone.
root=${DEPTH_ROOT:-}
python=${PYTHON:-python3}
releases=$root/opt/depth/releases
release=$releases/$name
uv_version=$(sed -n 's/^UV_VERSION := //p' "$here/Makefile")

say() { printf '%s\n' "$*" >&2; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "Python 3.11 or newer is needed: set PYTHON"; exit 2; }
[[ ! -e $release ]] || { say "$release is there already: give another name"; exit 2; }

if [[ -z $root ]]; then
    [[ $EUID == 0 ]] || { say "not root: sudo $0"; exit 2; }
    id depth >/dev/null 2>&1 ||
        useradd --system --user-group --home-dir /var/lib/depth --no-create-home --shell /usr/sbin/nologin depth
    install --directory --owner=depth --group=depth --mode=0750 /var/lib/depth
fi

install --directory "$releases" "$root/etc/depth" "$root/etc/systemd/system" "$root/etc/systemd/journald.conf.d"
# Made beside and renamed: a release that is there is whole.
rm -rf "$release.part"
mkdir "$release.part"
tar --create --directory "$here" --exclude-vcs --exclude=./.venv --exclude=./data --exclude=./.env --exclude=__pycache__ . |
    tar --extract --no-same-owner --directory "$release.part"
mv "$release.part" "$release"

trap 'rm -rf "$release"' ERR
"$python" -m venv --without-pip "$release/.venv"
# In an environment of its own: what is installed is what the lock names, and nothing else.
"$python" -m venv "$release/.uv"
"$release/.uv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
into=(--quiet --compile-bytecode --python "$release/.venv/bin/python")
"$release/.uv/bin/uv" pip sync "${into[@]}" --require-hashes "$release/requirements.lock"
"$release/.uv/bin/uv" pip install "${into[@]}" --no-deps --no-build-isolation --editable "$release"
rm -rf "$release/.uv"
"$release/.venv/bin/python" -m compileall -q "$release/depth" "$release/tasks" "$release/flows" "$release/settings.py"
trap - ERR

# Secrets are written here later: by hand, or from Secret Manager.
if [[ ! -e $root/etc/depth/depth.env ]]; then
    install --mode=0640 "$here/deploy/depth.env" "$root/etc/depth/depth.env"
    [[ -n $root ]] || chgrp depth /etc/depth/depth.env
fi
install --mode=0644 "$here"/deploy/systemd/*.service "$root/etc/systemd/system/"
install --mode=0644 "$here/deploy/systemd/journald.conf" "$root/etc/systemd/journald.conf.d/depth.conf"

ln --symbolic --no-dereference --force "releases/$name" "$root/opt/depth/current.part"
mv --no-target-directory "$root/opt/depth/current.part" "$root/opt/depth/current"
if [[ -z $root ]]; then
    systemctl daemon-reload
fi
# The three newest stay, to go back to.
mapfile -t old < <(find "$releases" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %f\n' | sort -rn | tail -n +4 | cut -d ' ' -f 2)
for each in "${old[@]}"; do
    rm -rf "${releases:?}/$each"
done
say "installed $name; /opt/depth/current points to it"
