// SPDX-License-Identifier: MIT
// What the parts of the fuzzer share: chance, counters that outlive a killed process, the file
// descriptors that the threads of a process throw at the module, and memory that comes and goes
// under its feet.
#pragma once

#include <linux/exo.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace exo::fuzz {

class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}

    // splitmix64
    uint64_t next() {
        uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    uint64_t below(uint64_t bound) { return next() % bound; }
    bool one_in(uint64_t n) { return below(n) == 0; }
    template <typename T>
    T pick(std::initializer_list<T> values) {
        return values.begin()[below(values.size())];
    }
    // What arithmetic and range checks get wrong most.
    uint64_t boundary();

  private:
    uint64_t state_;
};

enum Kind : unsigned {
    kDevice,
    kVolume,
    kGrant,
    kSet,
    kAudit,
    kFile,
    kDisk,
    kFolder,
    kOther,
    kKinds
};

constexpr size_t kMaxActions = 64;
constexpr size_t kMaxPrograms = 16;
constexpr uint64_t kBlock = 4096;
constexpr uint64_t kFileBytes = 64 * kBlock;
constexpr uint64_t kFirstIno = 7;
constexpr uint64_t kInos = 4;

// Mapped in every process.
struct Shared {
    struct Count {
        std::atomic<uint64_t> calls;
        std::atomic<uint64_t> good;
    };
    std::array<Count, kMaxActions> counts;
    std::array<std::atomic<uint32_t>, kMaxPrograms> programs;  // ids, 0 = none
    std::atomic<uint64_t> grant_id;                            // of some grant
    std::atomic<uint32_t> volume_id;
};

// Closed at any time by any thread, and each once.
class Fds {
  public:
    Fds();
    int any(Random& random, Kind kind) const;
    int any(Random& random) const;
    void put(Random& random, Kind kind, int fd);
    void close_one(Random& random, Kind kind);

  private:
    std::array<std::array<std::atomic<int>, 16>, kKinds> slots_;
};

struct Process {
    Shared& shared;
    std::string device;
    std::string mount;
    int mail;  // a socket on which the processes pass their file descriptors
    Fds fds;
    // Only the kernel touches it, since any page may be gone.
    static constexpr size_t kHotBytes = 8 << 20;
    std::byte* hot;

    uint64_t hot_address(Random& random, uint64_t room) const;
};

class Ring;

struct Task {
    Task(Process& process, uint64_t seed);
    ~Task();
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;

    Process& process;
    Random random;
    std::vector<uint8_t> buffer;  // of the ioctl's structure
    std::vector<uint8_t> args;
    std::vector<exo_traverse> batch;
    std::vector<uint8_t> list;
    Ring* ring = nullptr;
};

struct Action {
    const char* name;
    unsigned weight;
    int (*run)(Task& task);  // what the call returned, or its negative errno
};

std::span<const Action> actions();

// A traversal that may well run, with arguments in task.args.
exo_traverse make_traverse(Task& task);
// Spoils some of the bytes.
void mutate(Random& random, void* data, size_t bytes);
unsigned long resized(unsigned long command, size_t bytes);

// rings.cc
int ring_open(Task& task);
int ring_submit(Task& task);
int ring_reap(Task& task);
int ring_close(Task& task);
int ring_fork(Task& task);

// fds.cc
int fds_open(Task& task);
int fds_close(Task& task);
int fds_duplicate(Task& task);
int fds_send(Task& task);
int fds_receive(Task& task);
int fds_poke(Task& task);
int fds_show(Task& task);
int hot_change(Task& task);

}  // namespace exo::fuzz
