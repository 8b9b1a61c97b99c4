// SPDX-License-Identifier: MIT
// Operations on content, in the player's own folder.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/workloads/mix/player.h"

namespace mix {

namespace {
constexpr size_t kMostBytes = 200000;

void put(std::string& content, size_t at, const std::string& text) {
    if (content.size() < at + text.size()) content.resize(at + text.size(), '\0');
    content.replace(at, text.size(), text);
}
}  // namespace

std::string Player::some_text() {
    std::string text(1 + below(below(3) == 0 ? 30000 : 3000), 0);
    for (char& c : text) c = char('a' + random_() % 26);
    return text;
}

void Player::write_at(File& file, int fd) {
    const std::string text = some_text();
    const size_t at = below(std::min(file.content.size() + 10000, kMostBytes));
    check(pwrite(fd, text.data(), text.size(), off_t(at)), "pwrite");
    put(file.content, at, text);
}

void Player::map_and_write(File& file, int fd) {
    if (file.content.empty()) return;
    const size_t size = file.content.size();
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) check(-1, "mmap");
    std::string text = some_text();
    const size_t at = below(size);
    text.resize(std::min(text.size(), size - at));
    memcpy(static_cast<char*>(memory) + at, text.data(), text.size());
    if (below(2) == 0) check(msync(memory, size, MS_SYNC), "msync");
    munmap(memory, size);
    put(file.content, at, text);
}

void Player::change_space(File& file, int fd) {
    const size_t at = below(file.content.size() + 5000), length = 1 + below(40000);
    const size_t end = at + length;
    auto zero = [&](size_t until) {
        for (size_t i = at; i < std::min(until, file.content.size()); i++) file.content[i] = 0;
    };
    switch (below(5)) {
        case 0:
            check(fallocate(fd, 0, off_t(at), off_t(length)), "fallocate");
            if (file.content.size() < end) file.content.resize(end, '\0');
            break;
        case 1:
            check(fallocate(fd, FALLOC_FL_KEEP_SIZE, off_t(at), off_t(length)),
                  "fallocate, keep size");
            break;
        case 2:
            check(
                fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off_t(at), off_t(length)),
                "punch");
            zero(end);
            break;
        case 3:
            check(fallocate(fd, FALLOC_FL_ZERO_RANGE, off_t(at), off_t(length)), "zero range");
            if (file.content.size() < end) file.content.resize(end, '\0');
            zero(end);
            break;
        default: {
            const size_t size = below(std::min(file.content.size() + 5000, kMostBytes));
            check(ftruncate(fd, off_t(size)), "ftruncate");
            file.content.resize(size, '\0');
        }
    }
}

void Player::copy_range(File& file, int fd) {
    const std::string from = any_file();
    const File& source = *model_.nodes[from].file;
    if (&source == &file || source.content.empty()) return;
    const int in = int(check(open(full(from).c_str(), O_RDONLY | O_CLOEXEC), "open " + from));
    off_t in_at = off_t(below(source.content.size()));
    off_t out_at = off_t(below(file.content.size() + 3000));
    const size_t length = 1 + below(20000), start = size_t(in_at), target = size_t(out_at);
    const long got = check(copy_file_range(in, &in_at, fd, &out_at, length, 0), "copy_file_range");
    put(file.content, target, source.content.substr(start, size_t(got)));
    close(in);
}

void Player::read_back(const File& file, int fd) {
    if (file.content.empty()) return;
    const size_t at = below(file.content.size()), length = 1 + below(20000);
    std::string text(length, 0);
    text.resize(size_t(check(pread(fd, text.data(), length, off_t(at)), "pread")));
    if (text != file.content.substr(at, length))
        differs("a read of " + std::to_string(length) + " bytes at " + std::to_string(at) +
                " gives something else");
    // What SEEK_HOLE calls a hole is zeros.
    const off_t hole = lseek(fd, off_t(at), SEEK_HOLE);
    if (hole < 0) check(-1, "SEEK_HOLE");
    if (size_t(hole) < file.content.size()) {
        off_t data = lseek(fd, hole, SEEK_DATA);
        if (data < 0 && errno != ENXIO) check(-1, "SEEK_DATA");
        if (data < 0) data = off_t(file.content.size());
        const std::string between = file.content.substr(size_t(hole), size_t(data - hole));
        if (between.find_first_not_of('\0') != std::string::npos)
            differs("there is data in the hole at " + std::to_string(hole));
    }
}

// A file without a name stays what it was for those who have it open.
void Player::use_after_unlink() {
    const std::string path = any_file();
    File file = *model_.nodes[path].file;
    const int fd = int(check(open(full(path).c_str(), O_RDWR | O_CLOEXEC), "open " + path));
    check(unlink(full(path).c_str()), "unlink " + path);
    std::shared_ptr<File> others = model_.nodes[path].file;
    model_.nodes.erase(path);
    write_at(file, fd);
    read_back(file, fd);
    *others = file;  // if it has another name
    close(fd);
}

void Player::operate_on_content() {
    const std::string path = any_file();
    if (path.empty()) return;
    File& file = *model_.nodes[path].file;
    if (below(25) == 0) return use_after_unlink();
    const int direct = below(8) == 0 ? O_DSYNC : 0;
    const int fd =
        int(check(open(full(path).c_str(), O_RDWR | O_CLOEXEC | direct), "open " + path));
    switch (below(9)) {
        case 0:
        case 1:
            write_at(file, fd);
            break;
        case 2:
            map_and_write(file, fd);
            break;
        case 3:
            change_space(file, fd);
            break;
        case 4:
            copy_range(file, fd);
            break;
        case 5:
            check(below(2) ? fsync(fd) : fdatasync(fd), "fsync");
            break;
        case 6:
            file.mode = mode_t(0600 | below(0200));
            check(fchmod(fd, file.mode), "fchmod");
            break;
        default:
            read_back(file, fd);
    }
    close(fd);
}

}  // namespace mix
