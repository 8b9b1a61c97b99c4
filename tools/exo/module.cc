// SPDX-License-Identifier: MIT
#include "tools/exo/module.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "tools/exo/command.h"

namespace exo::tool {

namespace {

constexpr size_t kEntriesPerCall = 256;

[[noreturn]] void fail(const std::string& what, int error) {
    if (error == EPERM) throw Failure(what + ": needs root (CAP_SYS_ADMIN)");
    throw Failure(what + ": " + std::strerror(error));
}

// The module needs what Linux 6.12 brought; on an older kernel, loading it is no advice.
void check_kernel() {
    utsname name{};
    unsigned major = 0, minor = 0;
    if (uname(&name) != 0 || std::sscanf(name.release, "%u.%u", &major, &minor) != 2) return;
    if (major < 6 || (major == 6 && minor < 12))
        throw Failure(std::string("this kernel is Linux ") + name.release +
                      "; the exo module needs 6.12 or newer (tools/vm/run --shell starts one)");
}

}  // namespace

Module::Module() : fd_(open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC)) {
    if (!fd_) {
        const int error = errno;
        if (error == ENOENT || error == ENXIO || error == ENODEV) {
            check_kernel();
            throw Failure(EXO_DEVICE_PATH
                          " is not there: the exo module is not loaded (modprobe exo, or insmod "
                          "build/kmod/exo.ko)");
        }
        fail(EXO_DEVICE_PATH, error);
    }
    const uint32_t version = info().abi_version;
    if (version != EXO_ABI_VERSION)
        throw Failure("the loaded exo module speaks version " + std::to_string(version) +
                      " of its interface, this program version " + std::to_string(EXO_ABI_VERSION) +
                      "; load the module that was built with it");
}

exo_info Module::info() const {
    exo_info info{};
    if (ioctl(fd_.get(), EXO_IOC_INFO, &info) != 0)
        fail("asking the exo module for its version", errno);
    return info;
}

exo_stats Module::stats() const {
    exo_stats stats{};
    if (ioctl(fd_.get(), EXO_IOC_STATS, &stats) != 0) fail("reading the module's counters", errno);
    return stats;
}

template <typename Entry>
std::vector<Entry> Module::list(uint32_t kind, const char* what) const {
    std::vector<Entry> entries;
    exo_list request{};
    request.kind = kind;
    request.entry_bytes = sizeof(Entry);
    for (;;) {
        const size_t had = entries.size();
        entries.resize(had + kEntriesPerCall);
        request.buffer = reinterpret_cast<uint64_t>(entries.data() + had);
        request.buffer_bytes = kEntriesPerCall * sizeof(Entry);
        if (ioctl(fd_.get(), EXO_IOC_LIST, &request) != 0)
            fail(std::string("listing the module's ") + what, errno);
        entries.resize(had + request.count);
        if (request.count == 0) return entries;
    }
}

std::vector<exo_volume_entry> Module::volumes() const {
    return list<exo_volume_entry>(EXO_LIST_VOLUMES, "volumes");
}
std::vector<exo_pin_entry> Module::pins() const {
    return list<exo_pin_entry>(EXO_LIST_PINS, "pins");
}
std::vector<exo_grant_entry> Module::grants() const {
    return list<exo_grant_entry>(EXO_LIST_GRANTS, "grants");
}
std::vector<exo_program_entry> Module::programs() const {
    return list<exo_program_entry>(EXO_LIST_PROGRAMS, "programs");
}

void Module::release(uint32_t volume_id, uint32_t grace_ms) const {
    exo_release request{};
    request.volume_id = volume_id;
    request.grace_ms = grace_ms;
    if (ioctl(fd_.get(), EXO_IOC_RELEASE, &request) == 0) return;
    const std::string volume = "volume " + std::to_string(volume_id);
    if (errno == ENOENT) throw Failure("there is no " + volume + " (exo volumes lists them)");
    if (errno == EBUSY) throw Failure(volume + " is mounted: unmount it instead");
    fail("releasing " + volume, errno);
}

unique_fd Module::open_audit(bool from_now) const {
    exo_audit_open request{};
    request.flags = from_now ? EXO_AUDIT_FROM_NOW : 0;
    const int fd = ioctl(fd_.get(), EXO_IOC_AUDIT_OPEN, &request);
    if (fd < 0) fail("opening the audit trail", errno);
    return unique_fd(fd);
}

const char* pin_state_text(uint32_t state) {
    switch (state) {
        case EXO_PIN_STATE_LIVE:
            return "live";
        case EXO_PIN_STATE_REVOKING:
            return "revoking";
        case EXO_GRANT_STATE_CUT:
            return "cut";
        default:
            return "?";
    }
}

const char* end_text(uint32_t cause) {
    switch (cause) {
        case EXO_END_DONE:
            return "done";
        case EXO_END_PROGRAM:
            return "program error";
        case EXO_END_OUT_OF_RANGE:
            return "outside the grant's range";
        case EXO_END_OUT_OF_FILE:
            return "outside the file";
        case EXO_END_MISALIGNED:
            return "misaligned read";
        case EXO_END_SPLIT:
            return "read not contiguous on the device";
        case EXO_END_IO:
            return "I/O error";
        case EXO_END_HOP_LIMIT:
            return "hop limit";
        case EXO_END_TIMEOUT:
            return "timeout";
        case EXO_END_CANCELLED:
            return "cancelled";
        case EXO_END_REVOKED:
            return "grant revoked";
        case EXO_END_DETACHED:
            return "program detached";
        case EXO_END_BAD_VERDICT:
            return "bad verdict";
        case EXO_END_NO_REQUEST:
            return "no request";
        default:
            return "?";
    }
}

}  // namespace exo::tool
