// SPDX-License-Identifier: MIT
#include "tests/crash/history.h"

#include <algorithm>

namespace exo::test {

namespace {

// All names of an inode with what is seen through them.
std::vector<std::pair<std::string, const Seen*>> names_of(const Snapshot& seen, Ino ino) {
    std::vector<std::pair<std::string, const Seen*>> names;
    for (const auto& [path, one] : seen)
        if (one.ino == ino) names.emplace_back(path, &one);
    return names;
}

// The last sector of a file may be seen with less of it.
bool begins_with(uint64_t sector, uint64_t shorter) {
    return sector == shorter || sector_text(sector).starts_with(sector_text(shorter));
}

}  // namespace

Ino History::ino_of(const Snapshot& seen, const std::string& path) {
    const auto it = seen.find(path);
    return it == seen.end() ? 0 : it->second.ino;
}

void History::step(size_t records, Snapshot seen, const std::string& in_place) {
    const Ino before = in_place.empty() ? 0 : ino_of(moments_.back().seen, in_place);
    moments_.push_back({records, std::move(seen)});
    if (before != 0) in_place_.push_back({moments_.size() - 1, before});
}

void History::synced() {
    synced_.emplace_back(moments_.back().records, moments_.size() - 1);
}

void History::synced(const std::string& path, bool data_only) {
    if (const Ino ino = ino_of(moments_.back().seen, path); ino != 0)
        files_.push_back({moments_.back().records, moments_.size() - 1, ino, data_only});
}

// A moment older than the point is good enough if nothing happened to the file in between.
bool History::durable_enough(const FilePoint& point, size_t at) const {
    if (at >= point.moment) return true;
    const auto then = names_of(moments_[at].seen, point.ino),
               wanted = names_of(moments_[point.moment].seen, point.ino);
    if (then.size() != wanted.size()) return false;
    for (size_t i = 0; i < then.size(); i++) {
        const Seen &a = *then[i].second, &b = *wanted[i].second;
        if (a.size != b.size || a.sectors != b.sectors) return false;
        if (!point.data_only &&
            (then[i].first != wanted[i].first || a.meta != b.meta || a.times != b.times))
            return false;
    }
    return true;
}

const Seen* History::seen_at(size_t moment, Ino ino) const {
    const auto names = names_of(moments_[moment].seen, ino);
    return names.empty() ? nullptr : names.front().second;
}

// Each sector is as it was at this moment, or as a later step left it that changed it in place.
// What is pinned was never changed.
bool History::content_allowed(const Seen& found, size_t at, size_t last) const {
    const Seen& wanted = *seen_at(at, found.ino);
    if (wanted.sectors == found.sectors) return true;
    if (found.pinned) return false;
    std::vector<size_t> later;
    if (partly_written(at, last, found)) later.push_back(at + 1);
    for (const InPlace& change : in_place_)
        if (change.ino == found.ino && change.moment > at && change.moment <= last)
            later.push_back(change.moment);
    const auto left_by = [&](size_t moment, size_t sector) {
        const Seen *before = seen_at(moment - 1, found.ino), *after = seen_at(moment, found.ino);
        if (!before || !after || sector >= after->sectors.size()) return false;
        const bool changed =
            sector >= before->sectors.size() || before->sectors[sector] != after->sectors[sector];
        return changed && begins_with(after->sectors[sector], found.sectors[sector]);
    };
    for (size_t i = 0; i < found.sectors.size(); i++) {
        if (i < wanted.sectors.size() && begins_with(wanted.sectors[i], found.sectors[i])) continue;
        if (std::ranges::none_of(later, [&](size_t moment) { return left_by(moment, i); }))
            return false;
    }
    return true;
}

// The step after this moment made the file longer, and a part of that is there.
bool History::partly_written(size_t at, size_t last, const Seen& found) const {
    if (at >= last) return false;
    const auto before = names_of(moments_[at].seen, found.ino),
               after = names_of(moments_[at + 1].seen, found.ino);
    return !before.empty() && !after.empty() && before.front().second->size < found.size &&
           found.size < after.front().second->size && before.front().second->meta == found.meta &&
           found.sectors.size() > 0;
}

bool History::names_match(size_t at, size_t last, const Snapshot& found) const {
    return std::ranges::equal(moments_[at].seen, found, [&](const auto& a, const auto& b) {
        return a.first == b.first && a.second.ino == b.second.ino &&
               a.second.meta == b.second.meta &&
               ((a.second.times == b.second.times && a.second.size == b.second.size) ||
                partly_written(at, last, b.second));
    });
}

std::string History::objection(const Snapshot& found, size_t records) const {
    // Up to the step that was under way.
    size_t last = 0;
    while (last + 1 < moments_.size() && moments_[last].records <= records) last++;
    return objection(found, records, last);
}

std::string History::objection(const Snapshot& found, size_t records, size_t last) const {
    size_t first = 0;
    for (const auto& [at, moment] : synced_)
        if (at <= records && moment <= last) first = moment;
    std::string closest;
    for (size_t at = last + 1; at-- > first;) {
        if (!names_match(at, last, found)) {
            if (closest.empty()) closest = difference(moments_[at].seen, found);
            continue;
        }
        closest = difference(moments_[at].seen, found);
        const bool content = std::ranges::all_of(
            found, [&](const auto& one) { return content_allowed(one.second, at, last); });
        const auto old = std::ranges::find_if(files_, [&](const FilePoint& point) {
            return point.records <= records && point.moment <= last && !durable_enough(point, at);
        });
        if (content && old == files_.end()) return {};
        if (content) closest = "inode " + std::to_string(old->ino) + " is older than its fsync";
    }
    return "what is seen is none of moments " + std::to_string(first) + " to " +
           std::to_string(last) + "; beside the closest: " + closest;
}

}  // namespace exo::test
