# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The Debian packages exo needs, and what each is for. Only the list; tools/setup installs them.
# shellcheck disable=SC2034  # used there

# "PACKAGE | what it is for", in groups that start with "# title". Packages with one purpose share
# a line.
exo_packages() {
    cat <<'END'
# Compile user space
g++ | the C++ compiler
cmake ninja-build pkg-config | configure and run the build
ccache | compiles nothing twice
libfuse3-dev fuse3 | the file system daemon and mounting it
liburing-dev | block I/O of the daemon, asynchronous lookups
libblkid-dev | sees what is on a drive before it is overwritten
libmount-dev | tells umount(8) who helps with an exo mount
libisal-dev | fast checksums
libboost-dev | allocator trees and caches (Boost.Intrusive)
libcli11-dev nlohmann-json3-dev | arguments and --json of the exo command
doctest-dev | unit tests
# Compile and load BPF programs
clang llvm lld | compile BPF programs
bpftool | the kernel's types (vmlinux.h)
libelf-dev zlib1g-dev | what libbpf needs
# Build the kernel module
make dwarves | Kbuild, and the module's BTF
bc bison flex libssl-dev | kernel build tools
kmod | unpacked kernels: dependencies of modules
# Run the virtual machine
qemu-system-x86 | runs the virtual machine
busybox-static cpio xz-utils zstd | its first file system
util-linux procps e2fsprogs | mounting, processes and a file system to compare with
dmsetup | stacked devices
# Test and check
fio attr acl | exercise the file system
fuse2fs bindfs python3 | file systems to compare with, and what runs the comparison
sparse | static checks of the kernel module
perl | checkpatch, the kernel's style checker
clang-tidy-19 clang-format-19 | static checks and layout of C++; the version is the one both releases have
shellcheck | static checks of shell
END
}

# What only tools/check uses: too much to install for a look at exo.
exo_check_packages() {
    cat <<'END'
# Real work on a mount, and a recorder of writes that shares nothing with exo
git sqlite3 | work on the file system
postgresql | the same; a big one
qemu-system-common qemu-utils | qemu-storage-daemon, the recorder
END
}

# libbpf before this version does not know struct_ops of a module. On Debian 12 only backports has
# it, as they alone have a QEMU that emulates well enough (accelerator.sh); neither can be installed
# by its name alone.
exo_libbpf_version=1:1.4
exo_libbpf_packages=(libbpf-dev libbpf1)
exo_qemu_packages=(qemu-system-x86 qemu-system-common qemu-system-data qemu-utils seabios)

# exo_package_names LIST...: the names alone of what these print.
exo_package_names() {
    "$@" | sed -n '/^#/!s/ *|.*//p' | tr ' ' '\n'
}
