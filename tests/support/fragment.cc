// SPDX-License-Identifier: MIT
// Copies a file so that its blocks lie apart on the device: writes each block of the copy and one
// of a decoy in turn, both synchronously. Usage: exo_fragment SOURCE COPY DECOY
#include <fcntl.h>
#include <unistd.h>

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
    if (argc != 4) {
        std::fprintf(stderr, "usage: exo_fragment SOURCE COPY DECOY\n");
        return 2;
    }
    const int source = open_or_die(argv[1], O_RDONLY);
    const int copy = open_or_die(argv[2], O_WRONLY | O_CREAT | O_EXCL | O_DIRECT | O_DSYNC);
    const int decoy = open_or_die(argv[3], O_WRONLY | O_CREAT | O_EXCL | O_DIRECT | O_DSYNC);
    alignas(kBlock) static char block[kBlock];
    off_t size = 0;
    for (ssize_t got; (got = pread(source, block, kBlock, size)) != 0;) {
        if (got < 0) die(argv[1]);
        std::memset(block + got, 0, kBlock - size_t(got));
        if (pwrite(copy, block, kBlock, size) != ssize_t(kBlock)) die(argv[2]);
        if (pwrite(decoy, block, kBlock, size) != ssize_t(kBlock)) die(argv[3]);
        size += got;
    }
    if (ftruncate(copy, size) != 0 || fsync(copy) != 0) die(argv[2]);
    return 0;
}
