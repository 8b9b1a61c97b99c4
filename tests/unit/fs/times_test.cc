// SPDX-License-Identifier: MIT
// Access times as the mount options have them.
#include <chrono>
#include <thread>

#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {
bool later(const timespec& a, const timespec& b) {
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}
bool same(const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}
void wait_a_tick() {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}
struct Reads {
    std::unique_ptr<Volume> volume;
    Ino file, dir, link;
};
Reads with_mode(MemoryDevice& device, AtimeMode mode) {
    MountOptions options = quiet_mount();
    options.atime = mode;
    Reads made{mount(device, options), 0, 0, 0};
    made.file = make_file(*made.volume, kRootIno, "file");
    EXO_REQUIRE_OK(made.volume->write(made.file, 0, bytes_of("content")));
    made.dir = made.volume->mkdir(kRootIno, "dir", 0755, 0, 0)->ino;
    made.link = made.volume->symlink(kRootIno, "link", "target", 0, 0)->ino;
    return made;
}
void read_everything(const Reads& reads) {
    wait_a_tick();
    read_all(*reads.volume, reads.file);
    EXO_REQUIRE_OK(reads.volume->readdir(reads.dir, 0, 10));
    EXO_REQUIRE_OK(reads.volume->readlink(reads.link));
}
}  // namespace

TEST_CASE("relatime: the first read after a change sets the access time, the next does not") {
    MemoryDevice device = fresh_image();
    const Reads reads = with_mode(device, AtimeMode::kRelative);
    Volume& v = *reads.volume;
    read_everything(reads);
    std::vector<timespec> first;
    for (const Ino ino : {reads.file, reads.dir, reads.link}) {
        const auto attr = v.getattr(ino);
        CHECK(later(attr->atime, attr->mtime));
        first.push_back(attr->atime);
    }
    read_everything(reads);
    CHECK(same(v.getattr(reads.file)->atime, first[0]));
    CHECK(same(v.getattr(reads.dir)->atime, first[1]));
    CHECK(same(v.getattr(reads.link)->atime, first[2]));
    EXO_REQUIRE_OK(v.write(reads.file, 0, bytes_of("new")));
    read_everything(reads);
    const auto attr = v.getattr(reads.file);
    CHECK(later(attr->atime, first[0]));
    CHECK(later(attr->atime, attr->mtime));
    // A day later, though nothing has changed. The change time of setattr is set back, too.
    SetAttr old;
    old.atime = timespec{1000, 0};
    old.mtime = timespec{900, 0};
    old.ctime = timespec{900, 0};
    EXO_REQUIRE_OK(v.setattr(reads.file, old));
    read_everything(reads);
    CHECK(v.getattr(reads.file)->atime.tv_sec > 1000);
    EXO_REQUIRE_OK(v.close());
    require_sound(device);
    // On disk.
    auto again = mount(device);
    CHECK(again->lookup(kRootIno, "file")->atime.tv_sec > 1000);
}

TEST_CASE("noatime sets no access time, strictatime every one") {
    MemoryDevice device = fresh_image(), other = fresh_image();
    const Reads never = with_mode(device, AtimeMode::kNever);
    const auto before = never.volume->getattr(never.file)->atime;
    read_everything(never);
    CHECK(same(never.volume->getattr(never.file)->atime, before));
    const Reads strict = with_mode(other, AtimeMode::kStrict);
    read_everything(strict);
    const auto first = strict.volume->getattr(strict.file)->atime;
    read_everything(strict);
    CHECK(later(strict.volume->getattr(strict.file)->atime, first));
}

TEST_CASE("a read-only mount keeps access times") {
    MemoryDevice device = fresh_image();
    {
        const Reads reads = with_mode(device, AtimeMode::kRelative);
        EXO_REQUIRE_OK(reads.volume->close());
    }
    MountOptions options = quiet_mount();
    options.read_only = true;
    auto v = mount(device, options);
    const auto attr = v->lookup(kRootIno, "file");
    wait_a_tick();
    read_all(*v, attr->ino);
    CHECK(same(v->getattr(attr->ino)->atime, attr->atime));
}
