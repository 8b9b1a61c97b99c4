// SPDX-License-Identifier: MIT
#include "tests/support/faulty_device.h"

#include <algorithm>
#include <cstring>

namespace exo::test {

void FaultyDevice::start_recording() {
    std::lock_guard lock(mutex_);
    recording_ = true;
    log_.clear();
}

size_t FaultyDevice::records() const {
    std::lock_guard lock(mutex_);
    return log_.size();
}

void FaultyDevice::fail_from_now_on(bool writes_only) {
    broken_ = writes_only ? 1 : 2;
}

void FaultyDevice::stop_failing() {
    broken_ = 0;
    countdown_ = 0;
}

bool FaultyDevice::fails(bool write) {
    requests_++;
    if (broken_ == 2 || (broken_ == 1 && write)) return true;
    return countdown_ > 0 && --countdown_ == 0;
}

Result<> FaultyDevice::run(std::span<const IoRequest> requests) {
    for (const IoRequest& request : requests) {
        const bool write = request.kind != IoKind::kRead;
        if (fails(write)) return fail(EIO, write ? "injected write error" : "injected read error");
        EXO_TRY(under_.run({&request, 1}));
        std::lock_guard lock(mutex_);
        if (!write || !recording_) continue;
        Recorded record{request.kind == IoKind::kWrite ? Recorded::kWrite : Recorded::kWriteThrough,
                        request.offset_bytes,
                        {}};
        for (const iovec& piece : request.buffers) {
            const auto* bytes = static_cast<const std::byte*>(piece.iov_base);
            record.data.insert(record.data.end(), bytes, bytes + piece.iov_len);
        }
        log_.push_back(std::move(record));
    }
    return {};
}

Result<> FaultyDevice::flush() {
    if (fails(true)) return fail(EIO, "injected flush error");
    std::lock_guard lock(mutex_);
    if (recording_) log_.push_back({Recorded::kFlush, 0, {}});
    return {};
}

void CrashStates::advance(size_t records) {
    for (; position_ < records; position_++) {
        const Recorded& record = log_[position_];
        if (record.kind == Recorded::kFlush) {
            for (size_t index : volatile_)
                durable_.poke(log_[index].offset_bytes, log_[index].data.data(),
                              log_[index].data.size());
            volatile_.clear();
        } else if (record.kind == Recorded::kWriteThrough) {
            durable_.poke(record.offset_bytes, record.data.data(), record.data.size());
            // An older cached write of the same place cannot come out after it.
            std::erase_if(volatile_, [&](size_t index) {
                return log_[index].offset_bytes >= record.offset_bytes &&
                       log_[index].offset_bytes + log_[index].data.size() <=
                           record.offset_bytes + record.data.size();
            });
        } else {
            volatile_.push_back(position_);
        }
    }
}

MemoryDevice CrashStates::all_survive() const {
    MemoryDevice image(durable_);
    for (size_t index : volatile_)
        image.poke(log_[index].offset_bytes, log_[index].data.data(), log_[index].data.size());
    return image;
}

MemoryDevice CrashStates::some_survive(std::mt19937_64& random) const {
    constexpr size_t kSector = 512;
    MemoryDevice image(durable_);
    std::vector<size_t> order = volatile_;
    std::ranges::shuffle(order, random);
    for (size_t index : order) {
        const Recorded& record = log_[index];
        const unsigned fate = unsigned(random() % 4);  // lost, whole, whole, torn
        if (fate == 0) continue;
        for (size_t at = 0; at < record.data.size(); at += kSector) {
            if (fate == 3 && random() % 2 == 0) continue;
            image.poke(record.offset_bytes + at, record.data.data() + at, kSector);
        }
    }
    return image;
}

}  // namespace exo::test
