# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Unpacks Debian's newest kernel of the series, with its modules and headers, into the cache.
# Nothing is installed: the machine's own boot set-up (initramfs, grub, /lib/modules) is never
# touched. Needs common.sh and kernel.sh.

# The newest release for which apt offers both image and headers.
newest_offered_release() {
    local pattern="^linux-(image|headers)-${EXO_KERNEL_SERIES//./\\.}\\.[0-9][^ ]*-amd64\$"
    apt-cache search --names-only "$pattern" | cut -d' ' -f1 |
        grep -Ev -- '-(cloud|rt)-amd64$' |
        sed -E 's/^linux-(image|headers)-//' | sort -V | uniq -d | tail -n 1
}

# kernel_packages RELEASE: the image, and the headers with what they need to build modules. Names
# come from the headers' own dependencies, as Debian has renamed them between releases.
kernel_packages() {
    echo "linux-image-$1"
    echo "linux-headers-$1"
    apt-cache show --no-all-versions "linux-headers-$1" | sed -n 's/^Depends: //p' |
        tr ',|' '\n' | sed -E 's/^ *([^ ]+).*/\1/' |
        grep -E '^linux-(headers|kbuild)-' | sort -u
}

# kernel_compiler RELEASE: the gcc package the kernel was built with; Kbuild will call for it.
kernel_compiler() {
    apt-cache show --no-all-versions "linux-headers-$1" | sed -n 's/^Depends: //p' |
        grep -oE 'gcc-[0-9]+' | sed -n 1p
}

# fetch_kernel RELEASE: download, unpack, adapt, mark ready. Works in a side folder and moves it
# into place at the end, so that an interrupted run leaves nothing half done.
fetch_kernel() {
    local release=$1 root=$EXO_CACHE/kernels/$1 work packages package
    work=$EXO_CACHE/kernels/.fetch-$1.$$
    mkdir -p "$work/debs" "$work/root"
    mapfile -t packages < <(kernel_packages "$release")
    # As root, apt drops to a user who cannot write here and would warn about it.
    (cd "$work/debs" && apt-get -q -o APT::Sandbox::User=root download "${packages[@]}") \
        >"$work/log" 2>&1 || {
        tail -n 4 "$work/log" >&2
        rm -rf "$work"
        die "could not download ${packages[*]}; check the network and the lines above, then run tools/setup again"
    }
    for package in "$work"/debs/*.deb; do
        dpkg -x "$package" "$work/root" || die "could not unpack $package; is the disk full?"
    done
    adapt_kernel_tree "$work/root" "$release" "$root"
    touch "$work/root/ready"
    rm -rf "$root"
    mv "$work/root" "$root"
    rm -rf "$work"
}

# adapt_kernel_tree TREE RELEASE FINAL: makes the unpacked tree usable at FINAL instead of /.
adapt_kernel_tree() {
    local tree=$1 release=$2 final=$3
    [ -e "$tree/lib/modules" ] || ln -s usr/lib "$tree/lib"
    depmod -b "$tree" "$release" || die "depmod failed on the modules of $release"
    # The headers name their common part by absolute path.
    sed -i "s|/usr/src/|$final/usr/src/|" "$tree/usr/src/linux-headers-$release/Makefile"
    ln -sfn "$final/usr/src/linux-headers-$release" "$tree/lib/modules/$release/build"
    rm -f "$tree/lib/modules/$release/source"
}

# The kernel's style checker is in its source package only.
checkpatch_path() {
    echo "$EXO_CACHE/checkpatch/scripts/checkpatch.pl"
}

checkpatch_is_here() {
    [ -e "$(checkpatch_path)" ]
}

# Uses the machine's copy of the source package where there is one.
fetch_checkpatch() {
    local name=linux-source-$EXO_KERNEL_SERIES folder=$EXO_CACHE/checkpatch work archive
    work=$folder.$$
    mkdir -p "$work/tree"
    archive=/usr/src/$name.tar.xz
    if [ ! -e "$archive" ]; then
        (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$name") >"$work/log" 2>&1 || {
            tail -n 4 "$work/log" >&2
            rm -rf "$work"
            die "could not download $name; check the network, then run tools/setup again"
        }
        dpkg -x "$work"/*.deb "$work"
        archive=$work/usr/src/$name.tar.xz
    fi
    tar -xJf "$archive" -C "$work/tree" --strip-components=1 --wildcards \
        '*/scripts/checkpatch.pl' '*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch' ||
        die "could not take checkpatch.pl out of $archive"
    rm -rf "$folder"
    mv "$work/tree" "$folder"
    rm -rf "$work"
}
