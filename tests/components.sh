#!/bin/sh
# The real components that tests start: Debian's packages are installed where that is possible, and named where it is not.
# A test whose component is missing says so: for a person it is left out, under CI=true it fails.
set -eu

packages="
  git openssl openssh-client openssh-server gnupg lighttpd lighttpd-mod-openssl
  postgresql prometheus etcd-server
  umockdev gir1.2-umockdev-1.0 python3-gi dfu-util
"

missing=""
for package in $packages; do
    state=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing for the tests:$missing"
    # RUNLEVEL=1: what is installed is started by the tests that need it, and by nobody else.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get update --quiet=2
    # shellcheck disable=SC2086  # one word each
    apt-get install --quiet=2 --yes --no-install-recommends $missing >/dev/null
else
    echo "NOT INSTALLED, so some tests are left out; as root: apt-get install$missing" >&2
fi
