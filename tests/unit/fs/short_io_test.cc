// SPDX-License-Identifier: MIT
// A device that transfers less than it was asked to: the rest is asked for, and what is not there
// is an error, not a wait without end.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>

#include "fs/device/open_device.h"
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {

std::atomic<bool> cut_short = false;
std::atomic<unsigned> shortened = 0;

using Transfer = ssize_t (*)(int, const iovec*, int, off_t, int);

// Does a first half of the transfer, in whole sectors; every fifth is interrupted.
ssize_t transfer(Transfer real, int fd, const iovec* pieces, int count, off_t offset, int flags) {
    size_t total = 0;
    for (int i = 0; i < count; i++) total += pieces[i].iov_len;
    const size_t half = total / 2 / 512 * 512;
    if (!cut_short || half == 0) return real(fd, pieces, count, offset, flags);
    if (++shortened % 5 == 0) {
        errno = EINTR;
        return -1;
    }
    std::vector<iovec> some;
    for (size_t left = half; left > 0;
         some.back().iov_len = std::min(left, some.back().iov_len), left -= some.back().iov_len)
        some.push_back(pieces[some.size()]);
    return real(fd, some.data(), int(some.size()), offset, flags);
}

Transfer next(const char* name) {
    return reinterpret_cast<Transfer>(dlsym(RTLD_NEXT, name));
}

struct ImageFile {
    char path[32] = "/tmp/exo_short_io_XXXXXX";
    int fd = mkstemp(path);
    ImageFile() { REQUIRE(ftruncate(fd, 32 << 20) == 0); }
    ~ImageFile() {
        unlink(path);
        close(fd);
    }
};

}  // namespace

// In place of the C library's.
extern "C" ssize_t preadv2(int fd, const iovec* pieces, int count, off_t offset, int flags) {
    static const Transfer real = next("preadv2");
    return transfer(real, fd, pieces, count, offset, flags);
}
extern "C" ssize_t pwritev2(int fd, const iovec* pieces, int count, off_t offset, int flags) {
    static const Transfer real = next("pwritev2");
    return transfer(real, fd, pieces, count, offset, flags);
}

TEST_CASE("short and interrupted transfers are completed") {
    const QuietLog quiet;
    const ImageFile file;
    std::string data(3000000, 'd');
    for (size_t i = 0; i < data.size(); i += 1000) data[i] = char('a' + i / 1000 % 26);
    cut_short = true;
    {
        auto device = open_device(file.path, {});
        EXO_REQUIRE_OK(device);
        EXO_REQUIRE_OK(mkfs(**device, {}));
        auto v = Volume::open(std::move(*device), quiet_mount());
        EXO_REQUIRE_OK(v);
        const Ino ino = make_file(**v, kRootIno, "f");
        EXO_REQUIRE_OK((*v)->write(ino, 0, bytes_of(data)));
        EXO_REQUIRE_OK((*v)->fsync(ino, false));
        CHECK(read_all(**v, ino) == data);
        EXO_REQUIRE_OK((*v)->close());
    }
    CHECK(shortened > 20);
    auto checked = open_device(file.path, {.read_only = true});
    EXO_REQUIRE_OK(checked);
    require_sound(**checked);
    cut_short = false;
    auto v = Volume::open(std::move(*checked), quiet_mount());
    EXO_REQUIRE_OK(v);
    CHECK(read_all(**v, (*v)->lookup(kRootIno, "f")->ino) == data);
}

TEST_CASE("a device that has become smaller gives errors") {
    const QuietLog quiet;
    const ImageFile file;
    auto device = open_device(file.path, {});
    EXO_REQUIRE_OK(device);
    REQUIRE(ftruncate(file.fd, (16 << 20) + 4096) == 0);
    const AlignedBuffer buffer = allocate_aligned(1 << 20);
    const auto read = [&](uint64_t offset, size_t length) {
        return (*device)->read(offset, buffer.get(), length);
    };
    EXO_REQUIRE_OK(read(16 << 20, 4096));
    EXO_CHECK_CODE(read(16 << 20, 8192), EIO);
    EXO_CHECK_CODE(read(20 << 20, 4096), EIO);
    EXO_CHECK_CODE(read(32 << 20, 4096), EIO);
    // Several at once.
    std::vector<iovec> pieces;
    std::vector<IoRequest> requests;
    for (size_t i = 0; i < 8; i++) pieces.push_back({buffer.get() + i * 8192, 8192});
    for (size_t i = 0; i < 8; i++)
        requests.push_back({IoKind::kRead, (12u << 20) + i * (1u << 20), {&pieces[i], 1}});
    EXO_CHECK_CODE((*device)->run(requests), EIO);
    EXO_REQUIRE_OK((*device)->run(std::span(requests).first(4)));
}
