// SPDX-License-Identifier: MIT
#include "tests/workloads/mix/model.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>
#include <vector>

namespace mix {

void differs(const std::string& what) {
    fprintf(stderr, "exo_mix[%d]: %s\n", getpid(), what.c_str());
    _exit(1);
}

std::string error_text() {
    return std::generic_category().message(errno);
}

long check(long result, const std::string& what) {
    if (result < 0) differs(what + ": " + error_text());
    return result;
}

std::string read_whole(const std::string& path) {
    const int fd = int(check(open(path.c_str(), O_RDONLY | O_CLOEXEC), "open " + path));
    std::string content;
    std::vector<char> part(1 << 16);
    for (;;) {
        const long got = check(read(fd, part.data(), part.size()), "read " + path);
        if (got == 0) break;
        content.append(part.data(), size_t(got));
    }
    close(fd);
    return content;
}

void Model::compare(const std::string& folder) const {
    std::set<std::string> found;
    std::vector<std::string> folders = {""};
    for (size_t i = 0; i < folders.size(); i++) {
        const std::string here = folder + "/" + folders[i];
        DIR* dir = opendir(here.c_str());
        if (!dir) differs("opendir " + here + ": " + error_text());
        while (const dirent* entry = readdir(dir)) {
            const std::string name = entry->d_name;
            if (name == "." || name == "..") continue;
            const std::string path = folders[i].empty() ? name : folders[i] + "/" + name;
            if (!found.insert(path).second) differs(here + " lists " + name + " twice");
            const auto it = nodes.find(path);
            if (it == nodes.end()) differs(here + " lists " + name + ", which should not be there");
            if (it->second.directory()) folders.push_back(path);
        }
        closedir(dir);
    }
    std::map<const File*, nlink_t> links;
    for (const auto& [path, node] : nodes)
        if (node.file) links[node.file.get()]++;
    for (const auto& [path, node] : nodes) {
        const std::string full = folder + "/" + path;
        if (!found.contains(path)) differs(full + " is missing");
        struct stat info;
        check(lstat(full.c_str(), &info), "lstat " + full);
        if (!node.target.empty()) {
            std::string target(4096, 0);
            target.resize(size_t(check(readlink(full.c_str(), target.data(), 4096), "readlink")));
            if (target != node.target) differs(full + " leads elsewhere");
            continue;
        }
        if (node.directory() != S_ISDIR(info.st_mode)) differs(full + " is of another kind");
        if (node.directory()) continue;
        if ((info.st_mode & 07777) != node.file->mode) differs(full + " has another mode");
        if (info.st_nlink != links[node.file.get()])
            differs(full + " has " + std::to_string(info.st_nlink) + " links, not " +
                    std::to_string(links[node.file.get()]));
        const std::string content = read_whole(full);
        if (content.size() != node.file->content.size() || uint64_t(info.st_size) != content.size())
            differs(full + " has " + std::to_string(content.size()) + " bytes (" +
                    std::to_string(info.st_size) + " by stat), not " +
                    std::to_string(node.file->content.size()));
        for (size_t at = 0; at < content.size(); at++)
            if (content[at] != node.file->content[at])
                differs(full + " differs at byte " + std::to_string(at) + " of " +
                        std::to_string(content.size()));
    }
}

void Model::save(const std::string& path) const {
    std::ofstream out(path, std::ios::binary);
    std::map<const File*, size_t> known;
    for (const auto& [name, node] : nodes) {
        if (node.file) {
            const auto [it, fresh] = known.try_emplace(node.file.get(), known.size());
            out << "f " << name << ' ' << it->second << ' ' << node.file->mode << ' '
                << (fresh ? node.file->content.size() : 0) << '\n';
            if (fresh) out << node.file->content;
        } else {
            out << (node.directory() ? "d " : "s ") << name << ' ' << node.target << '\n';
        }
    }
    if (!out.flush()) differs("cannot save the model to " + path);
}

void Model::load(const std::string& path) {
    nodes.clear();
    std::ifstream in(path, std::ios::binary);
    std::map<size_t, std::shared_ptr<File>> known;
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string kind, name;
        words >> kind >> name;
        Node& node = nodes[name];
        if (kind == "s") words >> node.target;
        if (kind != "f") continue;
        size_t id = 0, size = 0;
        mode_t mode = 0;
        words >> id >> mode >> size;
        auto& file = known[id];
        if (!file) {
            file = std::make_shared<File>();
            file->mode = mode;
            file->content.resize(size);
            in.read(file->content.data(), std::streamsize(size));
        }
        node.file = file;
    }
}

}  // namespace mix
