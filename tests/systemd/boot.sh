#!/bin/sh
# boot.sh ROOT SCRATCH: systemd as PID 1 of a throw-away machine that looks like ROOT, until it is killed.
#
# Started by `unshare --mount`: what it mounts is seen by nobody else and gone with it, like all that the machine
# writes.  SCRATCH is an empty folder to mount on.
set -eu
root=$1 scratch=$2

mount -t tmpfs tmpfs "$scratch"
cd "$scratch"
mkdir upper work root cgroup
mount -t overlay overlay -o "lowerdir=$root,upperdir=upper,workdir=work" root

# A control group of its own: two machines would else put their services into one.
mount -t cgroup2 cgroup2 cgroup
own=cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/callsign-test-$$
mkdir "$own"
echo $$ >"$own/cgroup.procs"

# shellcheck disable=SC2016 # for the inner shell
setpriv --pdeathsig KILL \
  unshare --mount --pid --uts --ipc --cgroup --net --fork --kill-child sh -euc '
    cd root
    mount -t proc proc proc
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys # the kernel is shared: its settings are not this machine'\''s
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=755 tmpfs dev
    mkdir dev/shm dev/pts
    for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do # the least that PrivateDevices= copies
      (IFS=: && set -- $node && mknod -m 666 "dev/$1" c "$2" "$3")
    done
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    for unit in sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount dev-hugepages.mount \
      dev-mqueue.mount systemd-modules-load.service; do
      ln -s /dev/null "etc/systemd/system/$unit"
    done
    hostname machine
    pivot_root . mnt
    umount -l /mnt
    exec env -i container=callsign PATH=/usr/sbin:/usr/bin:/sbin:/bin \
      /lib/systemd/systemd --system --log-target=journal-or-kmsg --show-status=no </dev/null
  ' || true # killed

echo $$ >"cgroup/cgroup.procs"
find "$own" -depth -type d -exec rmdir {} +
