// SPDX-License-Identifier: MIT
// Every allocation, user access and request that a call makes fails once, in turn: the call must
// say so or cope, and leave nothing behind. Needs a kernel with fault injection;
// tests/vm/15-uapi-faults.sh prepares it.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "rig.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

constexpr unsigned kMostFaults = 5000;

// While it lives, the nth thing that can fail in this thread does.
class Fault {
  public:
    explicit Fault(unsigned nth) : fd_(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC)) {
        REQUIRE_MESSAGE(fd_ >= 0, "this kernel cannot inject faults");
        set(nth);
    }
    ~Fault() { close(fd_); }
    Fault(const Fault&) = delete;
    Fault& operator=(const Fault&) = delete;

    // Chances until it happens.
    unsigned left() {
        char text[16] = {};
        // Reading is a user access, too: with one chance left it fails itself.
        return pread(fd_, text, sizeof(text) - 1, 0) > 0 ? static_cast<unsigned>(atoi(text)) : 1;
    }

    // Whether it has happened.
    bool stop() {
        bool happened = left() == 0;
        set(0);
        return happened;
    }

  private:
    void set(unsigned nth) {
        std::string text = std::to_string(nth);
        while (pwrite(fd_, text.data(), text.size(), 0) < 0) {
        }
    }

    int fd_;
};

bool definite(int ret) {
    return ret >= 0 || ret == -ENOMEM || ret == -EFAULT || ret == -EIO || ret == -EAGAIN ||
           ret == -ENFILE || ret == -ENOSPC;
}

// Calls act() with one fault after the other until it comes through without; undo() follows each.
// Both run without faults first, so that what is allocated once for all is there.
void sweep(const std::string& what, const std::function<int()>& act,
           const std::function<void()>& undo) {
    CAPTURE(what);
    CHECK(act() >= 0);
    undo();
    for (unsigned nth = 1; nth < kMostFaults; nth++) {
        CAPTURE(nth);
        Fault fault(nth);
        int ret = act();
        bool happened = fault.stop();
        undo();
        if (!happened) {
            CHECK(ret >= 0);
            MESSAGE(what << ": " << nth - 1 << " faults");
            return;
        }
        CAPTURE(ret);
        CHECK(definite(ret));
    }
    FAIL(what << " does not come to its end");
}

// A traversal with everything that it can allocate.
struct Request {
    explicit Request(uint32_t program_id, uint32_t flags = 0, uint16_t engine = EXO_ENGINE_AUTO,
                     uint16_t fan_out = 1)
        : args{.stride = 4096, .count = 4, .len = 4096}, result(65536), blocks(1 << 20) {
        traverse.flags = flags;
        traverse.engine = engine;
        traverse.fan_out = fan_out;
        traverse.program_id = program_id;
        traverse.hop_bytes = 65536;
        traverse.timeout_ms = 30000;
        traverse.args = reinterpret_cast<uint64_t>(&args);
        traverse.args_len = sizeof(args);
        traverse.result = reinterpret_cast<uint64_t>(result.data());
        traverse.result_len = static_cast<uint32_t>(result.size());
        if (flags & (EXO_TRAVERSE_LAST_BLOCK | EXO_TRAVERSE_ALL_BLOCKS)) {
            traverse.blocks = reinterpret_cast<uint64_t>(blocks.data());
            traverse.blocks_len = static_cast<uint32_t>(blocks.size());
        }
    }
    test_stride_args args;
    std::vector<uint8_t> result;
    std::vector<uint8_t> blocks;
    exo_traverse traverse = {};
};

bool definite(const exo_outcome& outcome) {
    switch (outcome.cause) {
        case EXO_END_DONE:
            return outcome.hops == 4;
        case EXO_END_IO:
        case EXO_END_NO_REQUEST:
            return outcome.error < 0;
        case EXO_END_NOT_STARTED:
            return definite(outcome.error);
        default:
            return false;
    }
}

}  // namespace

TEST_SUITE_BEGIN("faults");

TEST_CASE("attach") {
    Fd exo = open_exo();
    Fd device = open_path(device_path(), O_RDWR);
    Fd volume;
    sweep(
        "EXO_IOC_ATTACH",
        [&] {
            exo_attach request = {};
            request.device_fd = device.get();
            request.uuid[0] = 1;
            int ret = call(exo, EXO_IOC_ATTACH, &request);
            volume = Fd(ret);
            return ret;
        },
        [&] {
            volume.reset();
            CHECK(stats().volumes == 0);
        });
}

TEST_CASE("pins, and what is made of them") {
    Rig rig(64 * 4096);
    Fd root = open_path(rig.mount.path(), O_RDONLY | O_DIRECTORY);
    Fd exo = open_exo();
    sweep(
        "EXO_VOLUME_BIND_MOUNT",
        [&] {
            exo_bind_mount request = {.mount_fd = root.get(), .flags = 0};
            return call(rig.volume, EXO_VOLUME_BIND_MOUNT, &request);
        },
        [] {});
    for (uint64_t count : {1, 16, 4096}) {
        std::vector<exo_extent> extents;
        for (uint64_t i = 0; i < count; i++) {
            extents.push_back({i * 4096, (count - 1 - i) * 4096, 4096});
        }
        sweep(
            "EXO_VOLUME_PIN", [&] { return pin(rig.volume, 99, 1, count * 4096, extents); },
            // A pin whose answer could not be told is there.
            [&] {
                int ret = unpin(rig.volume, 99, 1);
                CHECK((ret == 0 || ret == -ENOENT));
                CHECK(stats().pins == 1);
            });
    }
    sweep(
        "EXO_VOLUME_UNPIN",
        [&] {
            int ret = unpin(rig.volume, kIno, kGeneration);
            // Not a second time, if it was just the answer that did not arrive.
            return ret == -ENOENT ? 0 : ret;
        },
        [&] {
            int ret = pin(rig.volume, kIno, kGeneration, 64 * 4096, {{0, 0, 64 * 4096}});
            CHECK((ret == 0 || ret == -EEXIST));
        });
    Fd opened;
    sweep(
        "EXO_IOC_GRANT_OPEN",
        [&] {
            exo_grant_open request = {};
            request.file_fd = rig.file.get();
            int ret = call(exo, EXO_IOC_GRANT_OPEN, &request);
            opened = Fd(ret);
            return ret;
        },
        [&] {
            opened.reset();
            CHECK(stats().grants <= 1);
        });
    rig.grant = std::move(rig.regrant().fd);
    REQUIRE(rig.grant);
    Fd derived;
    sweep(
        "EXO_GRANT_DERIVE",
        [&] {
            exo_grant_derive request = {};
            int ret = call(rig.grant, EXO_GRANT_DERIVE, &request);
            derived = Fd(ret);
            return ret;
        },
        [&] {
            derived.reset();
            CHECK(stats().grants == 1);
        });
    std::array<int32_t, 16> grants = {};
    grants.fill(rig.grant.get());
    Fd set;
    sweep(
        "EXO_IOC_SET_CREATE",
        [&] {
            exo_set_create request = {};
            request.grant_fds = reinterpret_cast<uint64_t>(grants.data());
            request.count = static_cast<uint32_t>(grants.size());
            int ret = call(exo, EXO_IOC_SET_CREATE, &request);
            set = Fd(ret);
            return ret;
        },
        [&] { set.reset(); });
    sweep(
        "EXO_GRANT_REVOKE",
        [&] {
            exo_grant_revoke request = {};
            return call(rig.grant, EXO_GRANT_REVOKE, &request);
        },
        [] {});
    std::vector<uint8_t> entries(8192);
    for (uint32_t kind : {EXO_LIST_VOLUMES, EXO_LIST_PINS, EXO_LIST_GRANTS, EXO_LIST_PROGRAMS}) {
        sweep(
            "EXO_IOC_LIST",
            [&] {
                exo_list request = {};
                request.kind = kind;
                request.entry_bytes = 256;
                request.buffer = reinterpret_cast<uint64_t>(entries.data());
                request.buffer_bytes = static_cast<uint32_t>(entries.size());
                return call(exo, EXO_IOC_LIST, &request);
            },
            [] {});
    }
    Fd audit;
    sweep(
        "EXO_IOC_AUDIT_OPEN",
        [&] {
            exo_audit_open request = {};
            int ret = call(exo, EXO_IOC_AUDIT_OPEN, &request);
            audit = Fd(ret);
            return ret;
        },
        [&] { audit.reset(); });
    expect_idle();
}

TEST_CASE("traversals") {
    {
        Rig rig(64 * 4096);
        const Program& stride = shared_program("test_stride");
        for (uint16_t engine :
             {EXO_ENGINE_AUTO, EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
            Request request(stride.id(), EXO_TRAVERSE_ALL_BLOCKS, engine, 1 + engine);
            if (call(rig.grant, EXO_GRANT_TRAVERSE, &request.traverse) == -EOPNOTSUPP) {
                continue;
            }
            sweep(
                "EXO_GRANT_TRAVERSE",
                [&] {
                    request.traverse.outcome.cause = ~0u;
                    int ret = call(rig.grant, EXO_GRANT_TRAVERSE, &request.traverse);
                    CHECK((ret || definite(request.traverse.outcome)));
                    return ret;
                },
                [] {});
        }
        std::vector<Request> requests;
        std::vector<exo_traverse> entries;
        for (int i = 0; i < 4; i++) {
            requests.emplace_back(stride.id(), EXO_TRAVERSE_LAST_BLOCK);
        }
        for (Request& request : requests) {
            request.traverse.args = reinterpret_cast<uint64_t>(&request.args);
            entries.push_back(request.traverse);
        }
        sweep(
            "EXO_GRANT_BATCH",
            [&] {
                for (exo_traverse& entry : entries) {
                    entry.outcome.cause = ~0u;
                }
                exo_batch batch = {};
                batch.traversals = reinterpret_cast<uint64_t>(entries.data());
                batch.count = static_cast<uint32_t>(entries.size());
                batch.entry_bytes = sizeof(exo_traverse);
                int ret = call(rig.grant, EXO_GRANT_BATCH, &batch);
                for (const exo_traverse& entry : entries) {
                    CHECK((ret || definite(entry.outcome)));
                }
                return ret;
            },
            [] {});
    }
    expect_idle();
    CHECK(stats().grants == 0);
}

TEST_CASE("traversals of a ring") {
    {
        Rig rig(64 * 4096);
        const Program& stride = shared_program("test_stride");
        for (unsigned flags : {0u, unsigned{IORING_SETUP_IOPOLL}}) {
            Request request(stride.id());
            if (flags & IORING_SETUP_IOPOLL) {
                request.traverse.engine = EXO_ENGINE_POLLED;
                if (call(rig.grant, EXO_GRANT_TRAVERSE, &request.traverse) == -EOPNOTSUPP) {
                    continue;
                }
                request.traverse.engine = EXO_ENGINE_AUTO;
            }
            io_uring ring = {};
            REQUIRE(io_uring_queue_init(8, &ring, flags) == 0);
            exo_uring_pointer command = {.traverse = reinterpret_cast<uint64_t>(&request.traverse),
                                         .reserved = 0};
            sweep(
                "EXO_GRANT_TRAVERSE by io_uring",
                [&] {
                    request.traverse.outcome.cause = ~0u;
                    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
                    if (!sqe) {
                        return -EBUSY;
                    }
                    memset(sqe, 0, sizeof(*sqe));
                    sqe->opcode = IORING_OP_URING_CMD;
                    sqe->fd = rig.grant.get();
                    sqe->cmd_op = EXO_GRANT_TRAVERSE;
                    memcpy(sqe->cmd, &command, sizeof(command));
                    return io_uring_submit_and_wait(&ring, 1);
                },
                [&] {
                    // What was refused at the door is submitted now, and everything has its end.
                    io_uring_submit(&ring);
                    io_uring_cqe* cqe = nullptr;
                    REQUIRE(io_uring_wait_cqe(&ring, &cqe) == 0);
                    CHECK(
                        (cqe->res >= 0 ? definite(request.traverse.outcome) : definite(cqe->res)));
                    io_uring_cqe_seen(&ring, cqe);
                    CHECK(io_uring_cq_ready(&ring) == 0);
                });
            io_uring_queue_exit(&ring);
        }
    }
    expect_idle();
}

TEST_CASE("attaching a program") {
    drop_shared_programs();
    libbpf_set_print(nullptr);
    std::string path = std::string(EXO_TEST_BPF_DIR) + "/test_stride.bpf.o";
    for (unsigned nth = 1; nth < kMostFaults; nth += 1 + nth / 16) {
        bpf_object* object = bpf_object__open_file(path.c_str(), nullptr);
        REQUIRE(bpf_object__load(object) == 0);
        bpf_map* map = bpf_object__next_map(object, nullptr);
        while (map && bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS) {
            map = bpf_object__next_map(object, map);
        }
        Fault fault(nth);
        bpf_link* link = bpf_map__attach_struct_ops(map);
        bool happened = fault.stop();
        bool attached = link;
        bpf_link__destroy(link);
        bpf_object__close(object);
        if (!happened) {
            CHECK(attached);
            MESSAGE("attaching a program: " << nth - 1 << " faults");
            break;
        }
    }
    drop_shared_programs();  // waits until the module has none
}

// The kernel itself allocates most of what loading takes. The module's own part comes last.
TEST_CASE("loading the module") {
    const char* path = std::getenv("EXO_MODULE");
    const char* given = std::getenv("EXO_MODULE_ARGS");
    if (!path) {
        return;
    }
    constexpr unsigned kMany = 1000000;
    constexpr unsigned kOwn = 80;
    std::string arguments = given ? given : "";
    Fd file = open_path(path, O_RDONLY);
    auto load = [&] {
        return syscall(SYS_finit_module, file.get(), arguments.c_str(), 0) ? -errno : 0;
    };
    auto unload = [&] {
        for (int i = 0; i < 500 && syscall(SYS_delete_module, "exo", O_NONBLOCK); i++) {
            REQUIRE(errno != ENOENT);
            std::this_thread::sleep_for(20ms);
        }
    };
    drop_shared_programs();
    unload();
    Fault count(kMany);
    int ret = load();
    unsigned chances = kMany - count.left();
    count.stop();
    REQUIRE(ret == 0);
    unload();
    unsigned refused = 0;
    for (unsigned nth = chances > kOwn ? chances - kOwn : 1; nth <= chances; nth++) {
        CAPTURE(nth);
        Fault fault(nth);
        ret = load();
        fault.stop();
        CHECK(definite(ret));
        refused += ret != 0;
        if (ret == 0) {
            unload();
        }
    }
    REQUIRE(load() == 0);
    MESSAGE("loading: " << chances << " faults, the last " << kOwn << " tried, " << refused
                        << " of them refused");
}

TEST_SUITE_END();
