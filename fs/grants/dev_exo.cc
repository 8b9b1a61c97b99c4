// SPDX-License-Identifier: MIT
#include "fs/grants/dev_exo.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "fs/base/unique_fd.h"

namespace exo::grants {
namespace {

uint64_t address(const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer);
}

Error system_error(const std::string& what) {
    const int code = errno;
    return Error{code, what + ": " + describe(Error{code, {}})};
}

class DevExoPins final : public KernelPins {
  public:
    DevExoPins(unique_fd control, unique_fd volume, const exo_attach& attach)
        : control_(std::move(control)),
          volume_(std::move(volume)),
          volume_id_(attach.volume_id),
          logical_block_bytes_(attach.logical_block_bytes) {}

    uint32_t logical_block_bytes() const override { return logical_block_bytes_; }

    Result<> bind_mount(int mount_fd) override {
        exo_bind_mount bind{};
        bind.mount_fd = mount_fd;
        if (ioctl(volume_.get(), EXO_VOLUME_BIND_MOUNT, &bind) < 0)
            return std::unexpected(system_error("the kernel module does not accept the mount"));
        return {};
    }

    Result<> pin(FileId file, uint64_t size_bytes, std::span<const exo_extent> extents) override {
        exo_pin pin{};
        pin.ino = file.ino;
        pin.generation = file.generation;
        pin.size_bytes = size_bytes;
        pin.extents = address(extents.data());
        pin.extent_count = static_cast<uint32_t>(extents.size());
        if (ioctl(volume_.get(), EXO_VOLUME_PIN, &pin) < 0)
            return std::unexpected(system_error("the kernel module refuses to pin inode " +
                                                std::to_string(file.ino) + " with " +
                                                std::to_string(extents.size()) + " extents"));
        return {};
    }

    Result<Revoked> unpin(FileId file, std::chrono::milliseconds grace) override {
        exo_unpin unpin{};
        unpin.ino = file.ino;
        unpin.generation = file.generation;
        unpin.grace_ms = static_cast<uint32_t>(grace.count());
        if (ioctl(volume_.get(), EXO_VOLUME_UNPIN, &unpin) < 0)
            return std::unexpected(system_error("unpinning inode " + std::to_string(file.ino)));
        return Revoked{unpin.revoked_grants, unpin.drained_traversals, unpin.drain_ns};
    }

    Result<std::vector<KernelPin>> list() override {
        constexpr size_t page_entries = 256;
        std::vector<KernelPin> pins;
        std::vector<exo_pin_entry> page(page_entries);
        exo_list list{};
        list.kind = EXO_LIST_PINS;
        list.entry_bytes = sizeof(exo_pin_entry);
        list.volume_id = volume_id_;
        for (;;) {
            list.buffer = address(page.data());
            list.buffer_bytes = static_cast<uint32_t>(page.size() * sizeof page[0]);
            list.count = 0;
            if (ioctl(control_.get(), EXO_IOC_LIST, &list) < 0)
                return std::unexpected(system_error("listing the kernel module's pins"));
            if (list.count == 0) return pins;
            for (const exo_pin_entry& entry : std::span(page).first(list.count)) {
                if (entry.volume_id != volume_id_) continue;
                pins.push_back({{entry.ino, static_cast<uint32_t>(entry.generation)},
                                entry.size_bytes,
                                entry.extents,
                                entry.grants,
                                entry.state != EXO_PIN_STATE_LIVE});
            }
        }
    }

    Result<> detach(std::chrono::milliseconds grace) override {
        exo_detach detach{};
        detach.grace_ms = static_cast<uint32_t>(grace.count());
        if (ioctl(volume_.get(), EXO_VOLUME_DETACH, &detach) < 0)
            return std::unexpected(system_error("detaching from the kernel module"));
        return {};
    }

  private:
    unique_fd control_;  // /dev/exo
    unique_fd volume_;
    uint32_t volume_id_;
    uint32_t logical_block_bytes_;
};

bool is_block_device(const std::string& path) {
    struct stat st;
    return stat(path.c_str(), &st) == 0 && S_ISBLK(st.st_mode);
}

bool module_takes(const std::string& device) {
    return access(EXO_DEVICE_PATH, F_OK) == 0 && is_block_device(device);
}

// Why the module does not serve a device, and what can be done about it.
const char* refusal(uint32_t reason) {
    switch (reason) {
        case EXO_REFUSED_ZONED:
            return "is zoned";
        case EXO_REFUSED_INTEGRITY:
            return "keeps integrity data with each block: format it without (nvme format), before "
                   "mkfs.exo";
        case EXO_REFUSED_BLOCK_SIZE:
            return "has logical blocks over 4096 bytes: format it with smaller ones (nvme "
                   "format), before mkfs.exo";
        case EXO_REFUSED_ALIGNMENT:
            return "has a driver that wants buffers aligned to more than a logical block";
        case EXO_REFUSED_NO_SIZE:
            return "has no blocks";
        default:
            return "is of a kind that it does not serve (see the kernel log)";
    }
}

// What the errno of EXO_IOC_ATTACH means to the person who mounts.
Error attach_error(const std::string& device, int code, uint32_t refused) {
    switch (code) {
        case EBUSY:
            return {code, device + " is in use: it is mounted, or another driver holds it"};
        case EOPNOTSUPP:
            return {code, "the kernel module cannot attach " + device + ", which " +
                              refusal(refused) + "; or mount with -o nokernel, without traversals"};
        case EEXIST:
            return {code, device +
                              " still carries the pins of another file system: end them with "
                              "'exo release', or reload the kernel module"};
        case EPERM:
            return {code, "mounting " + device + " with the kernel module needs root"};
        default:
            return {code,
                    "the kernel module cannot attach " + device + ": " + describe(Error{code, {}})};
    }
}

Result<std::unique_ptr<KernelPins>> module_attach(const std::string& device, Uuid uuid) {
    unique_fd control(open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC));
    if (control.get() < 0) return std::unexpected(system_error("cannot open " EXO_DEVICE_PATH));

    exo_info info{};
    if (ioctl(control.get(), EXO_IOC_INFO, &info) < 0)
        return std::unexpected(system_error(EXO_DEVICE_PATH " does not answer"));
    if (info.abi_version != EXO_ABI_VERSION)
        return fail(EPROTO,
                    "the loaded kernel module speaks version " + std::to_string(info.abi_version) +
                        " of its interface, this program " + std::to_string(EXO_ABI_VERSION) +
                        ": install both from one release and reload the module");

    // The module keeps a claim of its own; this descriptor only names the device.
    unique_fd block(open(device.c_str(), O_RDWR | O_CLOEXEC));
    if (block.get() < 0) return std::unexpected(system_error("cannot open " + device));
    exo_attach attach{};
    attach.device_fd = block.get();
    memcpy(attach.uuid, uuid.data(), uuid.size());
    unique_fd volume(ioctl(control.get(), EXO_IOC_ATTACH, &attach));
    if (volume.get() < 0) return std::unexpected(attach_error(device, errno, attach.refused));
    return std::make_unique<DevExoPins>(std::move(control), std::move(volume), attach);
}

}  // namespace

KernelModule dev_exo_module() {
    return {module_takes, module_attach};
}

}  // namespace exo::grants
