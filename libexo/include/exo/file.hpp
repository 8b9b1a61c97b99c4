// SPDX-License-Identifier: MIT
// A file on an exo mount: pin it, unpin it, see and say where it lies.
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <exo/result.hpp>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace exo::inline v0 {

// Owns a descriptor. Everything that libexo hands out as a descriptor can be kept in one.
class Descriptor {
  public:
    explicit Descriptor(int fd = -1) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

  private:
    int fd_;
};

class File {
  public:
    static Result<File> open(const std::string& path, int flags = O_RDONLY, mode_t mode = 0644) {
        int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
        if (fd < 0) {
            int code = errno;
            return std::unexpected(
                Error{code, path + ": " + std::generic_category().message(code), {}});
        }
        return File(path, Descriptor(fd));
    }

    const std::string& path() const { return path_; }
    int fd() const { return fd_.get(); }

    Result<exo_file_info> info() const {
        exo_file_info info = {};
        if (auto done = named(exo_file__info(fd(), &info, sizeof(info))); !done) {
            return std::unexpected(done.error());
        }
        return info;
    }
    Result<> pin(uint32_t flags) const { return named(exo_file__pin(fd(), flags)); }
    Result<exo_file_unpin> unpin(uint32_t grace_ms) const {
        exo_file_unpin result = {};
        if (auto done = named(exo_file__unpin(fd(), grace_ms, &result, sizeof(result))); !done) {
            return std::unexpected(done.error());
        }
        return result;
    }
    // All extents, in file order.
    Result<std::vector<exo_file_extent>> map() const {
        std::vector<exo_file_extent> extents;
        exo_file_map page = {};
        do {
            if (auto done = named(exo_file__map(fd(), &page, sizeof(page))); !done) {
                return std::unexpected(done.error());
            }
            extents.insert(extents.end(), page.extents, page.extents + page.count);
            if (page.count) {
                page.start_offset = extents.back().file_offset + extents.back().length;
            }
        } while (page.count);
        return extents;
    }

    // A hint where its next blocks should lie: see exo_file__place().
    Result<> place(uint64_t where, uint32_t flags = 0) const {
        return named(exo_file__place(fd(), where, flags));
    }

  private:
    File(std::string path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    Result<> named(int returned) const {
        if (returned >= 0) return {};
        return std::unexpected(Error{-returned, path_ + ": " + exo_last_error(), {}});
    }

    std::string path_;
    Descriptor fd_;
};

}  // namespace exo::inline v0
