// SPDX-License-Identifier: MIT
#include "tests/fuzz/image_target.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "fs/base/log.h"
#include "fs/fsck/fsck.h"
#include "fs/volume/volume.h"
#include "tests/fuzz/image_input.h"

namespace exo::fuzz {

namespace {

using test::BorrowedDevice;
using test::MemoryDevice;

// Enough to meet every kind of file, and little enough for many inputs a second.
constexpr unsigned kMaxDepth = 4, kMaxVisited = 16;

// Uses a volume in every way; errors are fine, as long as they are errors.
class Visitor {
  public:
    explicit Visitor(Volume& volume) : v_(volume) {}

    void visit(Ino dir, unsigned depth) {
        auto entries = v_.readdir_plus(dir, 0, 24);
        if (!note(entries)) return;
        for (const DirEntry& entry : *entries) {
            if (entry.name == "." || entry.name == "..") continue;
            if (visited_++ < kMaxVisited) use(dir, entry, depth);
            v_.close_ref(entry.ino);
        }
        (void)note(v_.create(dir, "fresh", S_IFREG | 0644, 0, 0));
        (void)note(v_.mkdir(dir, "fresh directory", 0755, 0, 0));
    }
    // Damage that an operation met.
    const std::string& damage() const { return damage_; }

  private:
    template <typename T>
    bool note(const Result<T>& result) {
        if (!result && result.error().code == EUCLEAN && damage_.empty())
            damage_ = describe(result.error());
        return bool(result);
    }

    void use(Ino dir, const DirEntry& entry, unsigned depth) {
        (void)note(v_.getattr(entry.ino));
        if (note(v_.lookup(dir, entry.name))) v_.close_ref(entry.ino);
        if (S_ISDIR(entry.attr.mode)) {
            if (depth < kMaxDepth) visit(entry.ino, depth + 1);
            (void)note(v_.rename(dir, entry.name, dir, entry.name + "'", RenameMode::kNoReplace));
            return;
        }
        if (S_ISLNK(entry.attr.mode)) (void)note(v_.readlink(entry.ino));
        if (S_ISREG(entry.attr.mode)) use_file(entry.ino);
        use_attributes(entry.ino);
        SetAttr changes;
        changes.uid = 5;
        changes.mode = 0640;
        (void)note(v_.setattr(entry.ino, changes));
        if (visited_ % 3 == 0) {
            if (note(v_.link(entry.ino, dir, entry.name + "+"))) v_.close_ref(entry.ino);
            (void)note(v_.unlink(dir, entry.name));
        } else if (visited_ % 3 == 1) {
            (void)note(v_.unlink(dir, entry.name));
        }
    }

    void use_attributes(Ino ino) {
        const auto names = v_.list_xattr(ino);
        if (!note(names)) return;
        for (size_t at = 0; at < names->size(); at = names->find('\0', at) + 1) {
            (void)note(v_.get_xattr(ino, names->c_str() + at));
            if (visited_ % 4 == 0) (void)note(v_.remove_xattr(ino, names->c_str() + at));
        }
        const std::vector<std::byte> value(visited_ * 100);
        (void)note(v_.set_xattr(ino, "user.number7", value, XattrMode::kSet));
    }

    void use_file(Ino ino) {
        std::vector<std::byte> buffer(10000);
        (void)note(v_.read(ino, 3000, buffer));
        (void)note(v_.extents_of(ino, 0, 1000));
        (void)note(v_.seek(ino, 0, SEEK_HOLE));
        (void)note(v_.seek(ino, 5000, SEEK_DATA));
        (void)note(v_.write(ino, 8192, buffer));
        (void)note(v_.fallocate(ino, FallocateMode::kPunchHole, 4096, 8192, true));
        (void)note(v_.fallocate(ino, FallocateMode::kAllocate, 0, 60000, false));
        if (visited_ % 8 == 0) (void)note(v_.fsync(ino, true));
        (void)note(v_.copy_range(ino, 0, ino, 100000, 9000));
        (void)note(v_.truncate(ino, 5000));
        if (visited_ % 5 == 0) (void)note(v_.set_pinned(ino, true));
    }

    Volume& v_;
    unsigned visited_ = 0;
    std::string damage_;
};

MountOptions mount_options(uint8_t options) {
    MountOptions mount;
    mount.commit_interval_ms = 0;
    mount.read_only = (options & 1) != 0;
    mount.defer_orphans = (options & 2) != 0;
    mount.cache_bytes = (options & 4) != 0 ? 0 : 16u << 20;
    return mount;
}

// Empty when nothing was wrong.
std::string mount_and_use(MemoryDevice& image, uint8_t options) {
    auto volume = Volume::open(std::make_unique<BorrowedDevice>(image), mount_options(options));
    if (!volume) return describe(volume.error());
    Visitor visitor(**volume);
    visitor.visit(kRootIno, 0);
    if (auto pinned = (*volume)->pinned_inodes())
        for (const auto& item : *pinned) (void)(*volume)->clear_pinned(item.ino);
    auto closed = (*volume)->close();
    if (!closed) return describe(closed.error());
    return visitor.damage();
}

[[noreturn]] void broken(const char* promise, const std::string& detail) {
    fprintf(stderr, "\nBROKEN: %s: %s\n", promise, detail.c_str());
    abort();
}

// The first check is left out where the mount comes after the repair: each takes its time.
void check_and_repair(MemoryDevice& image, uint8_t options, bool use) {
    Result<FsckReport> checked = fail(EIO);
    if (!use) checked = fsck_check(image);
    FsckOptions repair;
    repair.mode = FsckMode::kRepair;
    auto repaired = fsck_run(image, repair);
    // With features that are not known a volume may be looked at only.
    if (!repaired && repaired.error().code == EOPNOTSUPP) return;
    if (!use && bool(checked) != bool(repaired)) {
        broken("check and repair agree on whether there is a volume",
               describe(checked ? repaired.error() : checked.error()));
    }
    if (!repaired) return;
    if (checked && checked->found > 0 && !repaired->written) broken("a repair is written", "");
    if (repaired->found > repaired->repaired) return;  // no space
    auto second = fsck_check(image);
    if (!second) broken("a repaired image can be checked", describe(second.error()));
    if (second->found > 0)
        broken("a repaired image is sound",
               second->problems[0] + "; first it was: " +
                   (repaired->problems.empty() ? std::string("sound") : repaired->problems[0]));
    if (!use) return;
    if (const std::string damage = mount_and_use(image, options & ~1); !damage.empty())
        broken("a repaired image can be used", damage);
    auto last = fsck_check(image);
    if (!last) broken("a repaired and used image can be checked", describe(last.error()));
    if (last->found > 0) broken("a repaired image stays sound in use", last->problems[0]);
}

}  // namespace

void run_image(std::span<const uint8_t> bytes) {
    static const bool quiet = [] {
        set_log_sink([](LogLevel, std::string_view) {});
        return true;
    }();
    (void)quiet;
    const Input input = decode(bytes.first(std::min(bytes.size(), kMaxInputBytes)));
    MemoryDevice image = make_image(input);
    if ((input.options >> 3) % 3 == 0)
        (void)mount_and_use(image, input.options);
    else
        check_and_repair(image, input.options, (input.options >> 3) % 3 == 1);
}

}  // namespace exo::fuzz
