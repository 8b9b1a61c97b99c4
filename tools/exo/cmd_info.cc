// SPDX-License-Identifier: MIT
// exo info: is the module there, what can it do, where are its bounds.
#include <sys/utsname.h>

#include "tools/exo/command.h"
#include "tools/exo/module.h"
#include "tools/exo/output.h"

namespace exo::tool {

void add_info(CLI::App& app, Context& context) {
    auto* command = app.add_subcommand("info", "The module's version, features and bounds");
    command->callback([&context] {
        context.run = [&context] {
            const exo_info info = Module().info();
            utsname kernel{};
            uname(&kernel);
            Json features = Json::array();
            if (info.features & EXO_FEATURE_DIRECT_ISSUE) features.push_back("direct issue");
            if (info.features & EXO_FEATURE_POLLED) features.push_back("polled mode");
            if (info.features & EXO_FEATURE_BLOCKS) features.push_back("blocks");
            if (info.features & EXO_FEATURE_BATCH) features.push_back("batches");
            if (info.features & EXO_FEATURE_URING) features.push_back("io_uring");
            Json object{{"kernel", kernel.release},
                        {"abi_version", info.abi_version},
                        {"features", features},
                        {"max_extents", info.max_extents},
                        {"max_hops", info.max_hops},
                        {"max_hop_bytes", info.max_hop_bytes},
                        {"max_args_bytes", info.max_args_bytes},
                        {"max_result_bytes", info.max_result_bytes},
                        {"max_timeout_ms", info.max_timeout_ms},
                        {"max_blocks_bytes", info.max_blocks_bytes},
                        {"max_batch", info.max_batch}};
            if (!context.json) {
                std::string text;
                for (const Json& feature : features)
                    text += (text.empty() ? "" : ", ") + feature.get<std::string>();
                object["features"] = text.empty() ? "none" : text;
            }
            print_object(context.json, object);
            return kExitOk;
        };
    });
}

}  // namespace exo::tool
