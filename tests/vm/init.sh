#!/bin/busybox sh
# The first and only program of the guest: shows it the host's files, runs /command among them, says how that ended on
# the serial console and turns the machine off. What the guest writes stays in its memory: the host's files lie under an
# overlay, and were shared read-only anyway.
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /host /sbin /scratch /root
/bin/busybox --install -s /bin

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done

mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 host /host
mount -t tmpfs scratch /scratch
mkdir /scratch/upper /scratch/work
mount -t overlay -o lowerdir=/host,upperdir=/scratch/upper,workdir=/scratch/work overlay /root
mount -t proc proc /root/proc
mount -t sysfs sys /root/sys
mount --bind /dev /root/dev
mount -t tmpfs run /root/run
ip link set lo up

# Whatever the kernel asks for is loaded, as on a real machine.
printf '#!/bin/sh\nexec chroot /root /sbin/modprobe "$@"\n' >/sbin/modprobe
chmod +x /sbin/modprobe

cp /command /scratch/upper/guest-command
chroot /root /bin/bash /guest-command
code=$?
echo
echo "guest ended with $code"
poweroff -f
