// SPDX-License-Identifier: MIT
// First reads of any size at any byte over a fragmented file, and the copies of blocks that callers
// get. Those that come after the first are walks_test.cc's.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "fragmented.h"
#include "rig.h"
#include "ring.h"
#include "slow.h"

using namespace exo::test;

namespace {

uint32_t block_bytes() {
    exo_attach info = {};
    REQUIRE(attach(device_path(), &info).error == 0);
    return info.logical_block_bytes;
}

}  // namespace

TEST_SUITE_BEGIN("reads");

TEST_CASE("reads of every size and alignment over a fragmented file equal its bytes") {
    const uint32_t block = block_bytes();
    Fragmented file(device_path(), block, 400, 1);
    Rig rig(file.size_bytes, file.extents);
    const Program hooks("test_hooks");
    const char* wanted = std::getenv("EXO_TEST_READS");
    const uint64_t cases = wanted ? std::strtoull(wanted, nullptr, 10) : 20000 / slowness();
    constexpr uint32_t kAtOnce = 64;

    std::vector<exo_traverse> entries(kAtOnce);
    std::vector<test_hooks_args> args(kAtOnce);
    std::vector<std::vector<uint8_t>> blocks(kAtOnce, std::vector<uint8_t>(65536));
    uint64_t split = 0, bytes = 0;
    for (uint64_t done = 0; done < cases; done += kAtOnce) {
        for (uint32_t i = 0; i < kAtOnce; i++) {
            const test_walk_read read = file.draw(65536);
            uint32_t window = (read.offset % block + read.len + block - 1) / block * block;
            args[i] = {.first_offset = read.offset,
                       .len = read.len,
                       .keep = 0,
                       .start_verdict = EXO_NEXT,
                       .reserved = 0};
            entries[i] = {};
            entries[i].flags = EXO_TRAVERSE_LAST_BLOCK;
            entries[i].program_id = hooks.id();
            entries[i].hop_bytes = window;
            entries[i].args = address(&args[i]);
            entries[i].args_len = sizeof(args[i]);
            entries[i].blocks = address(blocks[i].data());
            entries[i].blocks_len = read.len;
            entries[i].timeout_ms = 20000;
        }
        exo_batch batch = {.traversals = address(entries.data()),
                           .count = kAtOnce,
                           .entry_bytes = sizeof(exo_traverse),
                           .flags = 0,
                           .reserved = 0};
        REQUIRE(call(rig.grant, EXO_GRANT_BATCH, &batch) == 0);
        for (uint32_t i = 0; i < kAtOnce; i++) {
            const exo_outcome& out = entries[i].outcome;
            REQUIRE(out.cause == EXO_END_DONE);
            REQUIRE(out.blocks == 1);
            REQUIRE(out.blocks_len == args[i].len);
            REQUIRE(memcmp(blocks[i].data(), &file.image[args[i].first_offset], args[i].len) == 0);
            split += out.direct + out.deferred + out.dispatched > 0;
            bytes += args[i].len;
        }
    }
    CHECK(split > cases / 20);  // the file was fragmented enough to matter
    MESSAGE(cases << " reads, " << bytes << " bytes, " << split << " of several pieces");
}

TEST_CASE("64 KiB may begin at any byte, and no more") {
    constexpr uint32_t kLen = 65536;
    exo_info limits = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &limits) == 0);
    CHECK(limits.max_hop_bytes == kLen + 4096);
    const uint32_t block = block_bytes();
    // In one piece, and in the many that a file of short extents is read in.
    for (uint32_t extents : {1u, 600u}) {
        CAPTURE(extents);
        Fragmented file(device_path(), block, extents, 2);
        Rig rig(file.size_bytes, file.extents);
        const Program hooks("test_hooks");
        std::vector<uint8_t> got(limits.max_hop_bytes);
        auto read = [&](uint64_t offset, uint32_t len, uint32_t hop_bytes, uint16_t engine) {
            test_hooks_args args = {.first_offset = offset,
                                    .len = len,
                                    .keep = 0,
                                    .start_verdict = EXO_NEXT,
                                    .reserved = 0};
            exo_traverse request = {};
            request.flags = EXO_TRAVERSE_LAST_BLOCK;
            request.engine = engine;
            request.program_id = hooks.id();
            request.hop_bytes = hop_bytes;
            request.args = address(&args);
            request.args_len = sizeof(args);
            request.blocks = address(got.data());
            request.blocks_len = static_cast<uint32_t>(got.size());
            request.timeout_ms = 20000;
            int error = call(rig.grant, EXO_GRANT_TRAVERSE, &request);
            return error ? error : static_cast<int>(request.outcome.cause);
        };
        for (uint16_t engine :
             {EXO_ENGINE_AUTO, EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
            CAPTURE(engine);
            if (read(0, 1, block, engine) == -EOPNOTSUPP) {
                continue;
            }
            const uint64_t at = file.size_bytes / 3 / block * block;
            for (uint64_t odd : {uint64_t{0}, uint64_t{1}, uint64_t{511}, uint64_t{block - 1}}) {
                CAPTURE(odd);
                uint32_t window = odd ? kLen + block : kLen;
                std::fill(got.begin(), got.end(), 0xee);
                REQUIRE(read(at + odd, kLen, window, engine) == EXO_END_DONE);
                CHECK(memcmp(got.data(), &file.image[at + odd], kLen) == 0);
                CHECK(read(at + odd, kLen, window - block, engine) == EXO_END_BAD_LENGTH);
            }
            // The room is what counts, so more of an aligned read fits into it.
            REQUIRE(read(at, limits.max_hop_bytes, limits.max_hop_bytes, engine) == EXO_END_DONE);
            CHECK(memcmp(got.data(), &file.image[at], limits.max_hop_bytes) == 0);
            CHECK(read(at, limits.max_hop_bytes + 1, limits.max_hop_bytes, engine) ==
                  EXO_END_BAD_LENGTH);
            CHECK(read(at, 1, limits.max_hop_bytes + block, engine) == -EINVAL);
        }
    }
}

TEST_CASE("a block is seen up to the end of the file and not behind it") {
    const uint32_t block = block_bytes();
    std::vector<uint8_t> device(4ULL * block, 0xaa);
    write_device(device_path(), 0, device.data(), device.size());
    Rig rig(2ULL * block + 10, {{0, 0, 3ULL * block}});
    const Program& act = shared_program("test_act");
    test_act_args done = {.offset = 0, .len = 0, .read = 0, .verdict = EXO_DONE, .report_len = 0};
    std::vector<uint8_t> got(block, 1);
    exo_traverse request = {};
    request.flags = EXO_TRAVERSE_LAST_BLOCK;
    request.program_id = act.id();
    request.start_offset = 2ULL * block + 3;
    request.hop_bytes = block;
    request.args = address(&done);
    request.args_len = sizeof(done);
    uint32_t result = 0;
    request.result = address(&result);
    request.result_len = sizeof(result);
    request.blocks = address(got.data());
    request.blocks_len = block;
    REQUIRE(call(rig.grant, EXO_GRANT_TRAVERSE, &request) == 0);
    CHECK(request.outcome.cause == EXO_END_DONE);
    CHECK(request.outcome.value == 7);
    CHECK(request.outcome.blocks_len == 7);
    CHECK(got[6] == 0xaa);
    CHECK(got[7] == 1);  // not a byte more
}

TEST_CASE("all visited blocks, as far as there is room") {
    const uint32_t block = block_bytes();
    constexpr uint32_t kBlocks = 8;
    std::vector<uint8_t> device(static_cast<size_t>(kBlocks) * block);
    for (size_t i = 0; i < device.size(); i++) {
        device[i] = static_cast<uint8_t>(i / block + 1);
    }
    write_device(device_path(), 0, device.data(), device.size());
    Rig rig(device.size());
    const Program& stride = shared_program("test_stride");
    test_stride_args args = {.stride = block, .count = kBlocks, .len = block};
    const uint32_t entry = sizeof(exo_block_header) + block;

    for (uint32_t room : {kBlocks * entry, kBlocks * entry + 5, 3 * entry, 3 * entry - 1,
                          uint32_t{sizeof(exo_block_header)}, 0u}) {
        CAPTURE(room);
        std::vector<uint8_t> got(kBlocks * entry + 16, 0xee);
        exo_traverse request = {};
        request.flags = EXO_TRAVERSE_ALL_BLOCKS;
        request.program_id = stride.id();
        request.hop_bytes = block;
        request.args = address(&args);
        request.args_len = sizeof(args);
        request.blocks = address(got.data());
        request.blocks_len = room;
        REQUIRE(call(rig.grant, EXO_GRANT_TRAVERSE, &request) == 0);
        CHECK(request.outcome.cause == EXO_END_DONE);
        CHECK(request.outcome.hops == kBlocks);
        uint32_t fit = std::min(room / entry, kBlocks);
        CHECK(request.outcome.blocks == fit);
        REQUIRE(request.outcome.blocks_len == fit * entry);
        CHECK(got[request.outcome.blocks_len] == 0xee);
        for (uint32_t i = 0; i < fit; i++) {
            exo_block_header header = {};
            memcpy(&header, &got[i * entry], sizeof(header));
            CHECK(header.file_offset == uint64_t{i} * block);
            CHECK(header.len == block);
            CHECK(header.hop == i);
            CHECK(got[i * entry + sizeof(header)] == i + 1);
            CHECK(got[(i + 1) * entry - 1] == i + 1);
        }
    }
}

TEST_CASE("a result of 64 KiB arrives whole, wherever it is written") {
    constexpr uint32_t kBytes = EXO_TEST_FILL_WORDS * sizeof(uint64_t);
    Rig rig;
    const Program& fill = shared_program("test_fill");
    struct Area {
        std::array<uint64_t, EXO_TEST_FILL_WORDS + 2> words;
        exo_outcome outcome;
    };
    // In one allocation, which a ring may have as a buffer.
    auto area = std::make_unique<Area>();
    auto request = [&](uint32_t len) {
        area->words.fill(0xeeee);
        exo_traverse traverse = {};
        traverse.program_id = fill.id();
        traverse.hop_bytes = rig.info.logical_block_bytes;
        traverse.result = address(&area->words[1]);
        traverse.result_len = len;
        traverse.timeout_ms = 20000;
        return traverse;
    };
    auto check = [&](const exo_outcome& outcome) {
        CHECK(outcome.cause == EXO_END_DONE);
        REQUIRE(outcome.result_len == kBytes);
        uint32_t wrong = 0;
        for (uint64_t i = 0; i < EXO_TEST_FILL_WORDS; i++) {
            wrong += area->words[i + 1] != (i + 1) * EXO_TEST_FILL_FACTOR;
        }
        CHECK(wrong == 0);
        CHECK(area->words.front() == 0xeeee);
        CHECK(area->words.back() == 0xeeee);
    };
    exo_traverse traverse = request(kBytes);
    REQUIRE(call(rig.grant, EXO_GRANT_TRAVERSE, &traverse) == 0);
    check(traverse.outcome);
    traverse = request(kBytes + 1);
    CHECK(call(rig.grant, EXO_GRANT_TRAVERSE, &traverse) == -E2BIG);
    traverse = request(kBytes - 8);
    REQUIRE(call(rig.grant, EXO_GRANT_TRAVERSE, &traverse) == 0);
    CHECK(traverse.outcome.cause == EXO_END_PROGRAM);

    for (bool registered : {false, true}) {
        CAPTURE(registered);
        Ring ring(4, IORING_SETUP_SQE128);
        iovec vector = {area.get(), sizeof(*area)};
        REQUIRE(io_uring_register_buffers(ring.raw(), &vector, 1) == 0);
        traverse = request(kBytes);
        exo_uring_traverse command = {};
        memcpy(&command, &traverse, offsetof(exo_traverse, outcome));
        command.outcome = address(&area->outcome);
        ring.push(rig.grant.get(), command, 1);
        if (registered) {
            ring.use_buffer(0);
        }
        ring.submit(1);
        REQUIRE(ring.reap().res == EXO_END_DONE);
        check(area->outcome);
    }
}

TEST_CASE("bad requests for blocks") {
    Rig rig;
    const Program& stride = shared_program("test_stride");
    test_stride_args args = {.stride = 4096, .count = 1, .len = 4096};
    auto answer = [&](uint32_t flags, uint32_t len, uint64_t at) {
        exo_traverse request = {};
        request.flags = flags;
        request.program_id = stride.id();
        request.hop_bytes = 4096;
        request.args = address(&args);
        request.args_len = sizeof(args);
        request.blocks = at;
        request.blocks_len = len;
        return call(rig.grant, EXO_GRANT_TRAVERSE, &request);
    };
    std::vector<uint8_t> area(2 * kMiB);
    exo_info info = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &info) == 0);
    CHECK(answer(EXO_TRAVERSE_LAST_BLOCK | EXO_TRAVERSE_ALL_BLOCKS, 4096, address(area.data())) ==
          -EINVAL);
    CHECK(answer(0, 4096, address(area.data())) == -EINVAL);
    CHECK(answer(EXO_TRAVERSE_ALL_BLOCKS, info.max_blocks_bytes, address(area.data())) == 0);
    CHECK(answer(EXO_TRAVERSE_ALL_BLOCKS, info.max_blocks_bytes + 1, address(area.data())) ==
          -E2BIG);
    CHECK(answer(EXO_TRAVERSE_LAST_BLOCK, 4096, 8) == -EFAULT);
    CHECK(answer(EXO_TRAVERSE_LAST_BLOCK, 4095, 8) == 0);  // no room, so nothing is written
}

TEST_SUITE_END();
