// SPDX-License-Identifier: MIT
// Runs one trial of one workload: exo_crash_test cuts|errors WORKLOAD, or of several at once:
// together COMPANY. `list` names all workloads.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "fs/base/log.h"
#include "tests/crash/matrix.h"

using namespace exo;
using namespace exo::test;

int main(int argc, char** argv) {
    const std::string_view verb = argc > 1 ? argv[1] : "";
    if (verb == "list") {
        for (const Workload& workload : workloads()) puts(workload.name);
        return 0;
    }
    set_log_sink([](LogLevel, std::string_view) {});
    const Settings settings = Settings::from_environment();
    if (verb == "together" && argc == 3) {
        const auto company = std::ranges::find(companies(), std::string_view(argv[2]),
                                               [](const Company& c) { return c.name; });
        if (company != companies().end()) return power_cuts_together(*company, settings) ? 0 : 1;
    }
    const Workload* workload = argc == 3 ? find_workload(argv[2]) : nullptr;
    if (!workload || (verb != "cuts" && verb != "errors")) {
        fprintf(stderr, "usage: exo_crash_test cuts|errors WORKLOAD, together COMPANY, or list\n");
        return 2;
    }
    const bool good =
        verb == "cuts" ? power_cuts(*workload, settings) : io_errors(*workload, settings);
    return good ? 0 : 1;
}
