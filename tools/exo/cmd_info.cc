// SPDX-License-Identifier: MIT
// exo info: is the module there, what can it do, where are its bounds.
#include <sys/utsname.h>

#include "tools/exo/command.h"
#include "tools/exo/module.h"
#include "tools/exo/output.h"

namespace exo::tool {

namespace {

constexpr struct {
    uint64_t bit;
    const char* name;
} kFeatures[] = {
    {EXO_FEATURE_DIRECT_ISSUE, "direct issue"},
    {EXO_FEATURE_POLLED, "polled mode"},
    {EXO_FEATURE_BLOCKS, "blocks"},
    {EXO_FEATURE_BATCH, "batches"},
    {EXO_FEATURE_URING, "io_uring"},
    {EXO_FEATURE_DERIVE, "derived grants"},
    {EXO_FEATURE_DISPATCH, "dispatch"},
    {EXO_FEATURE_FAN_OUT, "fan-out"},
    {EXO_FEATURE_SETS, "sets"},
    {EXO_FEATURE_TENANTS, "tenants"},
    {EXO_FEATURE_FIXED_BUFFERS, "fixed buffers"},
    {EXO_FEATURE_CANCEL, "cancellation"},
};

}  // namespace

void add_info(CLI::App& app, Context& context) {
    auto* command = app.add_subcommand("info", "The module's version, features and bounds");
    command->callback([&context] {
        context.run = [&context] {
            const exo_info info = Module().info();
            utsname kernel{};
            uname(&kernel);
            Json features = Json::array();
            for (const auto& [bit, name] : kFeatures)
                if (info.features & bit) features.push_back(name);
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
                        {"max_batch", info.max_batch},
                        {"max_fan_out", info.max_fan_out},
                        {"max_slots", info.max_slots}};
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
