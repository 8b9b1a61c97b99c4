// SPDX-License-Identifier: MIT
// exo fsck (also fsck.exo): check and repair. Options and exit codes as fsck(8) and e2fsck(8) have
// them.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <iostream>
#include <memory>
#include <new>

#include "fs/base/page.h"
#include "fs/device/open_device.h"
#include "fs/fsck/fsck.h"
#include "fs/mkfs/mkfs.h"
#include "fs/volume/superblock_io.h"
#include "tools/exo/command.h"
#include "tools/exo/output.h"

namespace exo::tool {

namespace {

constexpr int kRepaired = 1;
constexpr int kErrorsLeft = 4;
constexpr int kCannotCheck = 8;
constexpr int kCancelled = 32;

std::atomic<bool> stop_asked{false};

struct Options {
    std::string device;
    bool no = false, yes = false, safe = false;
    bool force = false, verbose = false, progress = false, ignored = false;
    uint64_t backup = 0;
};

// Questions on a terminal, one per problem.
class Questions {
  public:
    bool ask(std::string_view problem, std::string_view repair) {
        std::cout << problem << "\n";
        if (all_) return true;
        for (;;) {
            std::cout << "  " << repair << "? (yes, no, all) [yes] " << std::flush;
            std::string answer;
            if (!std::getline(std::cin, answer)) {
                stop_asked = true;
                return false;
            }
            if (answer.empty() || answer == "y" || answer == "yes") return true;
            if (answer == "n" || answer == "no") return false;
            if (answer == "a" || answer == "all") return all_ = true;
        }
    }

  private:
    bool all_ = false;
};

Json json_of(const std::string& device, const FsckReport& report) {
    Json problems = Json::array();
    for (size_t i = 0; i < report.problems.size(); i++) {
        const FsckFinding& finding = report.findings[i];
        const DamageClass& about = damage_class(finding.damage);
        problems.push_back({{"class", about.name},
                            {"text", report.problems[i]},
                            {"safe", about.safe},
                            {"repaired", finding.repaired}});
    }
    return {{"device", device},
            {"problems", problems},
            {"found", report.found},
            {"repaired", report.repaired},
            {"journal_replayed", report.journal_replayed},
            {"inodes", report.inodes},
            {"directories", report.directories},
            {"orphans", report.orphans},
            {"pins", report.pins},
            {"used_blocks", report.used_blocks},
            {"free_blocks", report.free_blocks}};
}

void print_text(const Options& options, FsckMode mode, const FsckReport& report) {
    for (size_t i = 0; i < report.problems.size(); i++) {
        if (mode == FsckMode::kAsk && !options.verbose) continue;  // said when it was asked
        std::cout << report.problems[i];
        if (report.findings[i].repaired) std::cout << ": repaired";
        if (options.verbose)
            std::cout << " [" << damage_class(report.findings[i].damage).name << "]";
        std::cout << "\n";
    }
    if (report.found > report.problems.size())
        std::cout << "and " << report.found - report.problems.size() << " more\n";
    std::cout << options.device << ": ";
    if (report.found == 0)
        std::cout << "sound";
    else if (report.repaired > 0)
        std::cout << report.repaired << " of " << report.found << " problems repaired";
    else
        std::cout << report.found << " problems";
    std::cout << ", " << report.inodes << " inodes, " << report.directories << " directories, "
              << report.pins << " pinned, " << size_text(report.used_blocks * kBlockBytes)
              << " used, " << size_text(report.free_blocks * kBlockBytes) << " free";
    if (report.journal_replayed)
        std::cout << (mode == FsckMode::kCheck
                          ? " (not unmounted cleanly: the next mount replays the journal)"
                          : " (journal replayed)");
    std::cout << "\n";
    if (options.verbose)
        std::cout << "orphans: " << report.orphans << ", used blocks: " << report.used_blocks
                  << ", free blocks: " << report.free_blocks << "\n";
    if (mode == FsckMode::kSafe && report.found > report.repaired)
        std::cout
            << options.device
            << ": some repairs would lose something; nothing was changed. Run fsck.exo -y, or "
               "fsck.exo on a terminal\n";
}

// Whether -p may be content with what the superblock says.
bool marked_clean(BlockDevice& device) {
    auto loaded = load_superblock(device);
    return loaded && !loaded->from_backup && loaded->superblock.state == kStateClean;
}

int run_fsck(const Options& options, bool json) {
    const bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !json;
    const FsckMode mode = options.yes               ? FsckMode::kRepair
                          : options.safe            ? FsckMode::kSafe
                          : options.no || !terminal ? FsckMode::kCheck
                                                    : FsckMode::kAsk;
    if (auto free = mkfs_safety_check(options.device, true); !free)
        throw Failure(describe(free.error()), kCannotCheck);
    DeviceOptions device_options;
    device_options.read_only = mode == FsckMode::kCheck;
    auto device = open_device(options.device, device_options);
    if (!device) throw Failure(describe(device.error()), kCannotCheck);
    if (mode == FsckMode::kSafe && !options.force && marked_clean(**device)) {
        if (!json) std::cout << options.device << ": clean (-f checks all the same)\n";
        if (json) print_object(true, {{"device", options.device}, {"clean", true}});
        return kExitOk;
    }
    FsckOptions fsck_options;
    fsck_options.mode = mode;
    fsck_options.backup = options.backup;
    Questions questions;
    fsck_options.ask = [&](std::string_view problem, std::string_view repair) {
        return questions.ask(problem, repair);
    };
    const bool show = options.progress || (isatty(STDERR_FILENO) && mode != FsckMode::kAsk);
    if (show)
        fsck_options.progress = [](unsigned percent) {
            std::cerr << "\rchecking: " << percent << " %" << std::flush;
        };
    struct sigaction action{};
    action.sa_handler = [](int) { stop_asked = true; };
    (void)sigaction(SIGINT, &action, nullptr);
    (void)sigaction(SIGTERM, &action, nullptr);
    fsck_options.cancelled = [] { return stop_asked.load(); };
    auto report = fsck_run(**device, fsck_options);
    if (show) std::cerr << "\r\033[K";
    if (!report)
        throw Failure(describe(report.error()),
                      report.error().code == ECANCELED ? kCancelled : kCannotCheck);
    if (json)
        print_object(true, json_of(options.device, *report));
    else
        print_text(options, mode, *report);
    if (report->found > report->repaired) return kErrorsLeft;
    return report->found > 0 ? kRepaired : kExitOk;
}

}  // namespace

void add_fsck(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand("fsck", "Check and repair an unmounted exo file system");
    command->add_option("DEVICE", options->device, "Block device or image file")->required();
    auto* no = command->add_flag("-n", options->no, "Check only, change nothing");
    auto* yes = command->add_flag("-y", options->yes, "Repair everything");
    auto* safe = command->add_flag(
        "-p,-a", options->safe,
        "Repair if that loses nothing, else change nothing; skips what is marked clean");
    no->excludes(yes)->excludes(safe);
    yes->excludes(safe);
    command->add_flag("-f", options->force, "With -p: check even what is marked clean");
    command->add_option("-b", options->backup, "Use the backup superblock at this block");
    command->add_flag("-v", options->verbose, "Say more");
    command->add_flag("-C,--progress", options->progress,
                      "Show progress even if stderr is no terminal");
    command->add_flag("-r", options->ignored, "Accepted for fsck(8)");
    command->footer(
        "Without -n, -p and -y: asks before each repair on a terminal, else as -n.\n"
        "Exit codes, as in fsck(8): 0 sound, 1 repaired, 4 problems left, 8 could not be checked, "
        "16 wrong usage, 32 interrupted.");
    command->callback([&context, options] {
        context.run = [&context, options] {
            try {
                return run_fsck(*options, context.json);
            } catch (const std::bad_alloc&) {
                throw Failure(options->device + ": not enough memory to check it", kCannotCheck);
            }
        };
    });
}

}  // namespace exo::tool
