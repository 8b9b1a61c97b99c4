// SPDX-License-Identifier: MIT
// /dev/exo: is the module there, what does it hold, what did it record.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <vector>

#include "error.hpp"
#include "exo/exo.h"
#include "fd.hpp"
#include "sizes.hpp"

using exo::internal::errno_text;
using exo::internal::fail;
using exo::internal::Fd;
using exo::internal::give_structure;
using exo::internal::guarded;
using exo::internal::take_structure;

namespace {

constexpr unsigned kOldestKernelMajor = 6;
constexpr unsigned kOldestKernelMinor = 12;
constexpr uint32_t kListBufferBytes = 64 * 1024;

int explain_missing_device() {
    struct utsname name;
    unsigned major = 0;
    unsigned minor = 0;
    if (uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
        (major < kOldestKernelMajor ||
         (major == kOldestKernelMajor && minor < kOldestKernelMinor))) {
        return fail(ENOSYS, "this kernel is %s, and the exo module needs Linux %u.%u or newer",
                    name.release, kOldestKernelMajor, kOldestKernelMinor);
    }
    return fail(ENODEV, EXO_DEVICE_PATH
                " not found: the exo module is not loaded (modprobe exo, or "
                "insmod build/kmod/exo.ko)");
}

// ioctl on a freshly opened /dev/exo, with `what` to complete the sentence "cannot ...".
int on_device(unsigned long command, void* argument, const char* what) {
    int fd = exo_module__open();
    if (fd < 0) return fd;
    Fd device(fd);
    if (ioctl(device.get(), command, argument) < 0) {
        int code = errno;
        if (code == EPERM) return fail(code, "cannot %s: needs root (CAP_SYS_ADMIN)", what);
        return fail(code, "cannot %s: %s", what, errno_text(code).c_str());
    }
    return 0;
}

}  // namespace

int exo_module__open(void) {
    int fd = open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV)) {
        return explain_missing_device();
    }
    if (fd < 0) {
        int code = errno;
        return fail(code, "cannot open " EXO_DEVICE_PATH ": %s", errno_text(code).c_str());
    }
    Fd device(fd);
    struct exo_info info = {};
    if (ioctl(device.get(), EXO_IOC_INFO, &info) < 0) {
        int code = errno;
        return fail(code, EXO_DEVICE_PATH " does not answer as exo does: %s",
                    errno_text(code).c_str());
    }
    if (info.abi_version != EXO_ABI_VERSION) {
        return fail(EPROTO,
                    "the exo module has interface version %u and this program version %u: "
                    "install the two from the same release",
                    info.abi_version, EXO_ABI_VERSION);
    }
    return device.release();
}

int exo_module__info(struct exo_info* info, size_t bytes) {
    struct exo_info answer = {};
    int error = on_device(EXO_IOC_INFO, &answer, "ask the module about itself");
    if (!error) give_structure(answer, info, bytes);
    return error;
}

int exo_module__stats(struct exo_stats* stats, size_t bytes) {
    struct exo_stats answer = {};
    int error = on_device(EXO_IOC_STATS, &answer, "read the module's statistics");
    if (!error) give_structure(answer, stats, bytes);
    return error;
}

int exo_module__list(uint32_t kind, uint32_t entry_bytes, uint32_t volume_id,
                     int (*each)(const void* entry, void* context), void* context) {
    return guarded([&] {
        if (!entry_bytes || entry_bytes > kListBufferBytes) {
            return fail(EINVAL, "list entries of %u bytes", entry_bytes);
        }
        int fd = exo_module__open();
        if (fd < 0) return fd;
        Fd device(fd);
        std::vector<unsigned char> buffer(kListBufferBytes / entry_bytes * entry_bytes);
        struct exo_list list = {};
        list.kind = kind;
        list.entry_bytes = entry_bytes;
        list.buffer = reinterpret_cast<uintptr_t>(buffer.data());
        list.buffer_bytes = static_cast<uint32_t>(buffer.size());
        list.volume_id = volume_id;
        for (;;) {
            if (ioctl(device.get(), EXO_IOC_LIST, &list) < 0) {
                int code = errno;
                if (code == EPERM) {
                    return fail(code, "cannot list this: needs root (CAP_SYS_ADMIN)");
                }
                return fail(code, "cannot list the module's objects: %s", errno_text(code).c_str());
            }
            if (!list.count) return 0;
            for (uint32_t i = 0; i < list.count; i++) {
                int stop = each(buffer.data() + size_t{i} * entry_bytes, context);
                if (stop) return stop;
            }
        }
    });
}

int exo_audit__open(uint32_t flags, uint32_t event_bytes) {
    int fd = exo_module__open();
    if (fd < 0) return fd;
    Fd device(fd);
    struct exo_audit_open request = {};
    request.flags = flags;
    request.event_bytes = event_bytes;
    int audit = ioctl(device.get(), EXO_IOC_AUDIT_OPEN, &request);
    if (audit < 0) {
        int code = errno;
        if (code == EPERM) {
            return fail(code, "cannot read the audit trail: needs root (CAP_SYS_ADMIN)");
        }
        return fail(code, "cannot open the audit trail: %s", errno_text(code).c_str());
    }
    return audit;
}

int exo_audit__read(int audit_fd, struct exo_audit_event* events, size_t count,
                    size_t event_bytes) {
    if (!event_bytes || count > INT_MAX / event_bytes) {
        return fail(EINVAL, "cannot read %zu audit events of %zu bytes", count, event_bytes);
    }
    ssize_t bytes = read(audit_fd, events, count * event_bytes);
    if (bytes < 0) {
        int code = errno;
        return fail(code, "cannot read the audit trail: %s", errno_text(code).c_str());
    }
    return static_cast<int>(static_cast<size_t>(bytes) / event_bytes);
}

int exo_volume__release(uint32_t volume_id, uint32_t grace_ms) {
    int fd = exo_module__open();
    if (fd < 0) return fd;
    Fd device(fd);
    struct exo_release request = {};
    request.volume_id = volume_id;
    request.grace_ms = grace_ms;
    if (ioctl(device.get(), EXO_IOC_RELEASE, &request) == 0) return 0;
    int code = errno;
    switch (code) {
        case ENOENT:
            return fail(code, "no volume %u: see exo volumes", volume_id);
        case EBUSY:
            return fail(code, "volume %u is in use by its daemon: unmount it instead", volume_id);
        case EPERM:
            return fail(code, "cannot release volume %u: needs root (CAP_SYS_ADMIN)", volume_id);
        default:
            return fail(code, "cannot release volume %u: %s", volume_id, errno_text(code).c_str());
    }
}

int exo_tenant__set(const struct exo_tenant_set* given, size_t bytes) {
    struct exo_tenant_set request;
    int error = take_structure(given, bytes, request);
    if (error) return error;
    int fd = exo_module__open();
    if (fd < 0) return fd;
    Fd device(fd);
    if (ioctl(device.get(), EXO_IOC_TENANT_SET, &request) == 0) return 0;
    int code = errno;
    switch (code) {
        case ENOENT:
            return fail(code, "no volume %u: see exo volumes", request.volume_id);
        case EINVAL:
            return fail(code, "no such user, or a weight over %u", EXO_WEIGHT_MAX);
        case EPERM:
            return fail(code, "cannot set what a tenant gets: needs root (CAP_SYS_ADMIN)");
        default:
            return fail(code, "cannot set what a tenant gets: %s", errno_text(code).c_str());
    }
}
