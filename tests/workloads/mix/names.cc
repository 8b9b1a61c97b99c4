// SPDX-License-Identifier: MIT
// Operations on names, in the player's own folder.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "tests/workloads/mix/player.h"

namespace mix {

namespace {
constexpr size_t kMostNodes = 400;
}

std::string Player::any_folder(bool may_be_top) {
    std::vector<const std::string*> found;
    for (const auto& [path, node] : model_.nodes)
        if (node.directory()) found.push_back(&path);
    const size_t pick = below(found.size() + (may_be_top ? 1 : 0));
    return pick < found.size() ? *found[pick] : "";
}

std::string Player::any_file() {
    std::vector<const std::string*> found;
    for (const auto& [path, node] : model_.nodes)
        if (node.file) found.push_back(&path);
    return found.empty() ? "" : *found[below(found.size())];
}

std::string Player::new_path() {
    std::string folder = any_folder(true);
    if (folder.size() > 200) folder.clear();
    std::string name = std::to_string(below(200));
    if (below(5) == 0) name += std::string(1 + below(200), 'n');
    return folder.empty() ? name : folder + "/" + name;
}

void Player::rename_something() {
    if (model_.nodes.empty()) return;
    auto from = std::next(model_.nodes.begin(), long(below(model_.nodes.size())));
    const std::string old = from->first, to = new_path();
    const auto target = model_.nodes.find(to);
    const bool there = target != model_.nodes.end();
    // Into itself, or over or exchanged with what is not a plain file: the kernel's own rules.
    if (to.starts_with(old + "/") || old.starts_with(to + "/") || to == old) return;
    if (there && (target->second.directory() || from->second.directory())) return;
    const unsigned how = unsigned(below(4));
    const unsigned flags = how == 0 ? RENAME_NOREPLACE : how == 1 ? unsigned(RENAME_EXCHANGE) : 0u;
    const int result = renameat2(AT_FDCWD, full(old).c_str(), AT_FDCWD, full(to).c_str(), flags);
    const int wanted = how == 0 && there ? EEXIST : how == 1 && !there ? ENOENT : 0;
    if ((result == 0 ? 0 : errno) != wanted)
        differs("rename " + old + " to " + to + ": " +
                (result == 0 ? "should have failed" : error_text().c_str()));
    if (wanted != 0) return;
    if (how == 1) {
        std::swap(from->second, target->second);
        return;
    }
    if (there && target->second.file && target->second.file == from->second.file) return;
    std::map<std::string, Node> moved;
    for (auto it = model_.nodes.lower_bound(old); it != model_.nodes.end();) {
        if (it->first == old || it->first.starts_with(old + "/")) {
            moved[to + it->first.substr(old.size())] = it->second;
            it = model_.nodes.erase(it);
        } else if (!it->first.starts_with(old)) {
            break;
        } else {
            ++it;
        }
    }
    for (auto& [path, node] : moved) model_.nodes[path] = std::move(node);
}

void Player::remove_something() {
    if (model_.nodes.empty()) return;
    const auto it = std::next(model_.nodes.begin(), long(below(model_.nodes.size())));
    const std::string path = it->first;
    if (!it->second.directory()) {
        check(unlink(full(path).c_str()), "unlink " + path);
        model_.nodes.erase(it);
        return;
    }
    const auto child = model_.nodes.lower_bound(path + "/");
    const bool empty = child == model_.nodes.end() || !child->first.starts_with(path + "/");
    const int result = rmdir(full(path).c_str());
    if ((result == 0 ? 0 : errno) != (empty ? 0 : ENOTEMPTY))
        differs("rmdir " + path + ": " + (result == 0 ? "was not empty" : error_text().c_str()));
    if (empty) model_.nodes.erase(it);
}

void Player::make_unnamed() {
    const std::string path = new_path();
    if (model_.nodes.contains(path)) return;
    const int fd = open(own_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) check(-1, "O_TMPFILE");
        return;  // an older libfuse does not pass it on
    }
    auto file = std::make_shared<File>(File{some_text(), 0600});
    check(pwrite(fd, file->content.data(), file->content.size(), 0), "write to an unnamed file");
    if (below(2) == 0) {
        const std::string proc = "/proc/self/fd/" + std::to_string(fd);
        check(linkat(AT_FDCWD, proc.c_str(), AT_FDCWD, full(path).c_str(), AT_SYMLINK_FOLLOW),
              "naming an unnamed file");
        model_.nodes[path].file = std::move(file);
    }
    close(fd);
}

void Player::operate_on_names() {
    const std::string path = new_path(), where = full(path);
    const bool there = model_.nodes.contains(path);
    const bool full_up = model_.nodes.size() >= kMostNodes;
    switch (full_up ? 8 : below(10)) {
        case 0:
        case 1: {
            const int fd = open(where.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
            if ((fd >= 0) == there) differs("create " + path + ": " + error_text());
            if (fd < 0) return;
            auto file = std::make_shared<File>(File{some_text()});
            check(write(fd, file->content.data(), file->content.size()), "write " + path);
            close(fd);
            model_.nodes[path].file = std::move(file);
            return;
        }
        case 2: {
            const int result = mkdir(where.c_str(), 0755);
            if ((result == 0) == there) differs("mkdir " + path + ": " + error_text());
            if (!there) model_.nodes[path];
            return;
        }
        case 3:
            if (there) return;
            model_.nodes[path].target = "to-" + std::to_string(below(1000));
            check(symlink(model_.nodes[path].target.c_str(), where.c_str()), "symlink " + path);
            return;
        case 4: {
            const std::string from = any_file();
            if (from.empty() || there) return;
            check(link(full(from).c_str(), where.c_str()), "link " + from + " " + path);
            model_.nodes[path].file = model_.nodes[from].file;
            return;
        }
        case 5:
            make_unnamed();
            return;
        case 6:
        case 7:
            rename_something();
            return;
        default:
            remove_something();
    }
}

}  // namespace mix
