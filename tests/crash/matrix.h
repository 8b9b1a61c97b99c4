// SPDX-License-Identifier: MIT
// The trials of workloads: the power cut at every point of what they send to the device, one alone
// or several at once, and an error for every request of one.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>

#include "tests/crash/history.h"
#include "tests/crash/script.h"
#include "tests/support/crash_states.h"

namespace exo::test {

inline constexpr uint64_t kImageBytes = 16u << 20;

// EXO_CRASH_SEED, and EXO_CRASH_STATES: about how many power cuts each workload suffers.
struct Settings {
    uint64_t seed, states;
    static Settings from_environment();
};

// Collects what went wrong; only the first few are printed.
class Verdict {
  public:
    void fail(const std::string& where, const std::string& what);
    uint64_t failures() const { return failures_; }

  private:
    uint64_t failures_ = 0;
};

// How much is tried with one image, beside that it mounts, is sound, and shows what it may.
struct Depth {
    bool use = false;      // the volume works: what is written and synced survives the next cut
    bool tails = false;    // no remains of anything behind the ends of files
    bool recover = false;  // the power is cut again, at every point of the mount
};

// Empty when a cut after `records` may leave this, else what is wrong; `last`: the newest moment
// that may show.
using Objection = std::function<std::string(const Snapshot& found, size_t records, size_t last)>;

// Counts the images that it tries.
class Trial {
  public:
    Trial(Verdict& verdict, Objection objection, const Settings& settings)
        : verdict_(verdict), objection_(std::move(objection)), random_(settings.seed) {}
    // For one of many short trials with a history of another run: times are not compared.
    Trial(Verdict& verdict, Objection objection, const Settings& settings, uint64_t number)
        : verdict_(verdict),
          objection_(std::move(objection)),
          random_(settings.seed + number),
          timeless_(true),
          sample_(number * 3) {}
    // `last`: the newest moment that may show.
    void image(const MemoryDevice& image, size_t records, size_t last, const std::string& where,
               const Depth& depth);
    // As many images of what a cut after `records` may leave as asked for, at least two.
    void cut(CrashStates& states, size_t records, size_t last, size_t count,
             const std::string& where);
    uint64_t states() const { return states_; }
    uint64_t second_crashes() const { return second_crashes_; }

  private:
    std::string look(MemoryDevice& image, size_t records, size_t last, const Depth& depth);
    std::string use(Volume& volume, MemoryDevice& image);
    std::string sound(MemoryDevice& image, const char* when, bool mounted);
    void recover(const MemoryDevice& image, size_t records, size_t last, const std::string& where);

    Verdict& verdict_;
    const Objection objection_;
    std::mt19937_64 random_;
    bool timeless_ = false;
    uint64_t sample_ = 0;  // where in the round of depths it is
    uint64_t states_ = 0, second_crashes_ = 0;
};

// A fresh volume, the same for every trial of a workload.
Result<MemoryDevice> fresh_volume();
MountOptions options_of(const Workload& workload);
// The last moment that a cut after `records` may show.
size_t newest_moment(const History& history, size_t records);
// What a history of the whole volume says.
Objection objection_of(const History& history);
// Runs a script to its end below a directory, where nothing fails.
Result<History> record(const Script& script, Volume& volume, FaultyDevice& device,
                       Ino root = kRootIno);

// Some workloads that run at once, each in a directory of its own.
struct Company {
    const char* name;
    std::vector<const char*> workloads;
};
const std::vector<Company>& companies();

// All print one line with their counts; false when something failed.
bool power_cuts(const Workload& workload, const Settings& settings);
bool io_errors(const Workload& workload, const Settings& settings);
bool power_cuts_together(const Company& company, const Settings& settings);

}  // namespace exo::test
