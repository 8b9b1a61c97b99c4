// SPDX-License-Identifier: MIT
// Reads of every size and alignment by traversals, on each engine, equal pread() of the mounted
// file: writes files whose blocks lie in a random order, with holes, pins them and compares.
// Usage: exo_compare_reads FOLDER PROGRAM READS [SEED], where FOLDER is on an exo file system and
// PROGRAM attached (tests/bpf/test_hooks.bpf.c).
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

namespace {

constexpr uint64_t kBlock = 4096;
constexpr uint64_t kFileBlocks = 1024;
constexpr uint32_t kMostBytes = 65536;  // that a traversal reads at once
constexpr size_t kAtOnce = 64;
constexpr size_t kFiles = 4;

[[noreturn]] void die_of_errno(const std::string& what) {
    die(what + ": " + std::generic_category().message(errno));
}

// Blocks written one by one in a random order take their places in that order. A fifth of the file
// is holes, and its end is none of a block.
void write_fragmented(const std::string& path, std::mt19937_64& random) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0644);
    if (fd < 0) die_of_errno(path);
    std::vector<uint64_t> order;
    for (uint64_t block = 0; block < kFileBlocks; block++) {
        if (random() % 5) order.push_back(block);
    }
    std::ranges::shuffle(order, random);
    alignas(kBlock) static std::array<uint64_t, kBlock / sizeof(uint64_t)> words;
    for (const uint64_t block : order) {
        std::ranges::generate(words, std::ref(random));
        if (pwrite(fd, words.data(), kBlock, off_t(block * kBlock)) != ssize_t(kBlock)) {
            die_of_errno(path);
        }
    }
    const uint64_t size = (kFileBlocks - 1) * kBlock + 1 + random() % (kBlock - 1);
    if (ftruncate(fd, off_t(size)) != 0 || fsync(fd) != 0) die_of_errno(path);
    close(fd);
}

struct Counts {
    uint64_t reads = 0, bytes = 0, several_pieces = 0;
};

class Comparison {
  public:
    Comparison(const std::string& path, uint32_t program, std::mt19937_64& random)
        : random_(random),
          program_(program),
          file_(must(exo::File::open(path))),
          grant_(open_grant(file_)) {
        size_ = uint64_t(lseek(file_.fd(), 0, SEEK_END));
        blocks_.resize(kAtOnce * kMostBytes);
        wanted_.resize(kMostBytes);
    }

    // As many as fit into a batch.
    void compare(exo_engine engine, Counts& counts) {
        for (size_t i = 0; i < kAtOnce; i++) draw(i, engine);
        must(grant_.batch(entries_));
        for (size_t i = 0; i < kAtOnce; i++) {
            const exo_outcome& outcome = entries_[i].outcome;
            check(i, outcome);
            counts.reads++;
            counts.bytes += args_[i].len;
            counts.several_pieces +=
                outcome.direct + outcome.deferred + outcome.dispatched + outcome.polled > 0;
        }
    }

  private:
    static exo::Grant open_grant(const exo::File& file) {
        must(file.pin(0));
        return must(exo::Grant::open(file));
    }

    uint8_t* block(size_t i) { return &blocks_[i * kMostBytes]; }

    // As many short ones as long ones. A read of any bytes takes all blocks that they lie in.
    void draw(size_t i, exo_engine engine) {
        const uint64_t offset = random_() % size_;
        const uint64_t most = std::min(kMostBytes - offset % kBlock, size_ - offset);
        const uint64_t len = std::min(1 + random_() % (2U << random_() % 16), most);
        args_[i] = {.first_offset = offset,
                    .len = uint32_t(len),
                    .keep = 0,
                    .start_verdict = EXO_NEXT,
                    .reserved = 0};
        entries_[i] = {};
        entries_[i].flags = EXO_TRAVERSE_LAST_BLOCK;
        entries_[i].engine = engine;
        entries_[i].program_id = program_;
        entries_[i].hop_bytes = uint32_t((offset % kBlock + len + kBlock - 1) / kBlock * kBlock);
        entries_[i].timeout_ms = 20'000;
        entries_[i].args = reinterpret_cast<uintptr_t>(&args_[i]);
        entries_[i].args_len = sizeof(args_[i]);
        entries_[i].blocks = reinterpret_cast<uintptr_t>(block(i));
        entries_[i].blocks_len = uint32_t(len);
        // What is not written must not look right.
        std::memset(block(i), 0x5a, len);
    }

    void check(size_t i, const exo_outcome& outcome) {
        const std::string what = "a read of " + std::to_string(args_[i].len) + " bytes at " +
                                 std::to_string(args_[i].first_offset);
        if (exo_outcome__check(&outcome, what.c_str()) < 0) die(exo_last_error());
        if (outcome.blocks_len != args_[i].len) die(what + " gave less");
        const ssize_t got =
            pread(file_.fd(), wanted_.data(), args_[i].len, off_t(args_[i].first_offset));
        if (got != ssize_t(args_[i].len)) die_of_errno("pread() instead of " + what);
        if (std::memcmp(wanted_.data(), block(i), args_[i].len) != 0) {
            die(what + " differs from pread()");
        }
    }

    std::mt19937_64& random_;
    uint32_t program_;
    exo::File file_;
    exo::Grant grant_;
    uint64_t size_ = 0;
    std::array<exo_traverse, kAtOnce> entries_{};
    std::array<test_hooks_args, kAtOnce> args_{};
    std::vector<uint8_t> blocks_, wanted_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4 && argc != 5) die("usage: exo_compare_reads FOLDER PROGRAM READS [SEED]");
    const uint32_t program = must(exo::Program::find(argv[2]));
    const uint64_t wanted = std::strtoull(argv[3], nullptr, 10);
    const uint64_t seed = argc == 5 ? std::strtoull(argv[4], nullptr, 10) : std::random_device{}();
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 random(seed);
    Counts counts;
    for (size_t at = 0; at < kFiles; at++) {
        const std::string path = std::string(argv[1]) + "/reads." + std::to_string(at);
        write_fragmented(path, random);
        Comparison comparison(path, program, random);
        while (counts.reads < wanted * (at + 1) / kFiles) {
            for (const exo_engine engine :
                 {EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH}) {
                comparison.compare(engine, counts);
            }
        }
        std::printf("%llu reads\n", static_cast<unsigned long long>(counts.reads));
        std::fflush(stdout);
    }
    if (counts.several_pieces < counts.reads / 10) die("the files are hardly fragmented");
    std::printf("%llu reads of %llu bytes equal pread(), %llu of them of several pieces\n",
                static_cast<unsigned long long>(counts.reads),
                static_cast<unsigned long long>(counts.bytes),
                static_cast<unsigned long long>(counts.several_pieces));
    return 0;
}
