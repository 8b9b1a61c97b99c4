// SPDX-License-Identifier: MIT
// A grant, the right to run traversals over a range of one pinned file; one traversal at a time, or
// many in one call. Through an io_uring: exo/uring.h.
#pragma once

#include <exo/file.hpp>

#include <span>

namespace exo::inline v0 {

class Grant {
  public:
    static Result<Grant> open(const File& file, exo_grant_options options = {}) {
        options.size = sizeof(options);
        int fd = exo_grant__open(file.fd(), &options);
        if (fd < 0) return last_error(fd);
        return Grant(Descriptor(fd));
    }
    // Of a descriptor that came from elsewhere, over a socket for example.
    explicit Grant(Descriptor fd) : fd_(std::move(fd)) {}

    int fd() const { return fd_.get(); }
    Result<exo_grant_entry> info() const {
        exo_grant_entry entry = {};
        if (int error = exo_grant__info(fd(), &entry); error < 0) return last_error(error);
        return entry;
    }
    // How it ended is in the outcome; see exo_outcome__check().
    Result<exo_outcome> traverse(uint32_t program_id, exo_traverse_options options) const {
        options.size = sizeof(options);
        exo_outcome outcome = {};
        int error = exo_grant__traverse(fd(), program_id, &options, &outcome);
        if (error < 0) return last_error(error);
        return outcome;
    }
    // All of them; each has its own outcome.
    Result<> batch(std::span<exo_traverse> traversals) const {
        return check(
            exo_grant__batch(fd(), traversals.data(), traversals.size(), sizeof(exo_traverse)));
    }

  private:
    Descriptor fd_;
};

}  // namespace exo::inline v0
