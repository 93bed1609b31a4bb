#!/bin/sh
# Fills the fuzzer's corpus with small images: every layout that mkfs.erofs 1.5 makes.
set -eu
corpus=$(dirname "$0")/corpus/erofs
mkdir -p "$corpus"
tree=$(mktemp -d)
trap 'rm -r "$tree"' EXIT
mkdir -p "$tree/dir/sub"
echo a >"$tree/dir/a"
echo b >"$tree/dir/b"
ln "$tree/dir/a" "$tree/hard"
ln -s dir/a "$tree/link"
seq 2600 >"$tree/packed"
head -c 5000 /dev/urandom >"$tree/noise"
mkfifo "$tree/fifo"
setfattr -n user.one -v 1 "$tree/dir/a"
number=0
for options in "" "-zlz4hc -C16384" "-zlz4hc -C16384 -Elegacy-compress" "-zlz4 -Eztailpacking" "-zlz4hc -C65536 -Eztailpacking" \
    "--chunksize=4096" "--chunksize=4096 -Eforce-chunk-indexes" "-Enoinline_data" "-x1"; do
    number=$((number + 1))
    # shellcheck disable=SC2086 # options are words
    mkfs.erofs --quiet $options "$corpus/seed-$number" "$tree" >/dev/null
done
