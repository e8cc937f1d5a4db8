#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh ROOT CONTEXT OUT: the RUN lines of the stage `build` of deploy/Dockerfile (standard input), in ROOT, a mount namespace's own
# file system with the machine's programs and the build's context as /src; /opt/nervenet goes to OUT. Run it with unshare --mount.
set -eu
root=$1 context=$2 out=$3
mount -t tmpfs -o mode=0755 tmpfs "$root"
for folder in /usr /bin /sbin /lib /lib64; do
    if [ -L "$folder" ]; then ln -s "$(readlink "$folder")" "$root$folder"; elif [ -d "$folder" ]; then mkdir "$root$folder"; mount --bind "$folder" "$root$folder"; fi
done
mkdir -p "$root"/{etc,dev,proc,tmp,opt,src,root} "$root$BASE_PYTHON"
mount --bind /etc "$root/etc"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$BASE_PYTHON" "$root$BASE_PYTHON"
mount -o remount,bind,ro "$root$BASE_PYTHON"
cp -r "$context/." "$root/src/"
# Where the base image has its Python in /usr/local, an environment of this machine's Python stands for it: pip installs into that.
chroot "$root" "$BASE_PYTHON/bin/python3" -m venv /base
chroot "$root" env --chdir=/src PATH=/base/bin:/usr/bin:/bin bash -eu
cp -a "$root/opt/nervenet" "$out"
