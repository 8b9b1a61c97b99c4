// SPDX-License-Identifier: MIT
// One image that a power cut left: it must mount, be sound, show what it may show, and work.
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "fs/fsck/fsck.h"
#include "fs/mkfs/mkfs.h"
#include "tests/crash/matrix.h"

namespace exo::test {

Settings Settings::from_environment() {
    auto number = [](const char* name, uint64_t otherwise) {
        const char* text = getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
        return text && *text ? strtoull(text, nullptr, 0) : otherwise;
    };
    return {number("EXO_CRASH_SEED", 20261122), number("EXO_CRASH_STATES", 1400)};
}

void Verdict::fail(const std::string& where, const std::string& what) {
    if (failures_++ < 8) printf("FAILED %s: %s\n", where.c_str(), what.c_str());
}

Result<MemoryDevice> fresh_volume() {
    MemoryDevice device(kImageBytes);
    MkfsOptions options;
    options.uuid = {1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16};
    EXO_TRY(mkfs(device, options));
    return device;
}

MountOptions options_of(const Workload& workload) {
    MountOptions options = workload.options;
    options.commit_interval_ms = 0;
    options.atime = AtimeMode::kNever;  // looking must not change what is seen
    return options;
}

namespace {
Result<std::unique_ptr<Volume>> mount(BlockDevice& device) {
    MountOptions options;
    options.commit_interval_ms = 0;
    options.atime = AtimeMode::kNever;  // looking must not change what is seen
    options.cache_bytes = 4u << 20;
    return Volume::open(std::make_unique<BorrowedDevice>(device), options);
}

std::string words(const char* what, const Error& error) {
    return std::string(what) + ": " + describe(error);
}
}  // namespace

std::string Trial::sound(MemoryDevice& image, const char* when, bool mounted) {
    const auto report = fsck_check(image);
    if (!report) return words(when, report.error());
    if (!report->problems.empty())
        return std::string("fsck ") + when + ": " + report->problems.front() +
               (report->problems.size() > 1
                    ? " (and " + std::to_string(report->problems.size() - 1) + " more)"
                    : "");
    if (mounted && report->orphans > report->pins) return "orphans are left after the mount";
    return {};
}

// What is written and synced now survives the next cut.
std::string Trial::use(Volume& volume, MemoryDevice& image) {
    const std::string name = "after the crash", text(5000, 'x');
    auto made = volume.create(kRootIno, name, S_IFREG | 0644, 0, 0);
    if (!made) return words("create after the crash", made.error());
    if (auto done = volume.write(made->ino, 0, std::as_bytes(std::span(text))); !done)
        return words("write after the crash", done.error());
    if (auto done = volume.sync(); !done) return words("sync after the crash", done.error());
    volume.close_ref(made->ino);
    MemoryDevice cut(image);
    auto again = mount(cut);
    if (!again) return words("second mount", again.error());
    auto found = (*again)->lookup(kRootIno, name);
    if (!found) return words("lookup of what was synced after the crash", found.error());
    std::string back(found->size, '?');
    auto got = (*again)->read(found->ino, 0, std::as_writable_bytes(std::span(back)));
    (*again)->close_ref(found->ino);
    return got && back == text ? "" : "what was synced after the crash is lost";
}

namespace {
// No remains show when a file grows; a pinned one does not.
std::string check_tails(Volume& volume, const Snapshot& seen) {
    for (const auto& [path, file] : seen) {
        if (file.meta.find(" pinned") != std::string::npos) {
            if (auto done = volume.open_ref(file.ino); !done) return words("open", done.error());
            const auto changed = volume.truncate(file.ino, file.size + 1);
            volume.close_ref(file.ino);
            if (changed || changed.error().code != EPERM) return path + " is pinned but changes";
            continue;
        }
        if (file.size % 512 == 0 && file.size % 4096 == 0) continue;
        const uint64_t end = (file.size + 4095) / 4096 * 4096;
        if (auto done = volume.open_ref(file.ino); !done) return words("open", done.error());
        auto grown = volume.truncate(file.ino, end);
        std::string tail(end - file.size, '?');
        Result<size_t> got = 0;
        if (grown) got = volume.read(file.ino, file.size, std::as_writable_bytes(std::span(tail)));
        volume.close_ref(file.ino);
        if (!grown) return words("growing a file after the crash", grown.error());
        if (!got) return words("reading a grown file", got.error());
        if (tail.find_first_not_of('\0') != std::string::npos)
            return path + ": remains show behind its former end of " + std::to_string(file.size) +
                   " when it grows";
    }
    return {};
}
}  // namespace

std::string Trial::look(MemoryDevice& image, size_t records, size_t last, const Depth& depth) {
    if (auto wrong = sound(image, "before the mount", false); !wrong.empty()) return wrong;
    auto volume = mount(image);
    if (!volume) return words("mount", volume.error());
    auto seen = see(**volume);
    if (!seen) return words("reading", seen.error());
    if (timeless_)
        for (auto& [path, one] : *seen) one.times.clear();
    for (const auto& [path, one] : *seen)
        if (one.leased) return path + " is still pinned, though only by a lease";
    if (auto wrong = objection_(*seen, records, last); !wrong.empty()) return wrong;
    if (depth.tails) {
        if (auto wrong = check_tails(**volume, *seen); !wrong.empty()) return wrong;
    }
    if (depth.use) {
        if (auto wrong = use(**volume, image); !wrong.empty()) return wrong;
    }
    if (auto closed = (*volume)->close(); !closed) return words("unmount", closed.error());
    return depth.use || depth.tails ? sound(image, "after the mount", true) : std::string();
}

// Recovery itself is cut at every point, too.
void Trial::recover(const MemoryDevice& image, size_t records, size_t last,
                    const std::string& where) {
    MemoryDevice base(image);
    FaultyDevice device(base);
    device.start_recording();
    {
        auto volume = mount(device);
        if (!volume) return;  // the caller has said so
        if (auto done = (*volume)->sync(); !done) verdict_.fail(where, words("sync", done.error()));
        CrashStates states(image, device.log());
        for (size_t at = 0; at <= device.records(); at++) {
            states.advance(at);
            const std::string place = where + ", again after record " + std::to_string(at);
            for (int i = 0; i < (states.open() > 0 ? 3 : 1); i++) {
                MemoryDevice again = i == 0   ? states.none_survive()
                                     : i == 1 ? states.all_survive()
                                              : states.some_survive(random_);
                states_++;
                second_crashes_++;
                if (auto wrong = look(again, records, last, {}); !wrong.empty())
                    verdict_.fail(place, wrong);
            }
        }
        (void)(*volume)->close();
    }
}

void Trial::image(const MemoryDevice& image, size_t records, size_t last, const std::string& where,
                  const Depth& depth) {
    states_++;
    MemoryDevice copy(image);
    if (auto wrong = look(copy, records, last, depth); !wrong.empty()) {
        verdict_.fail(where, wrong);
        // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread
        if (const char* keep = getenv("EXO_CRASH_KEEP"); keep && verdict_.failures() == 1) {
            std::vector<char> bytes(image.size_bytes());
            image.peek(0, bytes.data(), bytes.size());
            std::ofstream(keep, std::ios::binary)
                .write(bytes.data(), std::streamsize(bytes.size()));
        }
        return;
    }
    if (depth.recover) recover(image, records, last, where);
}

void Trial::cut(CrashStates& states, size_t records, size_t last, size_t count,
                const std::string& where) {
    states.advance(records);
    const size_t images = states.open() == 0 ? 1 : std::max<size_t>(count, 2);
    for (size_t i = 0; i < images; i++) {
        const char* kind = i == 0 ? "nothing unflushed" : i == 1 ? "all" : "some";
        const uint64_t n = sample_++;
        image(i == 0   ? states.none_survive()
              : i == 1 ? states.all_survive()
                       : states.some_survive(random_),
              records, last,
              where + " cut after record " + std::to_string(records) + ", " + kind + " survived",
              {.use = n % 8 == 0, .tails = n % 4 == 1, .recover = n % 61 == 0});
    }
}

}  // namespace exo::test
