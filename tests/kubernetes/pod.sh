#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# pod.sh ROOT COMMAND…: what a container engine does for a container of ours, in the mount namespace that this shell has alone.
# ROOT becomes a read-only file system with the machine's programs, this repository as /app, its environment as /opt/nervenet,
# an own /tmp, and the files below POD_FILES as they are. The command runs as uid 10001, without capabilities, and cannot gain any.
set -eu
root=$1
shift
mount -t tmpfs -o mode=0755 tmpfs "$root"
bind() { # FROM TO
    if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$(dirname "$root$2")"; : >>"$root$2"; fi
    mount --bind "$1" "$root$2"
    mount -o remount,bind,ro "$root$2" 2>/dev/null || true
}
for folder in /usr /bin /sbin /lib /lib64; do
    if [ -L "$folder" ]; then ln -s "$(readlink "$folder")" "$root$folder"; elif [ -d "$folder" ]; then bind "$folder" "$folder"; fi
done
mkdir -p "$root"/{etc,proc,dev,tmp}
bind "$POD_HOSTS" /etc/hosts
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
printf 'nervenet:x:10001:10001::/app:/usr/sbin/nologin\n' >"$root/etc/passwd"
[ ! -d /etc/ssl ] || bind /etc/ssl /etc/ssl
bind "$POD_PYTHON" "$POD_PYTHON"
bind "$POD_REPOSITORY" "$POD_REPOSITORY"
bind "$POD_REPOSITORY" /app
bind "$POD_VENV" /opt/nervenet
bind "$POD_REPOSITORY/deploy/healthcheck.py" /opt/healthcheck.py
while IFS='|' read -r from to; do
    [ -n "$from" ] || continue
    mkdir -p "$root$to"
    mount --bind "$from" "$root$to"
done <<<"${POD_FILES:-}"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
for device in null zero urandom random; do : >"$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
mount -o remount,ro "$root"
exec chroot "$root" "$@"
