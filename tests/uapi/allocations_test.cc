// SPDX-License-Identifier: MIT
// What a traversal needs it has before its first read: however many blocks it visits, by whichever
// engine and way in, the kernel allocates as much as for one.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "allocations.h"
#include "rig.h"
#include "ring.h"
#include "tree.h"

using namespace exo::test;

namespace {

constexpr uint32_t kDeep = 241;
constexpr const char* kEngines[] = {"auto", "completion", "polled", "dispatch"};

class Counted {
  public:
    // Allocations of the fewest rounds; false if the device is not served so.
    bool compare(const std::string& way, const std::function<bool(uint32_t depth)>& run,
                 const std::function<void(uint32_t depth)>& before = {}) {
        auto least = [&](uint32_t depth) {
            if (before) {
                before(depth);
            }
            return allocations_.least(7, [&] { REQUIRE(run(depth)); });
        };
        if (before) {
            before(1);
        }
        if (!run(1)) {
            return false;
        }
        least(1);  // what is allocated once and kept
        const uint64_t shallow = least(1);
        const uint64_t deep = least(kDeep);
        CAPTURE(way);
        CHECK(shallow > 0);  // so that they are counted at all
        // Others may have allocated in each of the rounds, but not once for every hop.
        CHECK(deep < shallow + kDeep / 10);
        MESSAGE(way << ": " << shallow << " allocations for 1 block, " << deep << " for " << kDeep);
        return true;
    }

  private:
    AllocationCounter allocations_;
};

// One that ends as it should; false if the device is not served so.
bool good(int error, const exo_outcome& outcome, uint32_t depth) {
    if (error == -EOPNOTSUPP) {
        return false;
    }
    REQUIRE(error == 0);
    REQUIRE(outcome.cause == EXO_END_DONE);
    REQUIRE(outcome.hops == depth);
    return true;
}

}  // namespace

TEST_SUITE_BEGIN("allocations");

TEST_CASE("no hop allocates, by any engine and way in") {
    Rig rig;
    const uint32_t block = rig.info.logical_block_bytes;
    Counted counted;
    test_stride_args args = {};
    auto request = [&](uint16_t engine, uint32_t depth) {
        args = {.stride = 3 * block, .count = depth, .len = block};
        exo_traverse traverse = {};
        traverse.program_id = shared_program("test_stride").id();
        traverse.engine = engine;
        traverse.hop_bytes = block;
        traverse.timeout_ms = 20000;
        traverse.args = address(&args);
        traverse.args_len = sizeof(args);
        return traverse;
    };
    bool any = false;
    for (uint16_t engine : {EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
        const std::string name = kEngines[engine];
        any |= counted.compare(name, [&](uint32_t depth) {
            exo_traverse traverse = request(engine, depth);
            int error = call(rig.grant, EXO_GRANT_TRAVERSE, &traverse);
            return good(error, traverse.outcome, depth);
        });
        std::vector<exo_traverse> entries(8);
        counted.compare(name + ", a batch of 8", [&](uint32_t depth) {
            for (exo_traverse& entry : entries) {
                entry = request(engine, depth);
            }
            exo_batch batch = {.traversals = address(entries.data()),
                               .count = 8,
                               .entry_bytes = sizeof(exo_traverse),
                               .flags = 0,
                               .reserved = 0};
            REQUIRE(call(rig.grant, EXO_GRANT_BATCH, &batch) == 0);
            const exo_outcome& out = entries.back().outcome;
            return good(out.cause == EXO_END_NOT_STARTED ? out.error : 0, out, depth);
        });
        Ring ring(8, engine == EXO_ENGINE_POLLED ? unsigned{IORING_SETUP_IOPOLL} : 0);
        counted.compare(name + ", in a ring", [&](uint32_t depth) {
            exo_traverse traverse = request(engine, depth);
            ring.push(rig.grant.get(), &traverse, 0);
            ring.submit(1);
            int32_t res = ring.reap().res;
            return good(res < 0 ? res : 0, traverse.outcome, depth);
        });
    }
    CHECK(any);
}

TEST_CASE("no hop allocates of a traversal with many reads at once, in one file or a set") {
    Rig rig(kTreeFileBytes);
    REQUIRE(pin(rig.volume, kIno + 1, 1, kTreeFileBytes,
                {{.file_offset = 0, .disk_offset = kTreeFileBytes, .length = kTreeFileBytes}}) ==
            0);
    Fd second_file = open_path(rig.mount.path("other"), O_RDONLY);
    Opened second = open_grant(second_file.get());
    REQUIRE(second.error == 0);
    const int fds[] = {rig.grant.get(), second.fd.get()};
    exo_set_create create = {.grant_fds = address(fds), .count = 2, .flags = 0};
    const Fd set(call(open_exo(), EXO_IOC_SET_CREATE, &create));
    REQUIRE(set);

    Counted counted;
    auto result = std::make_unique<test_tree_result>();
    bool any = false;
    for (bool in_set : {false, true}) {
        for (uint16_t engine : {EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
            any |= counted.compare(
                std::string(kEngines[engine]) + (in_set ? ", a set" : "") + ", 16 reads at once",
                [&](uint32_t depth) {
                    exo_traverse traverse = {};
                    traverse.program_id = shared_program("test_tree").id();
                    traverse.engine = engine;
                    traverse.fan_out = 16;
                    traverse.hop_bytes = 4096;
                    traverse.timeout_ms = 20000;
                    traverse.result = address(result.get());
                    traverse.result_len = sizeof(*result);
                    int error = call(in_set ? set : rig.grant, EXO_GRANT_TRAVERSE, &traverse);
                    return good(error, traverse.outcome, depth);
                },
                [&](uint32_t depth) { write_tree(device_path(), in_set ? 2 : 1, depth, 16); });
        }
    }
    CHECK(any);
}

TEST_SUITE_END();
