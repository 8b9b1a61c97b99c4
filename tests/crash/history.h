// SPDX-License-Identifier: MIT
// What a workload went through: after each step, where the device's log stood and what could be
// seen; and which of it a volume may show after a power cut. The whole must be as it was at one
// moment, no older than the last sync; what was fsynced, no older than that. Beyond that moment
// only those sectors may be newer that later steps changed in place; and a write that makes a file
// longer may be there in a first part.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/crash/snapshot.h"

namespace exo::test {

class History {
  public:
    struct Moment {
        size_t records;  // of the device, when the step had returned
        Snapshot seen;
    };
    void begin(size_t records, Snapshot seen) { moments_.push_back({records, std::move(seen)}); }
    // The step after which this could be seen; in_place: the path that it changed where it lies.
    void step(size_t records, Snapshot seen, const std::string& in_place = {});
    // Everything, or one file, became durable with the last step.
    void synced();
    void synced(const std::string& path, bool data_only);

    size_t moments() const { return moments_.size(); }
    const Moment& moment(size_t index) const { return moments_[index]; }
    // Empty when a cut after `records` may leave this, else what is wrong.
    std::string objection(const Snapshot& found, size_t records) const;
    // The same where the workload ended in the step after moment `last`, at the newest.
    std::string objection(const Snapshot& found, size_t records, size_t last) const;

  private:
    struct FilePoint {
        size_t records, moment;
        Ino ino;
        bool data_only;
    };
    struct InPlace {
        size_t moment;  // after the step
        Ino ino;
    };
    static Ino ino_of(const Snapshot& seen, const std::string& path);
    bool names_match(size_t at, size_t last, const Snapshot& found) const;
    bool partly_written(size_t at, size_t last, const Seen& found) const;
    bool content_allowed(const Seen& found, size_t at, size_t last) const;
    const Seen* seen_at(size_t moment, Ino ino) const;  // null: it was not there
    bool durable_enough(const FilePoint& point, size_t at) const;

    std::vector<Moment> moments_;
    std::vector<std::pair<size_t, size_t>> synced_;  // records, moment
    std::vector<FilePoint> files_;
    std::vector<InPlace> in_place_;
};

}  // namespace exo::test
