// SPDX-License-Identifier: MIT
// Derived grants: never more than their parent, taken back with their subtree, and nothing read
// afterwards.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <random>
#include <thread>

#include "rig.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

Opened derive(const Fd& parent, exo_grant_derive request = {}) {
    int ret = call(parent, EXO_GRANT_DERIVE, &request);
    return ret < 0 ? Opened{Fd(), ret} : Opened{Fd(ret), 0};
}

exo_grant_entry info(const Fd& grant) {
    exo_grant_entry entry = {};
    REQUIRE(call(grant, EXO_GRANT_INFO, &entry) == 0);
    return entry;
}

int revoke(const Fd& grant, uint32_t flags = 0, uint32_t grace_ms = 0,
           exo_grant_revoke* out = nullptr) {
    exo_grant_revoke request = {};
    request.flags = flags;
    request.grace_ms = grace_ms;
    int ret = call(grant, EXO_GRANT_REVOKE, &request);
    if (out) {
        *out = request;
    }
    return ret;
}

short poll_now(const Fd& fd) {
    pollfd p = {.fd = fd.get(), .events = POLLIN | POLLPRI, .revents = 0};
    poll(&p, 1, 0);
    return p.revents;
}

// One read at `offset`: what the ioctl says, or how the traversal ended.
struct Read {
    int error;
    uint32_t cause;
};
Read read_at(const Fd& grant, uint64_t offset, uint32_t flags = 0, uint32_t hop_bytes = 4096) {
    test_act_args args = {.offset = 0, .len = 0, .read = 0, .verdict = EXO_DONE, .report_len = 0};
    Run r = run(grant, shared_program("test_act").id(), args,
                {.start_offset = offset, .hop_bytes = hop_bytes, .flags = flags});
    return {r.error, r.outcome.cause};
}

}  // namespace

TEST_SUITE_BEGIN("derive");

TEST_CASE("a derived grant is never more than its parent") {
    Rig rig(kMiB + 100);
    exo_grant_open opened = {};
    opened.range_start = 65536;
    opened.range_len = 131072;
    opened.hop_limit = 100;
    opened.in_flight_limit = 10;
    Opened parent = rig.regrant(opened);
    REQUIRE(parent.error == 0);
    exo_grant_entry above = info(parent.fd);
    CHECK(above.parent_id == 0);
    CHECK(above.rights == EXO_RIGHTS_ALL);

    // Everything left at 0: the same again.
    exo_grant_derive request = {};
    request.range_start = 65536;
    Opened same = derive(parent.fd, request);
    REQUIRE(same.error == 0);
    CHECK((fcntl(same.fd.get(), F_GETFD) & FD_CLOEXEC));
    exo_grant_entry entry = info(same.fd);
    CHECK(entry.parent_id == above.grant_id);
    CHECK(entry.grant_id != above.grant_id);
    CHECK(entry.range_start == 65536);
    CHECK(entry.range_len == 131072);
    CHECK(entry.hop_limit == 100);
    CHECK(entry.in_flight_limit == 10);
    CHECK(entry.rights == EXO_RIGHTS_ALL);
    CHECK(entry.expires_at_ns == 0);
    CHECK(entry.program_id == 0);

    // Limits only go down.
    request.hop_limit = UINT32_MAX;
    request.in_flight_limit = UINT32_MAX;
    entry = info(derive(parent.fd, request).fd);
    CHECK(entry.hop_limit == 100);
    CHECK(entry.in_flight_limit == 10);
    request.hop_limit = 5;
    request.in_flight_limit = 2;
    entry = info(derive(parent.fd, request).fd);
    CHECK(entry.hop_limit == 5);
    CHECK(entry.in_flight_limit == 2);

    struct {
        const char* what;
        uint64_t start, len;
        int error;
    } ranges[] = {
        {"all of it", 65536, 131072, 0},
        {"a part", 69632, 4096, 0},
        {"from the middle to the end", 131072, 0, 0},
        {"nothing, at the end", 196608, 0, 0},
        {"from before", 61440, 8192, -ERANGE},
        {"from the file's start", 0, 0, -ERANGE},
        {"over the end", 65536, 131072 + 4096, -ERANGE},
        {"behind the end", 200704, 4096, -ERANGE},
        {"odd start", 65537, 4096, -ERANGE},
        {"odd end", 65536, 4095, -ERANGE},
        {"overflow", 65536, ~0ULL, -ERANGE},
    };
    for (const auto& row : ranges) {
        CAPTURE(row.what);
        exo_grant_derive r = {};
        r.range_start = row.start;
        r.range_len = row.len;
        CHECK(derive(parent.fd, r).error == row.error);
    }

    exo_grant_derive part = {};
    part.range_start = 131072;
    part.range_len = 8192;
    Opened narrow = derive(parent.fd, part);
    REQUIRE(narrow.error == 0);
    CHECK(read_at(narrow.fd, 131072).cause == EXO_END_DONE);
    CHECK(read_at(narrow.fd, 135168).cause == EXO_END_DONE);
    CHECK(read_at(narrow.fd, 139264).cause == EXO_END_OUT_OF_RANGE);
    CHECK(read_at(narrow.fd, 65536).cause == EXO_END_OUT_OF_RANGE);
    CHECK(read_at(parent.fd, 139264).cause == EXO_END_DONE);

    // Of the whole file, up to its odd end.
    exo_grant_derive tail = {};
    tail.range_start = kMiB;
    Opened end = derive(rig.grant, tail);
    REQUIRE(end.error == 0);
    CHECK(info(end.fd).range_len == 100);
    CHECK(read_at(end.fd, kMiB, 0, rig.info.logical_block_bytes).cause == EXO_END_DONE);
}

TEST_CASE("rights and programs only get fewer") {
    Rig rig;
    const Program& act = shared_program("test_act");
    const Program& stride = shared_program("test_stride");
    auto with = [&](const Fd& parent, uint32_t rights, uint32_t program = 0) {
        exo_grant_derive request = {};
        request.rights = rights;
        request.program_id = program;
        return derive(parent, request);
    };
    CHECK(with(rig.grant, 8).error == -EINVAL);
    CHECK(with(rig.grant, EXO_RIGHTS_ALL | 1U << 31).error == -EINVAL);
    exo_grant_derive flags = {};
    flags.flags = 1;
    CHECK(derive(rig.grant, flags).error == -EINVAL);

    Opened runs = with(rig.grant, EXO_RIGHT_TRAVERSE);
    REQUIRE(runs.error == 0);
    CHECK(read_at(runs.fd, 0).cause == EXO_END_DONE);
    CHECK(read_at(runs.fd, 0, EXO_TRAVERSE_LAST_BLOCK).error == -EACCES);
    CHECK(read_at(rig.grant, 0, EXO_TRAVERSE_LAST_BLOCK).cause == EXO_END_DONE);
    CHECK(derive(runs.fd).error == -EACCES);
    CHECK(revoke(runs.fd) == -EACCES);

    Opened hands_on = with(rig.grant, EXO_RIGHT_DERIVE | EXO_RIGHT_BLOCKS);
    REQUIRE(hands_on.error == 0);
    CHECK(read_at(hands_on.fd, 0).error == -EACCES);
    CHECK(with(hands_on.fd, EXO_RIGHT_TRAVERSE).error == -EACCES);
    CHECK(with(hands_on.fd, EXO_RIGHT_DERIVE).error == 0);

    Opened bound = with(rig.grant, 0, act.id());
    REQUIRE(bound.error == 0);
    CHECK(info(bound.fd).program_id == act.id());
    CHECK(read_at(bound.fd, 0).cause == EXO_END_DONE);
    test_stride_args args = {.stride = 4096, .count = 1, .len = 4096};
    CHECK(run(bound.fd, stride.id(), args).error == -EACCES);
    CHECK(with(bound.fd, 0, stride.id()).error == -EACCES);
    Opened below = with(bound.fd, 0, act.id());
    REQUIRE(below.error == 0);
    CHECK(info(with(bound.fd, 0).fd).program_id == act.id());
}

TEST_CASE("a grant that expires") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    exo_grant_derive request = {};
    request.expires_ms = 400;
    Opened brief = derive(rig.grant, request);
    REQUIRE(brief.error == 0);
    uint64_t until = info(brief.fd).expires_at_ns;
    CHECK(until > 0);
    // Longer than its parent's is not to be had.
    request.expires_ms = 1000000;
    Opened below = derive(brief.fd, request);
    REQUIRE(below.error == 0);
    CHECK(info(below.fd).expires_at_ns == until);
    // Nor is a time of more than 2^31 ms for ever, or 30 days would be no shorter than 40.
    constexpr uint32_t kDayMs = 24 * 3600 * 1000;
    request.expires_ms = 40 * kDayMs;
    Opened lasting = derive(rig.grant, request);
    REQUIRE(lasting.error == 0);
    request.expires_ms = 30 * kDayMs;
    Opened shorter = derive(lasting.fd, request);
    REQUIRE(shorter.error == 0);
    uint64_t less_ns = info(lasting.fd).expires_at_ns - info(shorter.fd).expires_at_ns;
    CHECK(less_ns < 11ULL * kDayMs * 1000000);
    CHECK(less_ns > 9ULL * kDayMs * 1000000);

    exo_grant_open most = {};
    most.hop_limit = UINT32_MAX;
    Opened wide = rig.regrant(most);
    request.expires_ms = 200;
    Opened running = derive(wide.fd, request);
    test_stride_args for_ever = {.stride = 0, .count = 0, .len = 4096};
    Run r = run(running.fd, stride.id(), for_ever, {.timeout_ms = 20000});
    CHECK(r.error == 0);
    CHECK((r.outcome.cause == EXO_END_EXPIRED || r.outcome.cause == EXO_END_HOP_LIMIT));
    std::this_thread::sleep_for(500ms);
    CHECK(read_at(running.fd, 0).error == -EKEYEXPIRED);
    CHECK(read_at(brief.fd, 0).error == -EKEYEXPIRED);
    CHECK(read_at(below.fd, 0).error == -EKEYEXPIRED);
    CHECK(derive(brief.fd).error == -EKEYEXPIRED);
    CHECK(read_at(rig.grant, 0).cause == EXO_END_DONE);
}

TEST_CASE("a chain of grants ends somewhere, and goes from either end") {
    Rig rig;
    uint64_t before = stats().grants;
    for (bool forwards : {true, false}) {
        std::vector<Fd> chain;
        chain.reserve(100);  // last points into it
        const Fd* last = &rig.grant;
        for (;;) {
            Opened next = derive(*last);
            if (next.error) {
                CHECK(next.error == -ELOOP);
                break;
            }
            chain.push_back(std::move(next.fd));
            last = &chain.back();
            REQUIRE(chain.size() < 100);
        }
        CHECK(chain.size() == 16);
        // Parents that have been closed stay what they were.
        for (size_t i = 0; i < chain.size(); i++) {
            chain[forwards ? i : chain.size() - 1 - i].reset();
            const Fd& still = forwards ? chain.back() : chain.front();
            if (still) {
                CHECK(read_at(still, 0).cause == EXO_END_DONE);
            }
        }
    }
    CHECK(stats().grants == before);
}

TEST_CASE("a subtree is revoked, and nothing beside it") {
    Rig rig;
    Opened a = derive(rig.grant), b = derive(rig.grant);
    Opened a1 = derive(a.fd), a2 = derive(a.fd), a11 = derive(a1.fd);
    // Its parent's descriptor is gone, but not its place in the tree.
    Opened gone = derive(a.fd);
    Opened orphan = derive(gone.fd);
    gone.fd.reset();

    exo_grant_revoke result = {};
    CHECK(revoke(a.fd, 2) == -EINVAL);
    CHECK(revoke(a.fd, 0, 0, &result) == 0);
    CHECK(result.revoked_grants == 4);
    for (const Opened* cut : {&a1, &a2, &a11, &orphan}) {
        CHECK(read_at(cut->fd, 0).error == -EKEYREVOKED);
        CHECK(derive(cut->fd).error == -EKEYREVOKED);
        CHECK((poll_now(cut->fd) & (POLLPRI | POLLHUP)) == (POLLPRI | POLLHUP));
        CHECK(info(cut->fd).state == EXO_GRANT_STATE_CUT);
    }
    for (const Fd* live : std::initializer_list<const Fd*>{&a.fd, &b.fd, &rig.grant}) {
        CHECK(read_at(*live, 0).cause == EXO_END_DONE);
        CHECK(poll_now(*live) == 0);
    }
    CHECK(revoke(a.fd, 0, 0, &result) == 0);
    CHECK(result.revoked_grants == 0);

    // And may be derived from again.
    Opened anew = derive(a.fd);
    CHECK(read_at(anew.fd, 0).cause == EXO_END_DONE);
    CHECK(revoke(a.fd, EXO_REVOKE_SELF, 0, &result) == 0);
    CHECK(result.revoked_grants == 2);
    CHECK(read_at(a.fd, 0).error == -EKEYREVOKED);
    CHECK(read_at(b.fd, 0).cause == EXO_END_DONE);

    // By an administrator, by number.
    exo_revoke_id by_id = {};
    by_id.grant_id = info(b.fd).grant_id;
    by_id.flags = 1;
    CHECK(call(open_exo(), EXO_IOC_REVOKE_ID, &by_id) == -EINVAL);
    by_id.flags = 0;
    CHECK(call(open_exo(), EXO_IOC_REVOKE_ID, &by_id) == 0);
    CHECK(by_id.revoked_grants == 1);
    CHECK(read_at(b.fd, 0).error == -EKEYREVOKED);
    by_id.grant_id = ~0ULL;
    CHECK(call(open_exo(), EXO_IOC_REVOKE_ID, &by_id) == -ENOENT);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        bool refused = setuid(65534) == 0 && call(open_exo(), EXO_IOC_REVOKE_ID, &by_id) == -EPERM;
        _exit(refused ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
}

TEST_CASE("holders are told, have time to close, and end a grace period early") {
    Rig rig;
    Opened child = derive(rig.grant);
    exo_grant_revoke result = {};
    std::thread revoker([&] { CHECK(revoke(rig.grant, 0, 20000, &result) == 0); });
    for (int i = 0; i < 1000 && !(poll_now(child.fd) & POLLPRI); i++) {
        std::this_thread::sleep_for(5ms);
    }
    CHECK((poll_now(child.fd) & POLLPRI));
    CHECK_FALSE((poll_now(child.fd) & POLLHUP));
    CHECK(read_at(child.fd, 0).cause == EXO_END_DONE);  // still in its grace period
    CHECK(derive(child.fd).error == -EKEYREVOKED);      // but not for anybody new
    auto begun = std::chrono::steady_clock::now();
    child.fd.reset();
    revoker.join();
    CHECK(std::chrono::steady_clock::now() - begun < 10s);
    CHECK(result.revoked_grants == 0);
}

TEST_CASE("trees that grow, run and are revoked all at once") {
    {
        Rig rig(64 * 4096);
        const Program& stride = shared_program("test_stride");
        const uint32_t program = stride.id();
        std::atomic<bool> stop = false;
        std::atomic<uint64_t> reads = 0, wrong = 0, trees = 0;
        std::vector<std::thread> threads;
        for (int n = 0; n < 3; n++) {
            threads.emplace_back([&, n] {
                std::mt19937 random(static_cast<uint32_t>(n));
                test_stride_args args = {.stride = 4096, .count = 20, .len = 4096};
                while (!stop) {
                    std::vector<Fd> tree;
                    exo_grant_derive request = {};
                    int top = call(rig.grant, EXO_GRANT_DERIVE, &request);
                    if (top < 0) {
                        wrong++;
                        continue;
                    }
                    tree.emplace_back(top);
                    std::thread user([&, top] {
                        for (;;) {
                            Run r = run(top, program, &args, sizeof(args), {});
                            if (r.error == -EKEYREVOKED) {
                                return;
                            }
                            bool fine = r.error == 0 && (r.outcome.cause == EXO_END_DONE ||
                                                         r.outcome.cause == EXO_END_REVOKED);
                            (fine ? reads : wrong)++;
                        }
                    });
                    for (int i = 0; i < 10; i++) {
                        exo_grant_derive more = {};
                        int fd = call(tree[random() % tree.size()], EXO_GRANT_DERIVE, &more);
                        if (fd < 0) {
                            wrong++;
                        } else {
                            tree.emplace_back(fd);
                        }
                        if (random() % 3 == 0) {
                            tree.erase(tree.begin() + 1 + random() % (tree.size() - 1));
                        }
                    }
                    if (revoke(tree[0], EXO_REVOKE_SELF) != 0) {
                        wrong++;
                    }
                    user.join();
                    // Not before: somebody who is being refused is counted for an instant.
                    if (info(tree[0]).in_flight != 0) {
                        wrong++;
                    }
                    trees++;
                }
            });
        }
        std::this_thread::sleep_for(3s);
        stop = true;
        for (std::thread& t : threads) {
            t.join();
        }
        CHECK(wrong.load() == 0);
        CHECK(reads.load() > 0);
        MESSAGE(trees.load() << " trees, " << reads.load() << " traversals");
    }
    CHECK(stats().grants == 0);
    CHECK(stats().traversals_in_flight == 0);
}

TEST_SUITE_END();
