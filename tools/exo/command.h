// SPDX-License-Identifier: MIT
// What every subcommand shares: how it joins the command line, how it fails, which exit codes there
// are.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <stdexcept>
#include <string>

namespace exo::tool {

// Exit codes of every subcommand but mount, umount and fsck, which keep those of mount(8) and
// fsck(8).
constexpr int kExitOk = 0;
constexpr int kExitNo = 1;       // a negative answer: key not found, lookups differ
constexpr int kExitUsage = 2;    // the command line makes no sense
constexpr int kExitFailure = 3;  // it could not be done; one line on stderr says why
constexpr int kExitFsckUsage = 16;

// Ends the command with one line on stderr. Thrown by subcommands only, caught by main.
class Failure : public std::runtime_error {
  public:
    explicit Failure(const std::string& message, int exit_code = kExitFailure)
        : std::runtime_error(message), exit_code_(exit_code) {}
    int exit_code() const { return exit_code_; }

  private:
    int exit_code_;
};

struct Context {
    bool json = false;
    std::function<int()> run;  // set by the subcommand that was chosen
};

// A subcommand adds itself to `app`, and sets context.run when it is the one that was chosen.
using AddCommand = void (*)(CLI::App& app, Context& context);

void add_mkfs(CLI::App& app, Context& context);
void add_fsck(CLI::App& app, Context& context);
void add_mount(CLI::App& app, Context& context);
void add_umount(CLI::App& app, Context& context);
void add_map(CLI::App& app, Context& context);
void add_trim(CLI::App& app, Context& context);
void add_place(CLI::App& app, Context& context);
void add_pin(CLI::App& app, Context& context);
void add_unpin(CLI::App& app, Context& context);
void add_volumes(CLI::App& app, Context& context);
void add_pins(CLI::App& app, Context& context);
void add_grants(CLI::App& app, Context& context);
void add_tenants(CLI::App& app, Context& context);
void add_tenant_set(CLI::App& app, Context& context);
void add_release(CLI::App& app, Context& context);
void add_revoke(CLI::App& app, Context& context);
void add_prog(CLI::App& app, Context& context);
void add_index(CLI::App& app, Context& context);
void add_lookup(CLI::App& app, Context& context);
void add_audit(CLI::App& app, Context& context);
void add_stats(CLI::App& app, Context& context);
void add_info(CLI::App& app, Context& context);

}  // namespace exo::tool
