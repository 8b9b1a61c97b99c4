// SPDX-License-Identifier: MIT
// exo prog: traversal programs: load and keep, list, unload, have the verifier look at.
#include <exo/program.hpp>
#include <iostream>
#include <memory>
#include <sstream>

#include "tools/exo/files.h"
#include "tools/exo/module.h"
#include "tools/exo/output.h"

namespace exo::tool {

namespace {

constexpr size_t kLogLines = 12;

// The end of a verifier's log, where the complaint is, without its closing counts.
void print_log(const std::string& log, bool whole) {
    std::vector<std::string> lines;
    std::istringstream stream(log);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    size_t first = 0;
    if (!whole) {
        while (!lines.empty() && (lines.back().starts_with("processed ") ||
                                  lines.back().starts_with("verification time") ||
                                  lines.back().starts_with("stack depth")))
            lines.pop_back();
        first = lines.size() > kLogLines ? lines.size() - kLogLines : 0;
    }
    if (first) std::cerr << "  ... " << first << " lines before (--verbose shows all)\n";
    for (size_t i = first; i < lines.size(); i++) std::cerr << "  " << lines[i] << "\n";
}

Program load(const std::string& path, uint32_t flags, bool verbose) {
    Result<Program> program = Program::load(path, flags);
    if (program) return std::move(*program);
    if (!program.error().detail.empty()) print_log(program.error().detail, verbose);
    throw Failure(program.error().message);
}

void add_load(CLI::App& prog, Context& context) {
    struct Options {
        std::vector<std::string> files;
        bool verbose = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = prog.add_subcommand(
        "load", "Verify BPF objects and attach their programs, until unload or reboot");
    command->add_option("OBJECT", options->files, "Objects such as btree_lookup.bpf.o")->required();
    command->add_flag("-v,--verbose", options->verbose, "Show the verifier's whole log on failure");
    command->footer("Attached programs are kept in " EXO_PROGRAM_PIN_DIR ".");
    command->callback([&context, options] {
        context.run = [&context, options] {
            Json rows = Json::array();
            for (const std::string& path : options->files) {
                const Program program = load(path, EXO_PROGRAM_KEEP, options->verbose);
                for (size_t at = 0; at < program.count(); at++) {
                    rows.push_back({{"id", program.id(at)}, {"name", program.name(at)}});
                    if (!context.json)
                        std::cout << program.name(at) << ": attached as program " << program.id(at)
                                  << "\n";
                }
            }
            if (context.json) print_rows(true, rows, {}, {});
            return kExitOk;
        };
    });
}

void add_check(CLI::App& prog, Context& context) {
    struct Options {
        std::vector<std::string> files;
        bool verbose = false;
    };
    auto options = std::make_shared<Options>();
    auto* command =
        prog.add_subcommand("check", "Have the kernel verify BPF objects; attach nothing");
    command->add_option("OBJECT", options->files, "BPF objects")->required();
    command->add_flag("-v,--verbose", options->verbose, "Show the verifier's whole log on failure");
    command->callback([&context, options] {
        context.run = [&context, options] {
            Json rows = Json::array();
            for (const std::string& path : options->files) {
                const Program program = load(path, EXO_PROGRAM_CHECK_ONLY, options->verbose);
                for (const exo_function_info& function : program.functions())
                    rows.push_back({{"object", path},
                                    {"function", function.name},
                                    {"instructions", function.instructions},
                                    {"verified_instructions", function.verified}});
            }
            print_rows(context.json, rows,
                       {{"OBJECT", "object"},
                        {"FUNCTION", "function"},
                        {"INSTRUCTIONS", "instructions"},
                        {"WALKED BY VERIFIER", "verified_instructions"}},
                       "No function in it.");
            return kExitOk;
        };
    });
}

void add_list(CLI::App& prog, Context& context) {
    auto* command = prog.add_subcommand("list", "The programs that are attached");
    command->callback([&context] {
        context.run = [&context] {
            Json rows = Json::array();
            for (const exo_program_entry& entry : Module().programs())
                rows.push_back({{"id", entry.program_id},
                                {"name", fixed_text(entry.name, sizeof entry.name)},
                                {"uid", entry.uid},
                                {"traversals", entry.traversals},
                                {"steps", entry.steps},
                                {"in_flight", entry.in_flight},
                                {"slow", entry.slow},
                                {"since", time_text(entry.attached_at_ns)}});
            print_rows(context.json, rows,
                       {{"ID", "id"},
                        {"NAME", "name"},
                        {"UID", "uid"},
                        {"TRAVERSALS", "traversals"},
                        {"STEPS", "steps"},
                        {"IN FLIGHT", "in_flight"},
                        {"SLOW", "slow"},
                        {"SINCE", "since"}},
                       "No program is attached (exo prog load OBJECT).");
            return kExitOk;
        };
    });
}

void add_unload(CLI::App& prog, Context& context) {
    auto names = std::make_shared<std::vector<std::string>>();
    auto* command = prog.add_subcommand(
        "unload", "Detach programs; traversals in flight end with \"program detached\"");
    command->add_option("NAME", *names, "Names as exo prog list shows them")->required();
    command->callback([&context, names] {
        context.run = [&context, names] {
            for (const std::string& name : *names) {
                take(Program::unload(name));
                if (!context.json) std::cout << name << ": unloaded\n";
            }
            if (context.json) print_object(true, {{"unloaded", *names}});
            return kExitOk;
        };
    });
}

}  // namespace

void add_prog(CLI::App& app, Context& context) {
    auto* prog = app.add_subcommand("prog", "Traversal programs: load, list, unload, check");
    prog->require_subcommand(1);
    add_load(*prog, context);
    add_list(*prog, context);
    add_unload(*prog, context);
    add_check(*prog, context);
}

}  // namespace exo::tool
