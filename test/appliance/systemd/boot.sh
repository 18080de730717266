#!/bin/bash
# A machine for one script: the real systemd as process 1 of namespaces of its own, on a copy-on-write view of this machine's files, nothing of which can change.
#   boot.sh check            whether that can be had here
#   boot.sh SHARE CHECKOUT NODE   runs SHARE/run.sh as a service, with the checkout at /opt/burrow and Node at /opt/burrow-node; its output is in SHARE/output
set -eu
# After `su` without a dash the directories of pivot_root are missing.
PATH=$PATH:/usr/sbin:/sbin
share=$1 checkout=${2:-} node=${3:-}

if [ "${BOOT_INSIDE:-}" != yes ]; then
  [ -x /lib/systemd/systemd ]
  work=$(mktemp -d)
  # Process 1 wants to be at the top of a control group of its own.
  groups=/sys/fs/cgroup; [ "$(stat -f -c %T $groups)" = cgroup2fs ] || groups=/sys/fs/cgroup/unified
  group=$(mktemp -d "$groups/burrow-test-XXXXXX")
  trap 'for try in 1 2 3 4 5; do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break; read -t 0.2 _ <> <(:) || :; done; rmdir "$work" || :' EXIT
  ( echo $BASHPID > "$group/cgroup.procs"
    BOOT_INSIDE=yes BOOT_WORK=$work exec unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child bash "$0" "$@" )
  exit
fi

mount --make-rprivate /
mount -t tmpfs tmpfs "$BOOT_WORK"
root=$BOOT_WORK/root
mkdir "$BOOT_WORK/upper" "$BOOT_WORK/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$BOOT_WORK/upper,workdir=$BOOT_WORK/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
mkdir "$root/dev/shm"; mount -t tmpfs tmpfs "$root/dev/shm"
mkdir "$root/dev/pts"; mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"; ln -s pts/ptmx "$root/dev/ptmx"; ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
[ "$share" != check ] || exit 0

mkdir -p "$root/run/share" "$root/opt/burrow" "$root/run/systemd/system" "$root/old"
mount --bind "$share" "$root/run/share"
mount --bind "$checkout" "$root/opt/burrow"
touch "$root/opt/burrow-node"; mount --bind "$node" "$root/opt/burrow-node"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
rm -rf "$root/etc/burrow" "$root/etc/systemd/system/burrow"*
# Nothing of this machine's own services.
cat > "$root/run/systemd/system/sysinit.target" <<< $'[Unit]\nDefaultDependencies=no'
cat > "$root/run/systemd/system/test.target" <<< $'[Unit]\nDefaultDependencies=no\nWants=test.service'
cat > "$root/run/systemd/system/test.service" <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
# Whatever hangs ends with the machine.
TimeoutStartSec=1200
ExecStart=/bin/bash /run/share/run.sh
# Not "file:": systemctl's "Powering off." would overwrite the beginning.
StandardOutput=append:/run/share/output
StandardError=inherit
ExecStopPost=/bin/systemctl --force --force poweroff
UNIT
cd "$root"
pivot_root . old
umount -l /old
# As a machine that boots has it; the copies that systemd makes of credentials are seen through it.
mount --make-rshared /
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=test.target --log-target=null --show-status=0
