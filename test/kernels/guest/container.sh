#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A container without an engine: `container.sh DIRECTORY TRUTH REPOSITORY CMD…`, in namespaces that unshare(1) has
# made. Its root is an overlay on this machine's, in DIRECTORY, with a libssl of its own; TRUTH and REPOSITORY are
# where they are outside. /run/host-proc shows the pids of the initial namespace.
set -eu
directory=$1 truth=$2 repository=$3
shift 3
libraries=/usr/lib/$(uname -m)-linux-gnu
root=$directory/root
mkdir -p "$directory/upper$libraries" "$directory/work" "$root"
cp "$libraries/libssl.so.3" "$libraries/libcrypto.so.3" "$directory/upper$libraries"
mount -t overlay overlay -o "lowerdir=/,upperdir=$directory/upper,workdir=$directory/work" "$root"
for place in "$truth" "$repository"; do
  mkdir -p "$root$place"
  mount --bind "$place" "$root$place"
done
mkdir -p "$root/run/host-proc"
mount --bind /proc "$root/run/host-proc"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
ip link set lo up
exec chroot "$root" "$@"
