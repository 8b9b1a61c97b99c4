// SPDX-License-Identifier: MIT
// What programs may call, with every value at and beside its bound: no call harms, and each answers
// as bpf/include/exo.bpf.h says. What the verifier refuses is in programs_test.cc.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <cstring>

#include "rig.h"

using namespace exo::test;

namespace {

struct Calls {
    int error;
    exo_outcome outcome;
    test_calls_result result;
};

Calls make(const Fd& grant, const std::vector<test_call>& calls, int32_t verdict,
           RunOptions options = {}) {
    test_calls_args args = {
        .count = static_cast<uint32_t>(calls.size()), .verdict = verdict, .call = {}};
    REQUIRE(calls.size() <= EXO_TEST_CALLS);
    std::copy(calls.begin(), calls.end(), args.call);
    options.result_len = sizeof(test_calls_result);
    Run r = run(grant, shared_program("test_calls").id(), args, options);
    Calls made = {.error = r.error, .outcome = r.outcome, .result = {}};
    memcpy(&made.result, r.result.data(), sizeof(made.result));
    return made;
}

test_call read_from(uint32_t slot, uint64_t offset, uint64_t tag = 0) {
    return {.kind = EXO_TEST_READ_FROM,
            .slot = slot,
            .offset = offset,
            .tag = tag,
            .len = 4096,
            .reserved = 0};
}

test_call of_slot(uint32_t kind, uint32_t slot) {
    return {.kind = kind, .slot = slot, .offset = 0, .tag = 0, .len = 0, .reserved = 0};
}

constexpr uint64_t kSizes[] = {1, 511, 512, 4096, 4097, 65536, UINT32_MAX};

// Which of the sizes an area of so many bytes is given for.
uint64_t given(uint64_t bytes, unsigned first) {
    uint64_t mask = 0;
    for (size_t i = 0; i < std::size(kSizes); i++) {
        mask |= kSizes[i] <= bytes ? 1ULL << (first + i) : 0;
    }
    return mask;
}

}  // namespace

TEST_SUITE_BEGIN("calls");

TEST_CASE("an area is given for what it has, and not for a byte more") {
    Rig rig(32 * 4096 - 100);
    uint32_t program = shared_program("test_calls").id();
    const uint32_t block = rig.info.logical_block_bytes;
    test_calls_args args = {};
    std::vector<uint8_t> long_args(4096);
    memcpy(long_args.data(), &args, sizeof(args));
    for (uint32_t hop_bytes : {block, 4096u, 8192u, 65536u}) {
        for (size_t args_len : {sizeof(args), size_t{4095}, size_t{4096}}) {
            for (uint32_t result_len :
                 {static_cast<uint32_t>(sizeof(test_calls_result)), 511u, 512u, 4096u, 65536u}) {
                CAPTURE(hop_bytes);
                CAPTURE(args_len);
                CAPTURE(result_len);
                Run r = run(rig.grant.get(), program, long_args.data(), args_len,
                            {.hop_bytes = hop_bytes, .result_len = result_len});
                REQUIRE(r.error == 0);
                CHECK(r.outcome.cause == EXO_END_DONE);
                CHECK(r.outcome.value ==
                      (given(hop_bytes, 0) | given(args_len, 8) | given(result_len, 16)));
            }
        }
    }
    // A block at the end of the file is whole, with zeros behind the end.
    Run r = run(rig.grant.get(), program, &args, sizeof(args),
                {.start_offset = 31 * 4096, .result_len = sizeof(test_calls_result)});
    CHECK(r.outcome.cause == EXO_END_DONE);
    CHECK((r.outcome.value & 0xff) == given(4096, 0));
}

TEST_CASE("as many reads as the caller allows, and what is no read") {
    Rig rig(64 * 4096);
    for (uint16_t fan_out : {1, 2, 15, 16}) {
        CAPTURE(fan_out);
        std::vector<test_call> calls(EXO_TEST_CALLS, read_from(0, 4096));
        calls[0].kind = EXO_TEST_READ;
        Calls made = make(rig.grant, calls, EXO_NEXT, {.fan_out = fan_out});
        CHECK(made.outcome.cause == EXO_END_DONE);
        CHECK(made.outcome.hops == 1 + fan_out);
        for (size_t i = 0; i < calls.size(); i++) {
            CAPTURE(i);
            CHECK(made.result.ret[i] == (i < fan_out ? 0 : -ENOSPC));
        }
    }
    // A verdict other than EXO_NEXT drops them, whatever they are.
    for (int32_t verdict : {int32_t{EXO_DONE}, -EIO, 2, INT32_MIN}) {
        CAPTURE(verdict);
        Calls made = make(rig.grant, {read_from(UINT32_MAX, ~0ULL), read_from(0, 0)}, verdict,
                          {.fan_out = 2});
        CHECK(made.outcome.hops == 1);
        CHECK(made.outcome.cause == (verdict == EXO_DONE ? EXO_END_DONE
                                     : verdict == -EIO   ? EXO_END_PROGRAM
                                                         : EXO_END_BAD_VERDICT));
    }
    expect_idle();
}

TEST_CASE("slots that there are, and others") {
    Rig rig(64 * 4096);
    for (uint32_t slot : {1u, 63u, 64u, 1u << 31, UINT32_MAX}) {
        CAPTURE(slot);
        Calls made = make(rig.grant, {read_from(slot, 0)}, EXO_NEXT);
        CHECK(made.result.ret[0] == 0);  // whether it is allowed is found out after the verdict
        CHECK(made.outcome.cause == EXO_END_BAD_SLOT);
        CHECK(made.outcome.slot == slot);
        CHECK(made.outcome.hops == 1);
        CHECK(make(rig.grant, {of_slot(EXO_TEST_FILE_SIZE, slot)}, EXO_DONE).result.ret[0] == 0);
    }
    CHECK(make(rig.grant, {of_slot(EXO_TEST_FILE_SIZE, 0)}, EXO_DONE).result.ret[0] == 64 * 4096);

    // Of a set: each slot's own file.
    REQUIRE(pin(rig.volume, kIno + 1, 1, 8092, {{0, 64 * 4096, 8192}}) == 0);
    Fd other = open_path(rig.mount.path("other"), O_RDONLY);
    Opened second = open_grant(other.get());
    REQUIRE(second.error == 0);
    const int fds[] = {rig.grant.get(), second.fd.get()};
    exo_set_create create = {.grant_fds = reinterpret_cast<uint64_t>(fds), .count = 2, .flags = 0};
    Fd set(call(open_exo(), EXO_IOC_SET_CREATE, &create));
    REQUIRE(set);
    Calls made = make(set,
                      {of_slot(EXO_TEST_FILE_SIZE, 0), of_slot(EXO_TEST_FILE_SIZE, 1),
                       of_slot(EXO_TEST_FILE_SIZE, 2), read_from(1, 0, 0x1234567890abcdef)},
                      EXO_NEXT);
    CHECK(made.outcome.cause == EXO_END_DONE);
    CHECK(made.result.ret[0] == 64 * 4096);
    CHECK(made.result.ret[1] == 8092);
    CHECK(made.result.ret[2] == 0);
    CHECK(made.result.tag == 0x1234567890abcdef);
    CHECK(made.result.slot == 1);
    CHECK(make(set, {read_from(2, 0)}, EXO_NEXT).outcome.cause == EXO_END_BAD_SLOT);
    CHECK(make(set, {read_from(1, 8192)}, EXO_NEXT).outcome.cause == EXO_END_OUT_OF_FILE);
}

TEST_CASE("a report of more than there is changes nothing") {
    Rig rig;
    constexpr uint32_t kLen = sizeof(test_calls_result);
    for (uint32_t len : {0u, 1u, kLen, kLen + 1, 65536u, UINT32_MAX}) {
        CAPTURE(len);
        test_call report = {.kind = EXO_TEST_REPORT,
                            .slot = 0,
                            .offset = 0,
                            .tag = 4711,
                            .len = len,
                            .reserved = 0};
        Calls made = make(rig.grant, {report}, EXO_DONE);
        CHECK(made.outcome.cause == EXO_END_DONE);
        CHECK(made.outcome.result_len == (len <= kLen ? len : kLen));
        CHECK((made.outcome.value == 4711) == (len <= kLen));
        // What the call itself answers; a second one lets all of it be seen.
        test_call all = report;
        all.len = kLen;
        made = make(rig.grant, {report, all}, EXO_DONE);
        CHECK(made.outcome.result_len == kLen);
        CHECK(made.result.ret[0] == (len <= kLen ? 0 : -E2BIG));
        CHECK(made.result.ret[1] == 0);
    }
}

TEST_SUITE_END();
