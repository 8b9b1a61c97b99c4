// SPDX-License-Identifier: MIT
// exo stats: the module's counters since it was loaded.
#include "tools/exo/command.h"
#include "tools/exo/module.h"
#include "tools/exo/output.h"

namespace exo::tool {

void add_stats(CLI::App& app, Context& context) {
    auto* command = app.add_subcommand("stats", "The module's counters since it was loaded");
    command->callback([&context] {
        context.run = [&context] {
            const exo_stats s = Module().stats();
            print_object(context.json, Json{{"traversals", s.traversals},
                                            {"traversals_in_flight", s.traversals_in_flight},
                                            {"hops", s.hops},
                                            {"issued_first", s.issued_first},
                                            {"issued_direct", s.issued_direct},
                                            {"issued_deferred", s.issued_deferred},
                                            {"issued_polled", s.issued_polled},
                                            {"issued_dispatched", s.issued_dispatched},
                                            {"cached", s.cached},
                                            {"holes", s.holes},
                                            {"bytes", s.bytes},
                                            {"io_errors", s.io_errors},
                                            {"out_of_range", s.out_of_range},
                                            {"denied_grants", s.denied_grants},
                                            {"revoked_grants", s.revoked_grants},
                                            {"audit_events", s.audit_events},
                                            {"audit_lost", s.audit_lost},
                                            {"volumes", s.volumes},
                                            {"pins", s.pins},
                                            {"grants", s.grants},
                                            {"programs", s.programs}});
            return kExitOk;
        };
    });
}

}  // namespace exo::tool
