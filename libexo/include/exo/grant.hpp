// SPDX-License-Identifier: MIT
// A grant, the right to run traversals over a range of one pinned file; one traversal at a time, or
// many in one call. Through an io_uring: exo/uring.h.
#pragma once

#include <exo/file.hpp>

#include <span>
#include <vector>

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
        int error = exo_grant__info(fd(), &entry, sizeof(entry));
        if (error < 0) return last_error(error);
        return entry;
    }
    // A weaker one: a narrower range, fewer rights, lower limits, one program, an end.
    Result<Grant> derive(exo_grant_derive terms) const {
        int derived = exo_grant__derive(fd(), &terms, sizeof(terms));
        if (derived < 0) return last_error(derived);
        return Grant(Descriptor(derived));
    }
    // What was derived from it; with EXO_REVOKE_SELF in flags itself as well.
    Result<exo_grant_revoke> revoke(uint32_t grace_ms, uint32_t flags = 0) const {
        exo_grant_revoke request = {};
        request.grace_ms = grace_ms;
        request.flags = flags;
        int error = exo_grant__revoke(fd(), &request, sizeof(request));
        if (error < 0) return last_error(error);
        return request;
    }
    // Traversals on it may read the files of all, by slot. It keeps them open.
    static Result<Grant> set_of(std::span<const Grant> grants) {
        std::vector<int> fds;
        for (const Grant& grant : grants) fds.push_back(grant.fd());
        int made = exo_set__create(fds.data(), fds.size());
        if (made < 0) return last_error(made);
        return Grant(Descriptor(made));
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
