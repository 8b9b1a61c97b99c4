// SPDX-License-Identifier: MIT
#include "fs/fuse/mount_options.h"

#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "fs/base/result.h"
#include "fs/base/unique_fd.h"

namespace exo::fuse {
namespace {

// MS_NOSYMFOLLOW came to the C library later than to the kernel (5.10).
constexpr unsigned long no_symlink_follow = 256;

struct FlagOption {
    std::string_view name;
    unsigned long set;
    unsigned long clear;
};

constexpr std::array flag_options{
    FlagOption{"rw", 0, MS_RDONLY},
    FlagOption{"ro", MS_RDONLY, 0},
    FlagOption{"suid", 0, MS_NOSUID},
    FlagOption{"nosuid", MS_NOSUID, 0},
    FlagOption{"dev", 0, MS_NODEV},
    FlagOption{"nodev", MS_NODEV, 0},
    FlagOption{"exec", 0, MS_NOEXEC},
    FlagOption{"noexec", MS_NOEXEC, 0},
    FlagOption{"async", 0, MS_SYNCHRONOUS},
    FlagOption{"sync", MS_SYNCHRONOUS, 0},
    FlagOption{"dirsync", MS_DIRSYNC, 0},
    FlagOption{"atime", 0, MS_NOATIME},
    FlagOption{"noatime", MS_NOATIME, 0},
    FlagOption{"diratime", 0, MS_NODIRATIME},
    FlagOption{"nodiratime", MS_NODIRATIME, 0},
    FlagOption{"relatime", MS_RELATIME, 0},
    FlagOption{"norelatime", 0, MS_RELATIME},
    FlagOption{"strictatime", MS_STRICTATIME, 0},
    FlagOption{"nostrictatime", 0, MS_STRICTATIME},
    FlagOption{"lazytime", MS_LAZYTIME, 0},
    FlagOption{"nolazytime", 0, MS_LAZYTIME},
    FlagOption{"symfollow", 0, no_symlink_follow},
    FlagOption{"nosymfollow", no_symlink_follow, 0},
    FlagOption{"silent", MS_SILENT, 0},
    FlagOption{"loud", 0, MS_SILENT},
    // A set of others, as mount(8) defines it.
    FlagOption{"defaults", 0, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS},
    FlagOption{"user", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0},
    FlagOption{"users", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0},
    FlagOption{"owner", MS_NOSUID | MS_NODEV, 0},
    FlagOption{"group", MS_NOSUID | MS_NODEV, 0},
};

// What fstab(5) says to other programs; it reaches us and means nothing here.
constexpr std::array<std::string_view, 7> ignored_options{
    "auto", "noauto", "nofail", "_netdev", "nouser", "noowner", "nogroup",
};
constexpr std::array<std::string_view, 6> ignored_prefixes{
    "x-", "X-", "comment=", "uhelper=", "helper=", "user=",
};

std::expected<void, std::string> parse_option(std::string_view name, MountRequest& options) {
    for (const FlagOption& option : flag_options) {
        if (option.name == name) {
            options.mount_flags = (options.mount_flags & ~option.clear) | option.set;
            options.read_only = (options.mount_flags & MS_RDONLY) != 0;
            return {};
        }
    }
    if (name == "allow_other") {
        options.allow_other = true;
    } else if (name == "noallow_other") {
        options.allow_other = false;
    } else if (name == "default_permissions") {
        options.default_permissions = true;
    } else if (name == "discard") {
        options.discard = true;
    } else if (name == "nodiscard") {
        options.discard = false;
    } else if (name == "nokernel") {
        options.kernel_pins = false;
    } else if (name == "remount") {
        options.remount = true;
    } else if (std::ranges::find(ignored_options, name) == ignored_options.end() &&
               std::ranges::none_of(ignored_prefixes,
                                    [&](auto prefix) { return name.starts_with(prefix); })) {
        return std::unexpected("unknown mount option '" + std::string(name) +
                               "': exo(1) lists those that exist");
    }
    return {};
}

}  // namespace

const char* base_name(const char* path) {
    const char* slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

std::string absolute_path(const char* path) {
    // The daemon changes to /, so nothing relative may be left.
    std::error_code error;
    const auto real = std::filesystem::canonical(path, error);
    return error ? std::filesystem::absolute(path, error).string() : real.string();
}

std::expected<void, std::string> enter_mount_namespace(const std::string& name) {
    if (name.empty()) return {};
    const bool is_pid = std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
    const std::string path = is_pid ? "/proc/" + name + "/ns/mnt" : name;
    const unique_fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd || setns(fd.get(), CLONE_NEWNS) != 0)
        return std::unexpected("cannot enter the mount namespace " + name + ": " +
                               describe(Error{errno, {}}));
    return {};
}

std::expected<void, std::string> parse_options(std::string_view text, MountRequest& options) {
    // Options of Linux Security Modules carry quoted commas; we know none of these, so a plain
    // split does.
    while (!text.empty()) {
        const size_t comma = text.find(',');
        const std::string_view name = text.substr(0, comma);
        text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
        if (name.empty()) continue;
        if (auto parsed = parse_option(name, options); !parsed) return parsed;
    }
    return {};
}

std::expected<MountRequest, std::string> parse_command_line(int argc, char** argv) {
    MountRequest options;
    // A file system mounted by root is everybody's, as any other; an unprivileged user's is not,
    // unless asked for.
    options.allow_other = geteuid() == 0;

    constexpr const char* usage =
        "usage: mount.exo DEVICE DIRECTORY [-sfnvF] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]";
    static const option long_options[] = {
        {"foreground", no_argument, nullptr, 'F'}, {"fake", no_argument, nullptr, 'f'},
        {"verbose", no_argument, nullptr, 'v'},    {"options", required_argument, nullptr, 'o'},
        {"read-only", no_argument, nullptr, 'r'},  {nullptr, 0, nullptr, 0}};
    optind = 0;  // again from the start: a caller may have used getopt before
    opterr = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet
    for (int c; (c = getopt_long(argc, argv, "sfnvFrwN:o:t:", long_options, nullptr)) != -1;) {
        switch (c) {
            case 's':  // sloppy: tolerate unknown options; there is no use in that here
            case 'n':  // no mtab: there is none
            case 't':
                break;
            case 'f':
                options.fake = true;
                break;
            case 'v':
                options.verbose = true;
                break;
            case 'F':
                options.foreground = true;
                break;
            case 'N':
                options.mount_namespace = optarg;
                break;
            case 'r':
            case 'w':
                if (auto done = parse_options(c == 'r' ? "ro" : "rw", options); !done)
                    return std::unexpected(done.error());
                break;
            case 'o':
                if (auto done = parse_options(optarg, options); !done)
                    return std::unexpected(done.error());
                break;
            default:
                return std::unexpected(usage);
        }
    }
    if (argc - optind != 2) return std::unexpected(usage);
    options.device = absolute_path(argv[optind]);
    options.directory = absolute_path(argv[optind + 1]);
    return options;
}

}  // namespace exo::fuse
