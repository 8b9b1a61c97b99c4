// SPDX-License-Identifier: MIT
#include "tests/crash/snapshot.h"

#include <functional>
#include <mutex>
#include <set>
#include <string_view>
#include <unordered_map>

namespace exo::test {

namespace {

std::string time_text(const timespec& time) {
    return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
}

struct KnownSectors {
    std::mutex mutex;  // guards the map; what it holds stays
    std::unordered_map<uint64_t, std::string> texts;
};
KnownSectors& known_sectors() {
    static KnownSectors known;
    return known;
}

Result<std::vector<uint64_t>> read_sectors(Volume& volume, Ino ino, uint64_t size) {
    std::vector<uint64_t> sectors;
    std::string content(size, '?');
    EXO_TRY_ASSIGN(const size_t got,
                   volume.read(ino, 0, std::as_writable_bytes(std::span(content))));
    if (got != size) return fail(EIO, "a read within the file came back short");
    KnownSectors& known = known_sectors();
    const std::lock_guard lock(known.mutex);
    for (size_t at = 0; at < size; at += 512) {
        const auto text = std::string_view(content).substr(at, 512);
        sectors.push_back(std::hash<std::string_view>()(text));
        known.texts.try_emplace(sectors.back(), text);
    }
    return sectors;
}

Result<Seen> see_one(Volume& volume, const FileAttr& attr) {
    Seen seen{attr.ino,
              "mode " + std::to_string(attr.mode) + " owner " + std::to_string(attr.uid) + ":" +
                  std::to_string(attr.gid) + " links " + std::to_string(attr.nlink) + " rdev " +
                  std::to_string(attr.rdev) + (attr.pin_persistent ? " pinned" : ""),
              time_text(attr.atime) + " " + time_text(attr.mtime)};
    seen.pinned = attr.pin_persistent;
    seen.leased = attr.pinned && !attr.pin_persistent;
    EXO_TRY_ASSIGN(const std::string names, volume.list_xattr(attr.ino));
    for (size_t at = 0; at < names.size(); at = names.find('\0', at) + 1) {
        EXO_TRY_ASSIGN(const auto value, volume.get_xattr(attr.ino, names.c_str() + at));
        seen.meta += std::string(" ") + (names.c_str() + at) + "=" +
                     std::string(reinterpret_cast<const char*>(value.data()), value.size());
    }
    if (S_ISLNK(attr.mode)) {
        EXO_TRY_ASSIGN(const std::string target, volume.readlink(attr.ino));
        seen.meta += " -> " + target;
    } else if (S_ISREG(attr.mode)) {
        seen.size = attr.size;
        EXO_TRY_ASSIGN(seen.sectors, read_sectors(volume, attr.ino, attr.size));
    }
    return seen;
}

Result<> walk(Volume& volume, Ino dir, const std::string& prefix, Snapshot& out) {
    uint64_t cookie = 0;
    for (;;) {
        EXO_TRY_ASSIGN(const auto entries, volume.readdir_plus(dir, cookie, 200));
        if (entries.empty()) return {};
        Result<> result;
        for (const auto& entry : entries) {
            cookie = entry.cookie;
            if (entry.name == "." || entry.name == "..") continue;
            if (result) {
                auto seen = see_one(volume, entry.attr);
                if (!seen)
                    result = std::unexpected(seen.error());
                else
                    out[prefix + entry.name] = std::move(*seen);
                if (result && S_ISDIR(entry.attr.mode))
                    result = walk(volume, entry.ino, prefix + entry.name + "/", out);
            }
            volume.close_ref(entry.ino);
        }
        EXO_TRY(std::move(result));
    }
}

}  // namespace

const std::string& sector_text(uint64_t sector) {
    KnownSectors& known = known_sectors();
    const std::lock_guard lock(known.mutex);
    return known.texts.at(sector);
}

Result<Snapshot> see(Volume& volume, Ino root) {
    Snapshot snapshot;
    EXO_TRY(walk(volume, root, "", snapshot));
    if (root != kRootIno) return snapshot;
    std::set<Ino> named;
    for (const auto& [path, one] : snapshot) named.insert(one.ino);
    EXO_TRY_ASSIGN(const auto pinned, volume.pinned_inodes());
    for (const PinnedInode& pin : pinned) {
        if (named.contains(pin.ino)) continue;
        EXO_TRY(volume.open_ref(pin.ino));
        Result<Seen> seen = fail(EIO);
        if (const auto attr = volume.getattr(pin.ino); attr)
            seen = see_one(volume, *attr);
        else
            seen = std::unexpected(attr.error());
        volume.close_ref(pin.ino);
        if (!seen) return std::unexpected(seen.error());
        snapshot["<pinned " + std::to_string(pin.ino) + ">"] = std::move(*seen);
    }
    return snapshot;
}

std::string difference(const Snapshot& wanted, const Snapshot& found) {
    for (const auto& [path, seen] : wanted) {
        const auto it = found.find(path);
        if (it == found.end()) return path + " is missing";
        if (it->second == seen) continue;
        const Seen& other = it->second;
        if (other.ino != seen.ino) return path + " is another inode";
        if (other.meta != seen.meta) return path + ": " + other.meta + ", not " + seen.meta;
        if (other.size != seen.size)
            return path + " has " + std::to_string(other.size) + " bytes, not " +
                   std::to_string(seen.size);
        if (other.times != seen.times) return path + ": " + other.times + ", not " + seen.times;
        for (size_t i = 0; i < seen.sectors.size(); i++)
            if (seen.sectors[i] != other.sectors[i])
                return path + ": sector " + std::to_string(i) + " differs";
    }
    for (const auto& [path, seen] : found)
        if (!wanted.contains(path)) return path + " should not be there";
    return {};
}

}  // namespace exo::test
