// SPDX-License-Identifier: MIT
#include "tests/crash/snapshot.h"

#include <functional>
#include <string_view>
#include <unordered_map>

namespace exo::test {

namespace {

std::string time_text(const timespec& time) {
    return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
}

std::unordered_map<uint64_t, std::string>& known_sectors() {
    static std::unordered_map<uint64_t, std::string> known;
    return known;
}

Result<std::vector<uint64_t>> read_sectors(Volume& volume, Ino ino, uint64_t size) {
    std::vector<uint64_t> sectors;
    std::string content(size, '?');
    EXO_TRY_ASSIGN(const size_t got,
                   volume.read(ino, 0, std::as_writable_bytes(std::span(content))));
    if (got != size) return fail(EIO, "a read within the file came back short");
    for (size_t at = 0; at < size; at += 512) {
        const auto text = std::string_view(content).substr(at, 512);
        sectors.push_back(std::hash<std::string_view>()(text));
        known_sectors().try_emplace(sectors.back(), text);
    }
    return sectors;
}

Result<Seen> see_one(Volume& volume, const FileAttr& attr) {
    Seen seen{attr.ino,
              "mode " + std::to_string(attr.mode) + " owner " + std::to_string(attr.uid) + ":" +
                  std::to_string(attr.gid) + " links " + std::to_string(attr.nlink) + " rdev " +
                  std::to_string(attr.rdev) + (attr.pin_persistent ? " pinned" : ""),
              time_text(attr.atime) + " " + time_text(attr.mtime)};
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
    return known_sectors().at(sector);
}

Result<Snapshot> see(Volume& volume) {
    Snapshot snapshot;
    EXO_TRY(walk(volume, kRootIno, "", snapshot));
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
