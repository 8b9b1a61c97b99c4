// SPDX-License-Identifier: MIT
// Fails every request of a workload, one at a time, in each way that a device may. The error must
// reach a caller, who tries once more; the volume goes on, or turns read-only and can still be
// read; and after a power cut at the end, nothing that was acknowledged as synced is missing.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "tests/crash/matrix.h"

namespace exo::test {

namespace {

constexpr unsigned kHangSeconds = 60;
using Fault = FaultyDevice::Fault;
using Kind = FaultyDevice::Request;

// What is being tried, for the watchdog.
char now_trying[200];

void hang(int) {
    constexpr char kWords[] = "FAILED, hangs: ";
    (void)!write(STDOUT_FILENO, kWords, sizeof kWords - 1);
    (void)!write(STDOUT_FILENO, now_trying, strlen(now_trying));
    (void)!write(STDOUT_FILENO, "\n", 1);
    _exit(1);
}

Snapshot without_times(Snapshot seen) {
    for (auto& [path, one] : seen) one.times.clear();
    return seen;
}

class ErrorTrial {
  public:
    ErrorTrial(const Workload& workload, const Settings& settings)
        : workload_(workload), script_(workload.script()), settings_(settings) {}

    bool prepare() {
        auto base = fresh_volume();
        if (!base) return say(base.error());
        start_.become(*base);
        FaultyDevice device(*base);
        device.start_recording();
        auto volume = open(device);
        if (!volume) return say(volume.error());
        auto reference = record(script_, **volume, device);
        if (!reference) return say(reference.error());
        reference_ = std::move(*reference);
        if (auto done = (*volume)->sync(); !done) return say(done.error());
        crashed_.become(*base);  // now, so that the next mount has a log to replay
        if (auto done = (*volume)->close(); !done) return say(done.error());
        return true;
    }

    bool run() {
        try_all(requests_,
                [&](uint64_t n, Fault fault, const char* name) { return one(n, fault, name); });
        try_all(mount_requests_, [&](uint64_t n, Fault fault, const char* name) {
            return mount_one(n, fault, name);
        });
        printf(
            "%s: %llu requests (and %llu of a mount after a crash), %llu injection points "
            "(%llu reads, %llu writes, %llu flushes, %llu discards), %llu crash states, %llu "
            "failed; EXO_CRASH_SEED=%llu\n",
            workload_.name, print(requests_), print(mount_requests_), print(points_),
            print(kinds_[1]), print(kinds_[2]), print(kinds_[3]), print(kinds_[4]), print(states_),
            print(verdict_.failures()), print(settings_.seed));
        printf("injection points: %llu\n", print(points_));
        return verdict_.failures() == 0;
    }

  private:
    // Every request in each way that makes a difference to it, until there are no more.
    template <typename F>
    void try_all(uint64_t& requests, F&& trial) {
        for (uint64_t n = 1;; n++) {
            const Kind kind = trial(n, Fault::kOnce, "one error");
            if (kind == Kind::kNone) return;
            requests = n;
            if (kind == Kind::kWrite) trial(n, Fault::kTorn, "one torn write");
            if (kind != Kind::kRead) trial(n, Fault::kWrites, "writes fail from there on");
            trial(n, Fault::kForEver, "everything fails from there on");
        }
    }
    static unsigned long long print(uint64_t value) { return value; }
    bool say(const Error& error) {
        printf("FAILED %s: %s\n", workload_.name, describe(error).c_str());
        return false;
    }
    Result<std::unique_ptr<Volume>> open(BlockDevice& device) {
        MountOptions options = options_of(workload_);
        options.cache_bytes = 1;  // as little as there may be, for many reads
        return Volume::open(std::make_unique<BorrowedDevice>(device), options);
    }
    void watch(const std::string& where) {
        snprintf(now_trying, sizeof now_trying, "%s", where.c_str());
        signal(SIGALRM, hang);
        alarm(kHangSeconds);
    }
    void count(Kind kind) {
        points_++;
        kinds_[size_t(kind)]++;
    }

    // What the request was that failed.
    Kind one(uint64_t n, Fault fault, const char* fault_name) {
        const std::string where =
            std::string(workload_.name) + ", " + fault_name + ", request " + std::to_string(n);
        watch(where);
        MemoryDevice image(start_);
        FaultyDevice device(image);
        device.start_recording();
        device.fail_request(n, fault);
        History history;
        size_t done = 0;  // steps that succeeded
        bool told = false;
        {
            auto volume = open(device);
            history.begin(device.records(), without_times(reference_.moment(0).seen));
            if (volume) {
                done = play(**volume, device, history, told);
                if (device.first_failed() != Kind::kNone) check_live(**volume, fault, done, where);
                told |= !(*volume)->close();
            } else {
                told = true;
            }
        }
        const Kind kind = device.first_failed();
        if (kind == Kind::kNone) return kind;
        count(kind);
        const bool must_tell = kind == Kind::kWrite || kind == Kind::kFlush;
        if (must_tell && !told) verdict_.fail(where, "no call returned an error");
        // The step that failed may show.
        if (done < script_.steps().size()) note(history, done, device.records());
        power_cut(start_, device, history, history.moments() - 1, where);
        return kind;
    }

    // Runs the script until a step fails twice; the number of steps that succeeded.
    size_t play(Volume& volume, FaultyDevice& device, History& history, bool& told) {
        Play play{.volume = volume};
        size_t done = 0;
        for (const Step& step : script_.steps()) {
            if (!step.action(play)) {
                told = true;
                if (!step.action(play)) break;
            }
            note(history, done++, device.records());
            if (step.sync == Step::Sync::kAll) history.synced();
            if (step.sync == Step::Sync::kFile) history.synced(step.path, step.data_only);
        }
        return done;
    }

    void note(History& history, size_t step, size_t records) {
        const Step& s = script_.steps()[step];
        history.step(records, without_times(reference_.moment(step + 1).seen),
                     s.in_place ? s.path : std::string());
    }

    // What can be seen in the running volume is what was done, and perhaps the step that failed.
    void check_live(Volume& volume, Fault fault, size_t done, const std::string& where) {
        if (fault == Fault::kForEver) return;
        auto seen = see(volume);
        if (!seen) {
            verdict_.fail(where, "cannot be read afterwards: " + describe(seen.error()));
            return;
        }
        const size_t newest = std::min(done + 1, reference_.moments() - 1);
        History live;
        live.begin(0, without_times(reference_.moment(done).seen));
        if (newest > done) note(live, done, 0);
        if (auto wrong = live.objection(without_times(*seen), 0, live.moments() - 1);
            !wrong.empty())
            verdict_.fail(where, "the running volume: " + wrong);
    }

    // The same for a mount that has a log to replay and orphans to free.
    Kind mount_one(uint64_t n, Fault fault, const char* fault_name) {
        const std::string where = std::string(workload_.name) + ", mount after a crash, " +
                                  fault_name + ", request " + std::to_string(n);
        watch(where);
        MemoryDevice image(crashed_);
        FaultyDevice device(image);
        device.start_recording();
        device.fail_request(n, fault);
        {
            auto volume = open(device);
            if (volume) (void)(*volume)->close();
        }
        const Kind kind = device.first_failed();
        if (kind == Kind::kNone) return kind;
        count(kind);
        History history;
        history.begin(0, without_times(reference_.moment(reference_.moments() - 1).seen));
        power_cut(crashed_, device, history, 0, where);
        return kind;
    }

    void power_cut(const MemoryDevice& start, const FaultyDevice& device, const History& history,
                   size_t last, const std::string& where) {
        CrashStates states(start, device.log());
        Trial trial(verdict_, objection_of(history), settings_, points_);
        trial.cut(states, device.records(), last, 2, where);
        states_ += trial.states();
    }

    const Workload& workload_;
    const Script script_;
    const Settings& settings_;
    MemoryDevice start_{kImageBytes}, crashed_{kImageBytes};
    History reference_;
    Verdict verdict_;
    uint64_t requests_ = 0, mount_requests_ = 0, points_ = 0, states_ = 0, kinds_[5] = {};
};

}  // namespace

bool io_errors(const Workload& workload, const Settings& settings) {
    ErrorTrial trial(workload, settings);
    return trial.prepare() && trial.run();
}

}  // namespace exo::test
