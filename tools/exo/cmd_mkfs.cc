// SPDX-License-Identifier: MIT
// exo mkfs (also mkfs.exo): make an empty file system.
#include <memory>

#include "fs/base/page.h"
#include "fs/device/open_device.h"
#include "fs/mkfs/mkfs.h"
#include "tools/exo/command.h"
#include "tools/exo/output.h"

namespace exo::tool {

void add_mkfs(CLI::App& app, Context& context) {
    struct Options {
        std::string device;
        std::string label;
        std::string size;
        std::string journal_size;
        bool force = false;
        bool keep = false;
        bool quiet = false;
    };
    auto options = std::make_shared<Options>();
    auto* command =
        app.add_subcommand("mkfs", "Make an exo file system on a device or an image file");
    command->add_option("DEVICE", options->device, "Block device or image file")->required();
    command->add_option("-L,--label", options->label, "Name of the file system, up to 31 bytes");
    command->add_option("--size", options->size, "Use only this much of the device (K, M, G, T)");
    command->add_option("--journal-size", options->journal_size,
                        "Size of the journal (chosen by default)");
    command->add_flag("-f,--force", options->force,
                      "Write even over another file system or partition table");
    command->add_flag("-K,--nodiscard", options->keep, "Do not discard the device's blocks first");
    command->add_flag("-q,--quiet", options->quiet, "Print nothing on success");
    command->callback([&context, options] {
        context.run = [&context, options] {
            if (auto safe = mkfs_safety_check(options->device, options->force); !safe)
                throw Failure(describe(safe.error()));
            auto device = open_device(options->device, {});
            if (!device) throw Failure(describe(device.error()));
            MkfsOptions mkfs_options;
            mkfs_options.label = options->label;
            if (!options->size.empty()) mkfs_options.size_bytes = parse_size(options->size);
            if (!options->journal_size.empty())
                mkfs_options.journal_bytes = parse_size(options->journal_size);
            mkfs_options.discard = !options->keep;
            auto summary = mkfs(**device, mkfs_options);
            if (!summary) throw Failure(describe(summary.error()));
            const uint64_t block = kBlockBytes;
            if (context.json)
                print_object(true, {{"device", options->device},
                                    {"uuid", uuid_text(summary->uuid.data())},
                                    {"size_bytes", summary->size_blocks * block},
                                    {"free_bytes", summary->free_blocks * block},
                                    {"journal_bytes", summary->journal_blocks * block},
                                    {"groups", summary->groups}});
            else if (!options->quiet)
                std::cout << options->device << ": exo file system of "
                          << size_text(summary->size_blocks * block) << ", "
                          << size_text(summary->free_blocks * block) << " free, journal of "
                          << size_text(summary->journal_blocks * block) << ", UUID "
                          << uuid_text(summary->uuid.data()) << "\n";
            return kExitOk;
        };
    });
}

}  // namespace exo::tool
