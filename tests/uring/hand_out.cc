// SPDX-License-Identifier: MIT
// Hands out less than it has, as an application would: derives a narrow grant, puts grants into a
// set, takes the derived one back. Usage: exo_hand_out FILE PROGRAM [COMMAND], where FILE is pinned
// and PROGRAM the name of one that reads on at a stride (tests/bpf/test_stride.bpf.c), attached;
// COMMAND is run while a derived grant is open, with its number and its parent's as arguments.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exo/grant.hpp>
#include <exo/program.hpp>
#include <string>

#include "must.h"
#include "test_args.h"

namespace {

constexpr uint32_t kBlock = 4096;

void expect(bool condition, const char* what) {
    if (!condition) die(what);
}

template <typename T>
void expect_error(const exo::Result<T>& result, int code, const char* what) {
    if (result) die(std::string(what) + " succeeded");
    if (result.error().code != code) die(std::string(what) + ": " + result.error().message);
    std::printf("%s: %s\n", what, result.error().message.c_str());
}

// `count` blocks one after the other from `offset` on.
exo::Result<exo_outcome> stride(const exo::Grant& grant, uint32_t program, uint64_t offset,
                                uint32_t count, uint32_t slot = 0) {
    test_stride_args args = {.stride = kBlock, .count = count, .len = kBlock};
    exo_traverse_options options = {};
    options.start_offset = offset;
    options.args = &args;
    options.args_len = sizeof(args);
    options.slot = slot;
    options.fan_out = 2;
    return grant.traverse(program, options);
}

// What a program knows of a structure is all that is written of it.
void speak_c(const exo::Grant& whole) {
    exo_grant_derive plain = {};
    const int derived = exo_grant__derive(whole.fd(), &plain, sizeof(plain));
    if (derived < 0) die(exo_last_error());
    const exo::Grant child{exo::Descriptor(derived)};
    expect(plain.grant_id == must(child.info()).grant_id, "it has another number");
    exo_grant_entry entry = {};
    entry.ino = UINT64_MAX;
    if (exo_grant__info(derived, &entry, offsetof(exo_grant_entry, ino)) < 0) die(exo_last_error());
    expect(entry.grant_id == plain.grant_id && entry.ino == UINT64_MAX, "more was written");
    must(child.revoke(0, EXO_REVOKE_SELF));
}

void ask_for_more(const exo::File& file) {
    exo_grant_options favoured = {};
    favoured.weight = 300;
    favoured.rate_reads = 1000;
    favoured.rate_bytes = 1 << 30;
    const exo_grant_entry given = must(must(exo::Grant::open(file, favoured)).info());
    expect(given.weight == 300 && given.rate_reads == 1000 && given.rate_bytes == 1 << 30,
           "weight and rates are not those asked for");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 4) die("usage: exo_hand_out FILE PROGRAM [COMMAND]");
    exo::File file = must(exo::File::open(argv[1]));
    exo::Grant whole = must(exo::Grant::open(file));
    uint32_t program = must(exo::Program::find(argv[2]));

    exo_grant_derive terms = {};
    terms.range_start = kBlock;
    terms.range_len = 4 * kBlock;
    terms.rights = EXO_RIGHT_TRAVERSE;
    exo::Grant narrow = must(whole.derive(terms));
    expect(must(narrow.info()).parent_id == must(whole.info()).grant_id, "it is another's child");
    expect(must(stride(narrow, program, kBlock, 4)).cause == EXO_END_DONE, "its range is not read");
    expect(must(stride(narrow, program, 0, 1)).cause == EXO_END_OUT_OF_RANGE,
           "more than its range is read");
    expect_error(narrow.derive(terms), EACCES, "deriving from one that may not");
    if (argc == 4) {
        exo_grant_derive bound = terms;
        bound.program_id = program;
        bound.in_flight_limit = 3;
        bound.expires_ms = 3600 * 1000;
        const exo::Grant kept = must(whole.derive(bound));
        const exo_grant_entry child = must(kept.info());
        const std::string line = std::string(argv[3]) + " " + std::to_string(child.grant_id) + " " +
                                 std::to_string(child.parent_id);
        // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread
        expect(std::system(line.c_str()) == 0, "the command failed");
    }
    terms.range_len = uint64_t{1} << 40;
    expect_error(whole.derive(terms), ERANGE, "deriving more than there is");

    speak_c(whole);
    ask_for_more(file);

    exo::Grant pair[] = {must(exo::Grant::open(file)), must(whole.derive({}))};
    exo::Grant set = must(exo::Grant::set_of(pair));
    expect(must(stride(set, program, 0, 3)).cause == EXO_END_DONE, "slot 0 is not read");
    expect(must(stride(set, program, 0, 3, 1)).slot == 1, "slot 1 is not read");
    expect_error(stride(set, program, 0, 3, 2), EINVAL, "a slot that is not there");
    expect_error(exo::Grant::set_of({}), EINVAL, "a set of nothing");

    exo_grant_revoke revoked = must(whole.revoke(0));
    expect(revoked.revoked_grants == 2, "not both derived grants were revoked");
    expect_error(stride(narrow, program, kBlock, 1), EKEYREVOKED, "reading through it");
    expect(must(stride(set, program, 0, 3)).cause == EXO_END_DONE, "the other slot is gone, too");
    expect_error(stride(set, program, 0, 3, 1), EKEYREVOKED, "reading through its slot");
    expect(must(stride(whole, program, 0, 1)).cause == EXO_END_DONE, "the parent is gone, too");
    return 0;
}
