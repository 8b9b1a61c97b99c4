// SPDX-License-Identifier: MIT
#include "allocations.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

namespace exo::test {

namespace {

constexpr const char* kTracefs = "/sys/kernel/tracing";
constexpr const char* kEvents[] = {
    "events/kmem/kmalloc/enable",
    "events/kmem/kmem_cache_alloc/enable",
    "events/kmem/mm_page_alloc/enable",
};

}  // namespace

// An instance of its own, so that nobody else's tracing is in the way.
AllocationCounter::AllocationCounter()
    : folder_(std::string(kTracefs) + "/instances/exo_allocations") {
    if (!std::filesystem::exists(std::string(kTracefs) + "/instances")) {
        REQUIRE(mount("tracefs", kTracefs, "tracefs", 0, nullptr) == 0);
    }
    REQUIRE(mkdir(folder_.c_str(), 0700) == 0);
    switch_ = open_path(folder_ + "/tracing_on", O_WRONLY);
    REQUIRE(switch_);
    REQUIRE(pwrite(switch_.get(), "0", 1, 0) == 1);
    for (const char* event : kEvents) {
        write(event, "1");
    }
}

AllocationCounter::~AllocationCounter() {
    switch_.reset();
    CHECK(rmdir(folder_.c_str()) == 0);
}

void AllocationCounter::write(const char* file, const char* text) {
    Fd fd = open_path(folder_ + "/" + file, O_WRONLY | O_TRUNC);
    REQUIRE_MESSAGE(fd, file);
    REQUIRE(::write(fd.get(), text, 1) == 1);
}

// Of all CPUs; what did not fit into the buffer counts, too.
uint64_t AllocationCounter::recorded() const {
    uint64_t sum = 0;
    for (const auto& cpu : std::filesystem::directory_iterator(folder_ + "/per_cpu")) {
        std::ifstream file(cpu.path() / "stats");
        std::string name;
        uint64_t value = 0;
        while (file >> name) {
            if ((name == "entries:" || name == "overrun:") && file >> value) {
                sum += value;
            }
        }
    }
    return sum;
}

uint64_t AllocationCounter::count(const std::function<void()>& run) {
    write("trace", "0");  // empties it
    REQUIRE(pwrite(switch_.get(), "1", 1, 0) == 1);
    run();
    REQUIRE(pwrite(switch_.get(), "0", 1, 0) == 1);
    return recorded();
}

uint64_t AllocationCounter::least(int rounds, const std::function<void()>& run) {
    uint64_t least = std::numeric_limits<uint64_t>::max();
    for (int i = 0; i < rounds; i++) {
        least = std::min(least, count(run));
    }
    return least;
}

}  // namespace exo::test
