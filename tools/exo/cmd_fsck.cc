// SPDX-License-Identifier: MIT
// exo fsck (also fsck.exo): check a file system without changing it. Exit codes as in fsck(8).
#include <unistd.h>

#include <iostream>
#include <memory>

#include "fs/base/page.h"
#include "fs/device/open_device.h"
#include "fs/fsck/fsck.h"
#include "tools/exo/command.h"
#include "tools/exo/output.h"

namespace exo::tool {

namespace {

constexpr int kFsckErrorsLeft = 4;
constexpr int kFsckFailed = 8;

}  // namespace

void add_fsck(CLI::App& app, Context& context) {
    struct Options {
        std::string device;
        bool progress = false;
        bool ignored = false;
    };
    auto options = std::make_shared<Options>();
    auto* command =
        app.add_subcommand("fsck", "Check an unmounted exo file system; changes nothing");
    command->add_option("DEVICE", options->device, "Block device or image file")->required();
    command->add_flag("-C,--progress", options->progress,
                      "Show progress even if stderr is no terminal");
    command->add_flag("-n,-a,-p", options->ignored, "Accepted for fsck(8)");
    command->footer(
        "Exit codes, as in fsck(8): 0 sound, 4 problems found, 8 could not be checked.");
    command->callback([&context, options] {
        context.run = [&context, options] {
            DeviceOptions device_options;
            device_options.read_only = true;
            auto device = open_device(options->device, device_options);
            if (!device) throw Failure(describe(device.error()), kFsckFailed);
            FsckOptions fsck_options;
            const bool show = options->progress || isatty(STDERR_FILENO);
            if (show)
                fsck_options.progress = [](unsigned percent) {
                    std::cerr << "\rchecking: " << percent << " %" << std::flush;
                };
            auto report = fsck_check(**device, fsck_options);
            if (show) std::cerr << "\r\033[K";
            if (!report) throw Failure(describe(report.error()), kFsckFailed);
            if (context.json) {
                print_object(true, {{"device", options->device},
                                    {"problems", report->problems},
                                    {"journal_replayed", report->journal_replayed},
                                    {"inodes", report->inodes},
                                    {"directories", report->directories},
                                    {"orphans", report->orphans},
                                    {"pins", report->pins},
                                    {"used_blocks", report->used_blocks},
                                    {"free_blocks", report->free_blocks}});
            } else {
                for (const std::string& problem : report->problems) std::cout << problem << "\n";
                std::cout << options->device << ": "
                          << (report->problems.empty()
                                  ? std::string("sound")
                                  : std::to_string(report->problems.size()) + " problems")
                          << ", " << report->inodes << " inodes, " << report->directories
                          << " directories, " << report->pins << " pinned, "
                          << size_text(report->used_blocks * kBlockBytes) << " used, "
                          << size_text(report->free_blocks * kBlockBytes) << " free"
                          << (report->journal_replayed
                                  ? " (not unmounted cleanly: the next mount replays the journal)"
                                  : "")
                          << "\n";
            }
            return report->problems.empty() ? kExitOk : kFsckErrorsLeft;
        };
    });
}

}  // namespace exo::tool
