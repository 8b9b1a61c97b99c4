// SPDX-License-Identifier: MIT
// A chain of dependent reads, by every way there is, on one device: nanoseconds per chain for each
// depth, and allocations for a short and a long one, as JSON. tests/bench/paths runs it where a
// nanosecond is an instruction.
//
// Usage: bench_paths DEVICE DEVICE_NS POLLED(0|1). Uses the rig of the interface tests.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "allocations.h"
#include "rig.h"
#include "ways.h"

using namespace exo::test;
using namespace exo::bench;

namespace {

constexpr int kRounds = 40;
constexpr uint32_t kMaxDepth = 12;
constexpr uint32_t kLong = 201;

uint64_t now_ns() {
    timespec t = {};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

// The median of some rounds, after two to warm up; a timer tick falls into few of them.
double median_ns(const Way& way, uint32_t depth) {
    std::vector<uint64_t> times;
    for (int i = 0; i < kRounds + 2; i++) {
        uint64_t begun = now_ns();
        way.run(depth);
        if (i >= 2) {
            times.push_back(now_ns() - begun);
        }
    }
    std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
    return static_cast<double>(times[kRounds / 2]) / way.chains;
}

uint64_t reads_counted(const std::string& device) {
    std::ifstream file("/sys/class/block/" + device.substr(device.rfind('/') + 1) + "/stat");
    uint64_t reads = 0;
    if (!(file >> reads)) {
        fail("the device has no statistics");
    }
    return reads;
}

// Each way reads as many blocks as it says, and the device's statistics know of them all. What is
// to be kept of them has been read by then.
void check_reads(const Way& way, const std::string& device) {
    way.run(kMaxDepth);
    uint64_t before = reads_counted(device);
    way.run(kMaxDepth);
    const uint64_t reads = way.kept ? 1 : uint64_t{kMaxDepth} * way.chains;
    if (reads_counted(device) - before != reads) {
        fail((way.name + " does not read what it should").c_str());
    }
}

void print(const Ways& ways, const std::string& device, const char* device_ns) {
    printf("{\"device_ns\": %s, \"block_bytes\": %u, \"paths\": [", device_ns, Ways::kBlock);
    const char* comma = "";
    for (const Way& way : ways.all()) {
        check_reads(way, device);
        printf("%s\n  {\"path\": \"%s\", \"chains\": %u, \"kept\": %s, \"ns\": [", comma,
               way.name.c_str(), way.chains, way.kept ? "true" : "false");
        for (uint32_t depth = 1; depth <= kMaxDepth; depth++) {
            printf("%s%.0f", depth > 1 ? ", " : "", median_ns(way, depth));
        }
        printf("]}");
        fflush(stdout);
        comma = ",";
    }
    AllocationCounter allocations;
    const auto least = [&](uint32_t depth) {
        return static_cast<unsigned long long>(
            allocations.least(9, [&] { ways.exo().run(depth); }));
    };
    least(kLong);
    printf("],\n \"allocations\": {\"path\": \"%s\", \"1\": %llu, \"%u\": %llu}}\n",
           ways.exo().name.c_str(), least(1), kLong, least(kLong));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        fail("usage: bench_paths DEVICE DEVICE_NS POLLED");
    }
    doctest::Context context;
    context.setAsDefaultForAssertsOutOfTestCases();
    context.setAssertHandler([](const doctest::AssertData& a) {
        fprintf(stderr, "bench_paths: %s:%d: %s\n", a.m_file, a.m_line, a.m_expr);
        exit(1);
    });
    setenv("EXO_TEST_DEVICE", argv[1], 1);
    {
        const Ways ways(argv[1], argv[3][0] == '1');
        print(ways, argv[1], argv[2]);
    }
    drop_shared_programs();
    return 0;
}
