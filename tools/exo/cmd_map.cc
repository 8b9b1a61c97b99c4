// SPDX-License-Identifier: MIT
// exo map: where a file lies on the device.
#include <iostream>
#include <memory>

#include "tools/exo/files.h"
#include "tools/exo/output.h"

namespace exo::tool {

void add_map(CLI::App& app, Context& context) {
    struct Options {
        std::string file;
        size_t limit = 0;
    };
    auto options = std::make_shared<Options>();
    auto* command =
        app.add_subcommand("map", "Where a file's bytes lie on the device, extent by extent");
    command->add_option("FILE", options->file, "A file on an exo mount")->required();
    command->add_option("--limit", options->limit, "Show no more extents than this (0: all)");
    command->callback([&context, options] {
        context.run = [&context, options] {
            const File file = take(File::open(options->file));
            const exo_file_info info = take(file.info());
            const std::vector<exo_file_extent> extents = take(file.map());
            Json rows = Json::array();
            for (const exo_file_extent& extent : extents) {
                if (options->limit && rows.size() == options->limit) break;
                rows.push_back({{"file_offset", extent.file_offset},
                                {"disk_offset", extent.disk_offset},
                                {"length", extent.length},
                                {"unwritten", bool(extent.flags & EXO_EXTENT_UNWRITTEN)}});
            }
            if (context.json) {
                print_object(true, {{"file", options->file},
                                    {"uuid", uuid_text(info.uuid)},
                                    {"ino", info.ino},
                                    {"generation", info.generation},
                                    {"size_bytes", info.size_bytes},
                                    {"pinned", bool(info.flags & EXO_FILE_PINNED)},
                                    {"extent_count", extents.size()},
                                    {"extents", rows}});
                return kExitOk;
            }
            std::cout << options->file << ": inode " << info.ino << " generation "
                      << info.generation << ", " << size_text(info.size_bytes) << " in "
                      << extents.size() << (extents.size() == 1 ? " extent" : " extents")
                      << (info.flags & EXO_FILE_PINNED ? ", pinned" : "") << "\n";
            if (extents.empty()) return kExitOk;
            print_rows(false, rows,
                       {{"FILE OFFSET", "file_offset"},
                        {"DEVICE OFFSET", "disk_offset"},
                        {"LENGTH", "length"},
                        {"UNWRITTEN", "unwritten"}},
                       {});
            return kExitOk;
        };
    });
}

}  // namespace exo::tool
