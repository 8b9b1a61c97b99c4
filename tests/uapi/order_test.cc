// SPDX-License-Identifier: MIT
// The order of checks, as docs/ABI.md promises it: a request with everything wrong is answered with
// the first error; mended one by one, with the next. Single bad arguments are in arguments_test.cc
// and beside what they belong to.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <thread>

#include "rig.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

uint64_t address(const void* p) {
    return reinterpret_cast<uint64_t>(p);
}

unsigned long resized(unsigned long command, size_t bytes) {
    return _IOC(_IOC_DIR(command), _IOC_TYPE(command), _IOC_NR(command), bytes);
}

Fd derive(const Fd& parent, exo_grant_derive request) {
    Fd fd(call(parent, EXO_GRANT_DERIVE, &request));
    REQUIRE(fd);
    return fd;
}

void revoke_with_its_tree(const Fd& grant) {
    exo_grant_revoke request = {};
    request.flags = EXO_REVOKE_SELF;
    REQUIRE(call(grant, EXO_GRANT_REVOKE, &request) == 0);
}

// Whether a child without any privilege gets this answer.
bool nobody_gets(int error, const std::function<int()>& act) {
    pid_t child = fork();
    if (child == 0) {
        bool lost = setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0;
        _exit(lost && act() == error ? 0 : 1);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && status == 0;
}

struct Level {
    int error;
    std::function<void(exo_traverse&)> spoil;
};

// What can be wrong with a request itself, the last check first.
std::vector<Level> request_levels(const Fd& grant, const exo_traverse& good) {
    std::vector<Level> levels = {
        {-EFAULT, [](exo_traverse& t) { t.args = 8; }},
        {-ENOENT, [](exo_traverse& t) { t.program_id = UINT32_MAX; }},
    };
    // Of a device that serves all of them, none can be refused.
    for (uint16_t engine : {EXO_ENGINE_POLLED, EXO_ENGINE_COMPLETION}) {
        exo_traverse tried = good;
        tried.engine = engine;
        if (call(grant, EXO_GRANT_TRAVERSE, &tried) == -EOPNOTSUPP) {
            levels.push_back({-EOPNOTSUPP, [engine](exo_traverse& t) { t.engine = engine; }});
            break;
        }
    }
    levels.push_back({-EACCES, [](exo_traverse& t) { t.flags = EXO_TRAVERSE_LAST_BLOCK; }});
    levels.push_back({-E2BIG, [](exo_traverse& t) { t.result_len = UINT32_MAX; }});
    levels.push_back({-EINVAL, [](exo_traverse& t) { t.hop_bytes = 0; }});
    return levels;
}

}  // namespace

TEST_SUITE_BEGIN("arguments");

TEST_CASE("of a traversal") {
    Rig rig(64 * 4096);
    uint32_t stride = shared_program("test_stride").id();
    test_stride_args args = {.stride = 4096, .count = 1, .len = 4096};
    exo_traverse good = {};
    good.program_id = stride;
    good.hop_bytes = 4096;
    good.args = address(&args);
    good.args_len = sizeof(args);
    exo_grant_derive terms = {};
    terms.rights = EXO_RIGHT_TRAVERSE | EXO_RIGHT_DERIVE;
    terms.in_flight_limit = 1;
    Fd grant = derive(rig.grant, terms);
    auto answer = [&](const Fd& fd, exo_traverse request) {
        return call(fd, EXO_GRANT_TRAVERSE, &request);
    };
    REQUIRE(answer(grant, good) == 0);

    exo_traverse bad = good;
    for (const Level& level : request_levels(grant, good)) {
        CAPTURE(level.error);
        level.spoil(bad);
        CHECK(answer(grant, bad) == level.error);
    }

    // The grant comes before the request: too many in flight, expired, cut.
    io_uring ring = {};
    REQUIRE(io_uring_queue_init(2, &ring, 0) == 0);
    test_stride_args for_ever = {.stride = 4096, .count = 0, .len = 4096};
    exo_grant_open slow = {};
    slow.rate_reads = 1;  // so that it stays in flight
    slow.in_flight_limit = 1;
    Opened busy = rig.regrant(slow);
    REQUIRE(busy.error == 0);
    exo_traverse running = good;
    running.args = address(&for_ever);
    running.timeout_ms = 30000;
    exo_uring_pointer command = {.traverse = address(&running), .reserved = 0};
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->fd = busy.fd.get();
    sqe->cmd_op = EXO_GRANT_TRAVERSE;
    memcpy(sqe->cmd, &command, sizeof(command));
    REQUIRE(io_uring_submit(&ring) == 1);
    CHECK(answer(busy.fd, bad) == -EAGAIN);
    terms = {};
    terms.expires_ms = 1;
    Fd expired = derive(rig.grant, terms);
    std::this_thread::sleep_for(50ms);
    CHECK(answer(expired, bad) == -EKEYEXPIRED);
    revoke_with_its_tree(expired);
    CHECK(answer(expired, bad) == -EKEYREVOKED);
    revoke_with_its_tree(busy.fd);
    CHECK(answer(busy.fd, bad) == -EKEYREVOKED);
    // Where there is no slot, there is no grant to look at.
    bad.slot = 1;
    CHECK(answer(expired, bad) == -EINVAL);
    io_uring_queue_exit(&ring);
    expect_idle();
}

TEST_CASE("of a traversal by io_uring, and its two kinds of command") {
    Rig rig(64 * 4096);
    test_stride_args args = {.stride = 4096, .count = 1, .len = 4096};
    exo_traverse good = {};
    good.program_id = shared_program("test_stride").id();
    good.hop_bytes = 4096;
    good.args = address(&args);
    good.args_len = sizeof(args);
    exo_grant_derive terms = {};
    terms.rights = EXO_RIGHT_TRAVERSE | EXO_RIGHT_DERIVE;
    Fd grant = derive(rig.grant, terms);
    int fds[] = {grant.get()};
    exo_set_create create = {.grant_fds = address(fds), .count = 1, .flags = 0};
    Fd set(call(open_exo(), EXO_IOC_SET_CREATE, &create));
    REQUIRE(set);
    // Memory of a request from the future, behind the known part.
    struct {
        exo_traverse known;
        uint64_t unknown;
    } future = {};
    io_uring ring = {};
    REQUIRE(io_uring_queue_init(2, &ring, IORING_SETUP_SQE128) == 0);
    auto submit = [&](const Fd& fd, unsigned long op, const void* command, size_t bytes) {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring);
        REQUIRE(sqe);
        memset(sqe, 0, 128);
        sqe->opcode = IORING_OP_URING_CMD;
        sqe->fd = fd.get();
        sqe->cmd_op = static_cast<uint32_t>(op);
        memcpy(sqe->cmd, command, bytes);
        REQUIRE(io_uring_submit(&ring) == 1);
        io_uring_cqe* cqe = nullptr;
        REQUIRE(io_uring_wait_cqe(&ring, &cqe) == 0);
        int res = cqe->res;
        io_uring_cqe_seen(&ring, cqe);
        return res;
    };
    auto by_pointer = [&](const Fd& fd, unsigned long op = EXO_GRANT_TRAVERSE) {
        exo_uring_pointer command = {.traverse = address(&future), .reserved = 0};
        return submit(fd, op, &command, sizeof(command));
    };
    auto by_value = [&](const Fd& fd, unsigned long op = EXO_URING_TRAVERSE) {
        exo_uring_traverse command = {};
        memcpy(&command, &future.known, offsetof(exo_traverse, outcome));
        return submit(fd, op, &command, sizeof(command));
    };

    for (const Fd* fd : {&grant, &set}) {
        future.known = good;
        CHECK(by_pointer(*fd) == EXO_END_DONE);
        CHECK(by_value(*fd) == EXO_END_DONE);
        for (const Level& level : request_levels(*fd, good)) {
            CAPTURE(level.error);
            level.spoil(future.known);
            // A ring that is not polled takes no polled traversal, whatever the device can do.
            bool polled = future.known.engine == EXO_ENGINE_POLLED;
            CHECK(by_pointer(*fd) == (polled ? -EINVAL : level.error));
            CHECK(by_value(*fd) == (polled ? -EINVAL : level.error));
        }
    }
    future.known = good;
    for (auto spoil : std::initializer_list<void (*)(exo_traverse&)>{
             [](exo_traverse& t) { t.slot = 1; }, [](exo_traverse& t) { t.fan_out = 17; },
             [](exo_traverse& t) { t.engine = EXO_ENGINE_DISPATCH + 1; },
             [](exo_traverse& t) { t.flags = 4; }, [](exo_traverse& t) { t.blocks_len = 1; }}) {
        future.known = good;
        spoil(future.known);
        CHECK(by_pointer(set) == -EINVAL);
        CHECK(by_value(set) == -EINVAL);
    }
    future.known = good;

    // Sizes, directions and types: of the pointer's command as of an ioctl's, of the other exact.
    CHECK(by_pointer(grant, resized(EXO_GRANT_TRAVERSE, 0)) == -EINVAL);
    CHECK(by_pointer(grant, resized(EXO_GRANT_TRAVERSE, sizeof(exo_traverse) - 8)) == -EINVAL);
    CHECK(by_pointer(grant, resized(EXO_GRANT_TRAVERSE, sizeof(future))) == EXO_END_DONE);
    future.unknown = 1;
    CHECK(by_pointer(grant, resized(EXO_GRANT_TRAVERSE, sizeof(future))) == -E2BIG);
    CHECK(by_pointer(grant) == EXO_END_DONE);
    CHECK(by_pointer(grant, _IOR(EXO_IOC_TYPE, 0x41, exo_traverse)) == -ENOTTY);
    CHECK(by_pointer(grant, _IOWR('x', 0x41, exo_traverse)) == -ENOTTY);
    CHECK(by_pointer(grant, EXO_GRANT_BATCH) == -ENOTTY);
    CHECK(by_value(grant, resized(EXO_URING_TRAVERSE, sizeof(exo_uring_traverse) + 8)) == -ENOTTY);
    CHECK(by_value(grant, resized(EXO_URING_TRAVERSE, sizeof(exo_uring_traverse) - 8)) == -ENOTTY);

    // The grant's own answers.
    terms.expires_ms = 1;
    Fd expired = derive(rig.grant, terms);
    std::this_thread::sleep_for(50ms);
    CHECK(by_pointer(expired) == -EKEYEXPIRED);
    CHECK(by_value(expired) == -EKEYEXPIRED);
    revoke_with_its_tree(grant);
    CHECK(by_pointer(grant) == -EKEYREVOKED);
    CHECK(by_value(set) == -EKEYREVOKED);
    io_uring_queue_exit(&ring);

    // A polled ring takes polled ones only, and says so before it looks at the device.
    REQUIRE(io_uring_queue_init(2, &ring, IORING_SETUP_IOPOLL | IORING_SETUP_SQE128) == 0);
    for (uint16_t engine : {EXO_ENGINE_COMPLETION, EXO_ENGINE_DISPATCH}) {
        exo_uring_traverse command = {};
        memcpy(&command, &good, offsetof(exo_traverse, outcome));
        command.engine = engine;
        CHECK(submit(rig.grant, EXO_URING_TRAVERSE, &command, sizeof(command)) == -EINVAL);
    }
    io_uring_queue_exit(&ring);
    expect_idle();
}

TEST_CASE("of deriving and of taking back") {
    Rig rig(64 * 4096);
    exo_grant_derive terms = {};
    Fd deepest;
    for (int depth = 0;; depth++) {
        REQUIRE(depth < 1000);
        const Fd& parent = deepest ? deepest : rig.grant;
        int fd = call(parent, EXO_GRANT_DERIVE, &terms);
        if (fd == -ELOOP) {
            break;
        }
        REQUIRE(fd >= 0);
        deepest = Fd(fd);
    }
    auto answer = [&](const Fd& parent, const exo_grant_derive& request) {
        exo_grant_derive copy = request;
        int ret = call(parent, EXO_GRANT_DERIVE, &copy);
        if (ret >= 0) {
            close(ret);
            return 0;
        }
        return ret;
    };
    exo_grant_derive bad = {};
    bad.range_start = 1;
    CHECK(answer(deepest, bad) == -ELOOP);
    CHECK(answer(rig.grant, bad) == -ERANGE);

    terms.rights = EXO_RIGHT_DERIVE;
    terms.expires_ms = 1;
    Fd weak = derive(rig.grant, terms);
    std::this_thread::sleep_for(50ms);
    revoke_with_its_tree(weak);
    bad.rights = EXO_RIGHT_BLOCKS | 8;
    CHECK(answer(weak, bad) == -EINVAL);
    bad.rights = EXO_RIGHT_BLOCKS;
    bad.flags = 1;
    CHECK(answer(weak, bad) == -EINVAL);
    bad.flags = 0;
    CHECK(answer(weak, bad) == -EACCES);
    bad.rights = 0;
    CHECK(answer(weak, bad) == -ERANGE);
    bad.range_start = 0;
    CHECK(answer(weak, bad) == -EKEYEXPIRED);
    Fd cut = derive(rig.grant, {});
    revoke_with_its_tree(cut);
    CHECK(answer(cut, bad) == -EKEYREVOKED);

    // Taking back: what is asked for, then the right; by number, the privilege first.
    terms = {};
    terms.rights = EXO_RIGHT_TRAVERSE;
    Fd runs = derive(rig.grant, terms);
    exo_grant_revoke revoke = {};
    revoke.flags = EXO_REVOKE_SELF << 1;
    CHECK(call(runs, EXO_GRANT_REVOKE, &revoke) == -EINVAL);
    revoke.flags = EXO_REVOKE_SELF;
    CHECK(call(runs, EXO_GRANT_REVOKE, &revoke) == -EACCES);
    exo_revoke_id by_id = {};
    by_id.flags = 1;
    CHECK(call(open_exo(), EXO_IOC_REVOKE_ID, &by_id) == -EINVAL);
    CHECK(nobody_gets(-EPERM, [&] { return call(open_exo(), EXO_IOC_REVOKE_ID, &by_id); }));
    by_id.flags = 0;
    CHECK(call(open_exo(), EXO_IOC_REVOKE_ID, &by_id) == -ENOENT);
    CHECK(nobody_gets(-EPERM, [&] { return call(open_exo(), EXO_IOC_REVOKE_ID, &by_id); }));
}

TEST_CASE("of making a set") {
    Rig rig;
    Fd exo = open_exo();
    // The second slot's number lies on a page that is not there.
    auto* pages = static_cast<uint8_t*>(
        mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(pages != MAP_FAILED);
    REQUIRE(mprotect(pages + 4096, 4096, PROT_NONE) == 0);
    auto* last = reinterpret_cast<int32_t*>(pages + 4096 - sizeof(int32_t));
    exo_set_create request = {.grant_fds = address(last), .count = UINT32_MAX, .flags = 1};
    auto answer = [&] { return call(exo, EXO_IOC_SET_CREATE, &request); };
    CHECK(answer() == -EINVAL);
    request.flags = 0;
    CHECK(answer() == -E2BIG);
    request.count = 2;
    *last = -1;
    CHECK(answer() == -EBADF);
    *last = rig.grant.get();
    CHECK(answer() == -EFAULT);
    request.count = 1;
    Fd set(answer());
    CHECK(set);
    munmap(pages, 8192);

    // It knows two commands; a reader of the audit trail none.
    std::vector<uint8_t> buffer(8192);
    for (unsigned long command : {EXO_GRANT_INFO, EXO_GRANT_DERIVE, EXO_GRANT_REVOKE,
                                  EXO_VOLUME_PIN, EXO_IOC_INFO, EXO_URING_TRAVERSE}) {
        CHECK(call(set, command, buffer.data()) == -ENOTTY);
    }
    CHECK(call(set, resized(EXO_GRANT_TRAVERSE, sizeof(exo_traverse) - 1), buffer.data()) ==
          -EINVAL);
    CHECK(call(set, resized(EXO_GRANT_BATCH, sizeof(exo_batch) - 1), buffer.data()) == -EINVAL);
    exo_audit_open audit = {.flags = 0, .event_bytes = sizeof(exo_audit_event)};
    Fd trail(call(exo, EXO_IOC_AUDIT_OPEN, &audit));
    REQUIRE(trail);
    CHECK(call(trail, EXO_IOC_AUDIT_OPEN, buffer.data()) == -ENOTTY);
    CHECK(call(trail, EXO_GRANT_TRAVERSE, buffer.data()) == -ENOTTY);
}

TEST_CASE("of what an administrator does") {
    Rig rig;
    Fd exo = open_exo();
    exo_tenant_set terms = {};
    terms.volume_id = UINT32_MAX;
    auto answer = [&] { return call(exo, EXO_IOC_TENANT_SET, &terms); };
    for (auto spoil : std::initializer_list<void (*)(exo_tenant_set&)>{
             [](exo_tenant_set& t) { t.flags = EXO_TENANT_KEPT; },
             [](exo_tenant_set& t) { t.flags = EXO_TENANT_CGROUP | 1U << 31; },
             [](exo_tenant_set& t) { t.weight = EXO_WEIGHT_MAX + 1; },
             [](exo_tenant_set& t) { t.weight = UINT32_MAX; },
             [](exo_tenant_set& t) { t.key = UINT32_MAX; },
             [](exo_tenant_set& t) { t.key = 1ULL << 32; },
             [](exo_tenant_set& t) { t.key = ~0ULL; }}) {
        terms = {};
        terms.volume_id = UINT32_MAX;
        spoil(terms);
        CHECK(answer() == -EINVAL);
        CHECK(nobody_gets(-EPERM, answer));
    }
    terms = {};
    terms.volume_id = UINT32_MAX;
    CHECK(answer() == -ENOENT);
    CHECK(nobody_gets(-EPERM, answer));
    terms.volume_id = rig.info.volume_id;
    terms.flags = EXO_TENANT_CGROUP;
    terms.key = ~0ULL;  // no such cgroup, which nobody needs to have made
    CHECK(answer() == 0);

    exo_list list = {};
    list.kind = EXO_LIST_VOLUMES;
    CHECK(nobody_gets(-EINVAL, [&] { return call(exo, EXO_IOC_LIST, &list); }));
    list.entry_bytes = 8;
    list.reserved = 1;
    CHECK(nobody_gets(-EINVAL, [&] { return call(exo, EXO_IOC_LIST, &list); }));

    exo_unpin unpinned = {};
    unpinned.flags = 1;  // before a look for the pin
    CHECK(call(rig.volume, EXO_VOLUME_UNPIN, &unpinned) == -EINVAL);
    exo_bind_mount mount = {.mount_fd = -1, .flags = 1};
    CHECK(call(rig.volume, EXO_VOLUME_BIND_MOUNT, &mount) == -EINVAL);
    exo_detach detach = {};
    REQUIRE(call(rig.volume, EXO_VOLUME_DETACH, &detach) == 0);
    // Arguments are looked at even when there is nothing left to do with them.
    exo_pin last = {};
    last.extents = 8;
    last.extent_count = UINT32_MAX;
    CHECK(call(rig.volume, EXO_VOLUME_PIN, &last) == -EINVAL);
    last.ino = 5;
    CHECK(call(rig.volume, EXO_VOLUME_PIN, &last) == -E2BIG);
    last.extent_count = 1;
    CHECK(call(rig.volume, EXO_VOLUME_PIN, &last) == -EFAULT);
    CHECK(pin(rig.volume, 5, 1, 4096, {{0, 1, 4096}}) == -EINVAL);
    CHECK(pin(rig.volume, 5, 1, 4096, {{0, 0, 4096}}) == -ENODEV);
    CHECK(call(rig.volume, EXO_VOLUME_BIND_MOUNT, &mount) == -EINVAL);
    mount.flags = 0;
    CHECK(call(rig.volume, EXO_VOLUME_BIND_MOUNT, &mount) == -EBADF);
    detach.flags = 1;
    CHECK(call(rig.volume, EXO_VOLUME_DETACH, &detach) == -EINVAL);
    rig.volume.reset();
}

TEST_CASE("callers from before weights and rates get what they always got") {
    Rig rig(64 * 4096);
    Fd exo = open_exo();
    // What lies behind the old structure is the caller's own, and neither read nor written.
    struct {
        exo_grant_open request;
        uint64_t beyond;
    } old = {};
    old.request.file_fd = rig.file.get();
    old.request.weight = 4711;
    old.request.rate_reads = 4711;
    old.request.rate_bytes = 4711;
    Fd grant(call(exo, resized(EXO_IOC_GRANT_OPEN, offsetof(exo_grant_open, weight)), &old));
    REQUIRE(grant);
    CHECK(old.request.grant_id > 0);
    CHECK(old.request.weight == 4711);
    exo_grant_entry entry = {};
    REQUIRE(call(grant, EXO_GRANT_INFO, &entry) == 0);
    CHECK(entry.weight == EXO_WEIGHT_DEFAULT);
    CHECK(entry.rate_reads == 0);
    CHECK(entry.rate_bytes == 0);

    exo_grant_entry before = {};
    before.weight = 4711;
    before.rate_bytes = 4711;
    REQUIRE(call(grant, resized(EXO_GRANT_INFO, offsetof(exo_grant_entry, weight)), &before) == 0);
    CHECK(before.grant_id == entry.grant_id);
    CHECK(before.in_flight_limit == entry.in_flight_limit);
    CHECK(before.weight == 4711);
    CHECK(before.rate_bytes == 4711);

    exo_grant_derive derived = {};
    derived.weight = 4711;
    derived.rate_reads = 1;
    Fd child(call(grant, resized(EXO_GRANT_DERIVE, offsetof(exo_grant_derive, weight)), &derived));
    REQUIRE(child);
    REQUIRE(call(child, EXO_GRANT_INFO, &entry) == 0);
    CHECK(entry.weight == EXO_WEIGHT_DEFAULT);
    CHECK(entry.rate_reads == 0);
    // One that knows weights, but no rates.
    derived.weight = 50;
    Fd some(
        call(grant, resized(EXO_GRANT_DERIVE, offsetof(exo_grant_derive, rate_reads)), &derived));
    REQUIRE(some);
    REQUIRE(call(some, EXO_GRANT_INFO, &entry) == 0);
    CHECK(entry.weight == 50);
    CHECK(entry.rate_reads == 0);
}

TEST_SUITE_END();
