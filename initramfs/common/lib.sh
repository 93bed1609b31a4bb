# What both initramfs have in common: first steps, drivers, words and shells on every console, the way out.
#
# /init sources it, having set: what (for messages, "the live system"), init (what to start, /sbin/init), shell (empty,
# or a shell is wanted at the end). Everything here is for busybox ash as process 1.
# shellcheck shell=sh

dir=/run/levitate

# Runs a step until it works; what failed it has put into $problem.
try() {
    until problem='' && "$@"; do
        say ""
        say "Could not start $what."
        say "$problem"
        say "Here is a shell. 'exit' tries again, 'reboot -f' restarts, 'dmesg' shows what the kernel saw."
        shells
    done
}

basics() {
    /bin/busybox mount -t proc -o nosuid,nodev,noexec proc /proc
    /bin/busybox --install -s /bin
    mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
    mount -t devtmpfs -o mode=0755,nosuid devtmpfs /dev
    mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
    mkdir -p $dir
    exec </dev/console >/dev/console 2>&1
}

# The programs of the system may be built for newer processors than this one: then they would die without a word.
check_cpu() {
    [ -r /etc/levitate/cpu ] || return 0
    read -r level </etc/levitate/cpu
    v2='cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3'
    v3='avx avx2 bmi1 bmi2 f16c fma abm movbe xsave'
    case $level in
        x86-64-v2) wanted=$v2 ;;
        x86-64-v3) wanted="$v2 $v3" ;;
        *) return 0 ;;
    esac
    has=" $(sed -n '/^flags/{s/^[^:]*: *//p;q;}' /proc/cpuinfo) "
    missing=
    for flag in $wanted; do
        case $has in
            *" $flag "*) ;;
            *) missing="$missing $flag" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    say "This computer's processor is older than this system is made for ($level)."
    say "It lacks:$missing. Programs will stop with 'illegal instruction'. In QEMU, use -cpu max or -cpu host."
    sleep 5
}

# Those of the list at once, in its order, which has soft dependencies before what wants them; then whatever the
# hardware asks for.
load_modules() {
    while read -r module; do
        modprobe -q "$module" 2>/dev/null
    done </etc/levitate/modules
    coldplug
}

# Loads drivers for all devices there are; new ones turn up while buses are still being probed.
coldplug() {
    find /sys/devices -name modalias -exec cat {} + 2>/dev/null | sort -u >/run/levitate/modalias
    if ! cmp -s /run/levitate/modalias /run/levitate/modalias.seen; then
        xargs modprobe -a -q </run/levitate/modalias 2>/dev/null
        mv /run/levitate/modalias /run/levitate/modalias.seen
    fi
}

# The last step: the mounts move along, everything else of the initramfs is gone afterwards.
hand_over() {
    if [ -n "$shell" ]; then
        say "levitate.shell: leave the shell to go on"
        shells
        shell=
    fi
    case $(readlink -f "/newroot$init" 2>/dev/null) in
        '') problem="There is no $init in it."; return 1 ;;
    esac
    rm -f $dir/modalias $dir/modalias.seen
    for fs in proc sys dev run; do
        mount -o move /$fs /newroot/$fs
    done
    exec switch_root /newroot "$init" "$@"
}

# Consoles of the kernel; a message goes to all of them. tty0 is whichever is in front: a shell wants the first.
consoles() {
    consoles=$(cat /sys/class/tty/console/active 2>/dev/null)
    for tty in ${consoles:-console}; do
        if [ "$tty" = tty0 ]; then tty=tty1; fi
        if [ -c "/dev/$tty" ]; then echo "$tty"; fi
    done
}

say() {
    for tty in $(consoles); do
        echo "$*" >"/dev/$tty"
    done
}

# A shell on every console, until one of them is left.
shells() {
    rm -f $dir/left
    pids=
    for tty in $(consoles); do
        # shellcheck disable=SC2016 # expanded by the inner shell
        setsid -c sh -c 'PS1="levitate# " sh -i; touch /run/levitate/left' <"/dev/$tty" >"/dev/$tty" 2>&1 &
        pids="$pids $!"
    done
    while [ ! -e $dir/left ]; do
        sleep 1
    done
    for pid in $pids; do
        kill -HUP "$pid" 2>/dev/null
    done
}
