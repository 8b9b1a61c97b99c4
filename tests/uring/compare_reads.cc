// SPDX-License-Identifier: MIT
// Reads of every size and alignment by traversals, on each engine, equal pread() of the mounted
// file: writes files whose blocks lie in a random order, with holes, pins them and compares. First
// reads, whose blocks are copied out, and chains of reads, of which the program keeps a sum each.
// Usage: exo_compare_reads FOLDER READS [SEED], where FOLDER is on an exo file system; the programs
// of tests/bpf/test_hooks.bpf.c and test_walk.bpf.c are attached.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exo/grant.hpp>
#include <exo/program.hpp>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "must.h"
#include "test_args.h"
#include "test_walk.h"

namespace {

constexpr uint64_t kBlock = 4096;
constexpr uint64_t kFileBlocks = 1024;
constexpr uint32_t kMostBytes = 65536;  // of a read; at any byte, so that its blocks are one more
constexpr size_t kAtOnce = 64;
constexpr size_t kChains = 2;
constexpr uint32_t kChain = EXO_TEST_WALK_READS;

// How many blocks of each file follow each other, at most.
constexpr uint64_t kRuns[] = {1, 3, 16, 1024};

[[noreturn]] void die_of_errno(const std::string& what) {
    die(what + ": " + std::generic_category().message(errno));
}

// Runs written one by one in a random order take their places in that order. A fifth of the blocks
// is holes, unless there is one run only, and the file's end is none of a block.
void write_fragmented(const std::string& path, uint64_t run, std::mt19937_64& random) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0644);
    if (fd < 0) die_of_errno(path);
    std::vector<uint64_t> order;
    for (uint64_t at = 0; at < kFileBlocks; at += run) order.push_back(at);
    std::ranges::shuffle(order, random);
    alignas(kBlock) static std::array<uint64_t, kBlock / sizeof(uint64_t)> words;
    for (const uint64_t begin : order) {
        for (uint64_t block = begin; block < std::min(begin + run, kFileBlocks); block++) {
            if (run < kFileBlocks && random() % 5 == 0) continue;
            std::ranges::generate(words, std::ref(random));
            if (pwrite(fd, words.data(), kBlock, off_t(block * kBlock)) != ssize_t(kBlock)) {
                die_of_errno(path);
            }
        }
    }
    const uint64_t size = (kFileBlocks - 1) * kBlock + 1 + random() % (kBlock - 1);
    if (ftruncate(fd, off_t(size)) != 0 || fsync(fd) != 0) die_of_errno(path);
    close(fd);
}

struct Counts {
    uint64_t reads = 0, first = 0, bytes = 0, several_pieces = 0;
    uint64_t direct = 0, deferred = 0, polled = 0, dispatched = 0;  // of chains
};

// The largest of the sizes that test_walk can look at.
uint32_t walk_size(uint32_t len) {
#define EXO_TEST_ENTRY(size) size,
    constexpr std::array kSizes = {EXO_TEST_WALK_SIZES(EXO_TEST_ENTRY)};
#undef EXO_TEST_ENTRY
    return uint32_t(
        *std::ranges::find_if(kSizes, [len](int size) { return uint32_t(size) <= len; }));
}

template <typename T>
uint64_t address(const T* p) {
    return reinterpret_cast<uintptr_t>(p);
}

class Comparison {
  public:
    Comparison(const std::string& path, uint32_t hooks, uint32_t walk, std::mt19937_64& random)
        : random_(random),
          hooks_(hooks),
          walk_(walk),
          file_(must(exo::File::open(path))),
          grant_(open_grant(file_)) {
        size_ = uint64_t(lseek(file_.fd(), 0, SEEK_END));
        blocks_.resize(kAtOnce * kMostBytes);
        wanted_.resize(kMostBytes);
    }

    // As many first reads as fit into a batch.
    void first_reads(exo_engine engine, Counts& counts) {
        for (size_t i = 0; i < kAtOnce; i++) draw_first(i, engine);
        must(grant_.batch(entries_));
        for (size_t i = 0; i < kAtOnce; i++) {
            const exo_outcome& outcome = entries_[i].outcome;
            check_first(i, outcome);
            counts.reads++;
            counts.first++;
            counts.bytes += args_[i].len;
            counts.several_pieces +=
                outcome.direct + outcome.deferred + outcome.dispatched + outcome.polled > 0;
        }
    }

    // A few chains, each of which is one after the other.
    void chains(exo_engine engine, Counts& counts) {
        const std::span some(entries_.data(), kChains);
        for (size_t i = 0; i < kChains; i++) draw_chain(i, engine);
        must(grant_.batch(some));
        for (size_t i = 0; i < kChains; i++) {
            const exo_outcome& outcome = some[i].outcome;
            check_chain(i, outcome, counts);
            counts.reads += kChain;
            counts.direct += outcome.direct;
            counts.deferred += outcome.deferred;
            counts.polled += outcome.polled;
            counts.dispatched += outcome.dispatched;
        }
    }

  private:
    static exo::Grant open_grant(const exo::File& file) {
        must(file.pin(0));
        return must(exo::Grant::open(file));
    }

    uint8_t* block(size_t i) { return &blocks_[i * kMostBytes]; }

    // As many short ones as long ones, whose blocks have so much room.
    test_walk_read draw(uint64_t room) {
        const uint64_t offset = random_() % size_;
        const uint64_t most =
            std::min({uint64_t(kMostBytes), room - offset % kBlock, size_ - offset});
        const uint64_t len = std::min(1 + random_() % (2U << random_() % 16), most);
        return {.offset = offset, .len = uint32_t(len), .reserved = 0};
    }

    // A read of any bytes takes all blocks that they lie in.
    void draw_first(size_t i, exo_engine engine) {
        const test_walk_read read = draw(kMostBytes + kBlock);
        args_[i] = {.first_offset = read.offset,
                    .len = read.len,
                    .keep = 0,
                    .start_verdict = EXO_NEXT,
                    .reserved = 0};
        entries_[i] = {};
        entries_[i].flags = EXO_TRAVERSE_LAST_BLOCK;
        entries_[i].engine = engine;
        entries_[i].program_id = hooks_;
        entries_[i].hop_bytes =
            uint32_t((read.offset % kBlock + read.len + kBlock - 1) / kBlock * kBlock);
        entries_[i].timeout_ms = 20'000;
        entries_[i].args = address(&args_[i]);
        entries_[i].args_len = sizeof(args_[i]);
        entries_[i].blocks = address(block(i));
        entries_[i].blocks_len = read.len;
        // What is not written must not look right.
        std::memset(block(i), 0x5a, read.len);
    }

    void draw_chain(size_t i, exo_engine engine) {
        test_walk_args& args = walks_[i];
        args = {.seed = random_(), .count = kChain, .reserved = 0, .read = {}};
        results_[i] = {};
        entries_[i] = {};
        entries_[i].engine = engine;
        entries_[i].program_id = walk_;
        entries_[i].hop_bytes = uint32_t((1 + random_() % (kMostBytes / kBlock + 1)) * kBlock);
        entries_[i].timeout_ms = 30'000;
        entries_[i].args = address(&args);
        entries_[i].args_len = sizeof(args);
        entries_[i].result = address(&results_[i]);
        entries_[i].result_len = sizeof(results_[i]);
        for (test_walk_read& read : args.read) {
            read = draw(entries_[i].hop_bytes);
            // Half of them such that the last byte is looked at.
            if (random_() % 2) read.len = walk_size(read.len);
        }
    }

    // The read as pread() gives it.
    const uint8_t* wanted(uint64_t offset, uint32_t len, const std::string& what) {
        if (pread(file_.fd(), wanted_.data(), len, off_t(offset)) != ssize_t(len)) {
            die_of_errno("pread() instead of " + what);
        }
        return wanted_.data();
    }

    static std::string name(uint64_t offset, uint32_t len) {
        return "a read of " + std::to_string(len) + " bytes at " + std::to_string(offset);
    }

    void check_first(size_t i, const exo_outcome& outcome) {
        const test_hooks_args& args = args_[i];
        const std::string what = name(args.first_offset, args.len);
        if (exo_outcome__check(&outcome, what.c_str()) < 0) die(exo_last_error());
        if (outcome.blocks_len != args.len) die(what + " gave less");
        if (std::memcmp(wanted(args.first_offset, args.len, what), block(i), args.len) != 0) {
            die(what + " differs from pread()");
        }
    }

    void check_chain(size_t i, const exo_outcome& outcome, Counts& counts) {
        if (exo_outcome__check(&outcome, "a chain of reads") < 0) die(exo_last_error());
        if (outcome.hops != kChain) die("a chain of reads ended early");
        for (uint32_t at = 0; at < kChain; at++) {
            const test_walk_read& read = walks_[i].read[at];
            const std::string what = name(read.offset, read.len);
            if (exo_test_walk_sum(wanted(read.offset, read.len, what), walk_size(read.len),
                                  walks_[i].seed + at) != results_[i].sum[at]) {
                die(what + ", number " + std::to_string(at) + " of a chain, differs from pread()");
            }
            counts.bytes += read.len;
        }
    }

    std::mt19937_64& random_;
    uint32_t hooks_, walk_;
    exo::File file_;
    exo::Grant grant_;
    uint64_t size_ = 0;
    std::array<exo_traverse, kAtOnce> entries_{};
    std::array<test_hooks_args, kAtOnce> args_{};
    std::array<test_walk_args, kChains> walks_{};
    std::array<test_walk_result, kChains> results_{};
    std::vector<uint8_t> blocks_, wanted_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 4) die("usage: exo_compare_reads FOLDER READS [SEED]");
    const uint32_t hooks = must(exo::Program::find("test_hooks"));
    const uint32_t walk = must(exo::Program::find("test_walk"));
    const uint64_t wanted = std::strtoull(argv[2], nullptr, 10);
    const uint64_t seed = argc == 4 ? std::strtoull(argv[3], nullptr, 10) : std::random_device{}();
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 random(seed);
    Counts counts;
    for (size_t at = 0; at < std::size(kRuns); at++) {
        const std::string path = std::string(argv[1]) + "/reads." + std::to_string(at);
        write_fragmented(path, kRuns[at], random);
        Comparison comparison(path, hooks, walk, random);
        while (counts.reads < wanted * (at + 1) / std::size(kRuns)) {
            for (const exo_engine engine :
                 {EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
                comparison.first_reads(engine, counts);
                comparison.chains(engine, counts);
            }
        }
        std::printf("%llu reads\n", static_cast<unsigned long long>(counts.reads));
        std::fflush(stdout);
    }
    if (counts.several_pieces < counts.first / 10) die("the files are hardly fragmented");
    if (!counts.polled || !counts.dispatched || !(counts.direct + counts.deferred)) {
        die("an engine has reissued nothing");
    }
    std::printf(
        "%llu reads of %llu bytes equal pread(): %llu first ones, %llu of them of several "
        "pieces; in chains %llu were reissued at the completion, %llu by workers, %llu by "
        "pollers, %llu as bios\n",
        static_cast<unsigned long long>(counts.reads),
        static_cast<unsigned long long>(counts.bytes),
        static_cast<unsigned long long>(counts.first),
        static_cast<unsigned long long>(counts.several_pieces),
        static_cast<unsigned long long>(counts.direct),
        static_cast<unsigned long long>(counts.deferred),
        static_cast<unsigned long long>(counts.polled),
        static_cast<unsigned long long>(counts.dispatched));
    return 0;
}
