// SPDX-License-Identifier: MIT
// exo volumes, exo release: the devices that the module holds, and letting one go whose daemon is
// gone.
#include <memory>
#include <string>
#include <vector>

#include "tools/exo/command.h"
#include "tools/exo/module.h"
#include "tools/exo/output.h"

namespace exo::tool {

namespace {
// What the device can do, the fastest first.
std::vector<std::string> engines_of(const exo_volume_entry& volume) {
    if (volume.flags & EXO_VOLUME_STATE_DISPATCH) return {"dispatch"};
    if (volume.flags & EXO_VOLUME_STATE_POLLED) return {"polled", "completion", "dispatch"};
    return {"completion", "dispatch"};
}
}  // namespace

void add_volumes(CLI::App& app, Context& context) {
    auto* command = app.add_subcommand("volumes", "The devices that the module holds");
    command->callback([&context] {
        context.run = [&context] {
            Json rows = Json::array();
            for (const exo_volume_entry& v : Module().volumes()) {
                Json row{{"id", v.volume_id},
                         {"device", "/dev/" + fixed_text(v.disk_name, sizeof v.disk_name)},
                         {"uuid", uuid_text(v.uuid)},
                         {"size_bytes", v.size_bytes},
                         {"logical_block_bytes", v.logical_block_bytes},
                         {"pins", v.pins},
                         {"grants", v.grants},
                         {"daemon", bool(v.flags & EXO_VOLUME_STATE_DAEMON)},
                         {"mount_bound", bool(v.flags & EXO_VOLUME_STATE_BOUND)},
                         {"engines", engines_of(v)}};
                if (!context.json) {
                    row["size"] = size_text(v.size_bytes);
                    std::string engines;
                    for (const std::string& engine : engines_of(v))
                        engines += (engines.empty() ? "" : ", ") + engine;
                    row["engines"] = engines;
                }
                rows.push_back(row);
            }
            print_rows(context.json, rows,
                       {{"ID", "id"},
                        {"DEVICE", "device"},
                        {"SIZE", "size"},
                        {"PINS", "pins"},
                        {"GRANTS", "grants"},
                        {"DAEMON", "daemon"},
                        {"MOUNTED", "mount_bound"},
                        {"ENGINES", "engines"},
                        {"UUID", "uuid"}},
                       "The module holds no device: no exo file system is mounted.");
            return kExitOk;
        };
    });
}

void add_release(CLI::App& app, Context& context) {
    struct Options {
        uint32_t volume_id = 0;
        uint32_t grace_ms = 1000;
    };
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand(
        "release",
        "Let go of a device whose daemon is gone: revokes its grants, ends its pins in the module");
    command->add_option("VOLUME", options->volume_id, "Its id, as exo volumes shows it")
        ->required();
    command->add_option("--grace-ms", options->grace_ms,
                        "Time for the grants' holders to finish (1000)");
    command->callback([&context, options] {
        context.run = [options] {
            Module().release(options->volume_id, options->grace_ms);
            return kExitOk;
        };
    });
}

}  // namespace exo::tool
