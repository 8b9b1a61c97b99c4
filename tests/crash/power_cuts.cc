// SPDX-License-Identifier: MIT
// Records a workload and cuts the power at every point of the record.
#include <algorithm>
#include <cstdio>

#include "tests/crash/matrix.h"

namespace exo::test {

namespace {
// Notes what a step did that has just succeeded.
Result<> note_step(History& history, const Step& step, const Play& play, size_t records) {
    EXO_TRY_ASSIGN(Snapshot seen, see(play.volume, play.root));
    const Snapshot& before = history.moment(history.moments() - 1).seen;
    const auto file = before.find(step.path);
    const bool in_place =
        step.in_place && file != before.end() && *step.in_place < file->second.size;
    history.step(records, std::move(seen), in_place ? step.path : std::string());
    if (step.sync == Step::Sync::kAll) history.synced();
    if (step.sync == Step::Sync::kFile) history.synced(step.path, step.data_only);
    return {};
}
}  // namespace

Objection objection_of(const History& history) {
    return [&](const Snapshot& found, size_t records, size_t last) {
        return history.objection(found, records, last);
    };
}

Result<History> record(const Script& script, Volume& volume, FaultyDevice& device, Ino root) {
    History history;
    EXO_TRY_ASSIGN(Snapshot empty, see(volume, root));
    history.begin(device.records(), std::move(empty));
    Play play{.volume = volume, .root = root};
    for (const Step& step : script.steps()) {
        if (auto done = step.action(play); !done)
            return fail(done.error().code, step.what + ": " + describe(done.error()));
        EXO_TRY(note_step(history, step, play, device.records()));
    }
    return history;
}

size_t newest_moment(const History& history, size_t records) {
    size_t last = 0;
    while (last + 1 < history.moments() && history.moment(last).records <= records) last++;
    return last;
}

bool power_cuts(const Workload& workload, const Settings& settings) {
    auto base = fresh_volume();
    if (!base) {
        printf("mkfs: %s\n", describe(base.error()).c_str());
        return false;
    }
    const MemoryDevice start(*base);
    FaultyDevice device(*base);
    device.start_recording();
    auto volume = Volume::open(std::make_unique<BorrowedDevice>(device), options_of(workload));
    const Script script = workload.script();
    auto history = volume ? record(script, **volume, device) : std::unexpected(volume.error());
    if (history) {
        // The unmount is part of it.
        if (auto closed = (*volume)->close(); !closed) history = std::unexpected(closed.error());
    }
    if (!history) {
        printf("%s: %s\n", workload.name, describe(history.error()).c_str());
        return false;
    }
    Verdict verdict;
    Trial trial(verdict, objection_of(*history), settings);
    CrashStates states(start, device.log());
    const size_t cuts = device.records() + 1;
    const size_t each = size_t(std::max<uint64_t>(3, settings.states / cuts));
    for (size_t cut = 0; cut < cuts; cut++)
        trial.cut(states, cut, newest_moment(*history, cut), each, workload.name);
    printf(
        "%s: %zu steps, %zu records, %llu crash states (%llu of them in recovery), %llu failed; "
        "EXO_CRASH_SEED=%llu\n",
        workload.name, script.steps().size(), device.records(),
        static_cast<unsigned long long>(trial.states()),
        static_cast<unsigned long long>(trial.second_crashes()),
        static_cast<unsigned long long>(verdict.failures()),
        static_cast<unsigned long long>(settings.seed));
    printf("crash states: %llu\n", static_cast<unsigned long long>(trial.states()));
    return verdict.failures() == 0;
}

}  // namespace exo::test
