// SPDX-License-Identifier: MIT
// Several workloads at once, each by a thread of its own in a directory of its own, beside the
// volume's own commits, and the power cut at every point of what they send. Whatever the others
// did, each finds its directory as it was at one moment of its own, no older than its last sync.
// How the threads fall differs from run to run, so a failure is looked at with EXO_CRASH_KEEP.
#include <algorithm>
#include <cstdio>
#include <thread>

#include "tests/crash/matrix.h"

namespace exo::test {

namespace {

std::string directory_of(size_t writer) {
    return "writer" + std::to_string(writer);
}

// Empty directories, and the volume unmounted: what happens then is recorded.
Result<MemoryDevice> prepared_volume(const MountOptions& options, size_t writers) {
    EXO_TRY_ASSIGN(MemoryDevice device, fresh_volume());
    EXO_TRY_ASSIGN(auto volume, Volume::open(std::make_unique<BorrowedDevice>(device), options));
    for (size_t i = 0; i < writers; i++) {
        EXO_TRY_ASSIGN(const FileAttr made, volume->mkdir(kRootIno, directory_of(i), 0755, 0, 0));
        volume->close_ref(made.ino);
    }
    EXO_TRY(volume->close());
    return device;
}

class Together {
  public:
    Together(const Company& company, const Settings& settings)
        : company_(company), settings_(settings), results_(company.workloads.size()) {
        options_.commit_interval_ms = 2;
        options_.atime = AtimeMode::kNever;
        options_.cache_bytes = 1u << 20;
    }

    Result<> run() {
        EXO_TRY_ASSIGN(MemoryDevice image, prepared_volume(options_, results_.size()));
        const MemoryDevice start(image);
        FaultyDevice device(image);
        device.start_recording();
        EXO_TRY(play(device));
        Verdict verdict;
        Trial trial(
            verdict,
            [this](const Snapshot& found, size_t records, size_t) {
                return objection(found, records);
            },
            settings_);
        CrashStates states(start, device.log());
        const size_t cuts = device.records() + 1;
        const size_t each = size_t(std::max<uint64_t>(2, settings_.states / cuts));
        for (size_t cut = 0; cut < cuts; cut++) trial.cut(states, cut, 0, each, company_.name);
        printf("%s: %zu writers at once, %zu records, %llu crash states, %llu failed\n",
               company_.name, results_.size(), device.records(),
               static_cast<unsigned long long>(trial.states()),
               static_cast<unsigned long long>(verdict.failures()));
        printf("crash states: %llu\n", static_cast<unsigned long long>(trial.states()));
        return verdict.failures() == 0 ? Result<>() : fail(EIO, "states are wrong");
    }

  private:
    Result<> play(FaultyDevice& device) {
        EXO_TRY_ASSIGN(auto volume,
                       Volume::open(std::make_unique<BorrowedDevice>(device), options_));
        std::vector<std::thread> threads;
        std::vector<Ino> roots;
        for (size_t i = 0; i < results_.size(); i++) {
            EXO_TRY_ASSIGN(const FileAttr found, volume->lookup(kRootIno, directory_of(i)));
            roots.push_back(found.ino);
        }
        for (size_t i = 0; i < results_.size(); i++)
            threads.emplace_back([&, i] {
                const Script script = find_workload(company_.workloads[i])->script();
                results_[i] = record(script, *volume, device, roots[i]);
            });
        for (auto& thread : threads) thread.join();
        for (const Ino root : roots) volume->close_ref(root);
        EXO_TRY(volume->close());
        for (const auto& result : results_)
            if (!result) return std::unexpected(result.error());
        return {};
    }

    std::string objection(const Snapshot& found, size_t records) const {
        for (size_t i = 0; i < results_.size(); i++) {
            const std::string prefix = directory_of(i) + "/";
            Snapshot own;
            for (const auto& [path, seen] : found)
                if (path.starts_with(prefix)) own[path.substr(prefix.size())] = seen;
            if (auto wrong = results_[i]->objection(own, records); !wrong.empty())
                return std::string(company_.workloads[i]) + ": " + wrong;
        }
        return {};
    }

    const Company& company_;
    const Settings& settings_;
    MountOptions options_;
    std::vector<Result<History>> results_;
};

}  // namespace

const std::vector<Company>& companies() {
    static const std::vector<Company> all = {
        // A copy is left out: it is as many writes as it takes, and the model knows no such parts.
        {"growing", {"append", "overwrite", "rename", "allocate"}},
        {"changing", {"truncate", "attributes", "leases", "xattrs"}},
        {"punching", {"punch", "allocate", "truncate", "overwrite"}},
        {"naming", {"unnamed", "links", "append", "rename"}},
    };
    return all;
}

bool power_cuts_together(const Company& company, const Settings& settings) {
    const auto done = Together(company, settings).run();
    if (!done) printf("FAILED %s: %s\n", company.name, describe(done.error()).c_str());
    return bool(done);
}

}  // namespace exo::test
