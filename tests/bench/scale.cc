// SPDX-License-Identifier: MIT
// What an operation on metadata costs as the number of files grows, counted rather than timed:
// blocks and requests of the device, and CPU time, in one process on a device in memory, without
// FUSE.
//   bench_scale [--folders COUNT] [--instructions] FILES...
// Files lie in one directory, or in COUNT; names ascend with the order of creation. --instructions
// leaves out the long jobs, and records the short ones apart, when run as
//   valgrind --tool=callgrind --instr-atstart=no bench_scale --instructions FILES
// whose files callgrind.out.PID.N then say `desc: Trigger: JOB` and `totals: INSTRUCTIONS`.
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "fs/mkfs/mkfs.h"
#include "fs/volume/volume.h"
#include "tests/support/counting_device.h"
#include "tests/support/memory_device.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(job)
#endif

using namespace exo;
using namespace exo::test;

namespace {

// Random lookups, and those of the set that is warm.
constexpr uint64_t kSample = 5000, kWarm = 1000;
// Creations and removals: enough for more than one of the largest transactions.
constexpr uint64_t kBatch = 50000;
// A journal of the usual size fits well.
constexpr uint64_t kSmallestImage = 8ull << 30;
constexpr size_t kListed = 24;  // entries that the kernel asks for at a time

struct Bench {
    bool instructions = false;
    uint64_t files = 0;
    unsigned folders = 1;
    std::unique_ptr<MemoryDevice> image;
    std::unique_ptr<CountingDevice> device;
    std::unique_ptr<Volume> volume;
    std::vector<Ino> directories;

    void mount();
    void unmount();
    void measure(const char* job, uint64_t count, const std::function<void(uint64_t)>& operation);
    void run();
    void creating();
    void looking_up();
    void listing();
    void removing();
    void create(uint64_t file);
    void remove(uint64_t file);
    uint64_t few() const { return std::min(files / 5 * 2, kBatch); }
    Ino directory_of(uint64_t file) const {
        // Neighbours in the order of creation are in one directory.
        return directories[file * folders / files];
    }
    static std::string name(uint64_t file) { return "entry-" + std::to_string(file); }
    void look_up(uint64_t file);
};

template <typename T>
T must(Result<T> result, const char* what) {
    if (!result) {
        fprintf(stderr, "bench_scale: %s: %s\n", what, describe(result.error()).c_str());
        exit(1);  // NOLINT(concurrency-mt-unsafe): there is one thread
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return double(usage.ru_utime.tv_sec) + double(usage.ru_utime.tv_usec) / 1e6;
}

uint64_t next_random(uint64_t& state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

void Bench::mount() {
    MountOptions options;
    options.commit_interval_ms = 0;
    volume = must(Volume::open(std::make_unique<BorrowedDevice>(*device), options), "mount");
}

void Bench::unmount() {
    must(volume->close(), "unmount");
    volume.reset();
}

void Bench::measure(const char* job, uint64_t count,
                    const std::function<void(uint64_t)>& operation) {
    const auto before = device->counts();
    const double start = cpu_seconds();
    const bool recorded = instructions && count > 1 && count <= kBatch;
    if (recorded) {
        CALLGRIND_START_INSTRUMENTATION;
        CALLGRIND_ZERO_STATS;
    }
    for (uint64_t i = 0; i < count; i++) operation(i);
    if (recorded) {
        CALLGRIND_DUMP_STATS_AT(job);
        CALLGRIND_STOP_INSTRUMENTATION;
    }
    const double spent = cpu_seconds() - start;
    const auto c = device->counts() - before;
    const auto each = [&](uint64_t n) { return double(n) / double(count); };
    printf("%9llu  %-20s %8llu %9.2f %9.3f %9.3f %9.3f %9.3f\n",
           static_cast<unsigned long long>(files), job, static_cast<unsigned long long>(count),
           spent / double(count) * 1e6, each(c.waits), each(c.blocks_read), each(c.blocks_written),
           each(c.flushes));
    fflush(stdout);
}

void Bench::look_up(uint64_t file) {
    const auto attr = must(volume->lookup(directory_of(file), name(file)), "lookup");
    volume->close_ref(attr.ino);
}

// Every entry with its attributes, in as many at a time as the kernel asks for.
class Listed {
  public:
    explicit Listed(Bench& bench) : bench_(bench) {}
    struct Item {
        Ino directory;
        std::string name;
    };
    Item next() {
        while (at_ == entries_.size()) {
            const Ino directory = bench_.directories.at(directory_);
            entries_ = must(bench_.volume->readdir_plus(directory, cookie_, kListed), "readdir");
            at_ = 0;
            if (entries_.empty()) {
                directory_++;
                cookie_ = 0;
                continue;
            }
            cookie_ = entries_.back().cookie;
            std::erase_if(entries_, [](const DirEntry& e) { return e.name[0] == '.'; });
        }
        const DirEntry& entry = entries_[at_++];
        bench_.volume->close_ref(entry.ino);
        return {bench_.directories[directory_], entry.name};
    }

  private:
    Bench& bench_;
    std::vector<DirEntry> entries_;
    size_t at_ = 0, directory_ = 0;
    uint64_t cookie_ = 0;
};

void Bench::create(uint64_t file) {
    volume->close_ref(
        must(volume->create(directory_of(file), name(file), S_IFREG | 0644, 0, 0), "create").ino);
}

void Bench::remove(uint64_t file) {
    must(volume->unlink(directory_of(file), name(file)), "unlink");
}

void Bench::creating() {
    const uint64_t half = files / 2;
    directories.clear();
    mount();
    for (unsigned i = 0; i < folders; i++)
        directories.push_back(
            must(volume->mkdir(kRootIno, "d" + std::to_string(i), 0755, 0, 0), "mkdir").ino);
    for (uint64_t i = 0; i < half; i++) create(i);
    unmount();
    mount();
    if (instructions)
        for (uint64_t i = 0; i < half - few(); i++) create(half + i);
    else
        measure("create", half - few(), [&](uint64_t i) { create(half + i); });
    must(volume->sync(), "sync");
    measure("create, and sync", few(), [&](uint64_t i) {
        create(files - few() + i);
        if (i + 1 == few()) must(volume->sync(), "sync");
    });
    measure("  unmount", 1, [&](uint64_t) { unmount(); });
}

void Bench::looking_up() {
    uint64_t random = files;
    mount();
    const auto look_up_any = [&](uint64_t) { look_up(next_random(random) % files); };
    measure("lookup, cold", kSample, look_up_any);
    measure("lookup, cold, later", kSample, look_up_any);
    unmount();
    mount();
    measure("lookup, in order", kSample, [&](uint64_t i) { look_up((files / 4 + i) % files); });
    const uint64_t first = next_random(random) % (files - kWarm);
    for (uint64_t i = 0; i < kWarm; i++) look_up(first + i);
    measure("lookup, warm", kSample, [&](uint64_t i) { look_up(first + i * 7 % kWarm); });
    std::vector<Ino> warm;
    for (uint64_t i = 0; i < kWarm; i++)
        warm.push_back(
            must(volume->lookup(directory_of(first + i), name(first + i)), "lookup").ino);
    measure("stat, warm", kSample,
            [&](uint64_t i) { must(volume->getattr(warm[i % kWarm]), "stat"); });
    for (const Ino ino : warm) volume->close_ref(ino);
    unmount();
}

void Bench::listing() {
    mount();
    Listed listed(*this);
    measure("list, first", kSample, [&](uint64_t) { listed.next(); });
    if (!instructions) measure("list, rest", files - kSample, [&](uint64_t) { listed.next(); });
    unmount();
}

// Half of the files in the order in which they were made, the others as `rm -r` comes to them.
void Bench::removing() {
    const uint64_t half = files / 2;
    mount();
    if (!instructions) measure("unlink", half - few(), [&](uint64_t i) { remove(i); });
    must(volume->sync(), "sync");
    measure("unlink, and sync", few(), [&](uint64_t i) {
        remove(half - few() + i);
        if (i + 1 == few()) must(volume->sync(), "sync");
    });
    measure("  unmount", 1, [&](uint64_t) { unmount(); });
    mount();
    Listed listed(*this);
    measure("list and unlink", instructions ? kSample : files - half, [&](uint64_t) {
        const auto [directory, entry] = listed.next();
        must(volume->unlink(directory, entry), "unlink");
    });
    measure("  unmount", 1, [&](uint64_t) { unmount(); });
}

void Bench::run() {
    image = std::make_unique<MemoryDevice>(std::max<uint64_t>(files * 6144, kSmallestImage));
    device = std::make_unique<CountingDevice>(*image);
    must(mkfs(*device, {}), "mkfs");
    creating();
    looking_up();
    listing();
    removing();
}

}  // namespace

int main(int argc, char** argv) {
    Bench bench;
    printf("%9s  %-20s %8s %9s %9s %9s %9s %9s\n", "files", "job", "count", "CPU us", "waits",
           "read", "written", "flushes");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--folders") == 0 && i + 1 < argc) {
            bench.folders = unsigned(strtoul(argv[++i], nullptr, 10));
        } else if (strcmp(argv[i], "--instructions") == 0) {
            bench.instructions = true;
        } else {
            bench.files = strtoull(argv[i], nullptr, 10);
            bench.run();
        }
    }
    return 0;
}
