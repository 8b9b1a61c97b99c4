// SPDX-License-Identifier: MIT
#include "fs/grants/pins.h"

#include <algorithm>
#include <span>
#include <thread>

#include "fs/base/log.h"

namespace exo::grants {
namespace {

// For pins that a dead daemon left: their holders had all the time since its death.
constexpr std::chrono::milliseconds kStrayGrace{100};
constexpr int kStrayAttempts = 5;
constexpr size_t kExtentsPerCall = 1024;

}  // namespace

Pins::Pins(Volume& volume, std::unique_ptr<KernelPins> kernel)
    : volume_(volume), kernel_(std::move(kernel)) {}

// The written part of the file, as the module wants it: unwritten extents are left out (the module
// reads zeros in the gaps) and so is what lies behind the last logical block of the file.
Result<std::vector<exo_extent>> Pins::extent_map(const FileAttr& attr) {
    const uint64_t unit = kernel_->logical_block_bytes();
    const uint64_t end = (attr.size + unit - 1) / unit * unit;
    std::vector<exo_extent> map;
    for (uint64_t offset = 0; offset < end;) {
        EXO_TRY_ASSIGN(const auto page, volume_.extents_of(attr.ino, offset, kExtentsPerCall));
        if (page.empty()) break;
        for (const FileExtent& extent : page) {
            offset = extent.file_offset + extent.length;
            if (extent.unwritten || extent.file_offset >= end) continue;
            const uint64_t length = std::min(extent.length, end - extent.file_offset);
            map.push_back({extent.file_offset, extent.disk_offset, length});
        }
    }
    return map;
}

Result<> Pins::register_in_kernel(const FileAttr& attr) {
    EXO_TRY_ASSIGN(const auto map, extent_map(attr));
    return kernel_->pin({attr.ino, attr.generation}, attr.size, map);
}

Result<> Pins::end_stray_pin(const KernelPin& stray) {
    for (int attempt = 1;; ++attempt) {
        const auto ended = kernel_->unpin(stray.file, kStrayGrace);
        if (ended || ended.error().code == ENOENT) return {};
        // The drain of a slow device may take several tries; its blocks must not be reused before.
        if (attempt == kStrayAttempts) return std::unexpected(ended.error());
    }
}

Result<std::vector<Ino>> Pins::reconcile() {
    EXO_TRY_ASSIGN(const auto on_disk, volume_.pinned_inodes());
    std::vector<KernelPin> held;
    if (kernel_) {
        EXO_TRY_ASSIGN(held, kernel_->list());
        took_over_ = !held.empty();
    }

    std::vector<Ino> inos;
    std::vector<FileAttr> missing;
    for (const PinnedInode& pinned : on_disk) {
        EXO_TRY(volume_.open_ref(pinned.ino));
        EXO_TRY_ASSIGN(const FileAttr attr, volume_.getattr(pinned.ino));
        pinned_.emplace(pinned.ino, Pinned{pinned.generation});
        inos.push_back(pinned.ino);
        if (!kernel_) continue;

        // The extents of a pinned file cannot have changed since the module learned of them, so the
        // same file with the same count is the same map; its grants go on undisturbed.
        const auto match =
            std::ranges::find(held, FileId{pinned.ino, pinned.generation}, &KernelPin::file);
        EXO_TRY_ASSIGN(const auto map, extent_map(attr));
        if (match != held.end() && !match->revoking && match->size_bytes == attr.size &&
            match->extents == map.size())
            held.erase(match);
        else
            missing.push_back(attr);
    }
    // What is left are leases of files nobody has open any more, and pins that were being revoked.
    for (const KernelPin& stray : held) EXO_TRY(end_stray_pin(stray));
    for (const FileAttr& attr : missing) {
        if (const auto done = register_in_kernel(attr); !done)
            log(LogLevel::kWarning,
                describe(done.error()) + ": the file stays immutable, but cannot be traversed");
    }
    return inos;
}

Result<> Pins::bind_mount(int mount_fd) {
    return kernel_ ? kernel_->bind_mount(mount_fd) : Result<>();
}

Result<> Pins::pin(Ino ino, bool persistent) {
    if (!kernel_) return fail(ENODEV);
    EXO_TRY(volume_.open_ref(ino));
    auto pinned = [&]() -> Result<uint32_t> {
        EXO_TRY(volume_.set_pinned(ino, persistent));
        auto attr = volume_.getattr(ino);
        Result<> done = attr ? register_in_kernel(*attr) : std::unexpected(attr.error());
        if (!done) {
            if (const auto cleared = volume_.clear_pinned(ino); !cleared)
                log(LogLevel::kError, describe(cleared.error()));
            return std::unexpected(done.error());
        }
        return attr->generation;
    }();
    if (!pinned) {
        volume_.close_ref(ino);
        return std::unexpected(pinned.error());
    }
    std::lock_guard lock(mutex_);
    pinned_.emplace(ino, Pinned{*pinned});
    return {};
}

Result<> Pins::make_persistent(Ino ino) {
    EXO_TRY_ASSIGN(const FileAttr attr, volume_.getattr(ino));
    if (attr.pin_persistent) return fail(EEXIST);
    return volume_.set_pinned(ino, true);
}

Result<Revoked> Pins::unpin(Ino ino, std::chrono::milliseconds grace) {
    Revoked revoked;
    EXO_TRY_ASSIGN(const FileAttr attr, volume_.getattr(ino));
    if (!attr.pinned) return fail(ENODATA);
    if (kernel_) {
        auto done = kernel_->unpin({ino, attr.generation}, grace);
        if (done) revoked = *done;
        // ENOENT: it could not be registered at mount, or an earlier try got further than it could
        // tell.
        if (!done && done.error().code != ENOENT) return std::unexpected(done.error());
    }
    EXO_TRY(volume_.clear_pinned(ino));
    bool ours;
    {
        std::lock_guard lock(mutex_);
        ours = pinned_.erase(ino) != 0;
    }
    if (ours) volume_.close_ref(ino);
    return revoked;
}

std::vector<Pins::Nameless> Pins::nameless() {
    std::vector<FileId> files;
    {
        // References of our own: an unpin may give back the one of pinned_ at any moment.
        std::lock_guard lock(mutex_);
        for (const auto& [ino, pinned] : pinned_)
            if (volume_.open_ref(ino)) files.push_back({ino, pinned.generation});
    }
    std::erase_if(files, [&](const FileId& file) {
        const auto attr = volume_.getattr(file.ino);
        volume_.close_ref(file.ino);
        return !attr || attr->nlink != 0;
    });
    if (files.empty()) return {};
    Result<std::vector<KernelPin>> held;
    if (kernel_) held = kernel_->list();
    std::vector<Nameless> result;
    for (const FileId& file : files) {
        // When the module does not answer, assume the worst.
        const bool granted = !held || std::ranges::any_of(*held, [&](const KernelPin& pin) {
            return pin.file == file && pin.grants != 0;
        });
        result.push_back({file.ino, granted});
    }
    return result;
}

Result<> Pins::detach(std::chrono::milliseconds grace) {
    Result<> done;
    if (kernel_) done = kernel_->detach(grace);
    kernel_.reset();
    std::lock_guard lock(mutex_);
    for (const auto& [ino, pinned] : pinned_) volume_.close_ref(ino);
    pinned_.clear();
    return done;
}

}  // namespace exo::grants
