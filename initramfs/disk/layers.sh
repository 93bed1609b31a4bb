# What can lie between a partition and the root file system: LUKS, LVM, software RAID.
#
# There is no udev here: the tools are told so, and what they would wait for is done by hand. Each function leaves the
# next device in $device, or returns 1 with the reason in $note; it is called again while devices are being found.
# shellcheck shell=sh

# Read by libdevmapper and mdadm.
export DM_DISABLE_UDEV=1 MDADM_NO_UDEV=1

# Seconds after which an array starts although a disk is missing.
md_patience=10

# What is on a device, as blkid names it; nothing when that is unknown or ambiguous.
content() {
    blkid -p -s TYPE -o value "$1" 2>/dev/null
}

# Devices with some content, or with a tag such as UUID=...
devices_with() {
    blkid -c /dev/null -o device -t "$1" 2>/dev/null
}

have() {
    command -v "$1" >/dev/null 2>&1 && return 0
    note="$device needs $1, which is not in this initramfs."
    return 1
}

# luks NAME: opens the LUKS partition $device under that name.
luks() {
    if [ ! -b "/dev/mapper/$1" ]; then
        have cryptsetup || return 1
        rm -f $dir/unlocked
        pids=
        for tty in $(consoles); do
            passphrase_loop "$device" "$1" <"/dev/$tty" >"/dev/$tty" 2>&1 &
            pids="$pids $!"
        done
        while [ ! -e $dir/unlocked ]; do
            sleep 1
        done
        # shellcheck disable=SC2086 # words are wanted
        kill $pids 2>/dev/null
        for tty in $(consoles); do
            stty echo <"/dev/$tty"
            echo >"/dev/$tty"
        done
    fi
    device=/dev/mapper/$1
}

# On each console: asks until the right passphrase was given on one of them.
passphrase_loop() {
    tries=0
    stty -echo
    while [ ! -e $dir/unlocked ]; do
        printf '\nPassphrase for %s (%s): ' "$1" "$2"
        IFS= read -r passphrase || { sleep 1; continue; }
        echo
        # From stdin, so that it is neither an argument nor in a file.
        # shellcheck disable=SC2086 # words are wanted
        said=$(printf %s "$passphrase" | cryptsetup open --type luks --key-file=- $luks_options "$1" "$2" 2>&1)
        case $? in
            0) touch $dir/unlocked; return 0 ;;
            # EPERM: no key slot takes it.
            2) echo "That is not the passphrase." ;;
            *) echo "$said" ;;
        esac
        tries=$((tries + 1))
        if [ $((tries % 3)) -eq 0 ]; then
            keys="the system's own"
            if [ ! -e /etc/levitate/keymap ]; then keys='those of a US keyboard'; fi
            echo "Three tries failed. Keys are $keys here; look at Caps Lock and Num Lock too."
            echo "Another disk is asked for with root= or rd.luks.uuid= at the boot menu (e edits an entry)."
        fi
    done
}

# Opens what rd.luks.uuid= and rd.luks.name= list, as far as it has turned up.
luks_listed() {
    for pair in $luks_list; do
        uuid=${pair%%=*}
        [ ! -b "/dev/mapper/${pair#*=}" ] || continue
        device=$(devices_with "UUID=$uuid" | head -n 1)
        if [ -n "$device" ] && [ "$(content "$device")" = crypto_LUKS ]; then
            luks "${pair#*=}" || return 1
        fi
    done
}

# The name for the LUKS partition $device that holds the root.
luks_name() {
    uuid=$(blkid -p -s UUID -o value "$device")
    for pair in $luks_list; do
        if [ "${pair%%=*}" = "$uuid" ]; then
            echo "${pair#*=}"
            return
        fi
    done
    echo root
}

# lvm without udev, dmeventd, lvm.conf and anything it would write.
run_lvm() {
    mkdir -p /run/lock/lvm
    lvm "$@" --config 'activation { udev_sync=0 udev_rules=0 monitoring=0 }
        devices { obtain_device_list_from_udev=0 use_devicesfile=0 } backup { backup=0 archive=0 }' 2>$dir/lvm.log
}

# The volume group on $device: its volume `root`, or the only one it has.
lvm_root() {
    have lvm || return 1
    group=$(run_lvm pvs --noheadings -o vg_name "$device" | tr -d ' ')
    volumes=$(run_lvm lvs --noheadings -o lv_name "$group")
    # shellcheck disable=SC2086 # words are wanted
    set -- $volumes
    case " $* " in
        *' root '*) volume=root ;;
        *) volume=$1 ;;
    esac
    if [ -z "$volume" ] || { [ $# -ne 1 ] && [ "$volume" != root ]; }; then
        note="$device holds the volume group '$group' with the volumes '$*': say which with root=/dev/$group/VOLUME."
        return 1
    fi
    lvm_volume "$group/$volume" && device=/dev/$group/$volume
}

# Only this one volume: the others are for the system to start, whose udev then knows all about them.
lvm_volume() {
    run_lvm lvchange -ay --sysinit -qq "$1" && run_lvm vgmknodes -qq "${1%%/*}" && return 0
    note="LVM cannot start $1: $(head -n 1 $dir/lvm.log)"
    return 1
}

# Starts what LVM needs to for root=$1: of a name the one volume, of a tag everything, as it may be on any.
lvm_for() {
    [ -n "$(devices_with TYPE=LVM2_member)" ] && have lvm || return 0
    case $1 in
        /dev/mapper/*)
            volume=$(run_lvm lvs --noheadings -o lv_dm_path,lv_full_name | awk -v path="$1" '$1 == path { print $2 }')
            if [ -n "$volume" ]; then lvm_volume "$volume"; fi
            ;;
        /dev/md*) ;;
        /dev/*/*) lvm_volume "${1#/dev/}" ;;
        *=*) run_lvm vgchange -ay --sysinit -qq && run_lvm vgmknodes -qq ;;
    esac
}

# Gives members of arrays to the kernel as they turn up; an array with all its disks starts at once.
md_assemble() {
    members=$(devices_with TYPE=linux_raid_member)
    [ -n "$members" ] && have mdadm || return 0
    mkdir -p /run/mdadm
    for member in $members; do
        case " $md_seen " in
            *" $member "*) ;;
            *) mdadm --incremental --quiet --config=/mdadm.conf "$member" 2>$dir/md.log; md_seen="$md_seen $member" ;;
        esac
    done
}

# Starts arrays that still wait for a disk. Such an array is a device already, only with nothing on it: so this does not
# depend on what the search for the root has found.
md_incomplete() {
    for node in /sys/class/block/md*; do
        if [ "$(cat "$node/md/array_state" 2>/dev/null)" = inactive ]; then
            array=/dev/${node##*/}
            say "A disk of the software RAID $array is missing; starting without it."
            mdadm --run "$array" >$dir/md.log 2>&1
        fi
    done
}

# The array that $device is a member of.
md_array() {
    md_assemble
    for node in "/sys/class/block/${device##*/}/holders"/md*; do
        array=${node##*/}
        if [ -b "/dev/$array" ] && [ "$(cat "/sys/class/block/$array/size")" -gt 0 ]; then
            device=/dev/$array
            return 0
        fi
    done
    have mdadm || return 1
    note="The software RAID on $device has not started: $(head -n 1 $dir/md.log 2>/dev/null)"
    return 1
}

# Device mapper devices that were made without udev are ignored by the system's udev unless its database says that
# someone has seen them (rules 10-dm or 55-dm).
tell_udev() {
    for node in /sys/class/block/dm-*; do
        [ -e "$node/dev" ] || continue
        mkdir -p /run/udev/data
        echo "E:DM_UDEV_PRIMARY_SOURCE_FLAG=1" >"/run/udev/data/b$(cat "$node/dev")"
    done
}
