// SPDX-License-Identifier: MIT
// Whoever looks after a machine sees what traversals read: in the disk's statistics, in the
// process's own numbers, and in its cgroup's, whose limits hold. By every engine and every way in.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "rig.h"
#include "ring.h"

using namespace exo::test;
using namespace std::chrono_literals;

namespace {

enum class Way { kCall, kBatch, kRing };
constexpr Way kWays[] = {Way::kCall, Way::kBatch, Way::kRing};
constexpr uint16_t kEngines[] = {EXO_ENGINE_AUTO, EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED,
                                 EXO_ENGINE_DISPATCH};

// The ends of traversals that run at once and each read so many blocks of 4 KiB.
using Ends = std::vector<exo_outcome>;

// `count` traversals, or nothing if the engine does not serve this device or this caller.
std::optional<Ends> read_by(const Fd& grant, Way way, uint16_t engine, uint32_t count,
                            uint32_t reads) {
    const test_stride_args args = {.stride = 4096, .count = reads, .len = 4096};
    exo_traverse request = {};
    request.program_id = shared_program("test_stride").id();
    request.hop_bytes = 4096;
    request.hop_limit = reads;
    request.timeout_ms = 30000;
    request.args = address(&args);
    request.args_len = sizeof(args);
    request.engine = engine;
    std::vector<exo_traverse> requests(count, request);
    int error = 0;
    if (way == Way::kCall) {
        for (exo_traverse& r : requests) {
            error = call(grant, EXO_GRANT_TRAVERSE, &r);
        }
    } else if (way == Way::kBatch) {
        exo_batch batch = {.traversals = address(requests.data()),
                           .count = count,
                           .entry_bytes = sizeof(exo_traverse),
                           .flags = 0,
                           .reserved = 0};
        REQUIRE(call(grant, EXO_GRANT_BATCH, &batch) == 0);
        if (requests[0].outcome.cause == EXO_END_NOT_STARTED) {
            error = requests[0].outcome.error;
        }
    } else {
        Ring ring(64, engine == EXO_ENGINE_POLLED ? unsigned{IORING_SETUP_IOPOLL} : 0);
        for (exo_traverse& r : requests) {
            ring.push(grant.get(), &r, 0);
        }
        ring.submit(count);
        for (uint32_t i = 0; i < count; i++) {
            int32_t res = ring.reap().res;
            error = res < 0 ? res : error;
        }
    }
    if (error == -EOPNOTSUPP) {
        return {};
    }
    REQUIRE(error == 0);
    Ends ends;
    for (const exo_traverse& r : requests) {
        CHECK(r.outcome.cause == EXO_END_DONE);
        CHECK(r.outcome.hops == reads);
        ends.push_back(r.outcome);
    }
    return ends;
}

// Does something by each engine that serves and each way; at least one engine must.
template <typename Do>
void every_way(const Do& act) {
    int served = 0;
    for (uint16_t engine : kEngines) {
        for (Way way : kWays) {
            CAPTURE(engine);
            CAPTURE(static_cast<int>(way));
            served += act(way, engine);
        }
    }
    CHECK(served >= 6);
}

// What it was read by, and why; `needed` is the reason that AUTO has here.
void check_engine(const Ends& ends, Way way, uint16_t engine, uint16_t needed) {
    for (const exo_outcome& out : ends) {
        if (engine != EXO_ENGINE_AUTO) {
            CHECK(out.engine == engine);
            CHECK(out.engine_reason == EXO_REASON_ASKED);
        } else {
            CHECK(out.engine ==
                  (needed == EXO_REASON_BEST ? EXO_ENGINE_COMPLETION : EXO_ENGINE_DISPATCH));
            CHECK(out.engine_reason == needed);
        }
        uint32_t after_first = out.hops - 1;
        CHECK(out.dispatched == (out.engine == EXO_ENGINE_DISPATCH ? after_first : 0));
        // A caller who polls for a batch polls for all; nobody else issues these.
        CHECK(out.polled == (out.engine == EXO_ENGINE_POLLED ? after_first : 0));
        CHECK(out.direct + out.deferred + out.polled + out.dispatched == after_first);
    }
    CHECK((way == Way::kCall || ends.size() > 1));
}

// What speaks for an engine in the root cgroup.
uint16_t device_needs() {
    return std::getenv("EXO_TEST_DISPATCH_ONLY") ? EXO_REASON_DEVICE : EXO_REASON_BEST;
}

std::vector<uint64_t> disk_numbers(const char* file, size_t count) {
    std::string path = "/sys/class/block/" + device_path().substr(5) + "/" + file;
    std::ifstream text(path);
    std::vector<uint64_t> numbers(count);
    for (uint64_t& n : numbers) {
        REQUIRE_MESSAGE(static_cast<bool>(text >> n), path);
    }
    return numbers;
}

// A cgroup with the io controller; whoever has run in it is back in the root before it goes.
class Group {
  public:
    explicit Group(std::string root) : root_(std::move(root)), path_(root_ + "/exo-accounting") {
        REQUIRE((mkdir(path_.c_str(), 0755) == 0 || errno == EEXIST));
        struct stat device = {};
        REQUIRE(stat(device_path().c_str(), &device) == 0);
        device_ =
            std::to_string(major(device.st_rdev)) + ":" + std::to_string(minor(device.st_rdev));
    }
    ~Group() {
        leave();
        for (int i = 0; i < 500 && rmdir(path_.c_str()); i++) {
            usleep(10000);
        }
    }
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    void enter() const { REQUIRE(write(path_ + "/cgroup.procs", std::to_string(getpid()))); }
    void leave() const { write(root_ + "/cgroup.procs", std::to_string(getpid())); }
    void limit(const std::string& what) const {
        REQUIRE(write(path_ + "/io.max", device_ + " " + what));
    }

    struct Read {
        uint64_t bytes = 0;
        uint64_t reads = 0;
    };
    Read seen() const {
        std::ifstream stat(path_ + "/io.stat");
        Read read;
        for (std::string line; std::getline(stat, line);) {
            std::istringstream words(line);
            std::string word;
            words >> word;
            if (word != device_) {
                continue;
            }
            while (words >> word) {
                if (word.starts_with("rbytes=")) {
                    read.bytes = std::stoull(word.substr(7));
                } else if (word.starts_with("rios=")) {
                    read.reads = std::stoull(word.substr(5));
                }
            }
        }
        return read;
    }

  private:
    static bool write(const std::string& path, const std::string& text) {
        Fd fd = open_path(path, O_WRONLY);
        return fd &&
               ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    }

    std::string root_;
    std::string path_;
    std::string device_;
};

}  // namespace

TEST_SUITE_BEGIN("accounting");

// With a scheduler Linux counts a request that its driver had no room for as one more, of no sectors.
bool counts_reads() {
    std::ifstream file("/sys/class/block/" + device_path().substr(5) + "/queue/scheduler");
    std::string schedulers;
    return !std::getline(file, schedulers) || schedulers == "none" ||
           schedulers.find("[none]") != std::string::npos;
}

// Linux merges bios that lie side by side and wait for room, and counts these on their own.
uint64_t reads_of(const std::vector<uint64_t>& stat) {
    return stat[0] + stat[1];
}

// Linux tells a bio's owner before it counts the request, so who has a result may be ahead of the
// statistics. Waits up to 5 s until `reads` more than `before` are counted, if any is.
std::vector<uint64_t> disk_numbers_after(const std::vector<uint64_t>& before, uint64_t reads) {
    std::vector<uint64_t> after = disk_numbers("stat", 11);
    for (int i = 0; i < 5000 && after[2] != before[2] && reads_of(after) - reads_of(before) < reads;
         i++) {
        usleep(1000);
        after = disk_numbers("stat", 11);
    }
    return after;
}

TEST_CASE("block statistics count every read, by every engine and way, and none stays in flight") {
    Rig rig(64 * 4096);
    bool kept = true;
    every_way([&](Way way, uint16_t engine) {
        auto before = disk_numbers("stat", 11);
        std::optional<Ends> ends = read_by(rig.grant, way, engine, 10, 100);
        if (!ends) {
            return false;
        }
        check_engine(*ends, way, engine, device_needs());
        auto after = disk_numbers_after(before, counts_reads() ? 1000 : 0);
        kept = kept && after[0] != before[0];
        if (kept) {
            if (counts_reads()) {
                CHECK(reads_of(after) - reads_of(before) == 1000);
            }
            CHECK(after[2] - before[2] == 1000 * 8);  // sectors
            CHECK(after[8] == 0);                     // in flight
            // Time in reads is that of each read, not since the traversal began.
            CHECK(after[3] - before[3] < 1000 * 50);
            auto in_flight = disk_numbers("inflight", 2);
            CHECK(in_flight[0] == 0);
            CHECK(in_flight[1] == 0);
        }
        return true;
    });
    if (!kept) {
        MESSAGE("the device keeps no statistics");
    }
}

TEST_CASE("a process is told what it has read, by every engine and way") {
    Rig rig(64 * 4096);
    auto read_bytes = [] {
        std::ifstream io("/proc/self/io");
        std::string name;
        uint64_t value = 0;
        while (io >> name >> value && name != "read_bytes:") {
        }
        return value;
    };
    every_way([&](Way way, uint16_t engine) {
        read_by(rig.grant, way, engine, 1, 1);  // what loading programs and code reads is not meant
        uint64_t before = read_bytes();
        std::optional<Ends> ends = read_by(rig.grant, way, engine, 5, 20);
        if (ends) {
            CHECK(read_bytes() - before == 100 * 4096);
        }
        return ends.has_value();
    });
}

// By tests/vm/43-lookup-cgroup.sh, which says where cgroups are and enables the controller.
TEST_CASE("a cgroup is told what its processes read by every way, and its limits hold" *
          doctest::skip(!std::getenv("EXO_TEST_CGROUPS"))) {
    Rig rig(64 * 4096);
    Group group(std::getenv("EXO_TEST_CGROUPS"));
    auto took = [&](Way way, uint32_t traversals, uint32_t reads) {
        auto begun = std::chrono::steady_clock::now();
        REQUIRE(read_by(rig.grant, way, EXO_ENGINE_AUTO, traversals, reads));
        return std::chrono::steady_clock::now() - begun;
    };

    // Who has opened everything before he is moved there is served by bios from then on.
    group.leave();
    std::optional<Ends> outside = read_by(rig.grant, Way::kCall, EXO_ENGINE_AUTO, 2, 20);
    REQUIRE(outside);
    check_engine(*outside, Way::kCall, EXO_ENGINE_AUTO, device_needs());
    group.enter();
    for (Way way : kWays) {
        CAPTURE(static_cast<int>(way));
        for (uint16_t engine : {EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED}) {
            CHECK_FALSE(read_by(rig.grant, way, engine, 2, 20));
        }
        for (uint16_t engine : {EXO_ENGINE_AUTO, EXO_ENGINE_DISPATCH}) {
            Group::Read before = group.seen();
            std::optional<Ends> ends = read_by(rig.grant, way, engine, 5, 40);
            REQUIRE(ends);
            check_engine(*ends, way, engine, EXO_REASON_CGROUP);
            CHECK(group.seen().reads - before.reads == 200);
            CHECK(group.seen().bytes - before.bytes == 200 * 4096);
        }
    }

    // 150 reads at 100 in a second, whatever drive and machine are; then as many bytes.
    for (const char* limit : {"riops=100 rbps=max", "riops=max rbps=409600"}) {
        CAPTURE(limit);
        group.limit(limit);
        for (Way way : kWays) {
            CAPTURE(static_cast<int>(way));
            CHECK(took(way, 5, 30) >= 1s);
        }
    }
    group.limit("riops=max rbps=max");
    Group::Read before = group.seen();
    group.leave();
    std::optional<Ends> again = read_by(rig.grant, Way::kRing, EXO_ENGINE_AUTO, 5, 20);
    REQUIRE(again);
    check_engine(*again, Way::kRing, EXO_ENGINE_AUTO, device_needs());
    CHECK(group.seen().bytes == before.bytes);
}

TEST_SUITE_END();
