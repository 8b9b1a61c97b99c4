// SPDX-License-Identifier: MIT
// Grant sets: traversals go from file to file, each slot as far as its own grant allows, and a set
// gives nobody more, or for longer, than its grants do.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "rig.h"
#include "tree.h"

using namespace exo::test;

namespace {

constexpr uint32_t kFiles = 3;

Opened make_set(const std::vector<int>& fds) {
    exo_set_create request = {.grant_fds = reinterpret_cast<uint64_t>(fds.data()),
                              .count = static_cast<uint32_t>(fds.size()),
                              .flags = 0};
    int ret = call(open_exo(), EXO_IOC_SET_CREATE, &request);
    return ret < 0 ? Opened{Fd(), ret} : Opened{Fd(ret), 0};
}

struct Terms {
    uint64_t range_len = 0;
    uint32_t hop_limit = 0;
    uint32_t in_flight_limit = 0;
};

struct Weaker {
    uint32_t rights = 0;
    uint32_t program_id = 0;
};

// Three pinned files with a grant each.
struct Files {
    Files() : rig(kTreeFileBytes) {
        const char* names[] = {"file", "other", "reborn"};
        const uint64_t generations[] = {kGeneration, 1, 9};
        for (uint32_t i = 0; i < kFiles; i++) {
            if (i) {
                REQUIRE(pin(rig.volume, kIno + i, generations[i], kTreeFileBytes,
                            {{.file_offset = 0,
                              .disk_offset = i * kTreeFileBytes,
                              .length = kTreeFileBytes}}) == 0);
            }
            files[i] = open_path(rig.mount.path(names[i]), O_RDONLY);
            grants[i] = open({}, i);
        }
    }

    Fd open(Terms terms, uint32_t i) {
        exo_grant_open request = {};
        request.range_len = terms.range_len;
        request.hop_limit = terms.hop_limit;
        request.in_flight_limit = terms.in_flight_limit;
        Opened opened = open_grant(files[i].get(), request);
        REQUIRE(opened.error == 0);
        return std::move(opened.fd);
    }

    Fd set() {
        Opened opened = make_set({grants[0].get(), grants[1].get(), grants[2].get()});
        REQUIRE(opened.error == 0);
        return std::move(opened.fd);
    }

    Rig rig;
    Fd files[kFiles];
    Fd grants[kFiles];
};

Run walk(const Fd& set, RunOptions options, test_tree_result* tree_result = nullptr) {
    options.result_len = sizeof(test_tree_result);
    options.timeout_ms = 20000;
    Run r = run(set.get(), shared_program("test_tree").id(), nullptr, 0, options);
    if (tree_result) {
        memcpy(tree_result, r.result.data(), sizeof(*tree_result));
    }
    return r;
}

std::unique_ptr<Rig> rig_on(const std::string& device) {
    std::string usual = device_path();
    setenv("EXO_TEST_DEVICE", device.c_str(), 1);
    auto rig = std::make_unique<Rig>(kTreeFileBytes);
    setenv("EXO_TEST_DEVICE", usual.c_str(), 1);
    return rig;
}

exo_grant_entry info(const Fd& grant) {
    exo_grant_entry entry = {};
    REQUIRE(call(grant, EXO_GRANT_INFO, &entry) == 0);
    return entry;
}

}  // namespace

TEST_SUITE_BEGIN("sets");

TEST_CASE("a traversal goes from file to file, and each grant counts its own") {
    Tree tree = write_tree(device_path(), kFiles, 250, 7);
    Files files;
    Fd set = files.set();
    uint64_t hops = 0;
    uint64_t walks = 0;
    for (uint16_t engine : {EXO_ENGINE_AUTO, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
        for (uint16_t fan_out : {1, 16}) {
            CAPTURE(engine);
            CAPTURE(fan_out);
            test_tree_result result;
            Run r = walk(set, {.engine = engine, .fan_out = fan_out}, &result);
            if (r.error == -EOPNOTSUPP && engine == EXO_ENGINE_POLLED) {
                continue;
            }
            REQUIRE(r.error == 0);
            CHECK(r.outcome.cause == EXO_END_DONE);
            CHECK(result.blocks == tree.blocks);
            CHECK(result.sum == tree.sum);
            hops += r.outcome.hops;
            walks++;
        }
    }
    // A node fits one block of the device; the first read of all fills the buffer.
    uint64_t block = files.rig.info.logical_block_bytes;
    uint64_t counted = 0;
    for (const Fd& grant : files.grants) {
        uint64_t first = &grant == files.grants ? walks * (4096 - block) : 0;
        CHECK(info(grant).hops > 0);
        CHECK(info(grant).bytes == info(grant).hops * block + first);
        CHECK(info(grant).in_flight == 0);
        counted += info(grant).hops;
    }
    CHECK(counted == hops);

    // The first read may be in any slot; it needs no other.
    Run r =
        run(set, shared_program("test_stride").id(), test_stride_args{4096, 3, 4096}, {.slot = 2});
    CHECK(r.outcome.cause == EXO_END_DONE);
    CHECK(r.outcome.slot == 2);
    CHECK(walk(set, {.slot = kFiles}).error == -EINVAL);
}

TEST_CASE("each slot has its own range, rights, program and limit") {
    write_tree(device_path(), kFiles, 250, 7);
    Files files;
    uint32_t stride = shared_program("test_stride").id();
    auto end_with = [&](Fd grant) {
        Opened set = make_set({files.grants[0].get(), grant.get(), files.grants[2].get()});
        REQUIRE(set.error == 0);
        Run r = walk(set.fd, {.fan_out = 4});
        CHECK(r.error == 0);
        CHECK(r.outcome.slot == 1);
        return r.outcome.cause;
    };
    auto derived = [&](Weaker weaker) {
        exo_grant_derive request = {};
        request.rights = weaker.rights;
        request.program_id = weaker.program_id;
        int fd = call(files.grants[1], EXO_GRANT_DERIVE, &request);
        REQUIRE(fd >= 0);
        return Fd(fd);
    };
    CHECK(end_with(files.open({.range_len = 8192}, 1)) == EXO_END_OUT_OF_RANGE);
    CHECK(end_with(derived({.rights = EXO_RIGHT_BLOCKS})) == EXO_END_DENIED);
    CHECK(end_with(derived({.program_id = stride})) == EXO_END_DENIED);

    // Two slots with the same grant, which allows one traversal: the second cannot be entered.
    Fd single = files.open({.in_flight_limit = 1}, 0);
    Opened twice = make_set({single.get(), single.get(), single.get()});
    REQUIRE(twice.error == 0);
    Run r = walk(twice.fd, {});
    CHECK(r.outcome.cause == EXO_END_IN_FLIGHT_LIMIT);

    // A slot that is not there.
    Opened pair = make_set({files.grants[0].get()});
    REQUIRE(pair.error == 0);
    r = walk(pair.fd, {.fan_out = 16});
    CHECK(r.outcome.cause == EXO_END_BAD_SLOT);
    CHECK(r.outcome.slot > 0);

    // The lowest hop limit of all, even of a slot that is not used.
    Fd low = files.open({.hop_limit = 5}, 2);
    Opened lowest = make_set({files.grants[0].get(), files.grants[1].get(), low.get()});
    REQUIRE(lowest.error == 0);
    r = walk(lowest.fd, {});
    CHECK(r.outcome.cause == EXO_END_HOP_LIMIT);
    CHECK(stats().traversals_in_flight == 0);
}

TEST_CASE("a revoked slot ends what uses it, and nothing else") {
    write_tree(device_path(), kFiles, 250, 7);
    Files files;
    Fd set = files.set();
    pollfd watched = {.fd = set.get(), .events = POLLPRI, .revents = 0};
    CHECK(poll(&watched, 1, 0) == 0);
    REQUIRE(unpin(files.rig.volume, kIno + 1, 1) == 0);
    CHECK(poll(&watched, 1, 0) == 1);
    CHECK((watched.revents & POLLPRI) != 0);

    Run r = walk(set, {.fan_out = 16});
    CHECK(r.outcome.cause == EXO_END_REVOKED);
    CHECK(r.outcome.slot == 1);
    CHECK(walk(set, {.slot = 1}).error == -EKEYREVOKED);
    uint32_t stride = shared_program("test_stride").id();
    CHECK(run(set, stride, test_stride_args{4096, 3, 4096}).outcome.cause == EXO_END_DONE);
}

// EXO_TEST_OTHER_DEVICE is another device; with EXO_TEST_OTHER_DISPATCH_ONLY one without hardware
// queues, unlike the first.
TEST_CASE("a set over two devices has an engine that serves both, whichever comes first" *
          doctest::skip(!std::getenv("EXO_TEST_OTHER_DEVICE"))) {
    const std::string devices[] = {device_path(), std::getenv("EXO_TEST_OTHER_DEVICE")};
    bool dispatch_only = std::getenv("EXO_TEST_OTHER_DISPATCH_ONLY");
    Tree tree = {};
    std::vector<std::unique_ptr<Rig>> rigs;
    std::vector<Fd> grants;  // of the tree's first and second file, on the one and the other device
    for (const std::string& device : devices) {
        tree = write_tree(device, 2, 250, 7);
        rigs.push_back(rig_on(device));
        Rig& rig = *rigs.back();
        REQUIRE(
            pin(rig.volume, kIno + 1, 1, kTreeFileBytes,
                {{.file_offset = 0, .disk_offset = kTreeFileBytes, .length = kTreeFileBytes}}) ==
            0);
        for (const char* name : {"file", "other"}) {
            Fd file = open_path(rig.mount.path(name), O_RDONLY);
            Opened opened = open_grant(file.get());
            REQUIRE(opened.error == 0);
            grants.push_back(std::move(opened.fd));
        }
    }
    const int orders[][2] = {{grants[0].get(), grants[3].get()},
                             {grants[2].get(), grants[1].get()}};
    for (const auto& order : orders) {
        Opened set = make_set({order[0], order[1]});
        REQUIRE(set.error == 0);
        for (uint16_t engine :
             {EXO_ENGINE_AUTO, EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
            for (uint16_t fan_out : {1, 16}) {
                bool second_first = order[0] != grants[0].get();
                CAPTURE(second_first);
                CAPTURE(engine);
                CAPTURE(fan_out);
                test_tree_result result;
                Run r = walk(set.fd, {.engine = engine, .fan_out = fan_out}, &result);
                if (dispatch_only &&
                    (engine == EXO_ENGINE_COMPLETION || engine == EXO_ENGINE_POLLED)) {
                    CHECK(r.error == -EOPNOTSUPP);
                    continue;
                }
                if (engine == EXO_ENGINE_POLLED && r.error == -EOPNOTSUPP) {
                    continue;
                }
                REQUIRE(r.error == 0);
                CHECK(r.outcome.cause == EXO_END_DONE);
                CHECK(result.blocks == tree.blocks);
                CHECK(result.sum == tree.sum);
                if (engine == EXO_ENGINE_AUTO) {
                    CHECK(r.outcome.engine ==
                          (dispatch_only ? EXO_ENGINE_DISPATCH : EXO_ENGINE_COMPLETION));
                    CHECK(r.outcome.engine_reason ==
                          (dispatch_only ? EXO_REASON_DEVICE : EXO_REASON_BEST));
                }
            }
        }
        if (dispatch_only) {
            // Also a traversal that never comes to the other one.
            uint32_t stride = shared_program("test_stride").id();
            for (uint32_t slot : {0, 1}) {
                Run r = run(set.fd, stride, test_stride_args{4096, 3, 4096}, {.slot = slot});
                CHECK(r.outcome.cause == EXO_END_DONE);
                CHECK(r.outcome.engine == EXO_ENGINE_DISPATCH);
            }
        }
    }
    grants.clear();
    rigs.clear();
    CHECK(stats().traversals_in_flight == 0);
}

TEST_CASE("a set keeps its grants open, and listed, until it is closed") {
    write_tree(device_path(), kFiles, 250, 7);
    Files files;
    uint64_t before = stats().grants;
    Fd set = files.set();
    for (Fd& grant : files.grants) {
        grant.reset();
    }
    CHECK(stats().grants == before);
    CHECK(walk(set, {.fan_out = 16}).outcome.cause == EXO_END_DONE);
    set.reset();
    // A traversal whose end its caller knows may still be on its way out in a worker.
    for (int i = 0; i < 500 && stats().grants != before - kFiles; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(stats().grants == before - kFiles);
}

TEST_CASE("what is no set") {
    Files files;
    int grant = files.grants[0].get();
    std::vector<int> many(65, grant);
    CHECK(make_set({}).error == -EINVAL);
    CHECK(make_set(many).error == -E2BIG);
    many.pop_back();
    Opened largest = make_set(many);
    CHECK(largest.error == 0);
    CHECK(make_set({grant, -1}).error == -EBADF);
    CHECK(make_set({grant, files.files[0].get()}).error == -EBADF);
    // A set of sets could keep itself open for ever.
    CHECK(make_set({grant, largest.fd.get()}).error == -EBADF);
    CHECK(make_set({files.rig.volume.get()}).error == -EBADF);

    exo_set_create request = {.grant_fds = 8, .count = 1, .flags = 0};
    CHECK(call(open_exo(), EXO_IOC_SET_CREATE, &request) == -EFAULT);
    request.flags = 1;
    CHECK(call(open_exo(), EXO_IOC_SET_CREATE, &request) == -EINVAL);
    // It can run traversals and nothing else.
    exo_grant_derive derive = {};
    CHECK(call(largest.fd, EXO_GRANT_DERIVE, &derive) == -ENOTTY);
    exo_grant_revoke revoke = {};
    CHECK(call(largest.fd, EXO_GRANT_REVOKE, &revoke) == -ENOTTY);
}

TEST_SUITE_END();
