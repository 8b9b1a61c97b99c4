// SPDX-License-Identifier: MIT
#include "fs/fuse/mount_table.h"

#include <fstream>
#include <sstream>

namespace exo::fuse {
namespace {

// Blanks, newlines and backslashes of a path are written as \ooo.
std::string unescape(const std::string& text) {
    std::string result;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            result += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
            i += 3;
        } else {
            result += text[i];
        }
    }
    return result;
}

}  // namespace

std::vector<MountEntry> read_mount_table() {
    std::vector<MountEntry> table;
    std::ifstream file("/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        std::string id, parent, root, word;
        MountEntry entry;
        fields >> id >> parent >> entry.device_id >> root >> entry.directory;
        while (fields >> word && word != "-") {
        }
        fields >> entry.type >> entry.source;
        entry.directory = unescape(entry.directory);
        entry.source = unescape(entry.source);
        table.push_back(std::move(entry));
    }
    return table;
}

const MountEntry* find_exo_mount(const std::vector<MountEntry>& table,
                                 const std::string& directory) {
    for (auto entry = table.rbegin(); entry != table.rend(); ++entry)
        if (entry->directory == directory) return entry->type == "fuse.exo" ? &*entry : nullptr;
    return nullptr;
}

}  // namespace exo::fuse
