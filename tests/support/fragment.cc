// SPDX-License-Identifier: MIT
// Copies a file so that its blocks lie apart on the device: writes every other block first, and
// those in between after them, each synchronously. Usage: exo_fragment SOURCE COPY
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr size_t kBlock = 4096;

[[noreturn]] void die(const char* what) {
    std::fprintf(stderr, "exo_fragment: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

int open_or_die(const char* path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd < 0) die(path);
    return fd;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: exo_fragment SOURCE COPY\n");
        return 2;
    }
    const int source = open_or_die(argv[1], O_RDONLY);
    const int copy = open_or_die(argv[2], O_WRONLY | O_CREAT | O_EXCL | O_DIRECT | O_DSYNC);
    alignas(kBlock) static char block[kBlock];
    off_t size = 0;
    for (const off_t first : {off_t(0), off_t(kBlock)}) {
        ssize_t got = 0;
        for (off_t at = first; (got = pread(source, block, kBlock, at)) > 0; at += 2 * kBlock) {
            std::memset(block + got, 0, kBlock - size_t(got));
            if (pwrite(copy, block, kBlock, at) != ssize_t(kBlock)) die(argv[2]);
            size = std::max(size, at + off_t(got));
        }
        if (got < 0) die(argv[1]);
    }
    if (ftruncate(copy, size) != 0 || fsync(copy) != 0) die(argv[2]);
    return 0;
}
