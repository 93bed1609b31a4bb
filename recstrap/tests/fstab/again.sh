#!/bin/sh
# Mounts a system by its own /etc/fstab and runs a command on it: again.sh ROOT DEVICE VERDICT COMMAND...
#
# Started in mount and PID namespaces of its own, so that whatever happens nothing of it stays, and nobody outside can
# reach the host's directories through ROOT. VERDICT gets what findmnt thinks of the file.
set -eu
root=$1 device=$2 verdict=$3
shift 3

mount "$device" "$root"
for dir in usr dev sys; do
    mkdir -p "$root/$dir"
    mount --bind -o ro "/$dir" "$root/$dir"
done
mkdir -p "$root/proc"
mount -t proc proc "$root/proc"
for dir in bin sbin lib lib64; do
    ln -sfn "usr/$dir" "$root/$dir"
done

# It fails for a warning too; the caller decides.
chroot "$root" findmnt --verify --verbose --tab-file /etc/fstab > "$verdict" 2>&1 || true
chroot "$root" mount --all
# Swap is the machine's and outlives namespaces; `swapoff --all` would end that of others.
swap_off() {
    sed -n 's/[[:space:]].*[[:space:]]swap[[:space:]].*//p' "$root/etc/fstab" | while read -r source; do
        chroot "$root" swapoff "$source"
    done
}
trap swap_off EXIT
chroot "$root" swapon --all
"$@"
