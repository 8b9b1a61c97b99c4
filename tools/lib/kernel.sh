# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Which kernels are in the cache, and where their parts are. Only looks; fetching is in
# tools/lib/fetch-kernel.sh. Each lives in its own folder, kernels/RELEASE, laid out as on a
# machine (boot/, lib/modules/, usr/src/); `ready` marks a complete one. Needs common.sh.

EXO_KERNEL_SERIES=6.12

# The newest complete kernel of the series, e.g. 6.12.117+deb12-amd64; fails when there is none.
kernel_release() {
    local marks
    marks=$(cd "$EXO_CACHE/kernels" 2>/dev/null && ls -d -- "$EXO_KERNEL_SERIES".*/ready 2>/dev/null) ||
        return 1
    printf '%s\n' "${marks//\/ready/}" | sort -V | tail -n 1
}

kernel_root() { # [RELEASE]
    local release=${1:-}
    if [ -z "$release" ]; then
        release=$(kernel_release) || return 1
    fi
    echo "$EXO_CACHE/kernels/$release"
}

kernel_image() { # [RELEASE]: what QEMU boots
    local root
    root=$(kernel_root "$@") || return 1
    echo "$root/boot/vmlinuz-${root##*/}"
}

kernel_modules() { # [RELEASE]: the folder with modules.dep
    local root
    root=$(kernel_root "$@") || return 1
    echo "$root/lib/modules/${root##*/}"
}

kernel_headers() { # [RELEASE]: what `make -C` wants
    local root
    root=$(kernel_root "$@") || return 1
    echo "$root/usr/src/linux-headers-${root##*/}"
}
