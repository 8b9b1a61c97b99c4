// SPDX-License-Identifier: MIT
// Reads of any size at any byte over a fragmented file, and the copies of blocks that callers get.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>

#include "rig.h"
#include "slow.h"

using namespace exo::test;

namespace {

// A file of many small extents and holes in a scattered order, and what it reads as.
struct Fragmented {
    explicit Fragmented(uint32_t block, uint32_t seed) : random(seed) {
        std::vector<uint8_t> device(kDeviceBytes);
        for (uint8_t& byte : device) {
            byte = static_cast<uint8_t>(random());
        }
        write_device(device_path(), 0, device.data(), device.size());
        std::vector<uint64_t> places;  // runs of 16 blocks, so that an extent has room to grow
        for (uint64_t i = 0; i < kDeviceBytes / block / 16; i++) {
            places.push_back(i * 16 * block);
        }
        std::shuffle(places.begin(), places.end(), random);
        uint64_t at = 0;
        for (uint64_t place : places) {
            uint64_t len = (1 + random() % 16) * block;
            at += random() % 4 ? 0 : (1 + random() % 8) * block;
            extents.push_back({.file_offset = at, .disk_offset = place, .length = len});
            at += len;
        }
        at += 4ULL * block;  // ends in a hole, and not with a block
        size_bytes = at - 100;
        image.resize(at);
        for (const exo_extent& e : extents) {
            memcpy(&image[e.file_offset], &device[e.disk_offset], e.length);
        }
        image.resize(size_bytes);
    }

    static constexpr uint64_t kDeviceBytes = 4 * kMiB;
    std::mt19937 random;
    std::vector<exo_extent> extents;
    std::vector<uint8_t> image;
    uint64_t size_bytes = 0;
};

uint32_t block_bytes() {
    exo_attach info = {};
    REQUIRE(attach(device_path(), &info).error == 0);
    return info.logical_block_bytes;
}

uint64_t address(const void* p) {
    return reinterpret_cast<uint64_t>(p);
}

}  // namespace

TEST_SUITE_BEGIN("reads");

TEST_CASE("reads of every size and alignment over a fragmented file equal its bytes") {
    const uint32_t block = block_bytes();
    Fragmented file(block, 1);
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
            uint32_t offset = static_cast<uint32_t>(file.random() % file.size_bytes);
            // As many short ones as long ones, up to what fits into 64 KiB of blocks.
            uint32_t most = std::min<uint32_t>(65536 - offset % block,
                                               static_cast<uint32_t>(file.size_bytes) - offset);
            uint32_t len = static_cast<uint32_t>(
                std::min<uint64_t>(1 + file.random() % (2U << file.random() % 16), most));
            uint32_t window = (offset % block + len + block - 1) / block * block;
            args[i] = {.first_offset = offset,
                       .len = len,
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
            entries[i].blocks_len = len;
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
