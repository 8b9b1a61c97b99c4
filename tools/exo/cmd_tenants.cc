// SPDX-License-Identifier: MIT
// exo tenants, exo tenant-set: who shares the volumes' devices, and what each of them gets.
#include <memory>

#include "tools/exo/command.h"
#include "tools/exo/module.h"
#include "tools/exo/output.h"

namespace exo::tool {

void add_tenants(CLI::App& app, Context& context) {
    auto* command = app.add_subcommand(
        "tenants", "Users (or cgroups) that share a device: their weights, rates and use of it");
    command->callback([&context] {
        context.run = [&context] {
            Json rows = Json::array();
            for (const exo_tenant_entry& t : Module().tenants())
                rows.push_back({{"id", t.tenant_id},
                                {"volume", t.volume_id},
                                {"kind", t.flags & EXO_TENANT_CGROUP ? "cgroup" : "user"},
                                {"key", t.key},
                                {"active", bool(t.flags & EXO_TENANT_ACTIVE)},
                                {"weight", t.weight},
                                {"rate_reads", t.rate_reads},
                                {"rate_bytes", t.rate_bytes},
                                {"grants", t.grants},
                                {"in_flight", t.in_flight},
                                {"waiting", t.waiting},
                                {"traversals", t.traversals},
                                {"reads", t.reads},
                                {"bytes", t.bytes},
                                {"waited", t.waited},
                                {"cpu_ns", t.cpu_ns}});
            print_rows(context.json, rows,
                       {{"VOLUME", "volume"},
                        {"KIND", "kind"},
                        {"WHO", "key"},
                        {"WEIGHT", "weight"},
                        {"READS/S", "rate_reads"},
                        {"BYTES/S", "rate_bytes"},
                        {"IN FLIGHT", "in_flight"},
                        {"WAITING", "waiting"},
                        {"READS", "reads"},
                        {"BYTES", "bytes"},
                        {"WAITED", "waited"},
                        {"CPU NS", "cpu_ns"}},
                       "Nobody has a grant.");
            return kExitOk;
        };
    });
}

void add_tenant_set(CLI::App& app, Context& context) {
    auto request = std::make_shared<exo_tenant_set>();
    auto cgroup = std::make_shared<bool>(false);
    auto* command = app.add_subcommand(
        "tenant-set", "Set a tenant's weight and rates; what is left out is the default");
    command->add_option("VOLUME", request->volume_id, "Its id, as exo volumes shows it")
        ->required();
    command
        ->add_option("WHO", request->key, "User number, or inode number of the cgroup's directory")
        ->required();
    command->add_flag("--cgroup", *cgroup, "WHO is a cgroup");
    command->add_option("--weight", request->weight, "1 to 10000 (100)");
    command->add_option("--rate-reads", request->rate_reads,
                        "Reads of the device in a second (no limit)");
    command->add_option("--rate-bytes", request->rate_bytes, "Bytes in a second (no limit)");
    command->callback([&context, request, cgroup] {
        context.run = [request, cgroup] {
            request->flags = *cgroup ? EXO_TENANT_CGROUP : 0;
            Module().set_tenant(*request);
            return kExitOk;
        };
    });
}

}  // namespace exo::tool
