// SPDX-License-Identifier: MIT
#include "tests/support/faulty_device.h"

#include <cstring>

namespace exo::test {

namespace {
constexpr size_t kSector = 512;
constexpr auto kGarbage = std::byte{0xDB};
}  // namespace

void FaultyDevice::start_recording() {
    std::lock_guard lock(mutex_);
    recording_ = true;
    log_.clear();
}

size_t FaultyDevice::records() const {
    std::lock_guard lock(mutex_);
    return log_.size();
}

void FaultyDevice::fail_request(uint64_t n, Fault fault) {
    std::lock_guard lock(mutex_);
    fault_ = fault;
    countdown_ = int64_t(n);
}

void FaultyDevice::stop_failing() {
    broken_ = 0;
    countdown_ = 0;
}

bool FaultyDevice::fails(Request request) {
    requests_++;
    bool now = broken_ == 2 || (broken_ == 1 && request != Request::kRead);
    if (countdown_ > 0 && --countdown_ == 0) {
        now = true;
        if (fault_ == Fault::kWrites) broken_ = 1;
        if (fault_ == Fault::kForEver) broken_ = 2;
    }
    if (now && first_failed_ == Request::kNone) first_failed_ = request;
    return now;
}

// A torn write keeps what it overwrites in every other sector.
Result<> FaultyDevice::write(const IoRequest& request, bool torn) {
    Recorded record{
        request.kind == IoKind::kWrite || torn ? Recorded::kWrite : Recorded::kWriteThrough,
        request.offset_bytes};
    for (const iovec& piece : request.buffers) {
        const auto* bytes = static_cast<const std::byte*>(piece.iov_base);
        record.data.insert(record.data.end(), bytes, bytes + piece.iov_len);
    }
    if (torn) {
        for (size_t at = kSector; at < record.data.size(); at += 2 * kSector)
            under_.peek(request.offset_bytes + at, record.data.data() + at, kSector);
    }
    EXO_TRY(
        under_.BlockDevice::write(request.offset_bytes, record.data.data(), record.data.size()));
    if (recording_) log_.push_back(std::move(record));
    return {};
}

Result<> FaultyDevice::run(std::span<const IoRequest> requests) {
    for (const IoRequest& request : requests) {
        std::lock_guard lock(mutex_);
        if (request.kind == IoKind::kRead) {
            const bool failed = fails(Request::kRead);
            EXO_TRY(under_.run({&request, 1}));
            if (!failed) continue;
            for (const iovec& piece : request.buffers)
                memset(static_cast<std::byte*>(piece.iov_base) + piece.iov_len / 2, int(kGarbage),
                       piece.iov_len - piece.iov_len / 2);
            return fail(EIO, "injected read error");
        } else if (fails(Request::kWrite)) {
            if (fault_ == Fault::kTorn) EXO_TRY(write(request, true));
            return fail(EIO, "injected write error");
        } else {
            EXO_TRY(write(request, false));
        }
    }
    return {};
}

Result<> FaultyDevice::flush() {
    std::lock_guard lock(mutex_);
    const bool failed = fails(Request::kFlush);
    if (recording_) log_.push_back({failed ? Recorded::kFailedFlush : Recorded::kFlush});
    if (failed) return fail(EIO, "injected flush error");
    return {};
}

Result<> FaultyDevice::discard(uint64_t offset_bytes, uint64_t length_bytes) {
    std::lock_guard lock(mutex_);
    if (fails(Request::kDiscard)) return fail(EIO, "injected discard error");
    const std::vector<std::byte> garbage(kBlockBytes, kGarbage);
    for (uint64_t at = 0; at < length_bytes; at += kBlockBytes)
        under_.poke(offset_bytes + at, garbage.data(), kBlockBytes);
    if (recording_) log_.push_back({Recorded::kDiscard, offset_bytes, {}, length_bytes});
    return {};
}

}  // namespace exo::test
