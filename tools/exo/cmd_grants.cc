// SPDX-License-Identifier: MIT
// exo pins, exo grants, exo revoke: what is pinned, who may read it how, and taking that back.
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "tools/exo/command.h"
#include "tools/exo/module.h"
#include "tools/exo/output.h"

namespace exo::tool {

namespace {

using Names = std::map<uint32_t, std::string>;

Names program_names() {
    Names names;
    for (const exo_program_entry& p : Module().programs())
        names[p.program_id] = fixed_text(p.name, sizeof p.name);
    return names;
}

// The program that a grant is bound to; one that was detached has no name any more.
std::string program_text(uint32_t id, const Names& names) {
    if (id == 0) return "any";
    const auto found = names.find(id);
    return found == names.end() ? "#" + std::to_string(id) : found->second;
}

std::string rights_text(uint32_t rights) {
    static constexpr struct {
        uint32_t right;
        const char* name;
    } kNames[] = {{EXO_RIGHT_TRAVERSE, "traverse"},
                  {EXO_RIGHT_BLOCKS, "blocks"},
                  {EXO_RIGHT_DERIVE, "derive"}};
    std::string text;
    for (const auto& known : kNames)
        if (rights & known.right) text += (text.empty() ? "" : ",") + std::string(known.name);
    return text.empty() ? "none" : text;
}

Json parent_of(const exo_grant_entry& grant) {
    return grant.parent_id != 0 ? Json(grant.parent_id) : Json();
}

Json expiry_of(const exo_grant_entry& grant) {
    return grant.expires_at_ns != 0 ? Json(time_text(grant.expires_at_ns)) : Json();
}

}  // namespace

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
            const Names names = program_names();
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
                                {"parent", parent_of(g)},
                                {"pin", g.pin_id},
                                {"rights", rights_text(g.rights)},
                                {"program", program_text(g.program_id, names)},
                                {"program_id", g.program_id},
                                {"expires", expiry_of(g)},
                                {"hop_limit", g.hop_limit},
                                {"in_flight", g.in_flight},
                                {"in_flight_limit", g.in_flight_limit},
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
                        {"PARENT", "parent"},
                        {"INODE", "ino"},
                        {"UID", "uid"},
                        {"PID", "pid"},
                        {"COMMAND", "command"},
                        {"START", "range_start"},
                        {"LENGTH", "range_len"},
                        {"RIGHTS", "rights"},
                        {"PROGRAM", "program"},
                        {"EXPIRES", "expires"},
                        {"HOP LIMIT", "hop_limit"},
                        {"AT ONCE", "in_flight_limit"},
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
