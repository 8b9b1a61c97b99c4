// SPDX-License-Identifier: MIT
#include "tests/crash/script.h"

#include <algorithm>
#include <utility>

namespace exo::test {

namespace {

// Holds the reference of one lookup.
class Ref {
  public:
    Ref(Volume& volume, Ino ino) : volume_(&volume), ino_(ino) {}
    Ref(Ref&& other) noexcept : volume_(std::exchange(other.volume_, nullptr)), ino_(other.ino_) {}
    Ref& operator=(Ref&&) = delete;
    ~Ref() {
        if (volume_ && ino_ != kRootIno) volume_->close_ref(ino_);
    }
    Ino ino() const { return ino_; }

  private:
    Volume* volume_;
    Ino ino_;
};

Result<Ref> open(Play& play, const std::string& path) {
    if (path.starts_with('@')) {
        auto it = play.held.find(path.substr(1));
        if (it == play.held.end()) return fail(EBADF, "nothing is held in " + path);
        EXO_TRY(play.volume.open_ref(it->second));
        return Ref(play.volume, it->second);
    }
    EXO_TRY_ASSIGN(const Ino ino, play.find(path));
    return Ref(play.volume, ino);
}

struct Place {
    Ref dir;
    std::string name;
};
Result<Place> place(Play& play, const std::string& path) {
    const size_t slash = path.rfind('/');
    const bool top = slash == std::string::npos;
    EXO_TRY_ASSIGN(Ref dir, open(play, top ? "" : path.substr(0, slash)));
    return Place{std::move(dir), top ? path : path.substr(slash + 1)};
}

// A new inode's reference is not kept.
Result<> drop(Play& play, const Result<FileAttr>& made) {
    if (!made) return std::unexpected(made.error());
    play.volume.close_ref(made->ino);
    return {};
}

std::string content(uint64_t offset, size_t length, char fill) {
    std::string text(length, fill);
    for (size_t i = 0; i < length; i++) {
        const uint64_t at = offset + i;
        if (at % 512 < 8) text[i] = char('0' + (at / 512 >> (at % 512 * 3) & 7));
    }
    return text;
}

}  // namespace

Play::~Play() {
    for (const auto& [slot, ino] : held) volume.close_ref(ino);
}

Result<Ino> Play::find(std::string_view path) {
    Ino at = root;
    if (at != kRootIno) EXO_TRY(volume.open_ref(at));
    while (!path.empty()) {
        const size_t slash = std::min(path.find('/'), path.size());
        auto next = volume.lookup(at, path.substr(0, slash));
        if (at != kRootIno) volume.close_ref(at);
        if (!next) return std::unexpected(next.error());
        at = next->ino;
        path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return at;
}

Step& Script::add(std::string what, std::function<Result<>(Play&)> action) {
    steps_.push_back({std::move(what), std::move(action)});
    return steps_.back();
}

Script& Script::custom(std::string what, std::function<Result<>(Play&)> action) {
    add(std::move(what), std::move(action));
    return *this;
}

Script& Script::create(const std::string& path, uint32_t mode) {
    return mknod(path, S_IFREG | mode, 0);
}

Script& Script::mknod(const std::string& path, uint32_t mode, uint64_t rdev) {
    return custom("create " + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Place at, place(play, path));
        return drop(play, play.volume.create(at.dir.ino(), at.name, mode, 0, 0, rdev));
    });
}

Script& Script::mkdir(const std::string& path) {
    return custom("mkdir " + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Place at, place(play, path));
        return drop(play, play.volume.mkdir(at.dir.ino(), at.name, 0755, 0, 0));
    });
}

Script& Script::symlink(const std::string& path, const std::string& target) {
    return custom("symlink " + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Place at, place(play, path));
        return drop(play, play.volume.symlink(at.dir.ino(), at.name, target, 0, 0));
    });
}

Script& Script::link(const std::string& from, const std::string& to) {
    return custom("link " + from + " " + to, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Ref file, open(play, from));
        EXO_TRY_ASSIGN(const Place at, place(play, to));
        return drop(play, play.volume.link(file.ino(), at.dir.ino(), at.name));
    });
}

Script& Script::name(const std::string& slot, const std::string& path) {
    return link("@" + slot, path);
}

Script& Script::unlink(const std::string& path) {
    return custom("unlink " + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Place at, place(play, path));
        return play.volume.unlink(at.dir.ino(), at.name);
    });
}

Script& Script::rmdir(const std::string& path) {
    return custom("rmdir " + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Place at, place(play, path));
        return play.volume.rmdir(at.dir.ino(), at.name);
    });
}

Script& Script::rename(const std::string& from, const std::string& to, RenameMode mode) {
    return custom("rename " + from + " " + to, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Place a, place(play, from));
        EXO_TRY_ASSIGN(const Place b, place(play, to));
        return play.volume.rename(a.dir.ino(), a.name, b.dir.ino(), b.name, mode);
    });
}

Script& Script::unnamed(const std::string& slot) {
    return custom("create unnamed " + slot, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const FileAttr attr, play.volume.create_unnamed(play.root, 0600, 0, 0));
        play.held[slot] = attr.ino;
        return {};
    });
}

Script& Script::hold(const std::string& path, const std::string& slot) {
    return custom("open " + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(play.held[slot], play.find(path));
        return {};
    });
}

Script& Script::release(const std::string& slot) {
    return custom("close " + slot, [=](Play& play) -> Result<> {
        if (auto it = play.held.find(slot); it != play.held.end()) {
            play.volume.close_ref(it->second);
            play.held.erase(it);
        }
        return {};
    });
}

Script& Script::write(const std::string& path, uint64_t offset, size_t length, char fill) {
    Step& step =
        add("write " + path + " " + std::to_string(offset) + "+" + std::to_string(length),
            [=](Play& play) -> Result<> {
                EXO_TRY_ASSIGN(const Ref file, open(play, path));
                const std::string text = content(offset, length, fill);
                EXO_TRY(play.volume.write(file.ino(), offset, std::as_bytes(std::span(text))));
                return {};
            });
    step.path = path;
    step.in_place = offset;
    return *this;
}

Script& Script::copy(const std::string& from, uint64_t from_offset, const std::string& to,
                     uint64_t to_offset, size_t length) {
    Step& step = add("copy " + from + " to " + to, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Ref source, open(play, from));
        EXO_TRY_ASSIGN(const Ref target, open(play, to));
        for (uint64_t done = 0; done < length;) {
            EXO_TRY_ASSIGN(const uint64_t part,
                           play.volume.copy_range(source.ino(), from_offset + done, target.ino(),
                                                  to_offset + done, length - done));
            if (part == 0) break;
            done += part;
        }
        return {};
    });
    step.path = to;
    step.in_place = to_offset;
    return *this;
}

Script& Script::truncate(const std::string& path, uint64_t size) {
    return custom("truncate " + path + " " + std::to_string(size), [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Ref file, open(play, path));
        return play.volume.truncate(file.ino(), size);
    });
}

Script& Script::fallocate(const std::string& path, FallocateMode mode, uint64_t offset,
                          uint64_t length, bool keep_size) {
    const char* verb = mode == FallocateMode::kAllocate    ? "allocate "
                       : mode == FallocateMode::kPunchHole ? "punch "
                                                           : "zero ";
    Step& step = add(verb + path + " " + std::to_string(offset) + "+" + std::to_string(length),
                     [=](Play& play) -> Result<> {
                         EXO_TRY_ASSIGN(const Ref file, open(play, path));
                         return play.volume.fallocate(file.ino(), mode, offset, length, keep_size);
                     });
    step.path = path;
    // Whole blocks change with a transaction; what is not whole is overwritten.
    const bool whole = offset % 4096 == 0 && (offset + length) % 4096 == 0;
    if (mode != FallocateMode::kAllocate && !whole) step.in_place = offset;
    return *this;
}

namespace {
std::function<Result<>(Play&)> set(const std::string& path, const SetAttr& changes) {
    return [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Ref file, open(play, path));
        EXO_TRY(play.volume.setattr(file.ino(), changes));
        return {};
    };
}
}  // namespace

Script& Script::chmod(const std::string& path, uint32_t mode) {
    SetAttr changes;
    changes.mode = mode;
    return custom("chmod " + path, set(path, changes));
}

Script& Script::chown(const std::string& path, uint32_t uid, uint32_t gid) {
    SetAttr changes;
    changes.uid = uid;
    changes.gid = gid;
    return custom("chown " + path, set(path, changes));
}

Script& Script::utimens(const std::string& path, int64_t seconds) {
    SetAttr changes;
    changes.atime = timespec{seconds, 123456789};
    changes.mtime = timespec{seconds + 1, 987654321};
    return custom("utimens " + path, set(path, changes));
}

Script& Script::set_xattr(const std::string& path, const std::string& name,
                          const std::string& value) {
    return custom("setfattr " + path + " " + name, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Ref file, open(play, path));
        return play.volume.set_xattr(file.ino(), name, std::as_bytes(std::span(value)),
                                     XattrMode::kSet);
    });
}

Script& Script::remove_xattr(const std::string& path, const std::string& name) {
    return custom("remove " + name + " of " + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Ref file, open(play, path));
        return play.volume.remove_xattr(file.ino(), name);
    });
}

Script& Script::set_acl(const std::string& path, bool access, uint32_t user) {
    // As the kernel's struct posix_acl_xattr_header and _entry: owner, user, group, mask, others.
    std::string acl("\x02\0\0\0", 4);
    auto entry = [&](uint16_t tag, uint16_t rights, uint32_t id) {
        acl.append(reinterpret_cast<const char*>(&tag), sizeof tag);
        acl.append(reinterpret_cast<const char*>(&rights), sizeof rights);
        acl.append(reinterpret_cast<const char*>(&id), sizeof id);
    };
    entry(0x01, 7, UINT32_MAX);
    entry(0x02, 5, user);
    entry(0x04, 4, UINT32_MAX);
    entry(0x10, 5, UINT32_MAX);
    entry(0x20, 0, UINT32_MAX);
    return set_xattr(path, access ? "system.posix_acl_access" : "system.posix_acl_default", acl);
}

Script& Script::set_pinned(const std::string& path, bool persistent) {
    // Setting a pin makes everything before it durable.
    Step& step = add((persistent ? "pin " : "lease ") + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Ref file, open(play, path));
        return play.volume.set_pinned(file.ino(), persistent);
    });
    step.path = path;
    step.sync = Step::Sync::kFile;
    return *this;
}

Script& Script::pin(const std::string& path) {
    return set_pinned(path, true);
}

Script& Script::lease(const std::string& path) {
    return set_pinned(path, false);
}

Script& Script::unpin(const std::string& path) {
    return custom("unpin " + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Ref file, open(play, path));
        return play.volume.clear_pinned(file.ino());
    });
}

Script& Script::sync() {
    add("sync", [](Play& play) { return play.volume.sync(); }).sync = Step::Sync::kAll;
    return *this;
}

Script& Script::fsync(const std::string& path) {
    Step& step = add("fsync " + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Ref file, open(play, path));
        return play.volume.fsync(file.ino(), false);
    });
    step.sync = Step::Sync::kFile;
    step.path = path;
    return *this;
}

Script& Script::fdatasync(const std::string& path) {
    Step& step = add("fdatasync " + path, [=](Play& play) -> Result<> {
        EXO_TRY_ASSIGN(const Ref file, open(play, path));
        return play.volume.fsync(file.ino(), true);
    });
    step.sync = Step::Sync::kFile;
    step.path = path;
    step.data_only = true;
    return *this;
}

Script& Script::trim() {
    return custom("trim", [](Play& play) -> Result<> {
        EXO_TRY(play.volume.trim(4096));
        return {};
    });
}

const Workload* find_workload(std::string_view name) {
    const auto it = std::ranges::find(workloads(), name, &Workload::name);
    return it == workloads().end() ? nullptr : &*it;
}

}  // namespace exo::test
