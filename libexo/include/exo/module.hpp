// SPDX-License-Identifier: MIT
// What the module holds and has recorded.
#pragma once

#include <exo/file.hpp>
#include <exo/result.hpp>

#include <span>
#include <vector>

namespace exo {

class Module {
   public:
    static Result<exo_info> info() {
        exo_info info = {};
        if (int error = exo_module__info(&info); error < 0) return last_error(error);
        return info;
    }
    static Result<exo_stats> stats() {
        exo_stats stats = {};
        if (int error = exo_module__stats(&stats); error < 0) return last_error(error);
        return stats;
    }
    static Result<std::vector<exo_volume_entry>> volumes() {
        return list<exo_volume_entry>(EXO_LIST_VOLUMES, 0);
    }
    static Result<std::vector<exo_pin_entry>> pins(uint32_t volume_id = 0) {
        return list<exo_pin_entry>(EXO_LIST_PINS, volume_id);
    }
    static Result<std::vector<exo_grant_entry>> grants(uint32_t volume_id = 0) {
        return list<exo_grant_entry>(EXO_LIST_GRANTS, volume_id);
    }
    static Result<std::vector<exo_program_entry>> programs() {
        return list<exo_program_entry>(EXO_LIST_PROGRAMS, 0);
    }
    static Result<> release(uint32_t volume_id, uint32_t grace_ms) {
        return check(exo_volume__release(volume_id, grace_ms));
    }

   private:
    template <typename Entry>
    static Result<std::vector<Entry>> list(uint32_t kind, uint32_t volume_id) {
        std::vector<Entry> entries;
        auto add = [](const void* entry, void* context) {
            static_cast<std::vector<Entry>*>(context)->push_back(
                *static_cast<const Entry*>(entry));
            return 0;
        };
        int error = exo_module__list(kind, sizeof(Entry), volume_id, add, &entries);
        if (error < 0) return last_error(error);
        return entries;
    }
};

class Audit {
   public:
    static Result<Audit> open(uint32_t flags = 0) {
        int fd = exo_audit__open(flags);
        if (fd < 0) return last_error(fd);
        return Audit(Descriptor(fd));
    }
    int fd() const { return fd_.get(); }
    // The events that were read, at least one unless the descriptor is non-blocking and none is there.
    Result<std::span<exo_audit_event>> read(std::span<exo_audit_event> events) const {
        int count = exo_audit__read(fd(), events.data(), events.size());
        if (count == -EAGAIN) return events.first(0);
        if (count < 0) return last_error(count);
        return events.first(static_cast<size_t>(count));
    }

   private:
    explicit Audit(Descriptor fd) : fd_(std::move(fd)) {}
    Descriptor fd_;
};

}  // namespace exo
