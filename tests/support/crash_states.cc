// SPDX-License-Identifier: MIT
#include "tests/support/crash_states.h"

#include <algorithm>

namespace exo::test {

namespace {
constexpr size_t kSector = 512;
}

CrashStates::CrashStates(const MemoryDevice& before, const std::vector<Recorded>& log)
    : durable_(before), log_(log) {}

void CrashStates::add(size_t record, std::vector<Unit>& units) const {
    const Recorded& r = log_[record];
    const size_t length = r.kind == Recorded::kDiscard ? r.length_bytes : r.data.size();
    for (size_t at = 0; at < length; at += kBlockBytes) units.push_back({record, at});
}

// What was written through cannot be followed by an older cached write or discard of the same
// place.
void CrashStates::close(const Recorded& record) {
    std::erase_if(open_, [&](const Unit& unit) {
        const Recorded& other = log_[unit.record];
        const uint64_t place = other.offset_bytes + unit.at;
        return place >= record.offset_bytes && place < record.offset_bytes + record.data.size();
    });
}

void CrashStates::advance(size_t records) {
    for (; position_ < records; position_++) {
        const Recorded& record = log_[position_];
        switch (record.kind) {
            case Recorded::kWrite:
            case Recorded::kDiscard:
                add(position_, open_);
                break;
            case Recorded::kWriteThrough: {
                close(record);
                std::vector<Unit> units;
                add(position_, units);
                for (const Unit& unit : units) apply(durable_, unit);
                break;
            }
            case Recorded::kFlush:
                for (const Unit& unit : open_) {
                    // Some discards are never heard of again.
                    if (log_[unit.record].kind == Recorded::kDiscard && unit.record % 4 == 0)
                        continue;
                    apply(durable_, unit);
                }
                open_.clear();
                break;
            case Recorded::kFailedFlush:
                open_.clear();
                break;
        }
    }
    in_flight_.clear();
    if (position_ < log_.size() && log_[position_].kind == Recorded::kWriteThrough)
        add(position_, in_flight_);
}

void CrashStates::apply(MemoryDevice& image, const Unit& unit) const {
    const Recorded& record = log_[unit.record];
    if (record.kind != Recorded::kDiscard) {
        image.poke(record.offset_bytes + unit.at, record.data.data() + unit.at, kBlockBytes);
        return;
    }
    static const std::vector<std::byte> garbage(kBlockBytes, std::byte{0xDB});
    image.poke(record.offset_bytes + unit.at, garbage.data(), kBlockBytes);
}

void CrashStates::tear(MemoryDevice& image, const Unit& unit, std::mt19937_64& random) const {
    const Recorded& record = log_[unit.record];
    if (record.kind == Recorded::kDiscard) return;
    // Sometimes a first or last part, sometimes any sectors.
    const size_t sectors = kBlockBytes / kSector, kind = random() % 3, edge = random() % sectors;
    for (size_t i = 0; i < sectors; i++) {
        const bool written = kind == 0 ? i < edge : kind == 1 ? i >= edge : random() % 2 == 0;
        if (!written) continue;
        const size_t at = unit.at + i * kSector;
        image.poke(record.offset_bytes + at, record.data.data() + at, kSector);
    }
}

MemoryDevice CrashStates::all_survive() const {
    MemoryDevice image(durable_);
    for (const Unit& unit : open_) apply(image, unit);
    for (const Unit& unit : in_flight_) apply(image, unit);
    return image;
}

MemoryDevice CrashStates::some_survive(std::mt19937_64& random) const {
    MemoryDevice image(durable_);
    std::vector<Unit> units = open_;
    units.insert(units.end(), in_flight_.begin(), in_flight_.end());
    const size_t one = random() % units.size();
    const bool torn = random() % 2 == 0;
    const size_t kind = random() % 6;
    size_t fate = 0, last_record = SIZE_MAX;
    for (size_t i = 0; i < units.size(); i++) {
        const Unit& unit = units[i];
        if (unit.record != last_record) fate = random() % 4;  // lost, whole, whole, mixed
        last_record = unit.record;
        switch (kind) {
            case 0:  // one is missing or torn
                if (i != one)
                    apply(image, unit);
                else if (torn)
                    tear(image, unit, random);
                break;
            case 1:  // only one came through
                if (i == one) torn ? tear(image, unit, random) : apply(image, unit);
                break;
            case 2:  // in order up to one
                if (i < one)
                    apply(image, unit);
                else if (i == one)
                    tear(image, unit, random);
                break;
            case 3:  // from one on
                if (i > one)
                    apply(image, unit);
                else if (i == one)
                    tear(image, unit, random);
                break;
            default:  // each request has its own fate
                if (fate == 1 || fate == 2)
                    apply(image, unit);
                else if (fate == 3 && random() % 4 != 0)
                    torn ? tear(image, unit, random) : apply(image, unit);
        }
    }
    return image;
}

}  // namespace exo::test
