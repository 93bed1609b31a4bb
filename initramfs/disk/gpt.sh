# The discoverable root partition (UAPI.2): which one the disk that the system was started from has.
#
# Reads partition tables itself, so that it needs neither udev nor a database of what is where. UEFI 2.10, 5.3.
# shellcheck shell=sh

# Where devices and what the kernel knows of them are; tests have their own.
dev=/dev
sys=/sys

# Type of the root partition of x86-64 systems.
root_type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709

# gpt_entries FILE SECTOR_SIZE: a line for each partition: number, type, UUID, flags (16 hex digits).
gpt_entries() {
    # The header is in the second sector: signature, at 72 where the entries begin, at 80 how many, at 84 their size.
    [ "$(od -A n -t x1 -j "$2" -N 8 "$1" 2>/dev/null | tr -d ' ')" = 4546492050415254 ] || return 1
    first=$(od -A n -t u4 -j $(($2 + 72)) -N 4 "$1" | tr -d ' ')
    count=$(od -A n -t u4 -j $(($2 + 80)) -N 4 "$1" | tr -d ' ')
    size=$(od -A n -t u4 -j $(($2 + 84)) -N 4 "$1" | tr -d ' ')
    [ "$count" -le 1024 ] && [ "$size" -ge 128 ] && [ "$size" -le 4096 ] || return 1
    od -A n -v -t x1 -w"$size" -j $((first * $2)) -N $((count * size)) "$1" | awk '
        # Of a GUID the first three parts are little endian.
        function guid(i) {
            return $(i+3) $(i+2) $(i+1) $i "-" $(i+5) $(i+4) "-" $(i+7) $(i+6) "-" $(i+8) $(i+9) "-" \
                $(i+10) $(i+11) $(i+12) $(i+13) $(i+14) $(i+15)
        }
        guid(1) !~ /^[0-]*$/ {
            print NR, guid(1), guid(17), $56 $55 $54 $53 $52 $51 $50 $49
        }'
}

# Of such lines the number of the root partition: the first that may be used without being asked for (flag 63 not set).
root_number() {
    awk -v type=$root_type '$2 == type && $4 !~ /^[89a-f]/ { print $1; exit }'
}

# UUID of the partition that firmware started us from, as the boot loader or the stub in the UKI left it; or nothing.
loader_partition() {
    vars=$sys/firmware/efi/efivars
    [ -d "$vars" ] || return 0
    variable=$vars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f
    mounted=
    if [ ! -e "$variable" ]; then
        mount -t efivarfs -o ro,nosuid,nodev,noexec efivarfs "$vars" 2>/dev/null && mounted=1
    fi
    # Four bytes of attributes, then UTF-16.
    tail -c +5 "$variable" 2>/dev/null | tr -d '\000' | tr A-F a-f
    if [ -n "$mounted" ]; then umount "$vars"; fi
}

# Disks that can have partitions.
disks() {
    for node in "$sys"/class/block/*; do
        name=${node##*/}
        case $name in
            loop* | ram* | zram* | dm-* | fd* | sr* | '*') continue ;;
        esac
        [ -e "$node/partition" ] || echo "$name"
    done
}

# partition DISK NUMBER: name of its device.
partition() {
    for node in "$sys/class/block/$1/$1"*; do
        if [ "$(cat "$node/partition" 2>/dev/null)" = "$2" ]; then
            echo "${node##*/}"
            return 0
        fi
    done
    return 1
}

# Puts the root partition into $device; else says in $note what there is instead.
discoverable() {
    loader=$(loader_partition)
    found=
    note="No disk has a partition table with a partition of the type 'Linux root (x86-64)'."
    for disk in $(disks); do
        sector=$(cat "$sys/class/block/$disk/queue/logical_block_size")
        entries=$(gpt_entries "$dev/$disk" "$sector") || continue
        if [ -n "$loader" ]; then
            case $entries in
                *" $loader "*) note="The disk that was started from, /dev/$disk, has no partition of the type 'Linux root (x86-64)'." ;;
                *) continue ;;
            esac
        fi
        number=$(echo "$entries" | root_number)
        if [ -n "$number" ] && name=$(partition "$disk" "$number"); then
            found="$found $name"
        fi
    done
    # shellcheck disable=SC2086 # words are wanted
    set -- $found
    case $# in
        0) return 1 ;;
        1) device=$dev/$1 ;;
        *)
            note="Firmware does not say which disk was started from, and several have a root partition:$found."
            return 1
            ;;
    esac
}
