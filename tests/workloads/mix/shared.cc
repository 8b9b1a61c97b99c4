// SPDX-License-Identifier: MIT
// Operations on the shared folder, where the others are at work, too. Every file there is written
// in full before it gets its name, and says its own length, so that whoever reads it can tell
// whether it is whole.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/workloads/mix/player.h"

namespace mix {

namespace {

std::string whole_text(size_t length, char fill) {
    std::string text = std::to_string(length) + "\n";
    return text + std::string(length, fill);
}

void check_whole(const std::string& path, const std::string& text) {
    const size_t line = text.find('\n');
    if (line == std::string::npos) differs(path + " has no first line");
    const size_t length = strtoull(text.c_str(), nullptr, 10);
    if (text.size() != line + 1 + length ||
        (length > 0 && text.find_first_not_of(text[line + 1], line + 1) != std::string::npos))
        differs(path + " is not whole");
}

// Others may have been faster.
void check_or(int result, const std::string& what, std::initializer_list<int> allowed) {
    if (result == 0) return;
    for (int code : allowed)
        if (errno == code) return;
    check(-1, what);
}

}  // namespace

void Player::operate_on_shared() {
    auto name = [&] { return shared_ + "/" + std::to_string(below(60)); };
    const std::string a = name(), b = name();
    switch (below(7)) {
        case 0:
        case 1: {
            const std::string fresh = shared_ + "/new." + std::to_string(number_);
            const std::string text = whole_text(below(20000), char('a' + number_));
            const int fd = int(check(
                open(fresh.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644), "create"));
            check(write(fd, text.data(), text.size()), "write " + fresh);
            close(fd);
            check(rename(fresh.c_str(), a.c_str()), "rename to " + a);
            break;
        }
        case 2:
            check_or(unlink(a.c_str()), "unlink " + a, {ENOENT});
            break;
        case 3:
            check_or(rename(a.c_str(), b.c_str()), "rename " + a, {ENOENT});
            break;
        case 4:
            check_or(link(a.c_str(), b.c_str()), "link " + a, {ENOENT, EEXIST});
            break;
        case 5:
            check_or(renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE),
                     "exchange " + a, {ENOENT});
            break;
        default: {
            const int fd = open(a.c_str(), O_RDONLY | O_CLOEXEC);
            if (fd < 0 && errno == ENOENT) return;
            check(fd, "open " + a);
            std::string text(30000, 0);
            text.resize(size_t(check(read(fd, text.data(), text.size()), "read " + a)));
            close(fd);
            check_whole(a, text);
        }
    }
}

void check_shared(const std::string& shared) {
    std::map<ino_t, nlink_t> names, links;
    DIR* dir = opendir(shared.c_str());
    if (!dir) check(-1, "opendir " + shared);
    while (const dirent* entry = readdir(dir)) {
        const std::string path = shared + "/" + entry->d_name;
        if (entry->d_name[0] == '.') continue;
        struct stat info;
        check(lstat(path.c_str(), &info), "lstat " + path + ", which is listed");
        names[info.st_ino]++;
        links[info.st_ino] = info.st_nlink;
        check_whole(path, read_whole(path));
    }
    closedir(dir);
    if (names != links) differs("link counts in the shared folder are wrong");
}

void Player::play(size_t operations) {
    for (size_t i = 0; i < operations; i++) {
        const size_t which = below(10);
        if (which < 3)
            operate_on_names();
        else if (which < 7)
            operate_on_content();
        else
            operate_on_shared();
    }
}

}  // namespace mix
