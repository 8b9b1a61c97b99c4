#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The steps of tools/demo, on a machine that has exo.ko loaded, exo's commands on the path, and a drive
# that may be overwritten: demo-steps.sh DEVICE. Shows each command before it runs; the first step
# that does not do what it should ends it.
set -euo pipefail

device=$1
mnt=/mnt/exo
index=$mnt/packages.index
trap 'echo "demo: this step failed: $BASH_COMMAND" >&2' ERR
set -E

say() {
    printf '\n== %s\n' "$*"
}

# Prints the command as a person would type it.
prompt() {
    local word line='$'
    for word in "$@"; do
        case $word in
        *[\ \>\;]*) line+=" '$word'" ;;
        *) line+=" $word" ;;
        esac
    done
    printf '%s\n' "$line"
}

show() {
    prompt "$@"
    "$@"
}

# A command that must say no (exit code 1 to 127), with this reason; shows what it said.
refused() { # REASON COMMAND...
    local reason=$1 said status=0
    shift
    prompt "$@"
    said=$("$@" 2>&1) || status=$?
    printf '%s\n' "$said"
    if [ "$status" = 0 ] || [ "$status" -ge 128 ] || ! grep -q "$reason" <<<"$said"; then
        echo "demo: that should have been refused, saying: $reason" >&2
        return 1
    fi
}

# The last lines of what a command prints.
show_tail() { # LINES COMMAND...
    local lines=$1
    shift
    prompt "$@"
    "$@" | tail -n "$lines"
}

clean_up() {
    local status=$?
    trap - EXIT
    cd /
    exo prog unload btree_lookup >/dev/null 2>&1 || true
    if mountpoint -q "$mnt"; then
        umount "$mnt" || status=1
    fi
    exit "$status"
}
trap clean_up EXIT

say "The machine: kernel, module, drive"
show uname -sr
show exo info
show lsblk -o NAME,SIZE,MODEL "$device"

say "Mount: make a file system and mount it like any other"
show mkfs.exo --force "$device"
show mkdir -p "$mnt"
show mount -t exo "$device" "$mnt"
show findmnt "$mnt"

say "Copy real data in: the package lists that apt keeps on this machine"
show cp -r /var/lib/apt/lists "$mnt/"
du -sh "$mnt/lists" | sed 's/^/copied: /'
for list in "$mnt"/lists/*_Packages*; do
    /usr/lib/apt/apt-helper cat-file "$list"
done >"$mnt/Packages"
show df -h "$mnt"

say "Build a B+-tree index on the mount: package name -> version and description"
show exo index build --format debian-packages --duplicates first --output "$index" "$mnt/Packages"
show exo index info "$index"

say "Pin it: from now on the file cannot change, and the module knows its extents"
show exo pin "$index"
show_tail 5 exo map "$index"

say "What is pinned stays as it is"
refused 'not permitted' sh -c "echo more >> $index"
refused 'not permitted' truncate -s 0 "$index"
refused 'not permitted' fallocate --punch-hole --offset 0 --length 4096 "$index"

say "Traverse: attach the lookup program (the kernel's verifier checks it) and use it"
show exo prog load "$EXO_BUILD/bpf/btree_lookup.bpf.o"
show exo prog list
show exo lookup "$index" bash
refused 'has no key' exo lookup "$index" no-such-package

say "Every name in the index and as many absent ones, each compared with reading the mounted file"
show exo index dump --keys "$index" >/tmp/names
wc -l </tmp/names | sed 's/^/names: /'
show exo lookup --keys /tmp/names --absent --compare --jobs 2 --batch 1 "$index"

say "The same without comparing, 256 keys in each call into the kernel"
show exo lookup --keys /tmp/names --absent --jobs 2 "$index"

say "Audit: who was granted what, and what they did with it"
show exo stats
show_tail 12 exo audit

say "Unpin: the file can be changed again"
show exo unpin "$index"
show sh -c "echo more >> $index"
show_tail 2 exo audit

say "Leave"
show exo prog unload btree_lookup
show umount "$mnt"

cat <<EOF

-- What was seen
   A file system on a real NVMe queue, a pinned file that refused every change, and lookups that
   crossed into the kernel once each, all equal to what the mounted file says, and then 256 at a time.

-- By hand, on a machine with Linux 6.12 or newer
   insmod build/kmod/exo.ko
   mkfs.exo /dev/nvme0n1 && mount -t exo /dev/nvme0n1 /mnt
   exo index build --output /mnt/my.index my.tsv      # one "key<TAB>value" a line
   exo pin /mnt/my.index
   exo prog load build/bpf/btree_lookup.bpf.o
   exo lookup /mnt/my.index KEY
   exo audit --follow
   In a virtual machine: tools/vm/run --shell
EOF
