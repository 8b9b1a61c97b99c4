// SPDX-License-Identifier: MIT
// Traversals: what they read, each way they end, and every bound at its edge.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "rig.h"
#include "slow.h"

using namespace exo::test;

TEST_SUITE_BEGIN("traversal");

TEST_CASE("a chain is followed to its end and every block counted once") {
    constexpr uint32_t kBlocks = 100;
    test_chain_result expected = write_chain(device_path(), kBlocks, 256);
    Rig rig;
    const Program& chain = shared_program("test_chain");
    exo_stats before = stats();

    for (int round = 0; round < 50; round++) {
        Run r = run(rig.grant, chain.id(), 0);
        REQUIRE(r.error == 0);
        CHECK(r.outcome.cause == EXO_END_DONE);
        CHECK(r.outcome.error == 0);
        CHECK(r.outcome.hops == kBlocks);
        CHECK(r.outcome.value == kBlocks);
        const exo_outcome& out = r.outcome;
        CHECK(out.direct + out.deferred + out.dispatched == kBlocks - 1);
        CHECK(r.outcome.holes == 0);
        CHECK(r.outcome.elapsed_ns > 0);
        REQUIRE(r.outcome.result_len == sizeof(expected));
        CHECK(memcmp(r.result.data(), &expected, sizeof(expected)) == 0);
        CHECK(r.result[sizeof(expected)] == 0xee);  // not a byte more
    }

    exo_stats after = stats();
    CHECK(after.traversals - before.traversals == 50);
    CHECK(after.hops - before.hops == 50 * kBlocks);
    CHECK(after.issued_first - before.issued_first == 50);
    CHECK(after.bytes - before.bytes == 50 * kBlocks * 4096);
    CHECK(after.traversals_in_flight == 0);
    if (std::getenv("EXO_TEST_NEVER_DIRECT")) {
        // A caller that finds its read completed before it could leave goes on itself.
        CHECK(after.issued_direct - before.issued_direct < kBlocks);
    }
    MESSAGE("reissued in the completion: " << after.issued_direct - before.issued_direct
                                           << ", by a worker: "
                                           << after.issued_deferred - before.issued_deferred);
}

TEST_CASE("a fragmented map and holes are translated block by block") {
    constexpr uint32_t kBlocks = 200;
    // The file's blocks lie backwards on the device, every fourth is a hole.
    std::vector<uint64_t> image(kBlocks * 512);
    std::vector<exo_extent> extents;
    for (uint64_t i = 0; i < kBlocks; i++) {
        image[(kBlocks - 1 - i) * 512] = i + 1;
        if (i % 4 != 3) {
            extents.push_back(
                {.file_offset = i * 4096, .disk_offset = (kBlocks - 1 - i) * 4096, .length = 4096});
        }
    }
    write_device(device_path(), 0, image.data(), image.size() * 8);
    Rig rig(kBlocks * 4096, extents);
    const Program& copy = shared_program("test_copy");

    for (uint64_t i = 0; i < kBlocks; i++) {
        Run r = run(rig.grant, copy.id(), test_copy_args{}, {.start_offset = i * 4096});
        REQUIRE(r.error == 0);
        REQUIRE(r.outcome.cause == EXO_END_DONE);
        uint64_t value = 0;
        memcpy(&value, r.result.data(), 8);
        CHECK(value == (i % 4 == 3 ? 0 : i + 1));
        CHECK(r.outcome.holes == (i % 4 == 3 ? 1 : 0));
    }

    const Program& stride = shared_program("test_stride");
    test_stride_args all = {.stride = 4096, .count = kBlocks, .len = 4096};
    Run r = run(rig.grant, stride.id(), all);
    CHECK(r.outcome.cause == EXO_END_DONE);
    CHECK(r.outcome.hops == kBlocks);
    CHECK(r.outcome.holes == kBlocks / 4);
}

TEST_CASE("neighbours on the device are one extent") {
    std::vector<uint8_t> image(16 * 4096);
    for (size_t i = 0; i < image.size(); i++) {
        image[i] = static_cast<uint8_t>(i / 4096);
    }
    write_device(device_path(), 0, image.data(), image.size());
    Rig rig(4 * 4096, {{0, 4096, 4096}, {4096, 8192, 4096}, {8192, 12288, 8192}});
    const Program& copy = shared_program("test_copy");
    Run r = run(rig.grant, copy.id(), test_copy_args{}, {.hop_bytes = 16384});
    CHECK(r.outcome.cause == EXO_END_DONE);
    CHECK(r.outcome.value == 16384);
    CHECK(r.result[0] == 1);
}

TEST_CASE("every read a program can ask for ends as the interface says") {
    constexpr uint64_t kSize = 65 * 4096 - 100;  // the last block is partly behind the end
    Rig rig(kSize, {{0, kMiB, 65 * 4096}});
    const Program& act = shared_program("test_act");
    exo_grant_open request = {};
    request.range_start = 8192;
    request.range_len = 16384;
    Opened part = rig.regrant(request);
    REQUIRE(part.error == 0);

    struct {
        const char* what;
        bool whole;  // the grant over the whole file
        uint64_t offset;
        uint32_t len;
        uint32_t cause;
    } table[] = {
        {"the last whole block", true, 63 * 4096, 4096, EXO_END_DONE},
        {"the block with the end of the file", true, 64 * 4096, 4096, EXO_END_DONE},
        {"behind the end", true, 65 * 4096, 4096, EXO_END_OUT_OF_FILE},
        {"far behind the end", true, 1ULL << 60, 4096, EXO_END_OUT_OF_FILE},
        {"an offset that overflows", true, ~4095ULL, 4096, EXO_END_OUT_OF_FILE},
        {"across the end", true, 64 * 4096, 8192, EXO_END_OUT_OF_FILE},
        {"nothing", true, 0, 0, EXO_END_BAD_LENGTH},
        {"an odd length", true, 0, 4095, EXO_END_DONE},
        {"an odd offset", true, 1, 4096, EXO_END_DONE},
        {"all of hop_bytes", true, 0, 8192, EXO_END_DONE},
        {"blocks over hop_bytes", true, 1, 8192, EXO_END_BAD_LENGTH},
        {"more than hop_bytes", true, 0, 8193, EXO_END_BAD_LENGTH},
        {"the largest length", true, 0, 0xffffffff, EXO_END_BAD_LENGTH},
        {"the last byte", true, kSize - 1, 1, EXO_END_DONE},
        {"from the last byte on", true, kSize - 1, 101, EXO_END_DONE},
        {"one byte over the last block", true, kSize - 1, 102, EXO_END_OUT_OF_FILE},
        {"behind the end, in the last block", true, kSize, 1, EXO_END_OUT_OF_FILE},
        {"the range's first block", false, 8192, 4096, EXO_END_DONE},
        {"the range's last block", false, 20480, 4096, EXO_END_DONE},
        {"before the range", false, 4096, 4096, EXO_END_OUT_OF_RANGE},
        {"across the range's start", false, 4096, 8192, EXO_END_OUT_OF_RANGE},
        {"behind the range", false, 24576, 4096, EXO_END_OUT_OF_RANGE},
        {"across the range's end", false, 20480, 8192, EXO_END_OUT_OF_RANGE},
        {"the range's first byte", false, 8192, 1, EXO_END_DONE},
        {"the byte before it", false, 8191, 1, EXO_END_OUT_OF_RANGE},
        {"the range's last byte", false, 24575, 1, EXO_END_DONE},
        {"one byte over the range's end", false, 24575, 2, EXO_END_OUT_OF_RANGE},
        {"outside of range and file", false, 65 * 4096, 4096, EXO_END_OUT_OF_FILE},
    };
    for (const auto& row : table) {
        CAPTURE(row.what);
        test_act_args args = {
            .offset = row.offset, .len = row.len, .read = 1, .verdict = EXO_NEXT, .report_len = 0};
        Run r = run(row.whole ? rig.grant : part.fd, act.id(), args,
                    {.start_offset = 8192, .hop_bytes = 8192});
        REQUIRE(r.error == 0);
        CHECK(r.outcome.cause == row.cause);
        CHECK(r.outcome.file_offset == row.offset);
        CHECK(r.outcome.hops == (row.cause == EXO_END_DONE ? 2 : 1));
        CHECK(r.outcome.error == 0);
    }

    // The same rules hold for the first read.
    test_act_args done = {.offset = 0, .len = 0, .read = 0, .verdict = EXO_DONE, .report_len = 0};
    CHECK(run(rig.grant, act.id(), done, {.start_offset = 65 * 4096}).outcome.cause ==
          EXO_END_OUT_OF_FILE);
    CHECK(run(part.fd, act.id(), done, {.start_offset = 0}).outcome.cause == EXO_END_OUT_OF_RANGE);
    CHECK(run(part.fd, act.id(), done, {.start_offset = 0}).outcome.hops == 0);
    CHECK(run(rig.grant, act.id(), done, {.start_offset = 1}).outcome.cause == EXO_END_DONE);
}

TEST_CASE("verdicts") {
    Rig rig;
    const Program& act = shared_program("test_act");
    struct {
        const char* what;
        uint32_t read;
        int32_t verdict;
        uint32_t cause;
        int32_t error;
    } table[] = {
        {"done", 0, EXO_DONE, EXO_END_DONE, 0},
        {"done after a wish", 1, EXO_DONE, EXO_END_DONE, 0},
        {"an error of its own", 0, -ENOENT, EXO_END_PROGRAM, -ENOENT},
        {"the largest error", 0, -4095, EXO_END_PROGRAM, -4095},
        {"no errno", 0, -4096, EXO_END_BAD_VERDICT, 0},
        {"the smallest integer", 0, INT32_MIN, EXO_END_BAD_VERDICT, 0},
        {"next without a read", 0, EXO_NEXT, EXO_END_BAD_VERDICT, 0},
        {"no verdict", 1, 2, EXO_END_BAD_VERDICT, 0},
        {"the largest integer", 1, INT32_MAX, EXO_END_BAD_VERDICT, 0},
    };
    for (const auto& row : table) {
        CAPTURE(row.what);
        test_act_args args = {
            .offset = 0, .len = 4096, .read = row.read, .verdict = row.verdict, .report_len = 0};
        Run r = run(rig.grant, act.id(), args);
        REQUIRE(r.error == 0);
        CHECK(r.outcome.cause == row.cause);
        CHECK(r.outcome.error == row.error);
        CHECK(r.outcome.hops == 1);
    }
}

TEST_CASE("results are bounded by the area") {
    Rig rig;
    const Program& act = shared_program("test_act");
    for (uint32_t len : {0u, 4u, 8u, 9u, 0xffffffffu}) {
        CAPTURE(len);
        test_act_args args = {
            .offset = 0, .len = 0, .read = 0, .verdict = EXO_DONE, .report_len = len};
        Run r = run(rig.grant, act.id(), args, {.result_len = 8});
        CHECK(r.outcome.cause == EXO_END_DONE);
        CHECK(r.outcome.result_len == (len <= 8 ? len : 0));
        CHECK(r.outcome.value == (len <= 8 ? 4096 : 0));
    }
    // Too small an area or argument is seen by the program, not by the machine.
    test_act_args args = {};
    CHECK(run(rig.grant, act.id(), args, {.result_len = 3}).outcome.error == -EINVAL);
    CHECK(run(rig.grant.get(), act.id(), &args, sizeof(args) - 1, {}).outcome.error == -EINVAL);
    CHECK(run(rig.grant.get(), act.id(), nullptr, 0, {}).outcome.error == -EINVAL);
}

TEST_CASE("an area of no bytes is none, also where there is one") {
    Rig rig;
    const Program& zero = shared_program("test_zero");
    uint64_t args = 1;
    for (size_t args_len : {size_t{0}, sizeof(args)}) {
        for (uint32_t result_len : {0u, 64u}) {
            CAPTURE(args_len);
            CAPTURE(result_len);
            Run r = run(rig.grant.get(), zero.id(), &args, args_len, {.result_len = result_len});
            CHECK(r.error == 0);
            CHECK(r.outcome.cause == EXO_END_DONE);
            CHECK(r.outcome.value == 0);
        }
    }
}

TEST_CASE("hop limits, at the bound and beside it") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    auto ends = [&](const Fd& grant, uint32_t count, uint32_t limit) {
        test_stride_args args = {.stride = 4096, .count = count, .len = 4096};
        return run(grant, stride.id(), args, {.hop_limit = limit, .timeout_ms = 30000}).outcome;
    };
    CHECK(ends(rig.grant, 9, 10).cause == EXO_END_DONE);
    CHECK(ends(rig.grant, 10, 10).cause == EXO_END_DONE);
    exo_outcome over = ends(rig.grant, 11, 10);
    CHECK(over.cause == EXO_END_HOP_LIMIT);
    CHECK(over.hops == 10);
    CHECK(over.file_offset == 10 * 4096);  // the read that was refused
    CHECK(ends(rig.grant, 1, 1).cause == EXO_END_DONE);
    CHECK(ends(rig.grant, 2, 1).cause == EXO_END_HOP_LIMIT);

    // The default, which a traversal may lower and never raise.
    CHECK(ends(rig.grant, 256, 0).cause == EXO_END_DONE);
    CHECK(ends(rig.grant, 257, 0).cause == EXO_END_HOP_LIMIT);
    CHECK(ends(rig.grant, 257, 300).cause == EXO_END_HOP_LIMIT);

    exo_grant_open request = {};
    request.hop_limit = 300;
    Opened more = rig.regrant(request);
    REQUIRE(more.error == 0);
    CHECK(ends(more.fd, 300, 0).cause == EXO_END_DONE);
    CHECK(ends(more.fd, 301, 0).cause == EXO_END_HOP_LIMIT);

    request.hop_limit = UINT32_MAX;
    Opened most = rig.regrant(request);
    exo_grant_entry entry = {};
    REQUIRE(call(most.fd, EXO_GRANT_INFO, &entry) == 0);
    exo_info info = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &info) == 0);
    CHECK(entry.hop_limit == info.max_hops);
}

TEST_CASE("an endless chain ends at the hop limit or at the time limit") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    test_stride_args for_ever = {.stride = 0, .count = 0, .len = 4096};
    Run r = run(rig.grant, stride.id(), for_ever);
    CHECK(r.outcome.cause == EXO_END_HOP_LIMIT);
    CHECK(r.outcome.hops == 256);

    exo_grant_open request = {};
    request.hop_limit = UINT32_MAX;
    Opened most = rig.regrant(request);
    // The kernel counts time in ticks, which come late where the processor is emulated.
    r = run(most.fd, stride.id(), for_ever, {.timeout_ms = 50 * slowness()});
    CHECK(r.outcome.cause == EXO_END_TIMEOUT);
    CHECK(r.outcome.elapsed_ns >= 40'000'000 * slowness());
    CHECK(r.outcome.elapsed_ns < 2'000'000'000);
}

TEST_CASE("an endless chain of holes ends, and does not stay in the interrupt") {
    Rig rig(64 * 4096, {{0, 0, 4096}});
    const Program& stride = shared_program("test_stride");
    exo_grant_open request = {};
    request.hop_limit = UINT32_MAX;
    Opened most = rig.regrant(request);
    test_stride_args holes = {.stride = 4096, .count = 0, .len = 4096};
    Run r = run(most.fd, stride.id(), holes, {.timeout_ms = 30000});
    CHECK(r.outcome.cause == EXO_END_HOP_LIMIT);
    CHECK(r.outcome.hops == 65536);
    CHECK(r.outcome.holes == 65536 / 64 * 63);
}

TEST_CASE("bytes behind the end of the file are zeros") {
    std::vector<uint8_t> image(8192, 0xaa);
    write_device(device_path(), 0, image.data(), image.size());
    const Program& copy = shared_program("test_copy");
    for (uint64_t missing : {0u, 1u, 100u, 511u}) {
        uint64_t size = 4096 - missing;
        CAPTURE(size);
        Rig rig(size, {{0, 0, 4096}});
        for (uint32_t at : {0u, 3584u, 3968u, 4032u}) {
            Run r = run(rig.grant, copy.id(), test_copy_args{.at = at, .reserved = 0});
            REQUIRE(r.outcome.cause == EXO_END_DONE);
            CHECK(r.outcome.value == size);  // hop->len
            for (uint32_t i = 0; i < EXO_TEST_COPY_BYTES; i++) {
                REQUIRE(r.result[i] == (at + i < size ? 0xaa : 0));
            }
        }
    }
}

TEST_CASE("a program's start chooses the first read, and finish runs once") {
    Rig rig;
    Program hooks("test_hooks");
    struct {
        test_hooks_args args;
        uint32_t cause;
        int32_t error;
        uint64_t offset;
        uint32_t hops;
    } table[] = {
        {{.first_offset = 8192, .len = 4096, .keep = 0, .start_verdict = EXO_NEXT, .reserved = 0},
         EXO_END_DONE,
         0,
         8192,
         1},
        {{.first_offset = 0, .len = 0, .keep = 1, .start_verdict = EXO_NEXT, .reserved = 0},
         EXO_END_DONE,
         0,
         4096,
         1},
        {{.first_offset = 0, .len = 0, .keep = 1, .start_verdict = EXO_DONE, .reserved = 0},
         EXO_END_DONE,
         0,
         0,
         0},
        {{.first_offset = 0, .len = 0, .keep = 1, .start_verdict = -EACCES, .reserved = 0},
         EXO_END_PROGRAM,
         -EACCES,
         0,
         0},
        {{.first_offset = 0, .len = 0, .keep = 1, .start_verdict = 7, .reserved = 0},
         EXO_END_BAD_VERDICT,
         0,
         0,
         0},
        {{.first_offset = kMiB, .len = 4096, .keep = 0, .start_verdict = EXO_NEXT, .reserved = 0},
         EXO_END_OUT_OF_FILE,
         0,
         0,
         0},
    };
    uint64_t runs = 0;
    for (const auto& row : table) {
        Run r = run(rig.grant, hooks.id(), row.args, {.start_offset = 4096});
        CHECK(r.outcome.cause == row.cause);
        CHECK(r.outcome.error == row.error);
        CHECK(r.outcome.hops == row.hops);
        CHECK(r.outcome.value == row.offset);
        runs++;
        CHECK(hooks.map_value("calls", 0) == runs);
        CHECK(hooks.map_value("calls", 2) == runs);
    }
    CHECK(hooks.map_value("calls", 1) == 2);
}

TEST_CASE("the order of checks before a traversal starts") {
    Rig rig;
    const Program& act = shared_program("test_act");
    test_act_args args = {};
    uint8_t result[8];
    exo_traverse good = {};
    good.program_id = act.id();
    good.hop_bytes = 4096;
    good.args = reinterpret_cast<uint64_t>(&args);
    good.args_len = sizeof(args);
    good.result = reinterpret_cast<uint64_t>(result);
    good.result_len = sizeof(result);
    auto answer = [&](exo_traverse t) { return call(rig.grant, EXO_GRANT_TRAVERSE, &t); };
    REQUIRE(answer(good) == 0);

    struct {
        const char* what;
        void (*spoil)(exo_traverse&);
        int error;
    } table[] = {
        {"unknown flag", [](exo_traverse& t) { t.flags = 8; }, -EINVAL},
        {"room for blocks, and no flag", [](exo_traverse& t) { t.blocks_len = 1; }, -EINVAL},
        {"hop_bytes 0", [](exo_traverse& t) { t.hop_bytes = 0; }, -EINVAL},
        {"hop_bytes odd", [](exo_traverse& t) { t.hop_bytes = 4097; }, -EINVAL},
        {"hop_bytes over the maximum", [](exo_traverse& t) { t.hop_bytes = 65536 + 2 * 4096; },
         -EINVAL},
        {"hop_bytes that overflows", [](exo_traverse& t) { t.hop_bytes = 0xfffff000; }, -EINVAL},
        {"args_len", [](exo_traverse& t) { t.args_len = 4097; }, -E2BIG},
        {"args_len that overflows", [](exo_traverse& t) { t.args_len = UINT32_MAX; }, -E2BIG},
        {"result_len", [](exo_traverse& t) { t.result_len = 65537; }, -E2BIG},
        {"result_len that overflows", [](exo_traverse& t) { t.result_len = UINT32_MAX; }, -E2BIG},
        {"program 0", [](exo_traverse& t) { t.program_id = 0; }, -ENOENT},
        {"unknown program", [](exo_traverse& t) { t.program_id = UINT32_MAX; }, -ENOENT},
        {"args address", [](exo_traverse& t) { t.args = 8; }, -EFAULT},
        {"args in the kernel", [](exo_traverse& t) { t.args = 0xffff888000000000; }, -EFAULT},
        // Flags come before sizes, sizes before the program, the program before the addresses.
        {"flag and size", [](exo_traverse& t) { t.flags = 8, t.args_len = 4097; }, -EINVAL},
        {"size and program", [](exo_traverse& t) { t.args_len = 4097, t.program_id = 0; }, -E2BIG},
        {"program and address", [](exo_traverse& t) { t.program_id = 0, t.args = 8; }, -ENOENT},
    };
    for (const auto& row : table) {
        CAPTURE(row.what);
        exo_traverse t = good;
        row.spoil(t);
        CHECK(answer(t) == row.error);
    }

    // A result address is only touched as far as the program reports.
    exo_traverse t = good;
    t.result = 8;
    CHECK(answer(t) == 0);
    args.report_len = 4;
    CHECK(answer(t) == -EFAULT);

    // The most that is allowed.
    std::vector<uint8_t> big_args(4096), big_result(65536);
    memcpy(big_args.data(), &args, sizeof(args));
    t = good;
    t.args = reinterpret_cast<uint64_t>(big_args.data());
    t.args_len = 4096;
    t.result = reinterpret_cast<uint64_t>(big_result.data());
    t.result_len = 65536;
    t.hop_bytes = 65536;
    CHECK(answer(t) == 0);
    CHECK(stats().traversals_in_flight == 0);
}

// The script that makes the device says where it is bad.
TEST_CASE("a read that the device fails ends the traversal and names the place" *
          doctest::skip(!std::getenv("EXO_TEST_BAD_OFFSET"))) {
    const uint64_t bad = std::strtoull(std::getenv("EXO_TEST_BAD_OFFSET"), nullptr, 0);
    Rig rig(bad + kMiB);
    const Program& stride = shared_program("test_stride");
    test_stride_args args = {.stride = 4096, .count = 16, .len = 4096};
    exo_stats before = stats();
    for (int round = 0; round < 20; round++) {
        Run r = run(rig.grant, stride.id(), args, {.start_offset = bad - 4 * 4096});
        REQUIRE(r.error == 0);
        CHECK(r.outcome.cause == EXO_END_IO);
        CHECK(r.outcome.error == -EIO);
        CHECK(r.outcome.hops == 4);
        CHECK(r.outcome.file_offset == bad);
        CHECK(run(rig.grant, stride.id(), args, {.start_offset = bad + 4096}).outcome.cause ==
              EXO_END_DONE);
        // Also as the very first read.
        CHECK(run(rig.grant, stride.id(), args, {.start_offset = bad}).outcome.cause == EXO_END_IO);
    }
    CHECK(stats().io_errors - before.io_errors == 40);
}

TEST_CASE("polled traversals") {
    Rig rig;
    const Program& stride = shared_program("test_stride");
    test_stride_args args = {.stride = 4096, .count = 60, .len = 4096};
    Run r = run(rig.grant, stride.id(), args, {.engine = EXO_ENGINE_POLLED});
    if (r.error == -EOPNOTSUPP) {
        CHECK_MESSAGE(!on_nvme(), "the device has no poll queues");
        return;
    }
    REQUIRE(r.error == 0);
    CHECK(r.outcome.cause == EXO_END_DONE);
    CHECK(r.outcome.hops == 60);
    CHECK(r.outcome.polled == 59);
    CHECK(r.outcome.direct == 0);
    CHECK(r.outcome.deferred == 0);
}

TEST_CASE("a chain is followed by a polling caller") {
    test_chain_result expected = write_chain(device_path(), 60, 256);
    Rig rig;
    const Program& chain = shared_program("test_chain");
    Run r = run(rig.grant, chain.id(), 0, {.engine = EXO_ENGINE_POLLED});
    if (r.error == -EOPNOTSUPP) {
        return;
    }
    REQUIRE(r.error == 0);
    CHECK(r.outcome.cause == EXO_END_DONE);
    CHECK(memcmp(r.result.data(), &expected, sizeof(expected)) == 0);
}

TEST_SUITE_END();
