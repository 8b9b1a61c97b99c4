// SPDX-License-Identifier: MIT
// Cuts the power at every write of a workload. For each cut several images are made: no unflushed
// write survives, all do, and random choices of them, some torn between sectors. Each image must
// mount, pass the check, and hold a state that the workload really went through, no older than
// what was synced last. EXO_CRASH_SEED and EXO_CRASH_EXTRA (random images per cut) change the run.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <map>

#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {

// What a user can see: every path with its type and size, or target.
using Snapshot = std::map<std::string, std::string>;

void walk(Volume& volume, Ino dir, const std::string& path, Snapshot& out) {
    uint64_t cookie = 0;
    for (;;) {
        auto entries = volume.readdir_plus(dir, cookie, 100);
        EXO_REQUIRE_OK(entries);
        if (entries->empty()) return;
        for (const auto& entry : *entries) {
            cookie = entry.cookie;
            if (entry.name == "." || entry.name == "..") continue;
            const std::string name = path + "/" + entry.name;
            if (S_ISDIR(entry.attr.mode)) {
                out[name] = "dir";
                walk(volume, entry.ino, name, out);
            } else if (S_ISLNK(entry.attr.mode)) {
                out[name] = "-> " + *volume.readlink(entry.ino);
            } else {
                out[name] = "links " + std::to_string(entry.attr.nlink) + " mode " +
                            std::to_string(entry.attr.mode) + " " + read_all(volume, entry.ino);
            }
            volume.close_ref(entry.ino);
        }
    }
}

Snapshot see(Volume& volume) {
    Snapshot snapshot;
    walk(volume, kRootIno, "", snapshot);
    return snapshot;
}

// Runs steps and notes, after each, where the log of writes stood and what could be seen.
class Run {
  public:
    explicit Run(Volume& volume, FaultyDevice& device) : volume_(volume), device_(device) {
        moments_.push_back({device.records(), see(volume)});
    }
    void step(const std::function<void()>& action) {
        action();
        moments_.push_back({device_.records(), see(volume_)});
    }
    void synced(const std::function<void()>& action) {
        step(action);
        durable_.push_back({device_.records(), moments_.size() - 1});
    }
    struct Moment {
        size_t records;  // when the step had returned
        Snapshot seen;
    };
    // Moments that a cut after `records` may show: from the last synced one to the one under way.
    std::pair<size_t, size_t> allowed(size_t records) const {
        size_t first = 0;
        for (const auto& [at, moment] : durable_)
            if (at <= records) first = moment;
        size_t last = first;
        while (last + 1 < moments_.size() && moments_[last].records <= records) last++;
        return {first, last};
    }
    const std::vector<Moment>& moments() const { return moments_; }

  private:
    Volume& volume_;
    FaultyDevice& device_;
    std::vector<Moment> moments_;
    std::vector<std::pair<size_t, size_t>> durable_;
};

uint64_t setting(const char* name, uint64_t otherwise) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 0) : otherwise;
}

uint64_t states_tried = 0;

void try_image(MemoryDevice image, const Run& run, size_t cut, const char* kind) {
    states_tried++;
    INFO("cut after record " << cut << ", unflushed writes: " << kind);
    auto before = fsck_check(image);
    EXO_REQUIRE_OK(before);
    for (const auto& problem : before->problems) FAIL_CHECK("before mount: " << problem);
    Snapshot seen;
    {
        auto volume = mount(image);
        seen = see(*volume);
        // It is a working file system, not only a readable one.
        volume->close_ref(make_file(*volume, kRootIno, "after the crash"));
        EXO_REQUIRE_OK(volume->close());
    }
    auto after = fsck_check(image);
    EXO_REQUIRE_OK(after);
    for (const auto& problem : after->problems) FAIL_CHECK("after mount: " << problem);
    const auto [first, last] = run.allowed(cut);
    for (size_t i = first; i <= last; i++)
        if (run.moments()[i].seen == seen) return;
    FAIL("the state after the crash is none of moments " << first << " to " << last);
}

void cut_everywhere(const MemoryDevice& start, const FaultyDevice& device, const Run& run) {
    const uint64_t seed = setting("EXO_CRASH_SEED", 20261122),
                   extra = setting("EXO_CRASH_EXTRA", 20);
    INFO("EXO_CRASH_SEED=" << seed);
    std::mt19937_64 random(seed);
    CrashStates states(start, device.log());
    for (size_t cut = 0; cut <= device.log().size(); cut++) {
        states.advance(cut);
        try_image(states.none_survive(), run, cut, "none");
        if (states.unflushed() == 0) continue;
        try_image(states.all_survive(), run, cut, "all");
        for (uint64_t i = 0; i < extra; i++)
            try_image(states.some_survive(random), run, cut, "some");
    }
}

void crash_workload(const char* name, const std::function<void(Volume&, Run&)>& workload) {
    const QuietLog quiet;
    MemoryDevice base = fresh_image(16u << 20);
    const MemoryDevice start(base);
    FaultyDevice device(base);
    device.start_recording();
    auto volume = mount(device);
    Run run(*volume, device);
    workload(*volume, run);
    const uint64_t before = states_tried;
    cut_everywhere(start, device, run);
    MESSAGE(std::string(name) << ": " << device.log().size() << " records, "
                              << states_tried - before << " crash states");
    (void)volume->close();
}

std::string text(size_t length, char c) {
    return std::string(length, c);
}

}  // namespace

TEST_CASE("names: create, link, rename over, unlink, directories") {
    crash_workload("names", [](Volume& v, Run& run) {
        Ino dir = 0, file = 0;
        run.step([&] { dir = v.mkdir(kRootIno, "dir", 0755, 0, 0)->ino; });
        run.step([&] { file = make_file(v, dir, "file"); });
        run.synced([&] { EXO_REQUIRE_OK(v.fsync(file, false)); });
        for (int i = 0; i < 12; i++)
            run.step([&] { make_file(v, dir, "many" + std::to_string(i) + text(60, 'm')); });
        run.synced([&] { EXO_REQUIRE_OK(v.fsync(dir, false)); });
        run.step([&] { EXO_REQUIRE_OK(v.link(file, kRootIno, "hard")); });
        run.step([&] { EXO_REQUIRE_OK(v.symlink(dir, "soft", text(1500, 's'), 0, 0)); });
        run.step([&] {
            EXO_REQUIRE_OK(
                v.rename(kRootIno, "hard", dir, "many3" + text(60, 'm'), RenameMode::kReplace));
        });
        run.synced([&] { EXO_REQUIRE_OK(v.sync()); });
        run.step([&] { EXO_REQUIRE_OK(v.unlink(dir, "file")); });
        run.step([&] {
            EXO_REQUIRE_OK(
                v.rename(dir, "soft", dir, "many5" + text(60, 'm'), RenameMode::kExchange));
        });
        for (int i = 0; i < 12; i++)
            run.step(
                [&] { EXO_REQUIRE_OK(v.unlink(dir, "many" + std::to_string(i) + text(60, 'm'))); });
        run.synced([&] { EXO_REQUIRE_OK(v.sync()); });
        run.step([&] { (void)v.unlink(dir, "soft"); });
        run.step([&] { EXO_REQUIRE_OK(v.rmdir(kRootIno, "dir")); });
        run.synced([&] { EXO_REQUIRE_OK(v.sync()); });
    });
}

TEST_CASE("data: appended, in new files, truncated, replaced by rename") {
    crash_workload("data", [](Volume& v, Run& run) {
        Ino file = 0;
        run.step([&] { file = make_file(v, kRootIno, "log"); });
        for (int i = 0; i < 10; i++) {
            run.step([&] {
                EXO_REQUIRE_OK(
                    v.write(file, uint64_t(i) * 8192, bytes_of(text(8192, char('a' + i)))));
            });
            if (i % 3 == 2) run.synced([&] { EXO_REQUIRE_OK(v.fsync(file, true)); });
        }
        run.step([&] { EXO_REQUIRE_OK(v.truncate(file, 40960)); });
        run.synced([&] { EXO_REQUIRE_OK(v.fsync(file, false)); });
        for (int i = 0; i < 6; i++) {
            Ino fresh = 0;
            run.step([&] { fresh = make_file(v, kRootIno, "new"); });
            run.step([&] {
                EXO_REQUIRE_OK(
                    v.write(fresh, 0, bytes_of(text(size_t(3000 + 5000 * i), char('A' + i)))));
            });
            run.synced([&] { EXO_REQUIRE_OK(v.fsync(fresh, false)); });
            run.step([&] {
                EXO_REQUIRE_OK(
                    v.rename(kRootIno, "new", kRootIno, "current", RenameMode::kReplace));
            });
            v.close_ref(fresh, 2);
        }
        run.synced([&] { EXO_REQUIRE_OK(v.sync()); });
    });
}

TEST_CASE("fragmented files: many extents, holes, unwritten space, removal in steps") {
    crash_workload("extents", [](Volume& v, Run& run) {
        Ino file = 0;
        run.step([&] { file = make_file(v, kRootIno, "sparse"); });
        for (uint64_t i = 0; i < 40; i++)
            run.step([&] {
                EXO_REQUIRE_OK(v.write(file, i * 8192, bytes_of(text(4096, char('a' + i % 26)))));
            });
        run.synced([&] { EXO_REQUIRE_OK(v.fsync(file, false)); });
        run.step(
            [&] { EXO_REQUIRE_OK(v.fallocate(file, FallocateMode::kAllocate, 0, 20480, true)); });
        run.step([&] { EXO_REQUIRE_OK(v.write(file, 4096, bytes_of(text(4096, 'Z')))); });
        run.synced([&] { EXO_REQUIRE_OK(v.fsync(file, false)); });
        // One commit holds all of the removal's steps, so a cut shows the file or no file.
        run.step([&] { EXO_REQUIRE_OK(v.unlink(kRootIno, "sparse")); });
        v.close_ref(file);
        run.synced([&] { EXO_REQUIRE_OK(v.sync()); });
        // Reuse of what was freed.
        run.step([&] { file = make_file(v, kRootIno, "next"); });
        run.step([&] { EXO_REQUIRE_OK(v.write(file, 0, bytes_of(text(300000, 'n')))); });
        run.synced([&] { EXO_REQUIRE_OK(v.fsync(file, false)); });
    });
}

TEST_CASE("a log that wraps: many commits and checkpoints, metadata blocks reused") {
    crash_workload("wrap", [](Volume& v, Run& run) {
        Ino dir = 0;
        run.step([&] { dir = v.mkdir(kRootIno, "dir", 0755, 0, 0)->ino; });
        for (int round = 0; round < 4; round++) {
            for (int i = 0; i < 30; i++) {
                const std::string name = std::to_string(i) + text(200, char('a' + round));
                run.step([&] { v.close_ref(make_file(v, dir, name)); });
                if (i % 2) run.synced([&] { EXO_REQUIRE_OK(v.sync()); });
            }
            for (int i = 0; i < 30; i++)
                run.step([&] {
                    EXO_REQUIRE_OK(v.unlink(dir, std::to_string(i) + text(200, char('a' + round))));
                });
            run.synced([&] { EXO_REQUIRE_OK(v.sync()); });
        }
    });
}

TEST_CASE("unmount") {
    const QuietLog quiet;
    MemoryDevice base = fresh_image(16u << 20);
    const MemoryDevice start(base);
    FaultyDevice device(base);
    device.start_recording();
    auto volume = mount(device);
    Run run(*volume, device);
    run.step([&] { make_file(*volume, kRootIno, "file"); });
    EXO_REQUIRE_OK(volume->close());
    cut_everywhere(start, device, run);
}

TEST_CASE("summary") {
    MESSAGE("crash states tried: " << states_tried);
    CHECK(states_tried > 500);
}
