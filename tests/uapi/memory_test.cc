// SPDX-License-Identifier: MIT
// What all traversals in flight on one user's grants need together has a bound.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "rig.h"
#include "ring.h"

using namespace exo::test;

namespace {

constexpr uid_t kNobody = 65534;
constexpr uint32_t kAsked = 64;

// Of the traversals' memory, for users; 0 is the default.
bool set_user_memory(uint32_t mib) {
    std::ofstream file("/sys/module/exo/parameters/user_memory_mib");
    file << mib << std::flush;
    return file.good();
}

// How many of kAsked traversals, of 2 MiB each, a process of another user can have at once; then
// they are called off, and it tries a single one again.
int large_ones_at_once(const Rig& rig, uint32_t program) {
    pid_t child = fork();
    if (child == 0) {
        exo_grant_open request = {};
        request.file_fd = rig.file.get();
        request.in_flight_limit = kAsked;
        request.rate_reads = 1;  // so they go on for long
        if (setresgid(kNobody, kNobody, kNobody) || setresuid(kNobody, kNobody, kNobody)) {
            _exit(200);
        }
        int exo = open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC);
        int grant = ioctl(exo, EXO_IOC_GRANT_OPEN, &request);
        std::vector<uint8_t> blocks(kMiB);
        test_stride_args args = {.stride = 65536, .count = 0, .len = 65536};
        exo_traverse large = {};
        large.flags = EXO_TRAVERSE_LAST_BLOCK;
        large.program_id = program;
        large.hop_bytes = 65536;
        large.fan_out = 16;
        large.timeout_ms = 30000;
        large.args = address(&args);
        large.args_len = sizeof(args);
        large.blocks = address(blocks.data());
        large.blocks_len = static_cast<uint32_t>(blocks.size());
        int refused = 0;
        {
            std::vector<exo_traverse> requests(kAsked, large);
            Ring ring(kAsked);
            for (exo_traverse& r : requests) {
                ring.push(grant, &r, 0);
            }
            ring.submit(kAsked);
            io_uring_cqe* cqe = nullptr;
            while (io_uring_peek_cqe(ring.raw(), &cqe) == 0) {
                refused += cqe->res == -EBUSY;
                io_uring_cqe_seen(ring.raw(), cqe);
            }
        }
        large.timeout_ms = 1;
        int error = 0;
        for (int i = 0; i < 1000; i++) {
            error = call(grant, EXO_GRANT_TRAVERSE, &large);
            if (error != -EAGAIN) {
                break;
            }
            usleep(10000);
        }
        _exit(error ? 201 : static_cast<int>(kAsked) - refused);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

}  // namespace

TEST_SUITE_BEGIN("memory");

TEST_CASE("the memory of a user's traversals has a bound, and comes back") {
    Rig rig;
    const uint32_t program = shared_program("test_stride").id();
    REQUIRE(set_user_memory(16));
    int most = large_ones_at_once(rig, program);
    CHECK(set_user_memory(0));
    CHECK(most >= 4);
    CHECK(most <= 7);
    CHECK_FALSE(set_user_memory(3));
    expect_idle();
}

TEST_SUITE_END();
