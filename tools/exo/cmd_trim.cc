// SPDX-License-Identifier: MIT
// exo trim: tells the device which blocks of a mounted file system hold nothing.
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <iostream>
#include <memory>

#include "tools/exo/files.h"
#include "tools/exo/output.h"

namespace exo::tool {

namespace {
std::string reason(int code) {
    switch (code) {
        case EPERM:
            return "only root may trim";
        case EROFS:
            return "the file system is mounted read-only";
        case ENOTTY:
            return "not on an exo mount";
        default:
            return std::generic_category().message(code);
    }
}
}  // namespace

void add_trim(CLI::App& app, Context& context) {
    struct Options {
        std::string directory;
        uint64_t minimum = 0;
    };
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand("trim", "Tell the device which blocks are free");
    command->add_option("DIRECTORY", options->directory, "Where the file system is mounted")
        ->required();
    command->add_option("--minimum", options->minimum, "Leave out runs of fewer bytes (default 0)");
    command->footer(
        "The same as fstrim(8). With the mount option discard, blocks are told when they are "
        "freed.");
    command->callback([&context, options] {
        context.run = [&context, options] {
            const File file = take(File::open(options->directory));
            // Other file systems trim when they are asked this way, too: not meant.
            if (!file.info()) throw Failure(options->directory + ": " + reason(ENOTTY));
            fstrim_range range{0, UINT64_MAX, options->minimum};
            if (ioctl(file.fd(), FITRIM, &range) != 0)
                throw Failure(options->directory + ": " + reason(errno));
            if (context.json)
                print_object(true,
                             {{"directory", options->directory}, {"trimmed_bytes", range.len}});
            else
                std::cout << options->directory << ": " << size_text(range.len) << " trimmed\n";
            return kExitOk;
        };
    });
}

}  // namespace exo::tool
