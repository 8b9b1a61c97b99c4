// SPDX-License-Identifier: MIT
// exo audit: the module's trail of who was granted what and what they did with it.
#include <poll.h>
#include <unistd.h>

#include <exo/exo.h>
#include <fcntl.h>
#include <array>
#include <cerrno>
#include <iostream>
#include <memory>
#include <system_error>

#include "tools/exo/command.h"
#include "tools/exo/module.h"
#include "tools/exo/output.h"

namespace exo::tool {

namespace {

const char* type_text(uint32_t type) {
    switch (type) {
        case EXO_AUDIT_VOLUME_ATTACH:
            return "volume-attach";
        case EXO_AUDIT_VOLUME_DETACH:
            return "volume-detach";
        case EXO_AUDIT_MOUNT_BIND:
            return "mount-bind";
        case EXO_AUDIT_PIN:
            return "pin";
        case EXO_AUDIT_UNPIN:
            return "unpin";
        case EXO_AUDIT_GRANT_OPEN:
            return "grant-open";
        case EXO_AUDIT_GRANT_DENIED:
            return "grant-denied";
        case EXO_AUDIT_GRANT_REVOKE:
            return "grant-revoke";
        case EXO_AUDIT_GRANT_CLOSE:
            return "grant-close";
        case EXO_AUDIT_TRAVERSAL_FAILED:
            return "traversal-failed";
        case EXO_AUDIT_PROGRAM_ATTACH:
            return "program-attach";
        case EXO_AUDIT_PROGRAM_DETACH:
            return "program-detach";
        case EXO_AUDIT_SUPPRESSED:
            return "suppressed";
        case EXO_AUDIT_GRANT_DERIVE:
            return "grant-derive";
        default:
            return "unknown";
    }
}

// Only the members that mean something for the event's type, so that a line is short.
Json event_json(const exo_audit_event& e) {
    Json row{{"sequence", e.sequence},
             {"time", time_text(e.time_ns)},
             {"time_ns", e.time_ns},
             {"type", type_text(e.type)},
             {"uid", e.uid},
             {"pid", e.pid},
             {"command", fixed_text(e.comm, sizeof e.comm)}};
    if (e.volume_id) row["volume"] = e.volume_id;
    if (e.ino) row["ino"] = e.ino, row["generation"] = e.generation;
    if (e.grant_id) row["grant"] = e.grant_id;
    if (e.parent_grant_id) row["parent"] = e.parent_grant_id;
    if (e.program_id) row["program"] = e.program_id;
    if (e.error) row["error"] = std::generic_category().message(-e.error);
    switch (e.type) {
        case EXO_AUDIT_GRANT_OPEN:
        case EXO_AUDIT_GRANT_DENIED:
        case EXO_AUDIT_GRANT_DERIVE:
            row["range_start"] = e.file_offset;
            row["range_len"] = e.length;
            break;
        case EXO_AUDIT_TRAVERSAL_FAILED:
            row["cause"] = exo_end__name(e.cause);
            row["hop"] = e.hop;
            row["file_offset"] = e.file_offset;
            row["length"] = e.length;
            break;
        case EXO_AUDIT_GRANT_CLOSE:
            row["traversals"] = e.traversals;
            row["hops"] = e.hops;
            row["bytes"] = e.bytes;
            break;
        case EXO_AUDIT_UNPIN:
            row["drained"] = e.hops;
            row["drain_ns"] = e.length;
            break;
        case EXO_AUDIT_SUPPRESSED:
            row["records"] = e.length;
            break;
        default:
            break;
    }
    return row;
}

// One event, one line: the fixed members first, then name=value.
void print_event(const Json& row) {
    std::string line = row["time"].get<std::string>() + "  " + row["type"].get<std::string>();
    line.resize(std::max<size_t>(line.size(), 43), ' ');
    for (auto& [name, value] : row.items()) {
        if (name == "time" || name == "time_ns" || name == "type" || name == "sequence") continue;
        const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
        const bool quote = text.find(' ') != std::string::npos;
        line += " " + name + "=" + (quote ? "\"" + text + "\"" : text);
    }
    std::cout << line << "\n";
}

}  // namespace

void add_audit(CLI::App& app, Context& context) {
    struct Options {
        bool follow = false;
        bool from_now = false;
        bool failures = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand("audit", "Who was granted what, and what they did with it");
    command->add_flag("-f,--follow", options->follow,
                      "Go on with events as they happen, until interrupted");
    command
        ->add_flag("--from-now", options->from_now,
                   "Leave out what happened before (needs --follow)")
        ->needs("--follow");
    command->add_flag(
        "--failures", options->failures,
        "Only refused grants and traversals that did not end by their program's verdict");
    command->footer("With --json, one object a line.");
    command->callback([&context, options] {
        context.run = [&context, options] {
            const unique_fd trail = Module().open_audit(options->from_now);
            if (!options->follow) fcntl(trail.get(), F_SETFL, O_NONBLOCK);
            std::array<exo_audit_event, 64> events;
            uint64_t expected = 0;
            for (;;) {
                const ssize_t got = read(trail.get(), events.data(), sizeof events);
                if (got < 0 && errno == EINTR) continue;
                if (got < 0 && errno == EAGAIN) return kExitOk;
                if (got < 0)
                    throw Failure(std::string("reading the audit trail: ") +
                                  std::generic_category().message(errno));
                if (got == 0) return kExitOk;
                for (size_t i = 0; i < size_t(got) / sizeof events[0]; i++) {
                    const exo_audit_event& event = events[i];
                    if (expected && event.sequence != expected)
                        std::cerr << "exo: " << event.sequence - expected
                                  << " events were overwritten before they could be read\n";
                    expected = event.sequence + 1;
                    if (options->failures && event.type != EXO_AUDIT_GRANT_DENIED &&
                        event.type != EXO_AUDIT_TRAVERSAL_FAILED &&
                        event.type != EXO_AUDIT_SUPPRESSED)
                        continue;
                    const Json row = event_json(event);
                    if (context.json)
                        std::cout << row.dump() << "\n";
                    else
                        print_event(row);
                }
                std::cout.flush();
                if (!std::cout) return kExitOk;  // whoever read our output has left
            }
        };
    });
}

}  // namespace exo::tool
