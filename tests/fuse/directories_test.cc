// SPDX-License-Identifier: MIT
// Directories: positions that stay valid while entries change, deep trees, many entries, and what
// statfs says of them.
#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <map>
#include <set>
#include <vector>

#include "fs/base/unique_fd.h"
#include "tests/fuse/posix.h"

using namespace exo;
using namespace exo::test;

namespace {

void touch(const std::string& path) {
    REQUIRE_MESSAGE(mknod(path.c_str(), S_IFREG | 0644, 0) == 0, path, ": ", name_of_errno(errno));
}

}  // namespace

TEST_CASE("entries that stay are listed once while others come and go") {
    const Folder folder;
    std::set<std::string> staying;
    for (int i = 0; i < 3000; ++i) {
        touch(folder / ("stays-" + std::to_string(i)));
        staying.insert("stays-" + std::to_string(i));
        touch(folder / ("goes-" + std::to_string(i)));
    }
    DIR* dir = opendir(folder.path().c_str());
    REQUIRE(dir);
    std::map<std::string, int> seen;
    int step = 0;
    while (const dirent* entry = readdir(dir)) {
        seen[entry->d_name]++;
        if (step < 3000) {
            unlink((folder / ("goes-" + std::to_string(step))).c_str());
            touch(folder / ("comes-" + std::to_string(step)));
        }
        ++step;
    }
    closedir(dir);
    for (const std::string& name : staying) CHECK_MESSAGE(seen[name] == 1, name);
    for (const auto& [name, times] : seen) CHECK_MESSAGE(times <= 1, name);
}

TEST_CASE("telldir and seekdir come back to the same entries, in any order") {
    const Folder folder;
    for (int i = 0; i < 500; ++i) touch(folder / std::to_string(i));
    DIR* dir = opendir(folder.path().c_str());
    REQUIRE(dir);
    std::vector<std::pair<long, std::string>> entries;
    for (;;) {
        const long position = telldir(dir);
        const dirent* entry = readdir(dir);
        if (!entry) break;
        entries.emplace_back(position, entry->d_name);
    }
    CHECK(entries.size() == 502);
    for (size_t i = 0; i < entries.size(); ++i) {
        const auto& [position, name] = entries[i * 211 % entries.size()];
        seekdir(dir, position);
        const dirent* entry = readdir(dir);
        REQUIRE(entry);
        CHECK(name == entry->d_name);
    }
    rewinddir(dir);
    touch(folder / "new");
    bool found = false;
    while (const dirent* entry = readdir(dir)) found |= std::string(entry->d_name) == "new";
    CHECK(found);
    closedir(dir);
}

TEST_CASE("a tree of a thousand directories in each other is built, renamed and removed") {
    const Folder folder;
    unique_fd at(open(folder.path().c_str(), O_RDONLY | O_DIRECTORY));
    constexpr int kDepth = 1000;
    for (int i = 0; i < kDepth; ++i) {
        REQUIRE(mkdirat(at.get(), "d", 0755) == 0);
        at = unique_fd(openat(at.get(), "d", O_RDONLY | O_DIRECTORY));
        REQUIRE(at);
    }
    REQUIRE(mknodat(at.get(), "leaf", S_IFREG | 0644, 0) == 0);
    // Into its own depth it cannot go.
    CHECK_ERRNO(renameat(AT_FDCWD, (folder / "d").c_str(), at.get(), "x"), EINVAL);
    CHECK_ERRNO(rename((folder / "d").c_str(), (folder / "e").c_str()), 0);
    CHECK_ERRNO(unlinkat(at.get(), "leaf", 0), 0);
    at.reset();
    std::error_code code;
    CHECK(std::filesystem::remove_all(folder / "e", code) == kDepth);
}

TEST_CASE("statfs counts what is used") {
    const Folder folder;
    struct statvfs before, after;
    REQUIRE(statvfs(folder.path().c_str(), &before) == 0);
    CHECK(before.f_namemax == 255);
    CHECK(before.f_bsize == 4096);
    CHECK(before.f_bfree <= before.f_blocks);
    CHECK(before.f_bavail <= before.f_bfree);
    REQUIRE(write_file(folder / "f", pattern(8 << 20, 1)));
    touch(folder / "g");
    REQUIRE(statvfs(folder.path().c_str(), &after) == 0);
    const auto used = before.f_bfree - after.f_bfree;
    CHECK(used >= 2048);
    CHECK(used < 2100);
    CHECK(after.f_files - after.f_ffree == before.f_files - before.f_ffree + 2);
    REQUIRE(unlink((folder / "f").c_str()) == 0);
}
