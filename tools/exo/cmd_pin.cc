// SPDX-License-Identifier: MIT
// exo pin, exo unpin: make files immutable and known to the module, and let them change again.
#include <iostream>
#include <memory>

#include "tools/exo/files.h"
#include "tools/exo/output.h"

namespace exo::tool {

void add_pin(CLI::App& app, Context& context) {
    struct Options {
        std::vector<std::string> files;
    };
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand(
        "pin", "Make files on an exo mount immutable, so that programs may traverse them");
    command->add_option("FILE", options->files, "Regular files on an exo mount")->required();
    command->footer(
        "A pinned file refuses every change of its data until exo unpin; the pin survives a "
        "remount.\nNeeds the right to write the file, and that no process has it open for "
        "writing.");
    command->callback([&context, options] {
        context.run = [&context, options] {
            Json rows = Json::array();
            for (const std::string& path : options->files) {
                const File file = take(File::open(path));
                take(file.pin(EXO_PIN_PERSISTENT));
                const exo_file_info info = take(file.info());
                rows.push_back({{"file", path},
                                {"ino", info.ino},
                                {"generation", info.generation},
                                {"size_bytes", info.size_bytes},
                                {"extents", info.extents}});
                if (!context.json)
                    std::cout << path << ": pinned, " << size_text(info.size_bytes) << " in "
                              << info.extents << (info.extents == 1 ? " extent\n" : " extents\n");
            }
            if (context.json) print_rows(true, rows, {}, {});
            return kExitOk;
        };
    });
}

void add_unpin(CLI::App& app, Context& context) {
    struct Options {
        std::vector<std::string> files;
        uint32_t grace_ms = 0;
    };
    auto options = std::make_shared<Options>();
    auto* command =
        app.add_subcommand("unpin", "Revoke all grants on pinned files and let them change again");
    command->add_option("FILE", options->files, "Pinned files")->required();
    command->add_option("--grace-ms,--grace", options->grace_ms,
                        "Time for the grants' holders to finish (0)");
    command->footer(
        "Returns when every grant is cut and no read is in flight. Until then the file stays as it "
        "is.");
    command->callback([&context, options] {
        context.run = [&context, options] {
            Json rows = Json::array();
            for (const std::string& path : options->files) {
                const exo_file_unpin result = take(take(File::open(path)).unpin(options->grace_ms));
                rows.push_back({{"file", path},
                                {"revoked_grants", result.revoked_grants},
                                {"drained_traversals", result.drained_traversals},
                                {"drain_ns", result.drain_ns}});
                if (context.json) continue;
                std::cout << path << ": unpinned";
                if (result.revoked_grants)
                    std::cout << ", " << result.revoked_grants << " grants revoked, "
                              << result.drained_traversals << " traversals drained in "
                              << double(result.drain_ns) / 1000 << " us";
                std::cout << "\n";
            }
            if (context.json) print_rows(true, rows, {}, {});
            return kExitOk;
        };
    });
}

}  // namespace exo::tool
