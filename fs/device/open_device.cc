// SPDX-License-Identifier: MIT
// A block device or image file: single requests by preadv2/pwritev2, several at once through an
// io_uring from a small pool. Where the kernel refuses io_uring, they go one after another.
#include "fs/device/open_device.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>
#include <vector>

#include "fs/base/log.h"
#include "fs/base/page.h"
#include "fs/base/polling.h"
#include "fs/base/unique_fd.h"

namespace exo {

namespace {

constexpr unsigned kRingEntries = 64;
constexpr size_t kMaxIdleRings = 8;
constexpr size_t kMaxIovecs = 1024;
constexpr size_t kPolledBytes = 16384;
constexpr std::chrono::microseconds kPolling{100};
constexpr unsigned kLeftOutAfterVain = 64;

struct Ring {
    io_uring ring{};
    bool usable = false;
    ~Ring() {
        if (usable) io_uring_queue_exit(&ring);
    }
};

size_t total_bytes(std::span<const iovec> buffers) {
    size_t total = 0;
    for (const iovec& piece : buffers) total += piece.iov_len;
    return total;
}

class FileDevice final : public BlockDevice {
  public:
    FileDevice(unique_fd fd, std::string name, uint64_t size, uint32_t logical, bool direct,
               bool read_only, bool is_block, void (*before_waiting)(), void (*after_waiting)())
        : fd_(std::move(fd)),
          name_(std::move(name)),
          size_(size),
          logical_(logical),
          direct_(direct),
          read_only_(read_only),
          is_block_(is_block),
          before_waiting_(before_waiting),
          after_waiting_(after_waiting) {}

    Result<> run(std::span<const IoRequest> requests) override {
        for (const IoRequest& request : requests) EXO_TRY(check_bounds(request));
        if (!direct_) return run_cached(requests);
        const Waiting waiting(*this);
        return run_together(requests);
    }

    Result<> flush() override {
        const Waiting waiting(*this);
        if (fdatasync(fd_.get()) != 0) return io_error("flush", 0, 0, errno);
        return {};
    }

    Result<> discard(uint64_t offset_bytes, uint64_t length_bytes) override {
        if (!discard_works_.load(std::memory_order_relaxed)) return {};
        int result;
        if (is_block_) {
            uint64_t range[2] = {offset_bytes, length_bytes};
            result = ioctl(fd_.get(), BLKDISCARD, range);
        } else {
            result = fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                               off_t(offset_bytes), off_t(length_bytes));
        }
        if (result != 0) {
            if (errno != EOPNOTSUPP && errno != ENOTTY && errno != EINVAL)
                return io_error("discard", offset_bytes, length_bytes, errno);
            discard_works_ = false;
        }
        return {};
    }

    void expect(uint64_t offset_bytes, uint64_t length_bytes) override {
        if (!direct_)
            (void)posix_fadvise(fd_.get(), off_t(offset_bytes), off_t(length_bytes),
                                POSIX_FADV_WILLNEED);
    }

    uint64_t size_bytes() const override { return size_; }
    uint32_t logical_block_bytes() const override { return logical_; }
    bool read_only() const override { return read_only_; }
    const std::string& name() const override { return name_; }
    int fd() const override { return fd_.get(); }

  private:
    std::unexpected<Error> io_error(const char* what, uint64_t offset, uint64_t length, int code) {
        std::string message = name_ + ": " + what;
        if (length > 0)
            message += " of " + std::to_string(length) + " bytes at " + std::to_string(offset);
        return fail(code, message + " failed: " + errno_text(code));
    }

    // Tells whoever wants to know that the calling thread waits for the device.
    class Waiting {
      public:
        explicit Waiting(const FileDevice& device) : device_(device) {
            if (device_.before_waiting_) device_.before_waiting_();
        }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;
        ~Waiting() {
            if (device_.after_waiting_) device_.after_waiting_();
        }

      private:
        const FileDevice& device_;
    };

    Result<> run_together(std::span<const IoRequest> requests) {
        if (requests.size() > 1 && uring_works_.load(std::memory_order_relaxed)) {
            if (auto ring = take_ring()) {
                auto result = run_on_ring(*ring, requests);
                if (ring->usable) give_ring(std::move(ring));
                return result;
            }
        }
        for (const IoRequest& request : requests) EXO_TRY(run_plain(request));
        return {};
    }

    // Through the page cache: what is there, and what is only written, needs no waiting, and for a
    // write the ring would only wake a thread of the kernel.
    Result<> run_cached(std::span<const IoRequest> requests) {
        std::vector<IoRequest> missing;
        for (const IoRequest& request : requests) {
            if (request.kind == IoKind::kRead) {
                if (!read_cached(request)) missing.push_back(request);
                continue;
            }
            std::optional<Waiting> waiting;
            if (request.kind == IoKind::kWriteThrough) waiting.emplace(*this);
            EXO_TRY(run_plain(request));
        }
        if (missing.empty()) return {};
        const Waiting waiting(*this);
        if (missing.size() == 1 && poll_for(missing.front())) return {};
        return run_together(missing);
    }

    // Reads what needs no waiting. False: not all of it was there.
    bool read_cached(const IoRequest& request) const {
        if (request.buffers.size() > kMaxIovecs) return false;
        const ssize_t done = preadv2(fd_.get(), request.buffers.data(), int(request.buffers.size()),
                                     off_t(request.offset_bytes), RWF_NOWAIT);
        return done >= 0 && size_t(done) == total_bytes(request.buffers);
    }

    // The attempt to read what was not there has made the kernel fetch it. One thread at a time
    // looks whether it came; where it takes longer than sleeping would, nobody does for a while.
    bool poll_for(const IoRequest& request) {
        if (total_bytes(request.buffers) > kPolledBytes || polled_.test_and_set()) return false;
        const bool there = polling_.poll([&] { return read_cached(request); });
        polled_.clear();
        return there;
    }

    Result<> check_bounds(const IoRequest& request) {
        const size_t length = total_bytes(request.buffers);
        if (request.offset_bytes > size_ || length > size_ - request.offset_bytes)
            return io_error("access past its end", request.offset_bytes, length, EIO);
        return {};
    }

    static bool aligned(std::span<const iovec> buffers) {
        return std::ranges::all_of(buffers, [](const iovec& piece) {
            return reinterpret_cast<uintptr_t>(piece.iov_base) % 512 == 0;
        });
    }

    Result<> run_plain(const IoRequest& request) {
        if (direct_ && !aligned(request.buffers)) return run_bounced(request);
        uint64_t offset = request.offset_bytes;
        std::span<const iovec> rest = request.buffers;
        while (!rest.empty()) {
            const auto part = rest.first(std::min(rest.size(), kMaxIovecs));
            EXO_TRY(run_part(request.kind, offset, part));
            offset += total_bytes(part);
            rest = rest.subspan(part.size());
        }
        return {};
    }

    Result<> run_part(IoKind kind, uint64_t offset, std::span<const iovec> part) {
        std::vector<iovec> copy;  // only after a short transfer
        for (;;) {
            const size_t length = total_bytes(part);
            if (length == 0) return {};
            const ssize_t done =
                kind == IoKind::kRead
                    ? preadv2(fd_.get(), part.data(), int(part.size()), off_t(offset), 0)
                    : pwritev2(fd_.get(), part.data(), int(part.size()), off_t(offset),
                               kind == IoKind::kWriteThrough ? RWF_DSYNC : 0);
            if (done < 0 && errno == EINTR) continue;
            const char* what = kind == IoKind::kRead ? "read" : "write";
            if (done < 0) return io_error(what, offset, length, errno);
            if (size_t(done) == length) return {};
            if (done == 0) return io_error(what, offset, length, EIO);
            offset += uint64_t(done);
            std::vector<iovec> next;
            size_t skip = size_t(done);
            for (const iovec& piece : part) {
                if (skip >= piece.iov_len) {
                    skip -= piece.iov_len;
                    continue;
                }
                next.push_back({static_cast<char*>(piece.iov_base) + skip, piece.iov_len - skip});
                skip = 0;
            }
            copy = std::move(next);
            part = copy;
        }
    }

    // O_DIRECT wants aligned memory: copy through a buffer of ours, in bounded pieces.
    Result<> run_bounced(const IoRequest& request) {
        constexpr size_t kPiece = 1u << 20;
        const size_t total = total_bytes(request.buffers);
        const size_t size = std::min(kPiece, total);
        AlignedBuffer bounce = allocate_aligned(size);
        size_t piece_index = 0, piece_at = 0;
        auto copy = [&](size_t bytes, bool to_bounce) {
            for (size_t at = 0; at < bytes;) {
                const iovec& piece = request.buffers[piece_index];
                const size_t n = std::min(bytes - at, piece.iov_len - piece_at);
                auto* user = static_cast<std::byte*>(piece.iov_base) + piece_at;
                if (to_bounce)
                    memcpy(bounce.get() + at, user, n);
                else
                    memcpy(user, bounce.get() + at, n);
                at += n;
                piece_at += n;
                if (piece_at == piece.iov_len) {
                    piece_index++;
                    piece_at = 0;
                }
            }
        };
        for (size_t at = 0; at < total; at += size) {
            const size_t n = std::min(size, total - at);
            const iovec part{bounce.get(), n};
            if (request.kind != IoKind::kRead) copy(n, true);
            EXO_TRY(run_part(request.kind, request.offset_bytes + at, {&part, 1}));
            if (request.kind == IoKind::kRead) copy(n, false);
        }
        return {};
    }

    Result<> run_on_ring(Ring& ring, std::span<const IoRequest> requests) {
        // A request that the ring can't take as it is, or that comes back short, is done plainly.
        std::vector<size_t> plain;
        Result<> first_error;
        auto keep = [&](Result<> result) {
            if (!result && first_error) first_error = std::move(result);
        };
        size_t next = 0, in_flight = 0;
        while (next < requests.size() || in_flight > 0) {
            while (next < requests.size() && in_flight < kRingEntries) {
                const IoRequest& request = requests[next];
                if (request.buffers.size() > kMaxIovecs || (direct_ && !aligned(request.buffers))) {
                    plain.push_back(next++);
                    continue;
                }
                io_uring_sqe* sqe = io_uring_get_sqe(&ring.ring);
                if (!sqe) break;
                if (request.kind == IoKind::kRead)
                    io_uring_prep_readv(sqe, fd_.get(), request.buffers.data(),
                                        unsigned(request.buffers.size()), request.offset_bytes);
                else
                    io_uring_prep_writev2(sqe, fd_.get(), request.buffers.data(),
                                          unsigned(request.buffers.size()), request.offset_bytes,
                                          request.kind == IoKind::kWriteThrough ? RWF_DSYNC : 0);
                io_uring_sqe_set_data64(sqe, next);
                next++;
                in_flight++;
            }
            if (in_flight == 0) continue;
            const int submitted = io_uring_submit_and_wait(&ring.ring, 1);
            if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN &&
                submitted != -EBUSY) {
                // Buffers may still be in use by the kernel: closing the ring waits for them.
                io_uring_queue_exit(&ring.ring);
                ring.usable = false;
                return io_error("io_uring submission", 0, 0, -submitted);
            }
            io_uring_cqe* cqe;
            while (io_uring_peek_cqe(&ring.ring, &cqe) == 0) {
                const size_t index = size_t(io_uring_cqe_get_data64(cqe));
                const int result = cqe->res;
                io_uring_cqe_seen(&ring.ring, cqe);
                in_flight--;
                const IoRequest& request = requests[index];
                const size_t length = total_bytes(request.buffers);
                if (result == -EAGAIN || result == -EINTR ||
                    (result >= 0 && size_t(result) != length))
                    plain.push_back(index);
                else if (result < 0)
                    keep(io_error(request.kind == IoKind::kRead ? "read" : "write",
                                  request.offset_bytes, length, -result));
            }
        }
        for (size_t index : plain) keep(run_plain(requests[index]));
        return first_error;
    }

    std::unique_ptr<Ring> take_ring() {
        {
            std::lock_guard lock(rings_mutex_);
            if (!rings_.empty()) {
                auto ring = std::move(rings_.back());
                rings_.pop_back();
                return ring;
            }
        }
        auto ring = std::make_unique<Ring>();
        const int result = io_uring_queue_init(kRingEntries, &ring->ring, 0);
        if (result < 0) {
            if (uring_works_.exchange(false))
                log(LogLevel::kWarning,
                    "io_uring is not available (" + errno_text(-result) +
                        "; see the kernel.io_uring_disabled sysctl): using plain reads and writes");
            return nullptr;
        }
        ring->usable = true;
        return ring;
    }

    void give_ring(std::unique_ptr<Ring> ring) {
        std::lock_guard lock(rings_mutex_);
        if (rings_.size() < kMaxIdleRings) rings_.push_back(std::move(ring));
    }

    unique_fd fd_;
    std::string name_;
    uint64_t size_;
    uint32_t logical_;
    bool direct_, read_only_, is_block_;
    void (*before_waiting_)();
    void (*after_waiting_)();
    std::atomic<bool> uring_works_{true}, discard_works_{true};
    Polling polling_{kPolling, kLeftOutAfterVain};
    std::atomic_flag polled_;
    std::mutex rings_mutex_;  // guards rings_
    std::vector<std::unique_ptr<Ring>> rings_;
};

}  // namespace

Result<std::unique_ptr<BlockDevice>> open_device(const std::string& path,
                                                 const DeviceOptions& options) {
    struct stat info;
    if (stat(path.c_str(), &info) != 0)
        return fail(errno, path + ": " + errno_text(errno) +
                               (errno == ENOENT ? "; check the device name" : ""));
    const bool is_block = S_ISBLK(info.st_mode);
    if (!is_block && !S_ISREG(info.st_mode))
        return fail(ENOTBLK, path + ": neither a block device nor an image file");
    int flags = O_CLOEXEC | (options.read_only ? O_RDONLY : O_RDWR);
    if (is_block && options.exclusive) flags |= O_EXCL;
    bool direct = options.direct;
    unique_fd fd(open(path.c_str(), flags | (direct ? O_DIRECT : 0)));
    if (!fd && direct && errno == EINVAL) {  // tmpfs and others have no O_DIRECT
        direct = false;
        fd = unique_fd(open(path.c_str(), flags));
    }
    if (!fd) {
        const int code = errno;
        if (code == EBUSY)
            return fail(code,
                        path +
                            ": the device is in use (mounted, or claimed by another program); "
                            "unmount it first");
        if (code == EROFS || (code == EACCES && !options.read_only))
            return fail(code, path + ": cannot be written (" + errno_text(code) +
                                  "); use a read-only mount, or run as a user who may write it");
        return fail(code, path + ": cannot be opened: " + errno_text(code));
    }
    if (!is_block && options.exclusive &&
        flock(fd.get(), (options.read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0)
        return fail(EBUSY, path + ": the image is in use by another program; unmount it first");
    uint64_t size = uint64_t(info.st_size);
    int logical = 512;
    if (is_block) {
        if (ioctl(fd.get(), BLKGETSIZE64, &size) != 0 || ioctl(fd.get(), BLKSSZGET, &logical) != 0)
            return fail(errno, path + ": its size cannot be read: " + errno_text(errno));
        if (logical > int(BlockDevice::kIoAlignment))
            return fail(EOPNOTSUPP, path + ": logical blocks of " + std::to_string(logical) +
                                        " bytes are larger than the 4096 that exo supports");
    }
    return std::make_unique<FileDevice>(std::move(fd), path, size, uint32_t(logical), direct,
                                        options.read_only, is_block, options.before_waiting,
                                        options.after_waiting);
}

}  // namespace exo
