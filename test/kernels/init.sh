#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The first process in the VM. Root is a tree of the host, read-only; what is written goes to memory, or to the one
# directory that the host shares for it ($state), where the command is found and its status is left.
# mcpspy.root, mcpspy.repo and mcpspy.state on the kernel's command line are the host's paths.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for module in $(cat /modules/order); do insmod "/modules/$module" || echo "cannot load $module"; done
for word in $(cat /proc/cmdline); do
  case $word in
    mcpspy.root=*) root=${word#*=} ;;
    mcpspy.repo=*) repo=${word#*=} ;;
    mcpspy.state=*) state=${word#*=} ;;
  esac
done
mount -t virtiofs host /host || poweroff -f
mount -o bind "/host$root" /new
mount -o remount,bind,ro /new
mount -t devtmpfs dev /new/dev
mount -t sysfs sys /new/sys
mount -t bpf bpf /new/sys/fs/bpf
mount -t tracefs tracefs /new/sys/kernel/tracing
mount -t cgroup2 cgroup /new/sys/fs/cgroup
for place in tmp run var/tmp var/log; do mount -t tmpfs -o mode=1777 memory "/new/$place"; done
mkdir -p /new/dev/shm /new/dev/pts
mount -t tmpfs -o mode=1777 memory /new/dev/shm
mount -t devpts devpts /new/dev/pts
ln -sf /proc/self/fd /new/dev/fd
mkdir -p "/new$repo" /new/run/vm
mount -o bind "/host$repo" "/new$repo"
mount -o remount,bind,ro "/new$repo"
mount -o bind "/host$state" /new/run/vm
umount -l /host
ip link set lo up
cp /bin/busybox /new/run/busybox
mount -o move /proc /new/proc
hostname mcpspy-vm
exec switch_root /new /run/busybox sh /run/vm/start
