#!/bin/sh
# The guest's first process, started as init= with vmrun=DIRECTORY. In that directory of the host, seen here as /run/vm:
#   command.sh  the environment, the working directory and the command
#   modules     what to load before it, one a line
#   status      what the command ended with, written here; dmesg and times too
#   out/        the command's $VM_OUT: the one place that the host sees again
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
modules=/usr/lib/uml/modules/$(uname -r)

# The host's root is mounted read-only: a file system in memory is laid over it.
mount -n -t tmpfs vm /mnt
mkdir /mnt/up /mnt/work /mnt/root
insmod "$modules/kernel/fs/overlayfs/overlay.ko"
mount -n -t overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work vm /mnt/root || exec busybox poweroff -f
cd /mnt/root && mkdir -p .oldroot && pivot_root . .oldroot
mount -n -t proc proc /proc
mount -n -t sysfs sys /sys
mount -n -t devtmpfs dev /dev
mount -n -t tmpfs run /run
mkdir -p /lib/modules /run/vm /run/netns /run/lock /dev/pts /dev/shm
ln -sfn "$modules" "/lib/modules/$(uname -r)"
for word in $(cat /proc/cmdline); do
    case $word in vmrun=*) directory=${word#vmrun=} ;; esac
done
mount -n -t hostfs -o "$directory" vmrun /run/vm
umount -n -l /.oldroot
# The console was opened in the old /dev, which is gone.
exec </dev/console >/dev/console 2>&1
stty -opost -echo

mount -n -t devpts devpts /dev/pts
mount -n -t tmpfs shm /dev/shm
mount -n -t cgroup2 cgroup2 /sys/fs/cgroup
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
ln -sf /proc/self/mounts /etc/mtab
# This kernel's nf_tables lacks the families of IP: iptables is to mean its older variant.
for tool in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sf /usr/sbin/xtables-legacy-multi "/usr/sbin/$tool"
done
ip link set lo up
[ ! -s /run/vm/modules ] || modprobe -a $(cat /run/vm/modules)

read -r up _ </proc/uptime
echo "ready after $up s" >/run/vm/times
/bin/sh /run/vm/command.sh </dev/null
status=$?
read -r up _ </proc/uptime
echo "done after $up s" >>/run/vm/times
dmesg >/run/vm/dmesg
echo $status >/run/vm/status.new && mv /run/vm/status.new /run/vm/status
sync
exec busybox poweroff -f
