// SPDX-License-Identifier: MIT
#include "tests/fuse/fake_pins.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "fs/base/unique_fd.h"

namespace exo::test {
namespace {

using grants::FileId;
using grants::KernelPin;
using grants::Revoked;

constexpr uint32_t kLogicalBlockBytes = 512;

class FakePins final : public grants::KernelPins {
  public:
    FakePins(std::string state, unique_fd lock) : state_(std::move(state)), lock_(std::move(lock)) {
        std::ifstream file(state_ + "/pins");
        for (KernelPin pin;
             file >> pin.file.ino >> pin.file.generation >> pin.size_bytes >> pin.extents;)
            pins_.push_back(pin);
        note("attach " + std::to_string(pins_.size()));
    }

    uint32_t logical_block_bytes() const override { return kLogicalBlockBytes; }

    Result<> bind_mount(int mount_fd) override {
        struct stat st;
        if (fstat(mount_fd, &st) != 0) return fail(errno);
        std::ofstream(state_ + "/bound") << st.st_dev << "\n";
        return {};
    }

    Result<> pin(FileId file, uint64_t size_bytes, std::span<const exo_extent> extents) override {
        std::lock_guard lock(mutex_);
        if (extents.size() > number("limit", 1u << 20)) return fail(E2BIG);
        if (find(file.ino) != pins_.end()) return fail(EEXIST);
        // The module's own checks of a map.
        const uint64_t end =
            (size_bytes + kLogicalBlockBytes - 1) / kLogicalBlockBytes * kLogicalBlockBytes;
        uint64_t after = 0;
        for (const exo_extent& extent : extents) {
            if (extent.file_offset < after || extent.length == 0 ||
                extent.file_offset + extent.length > end || extent.disk_offset == 0 ||
                (extent.file_offset | extent.disk_offset | extent.length) % kLogicalBlockBytes != 0)
                return fail(EINVAL);
            after = extent.file_offset + extent.length;
        }
        pins_.push_back({file, size_bytes, static_cast<uint32_t>(extents.size())});
        save();
        note("pin " + std::to_string(file.ino));
        return {};
    }

    Result<Revoked> unpin(FileId file, std::chrono::milliseconds grace) override {
        {
            std::lock_guard lock(mutex_);
            const auto found = find(file.ino);
            if (found == pins_.end() || found->file != file) return fail(ENOENT);
        }
        const auto granted = static_cast<uint32_t>(number("grants", 0));
        const auto deadline = std::chrono::steady_clock::now() + grace;
        while (number("grants", 0) != 0 && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        if (std::filesystem::exists(state_ + "/stuck")) return fail(ETIMEDOUT);
        std::lock_guard lock(mutex_);
        pins_.erase(find(file.ino));
        save();
        note("unpin " + std::to_string(file.ino));
        return Revoked{granted, 0, 0};
    }

    Result<std::vector<KernelPin>> list() override {
        std::lock_guard lock(mutex_);
        auto pins = pins_;
        for (KernelPin& pin : pins) pin.grants = static_cast<uint32_t>(number("grants", 0));
        return pins;
    }

    Result<> detach(std::chrono::milliseconds) override {
        std::lock_guard lock(mutex_);
        std::filesystem::remove(state_ + "/bound");
        pins_.clear();
        save();
        note("detach");
        return {};
    }

  private:
    std::vector<KernelPin>::iterator find(uint64_t ino) {
        return std::ranges::find(pins_, ino, [](const KernelPin& pin) { return pin.file.ino; });
    }
    uint64_t number(const char* name, uint64_t otherwise) {
        std::ifstream file(state_ + "/" + name);
        uint64_t value;
        return file >> value ? value : otherwise;
    }
    void save() {
        std::ofstream file(state_ + "/pins");
        for (const KernelPin& pin : pins_)
            file << pin.file.ino << ' ' << pin.file.generation << ' ' << pin.size_bytes << ' '
                 << pin.extents << "\n";
    }
    void note(const std::string& line) {
        std::ofstream(state_ + "/log", std::ios::app) << line << "\n";
    }

    std::string state_;
    unique_fd lock_;
    std::mutex mutex_;  // guards pins_ and the files
    std::vector<KernelPin> pins_;
};

}  // namespace

grants::KernelModule fake_module(const std::string& state) {
    return {
        [](const std::string&) { return true; },
        [state](const std::string&, grants::Uuid) -> Result<std::unique_ptr<grants::KernelPins>> {
            unique_fd lock(open((state + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
            if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
                return fail(EBUSY, "the fake module is in use");
            return std::make_unique<FakePins>(state, std::move(lock));
        }};
}

}  // namespace exo::test
