// SPDX-License-Identifier: MIT
// exo pins, exo grants, exo revoke: what is pinned, who may read it how, and taking that back.
#include <iostream>
#include <memory>

#include "tools/exo/command.h"
#include "tools/exo/module.h"
#include "tools/exo/output.h"

namespace exo::tool {

void add_pins(CLI::App& app, Context& context) {
    auto* command = app.add_subcommand("pins", "The files that the module has pinned");
    command->callback([&context] {
        context.run = [&context] {
            Json rows = Json::array();
            for (const exo_pin_entry& p : Module().pins())
                rows.push_back({{"id", p.pin_id},
                                {"volume", p.volume_id},
                                {"ino", p.ino},
                                {"generation", p.generation},
                                {"size_bytes", p.size_bytes},
                                {"extents", p.extents},
                                {"grants", p.grants},
                                {"state", pin_state_text(p.state)},
                                {"since", time_text(p.pinned_at_ns)}});
            print_rows(context.json, rows,
                       {{"ID", "id"},
                        {"VOLUME", "volume"},
                        {"INODE", "ino"},
                        {"GENERATION", "generation"},
                        {"BYTES", "size_bytes"},
                        {"EXTENTS", "extents"},
                        {"GRANTS", "grants"},
                        {"STATE", "state"},
                        {"SINCE", "since"}},
                       "Nothing is pinned.");
            return kExitOk;
        };
    });
}

void add_grants(CLI::App& app, Context& context) {
    auto* command =
        app.add_subcommand("grants", "Open grants: who may read what, and how much they have read");
    command->callback([&context] {
        context.run = [&context] {
            Json rows = Json::array();
            for (const exo_grant_entry& g : Module().grants())
                rows.push_back({{"id", g.grant_id},
                                {"volume", g.volume_id},
                                {"ino", g.ino},
                                {"generation", g.generation},
                                {"range_start", g.range_start},
                                {"range_len", g.range_len},
                                {"uid", g.uid},
                                {"pid", g.pid},
                                {"command", fixed_text(g.comm, sizeof g.comm)},
                                {"parent", g.parent_id},
                                {"hop_limit", g.hop_limit},
                                {"in_flight", g.in_flight},
                                {"tenant", g.tenant_id},
                                {"weight", g.weight},
                                {"rate_reads", g.rate_reads},
                                {"rate_bytes", g.rate_bytes},
                                {"traversals", g.traversals},
                                {"hops", g.hops},
                                {"bytes", g.bytes},
                                {"state", pin_state_text(g.state)},
                                {"since", time_text(g.opened_at_ns)}});
            print_rows(context.json, rows,
                       {{"ID", "id"},
                        {"INODE", "ino"},
                        {"UID", "uid"},
                        {"PID", "pid"},
                        {"COMMAND", "command"},
                        {"START", "range_start"},
                        {"LENGTH", "range_len"},
                        {"HOP LIMIT", "hop_limit"},
                        {"WEIGHT", "weight"},
                        {"READS/S", "rate_reads"},
                        {"BYTES/S", "rate_bytes"},
                        {"TRAVERSALS", "traversals"},
                        {"HOPS", "hops"},
                        {"BYTES", "bytes"},
                        {"STATE", "state"},
                        {"SINCE", "since"}},
                       "No grant is open.");
            return kExitOk;
        };
    });
}

void add_revoke(CLI::App& app, Context& context) {
    struct Options {
        uint64_t grant_id = 0;
        uint32_t grace_ms = 0;
    };
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand(
        "revoke",
        "Take back a grant and all that was derived from it; returns when it reads nothing");
    command->add_option("GRANT", options->grant_id, "Its id, as exo grants shows it")->required();
    command->add_option("--grace-ms", options->grace_ms,
                        "Time for the holders to close them before they are cut (0)");
    command->callback([&context, options] {
        context.run = [&context, options] {
            exo_revoke_id result = Module().revoke(options->grant_id, options->grace_ms);
            if (context.json) {
                print_object(true, {{"revoked_grants", result.revoked_grants},
                                    {"drained_traversals", result.drained_traversals},
                                    {"drain_ns", result.drain_ns}});
            } else {
                std::cout << "grant " << options->grant_id << ": " << result.revoked_grants
                          << (result.revoked_grants == 1 ? " grant" : " grants") << " revoked, "
                          << result.drained_traversals << " in flight drained in "
                          << result.drain_ns / 1000 << " us\n";
            }
            return kExitOk;
        };
    });
}

}  // namespace exo::tool
