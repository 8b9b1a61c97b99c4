// SPDX-License-Identifier: MIT
// What a volume does, operation by operation.
#include "fs/volume/volume.h"

#include <sys/sysmacros.h>

#include <cstring>
#include <set>
#include <thread>

#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

TEST_CASE("files keep content, holes and attributes over a remount") {
    MemoryDevice device = fresh_image();
    Ino ino;
    {
        auto v = mount(device);
        ino = make_file(*v, kRootIno, "file");
        EXO_REQUIRE_OK(v->write(ino, 5000, bytes_of("hello")));
        EXO_REQUIRE_OK(v->write(ino, 100000, bytes_of("far")));
        SetAttr changes;
        changes.mode = 0600;
        changes.uid = 7;
        changes.mtime = timespec{-5, 123456789};
        EXO_REQUIRE_OK(v->setattr(ino, changes));
        EXO_REQUIRE_OK(v->create(kRootIno, "dev", S_IFBLK | 0600, 0, 0, makedev(259, 70000)));
        EXO_REQUIRE_OK(v->close());
    }
    require_sound(device);
    auto v = mount(device);
    auto attr = v->lookup(kRootIno, "file");
    EXO_REQUIRE_OK(attr);
    CHECK(attr->ino == ino);
    CHECK(attr->mode == (S_IFREG | 0600));
    CHECK(attr->uid == 7);
    CHECK(attr->size == 100003);
    CHECK(attr->blocks_512 == 16);
    CHECK(attr->mtime.tv_sec == -5);
    CHECK(attr->mtime.tv_nsec == 123456789);
    const std::string content = read_all(*v, ino);
    CHECK(content.substr(5000, 5) == "hello");
    CHECK(content.substr(0, 5000) == std::string(5000, '\0'));
    CHECK(content.substr(100000) == "far");
    auto dev = v->lookup(kRootIno, "dev");
    EXO_REQUIRE_OK(dev);
    CHECK(dev->rdev == makedev(259, 70000));
    CHECK_FALSE(v->info().journal_replayed);
}

TEST_CASE("names: limits, kinds and errors") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    EXO_REQUIRE_OK(v->create(kRootIno, std::string(255, 'n'), S_IFREG | 0644, 0, 0));
    EXO_CHECK_CODE(v->create(kRootIno, std::string(256, 'n'), S_IFREG | 0644, 0, 0), ENAMETOOLONG);
    EXO_CHECK_CODE(v->lookup(kRootIno, std::string(256, 'n')), ENAMETOOLONG);
    EXO_CHECK_CODE(v->create(kRootIno, std::string(255, 'n'), S_IFREG | 0644, 0, 0), EEXIST);
    EXO_CHECK_CODE(v->create(kRootIno, "a/b", S_IFREG | 0644, 0, 0), EINVAL);
    EXO_CHECK_CODE(v->lookup(kRootIno, "none"), ENOENT);
    auto dir = v->mkdir(kRootIno, "dir", 0755, 1, 2);
    EXO_REQUIRE_OK(dir);
    CHECK(dir->nlink == 2);
    CHECK(v->getattr(kRootIno)->nlink == 3);
    const Ino file = make_file(*v, dir->ino, "file");
    EXO_CHECK_CODE(v->create(file, "x", S_IFREG | 0644, 0, 0), ENOTDIR);
    EXO_CHECK_CODE(v->rmdir(kRootIno, "dir"), ENOTEMPTY);
    EXO_CHECK_CODE(v->unlink(kRootIno, "dir"), EISDIR);
    EXO_CHECK_CODE(v->rmdir(dir->ino, "file"), ENOTDIR);
    EXO_REQUIRE_OK(v->unlink(dir->ino, "file"));
    EXO_REQUIRE_OK(v->rmdir(kRootIno, "dir"));
    EXO_CHECK_CODE(v->create(dir->ino, "late", S_IFREG | 0644, 0, 0), ENOENT);
    for (const size_t length : {size_t(1), size_t(200), size_t(1000), size_t(1001), size_t(4095)}) {
        const std::string name = "link" + std::to_string(length), target(length, 't');
        auto link = v->symlink(kRootIno, name, target, 0, 0);
        EXO_REQUIRE_OK(link);
        CHECK(*v->readlink(link->ino) == target);
        CHECK(link->size == length);
    }
    EXO_CHECK_CODE(v->symlink(kRootIno, "long", std::string(4096, 't'), 0, 0), ENAMETOOLONG);
    EXO_REQUIRE_OK(v->unlink(kRootIno, "link4095"));
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("a set-group-id directory passes its group on") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    auto dir = v->mkdir(kRootIno, "shared", 02775, 1, 50);
    EXO_REQUIRE_OK(dir);
    CHECK(v->create(dir->ino, "f", S_IFREG | 0644, 3, 4)->gid == 50);
    auto below = v->mkdir(dir->ino, "d", 0755, 3, 4);
    CHECK(below->gid == 50);
    CHECK((below->mode & S_ISGID) != 0);
}

TEST_CASE("rename: replace, no-replace, exchange, directories") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    auto a = v->mkdir(kRootIno, "a", 0755, 0, 0), b = v->mkdir(kRootIno, "b", 0755, 0, 0);
    const Ino one = make_file(*v, a->ino, "one"), two = make_file(*v, b->ino, "two");
    EXO_CHECK_CODE(v->rename(a->ino, "one", b->ino, "two", RenameMode::kNoReplace), EEXIST);
    EXO_REQUIRE_OK(v->rename(a->ino, "one", b->ino, "two", RenameMode::kExchange));
    CHECK(v->lookup(b->ino, "two")->ino == one);
    CHECK(v->lookup(a->ino, "one")->ino == two);
    EXO_REQUIRE_OK(v->rename(a->ino, "one", b->ino, "two", RenameMode::kReplace));
    CHECK(v->lookup(b->ino, "two")->ino == two);
    EXO_CHECK_CODE(v->lookup(a->ino, "one"), ENOENT);
    CHECK(v->getattr(one)->nlink == 0);  // still referenced
    EXO_REQUIRE_OK(v->rename(kRootIno, "a", b->ino, "a", RenameMode::kReplace));
    CHECK(v->getattr(kRootIno)->nlink == 3);
    CHECK(v->getattr(b->ino)->nlink == 3);
    CHECK(v->lookup(a->ino, "..")->ino == b->ino);
    EXO_CHECK_CODE(v->rename(kRootIno, "b", a->ino, "b", RenameMode::kReplace), EINVAL);
    EXO_CHECK_CODE(v->rename(b->ino, "two", b->ino, "a", RenameMode::kReplace), EISDIR);
    EXO_CHECK_CODE(v->rename(b->ino, "a", b->ino, "two", RenameMode::kReplace), ENOTDIR);
    EXO_CHECK_CODE(v->rename(b->ino, "none", b->ino, "x", RenameMode::kReplace), ENOENT);
    EXO_CHECK_CODE(v->rename(b->ino, "two", b->ino, "x", RenameMode::kExchange), ENOENT);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("unlinked files live until their last reference and then free their blocks") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    EXO_REQUIRE_OK(v->sync());
    const uint64_t before = v->statfs().blocks_free;
    const Ino ino = make_file(*v, kRootIno, "file");
    EXO_REQUIRE_OK(v->write(ino, 0, bytes_of(std::string(100000, 'x'))));
    EXO_REQUIRE_OK(v->unlink(kRootIno, "file"));
    CHECK(read_all(*v, ino) == std::string(100000, 'x'));
    EXO_REQUIRE_OK(v->write(ino, 100000, bytes_of("more")));
    v->close_ref(ino);
    EXO_CHECK_CODE(v->getattr(ino), ESTALE);
    CHECK(v->statfs().blocks_free == before);
    // A new inode of the same number has another generation.
    const Ino again = make_file(*v, kRootIno, "again");
    CHECK((again != ino || v->getattr(again)->generation == 2));
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("orphans of a crash are freed at mount") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    EXO_REQUIRE_OK(v->sync());
    const uint64_t before = v->statfs().blocks_free;
    const Ino ino = make_file(*v, kRootIno, "file");
    EXO_REQUIRE_OK(v->write(ino, 0, bytes_of(std::string(100000, 'x'))));
    auto unnamed = v->create_unnamed(kRootIno, 0600, 0, 0);
    EXO_REQUIRE_OK(unnamed);
    EXO_REQUIRE_OK(v->unlink(kRootIno, "file"));
    EXO_REQUIRE_OK(v->sync());
    MemoryDevice crashed(device);
    require_sound(crashed);
    auto w = mount(crashed);
    CHECK(w->info().journal_replayed);
    EXO_CHECK_CODE(w->getattr(ino), ESTALE);
    EXO_CHECK_CODE(w->getattr(unnamed->ino), ESTALE);
    CHECK(w->statfs().blocks_free == before);
    EXO_REQUIRE_OK(w->close());
    require_sound(crashed);
}

TEST_CASE("hard links and unnamed files") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino ino = make_file(*v, kRootIno, "a");
    CHECK(v->link(ino, kRootIno, "b")->nlink == 2);
    EXO_CHECK_CODE(v->link(ino, kRootIno, "b"), EEXIST);
    EXO_CHECK_CODE(v->link(kRootIno, kRootIno, "c"), EPERM);
    EXO_REQUIRE_OK(v->rename(kRootIno, "a", kRootIno, "b", RenameMode::kReplace));  // no change
    EXO_REQUIRE_OK(v->unlink(kRootIno, "a"));
    CHECK(v->getattr(ino)->nlink == 1);
    auto unnamed = v->create_unnamed(kRootIno, 0640, 1, 1);
    EXO_REQUIRE_OK(unnamed);
    EXO_REQUIRE_OK(v->write(unnamed->ino, 0, bytes_of("data")));
    CHECK(v->link(unnamed->ino, kRootIno, "named")->nlink == 1);
    v->close_ref(unnamed->ino, 2);
    auto found = v->lookup(kRootIno, "named");
    EXO_REQUIRE_OK(found);
    CHECK(read_all(*v, found->ino) == "data");
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("a large directory: lookups, stable cookies, shrinking back to nothing") {
    MemoryDevice device = fresh_image(64u << 20);
    auto v = mount(device);
    EXO_REQUIRE_OK(v->sync());
    constexpr int kFiles = 20000;
    auto dir = v->mkdir(kRootIno, "dir", 0755, 0, 0);
    for (int i = 0; i < kFiles; i++)
        v->close_ref(make_file(*v, dir->ino, "entry" + std::to_string(i)));
    std::set<std::string> seen;
    uint64_t cookie = 0;
    int removed = 0, round = 0;
    for (;;) {
        auto entries = v->readdir(dir->ino, cookie, 100);
        EXO_REQUIRE_OK(entries);
        if (entries->empty()) break;
        for (const auto& entry : *entries) {
            REQUIRE(seen.insert(entry.name).second);
            REQUIRE(entry.cookie > cookie);
            cookie = entry.cookie;
        }
        // Entries that were seen go, and new ones come, while the listing goes on.
        if (entries->back().name != "..") {
            EXO_REQUIRE_OK(v->unlink(dir->ino, entries->back().name));
            removed++;
            v->close_ref(make_file(*v, dir->ino, "new" + std::to_string(round++)));
        }
    }
    for (int i = 0; i < kFiles; i++) REQUIRE(seen.contains("entry" + std::to_string(i)));
    for (const auto& name : seen)
        if (name != "." && name != "..") (void)v->unlink(dir->ino, name);
    for (int i = 0; i < round; i++) (void)v->unlink(dir->ino, "new" + std::to_string(i));
    CHECK(v->getattr(dir->ino)->blocks_512 == 0);
    CHECK(v->readdir(dir->ino, 0, 10)->size() == 2);
    EXO_REQUIRE_OK(v->rmdir(kRootIno, "dir"));
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("truncate never brings old bytes back") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino ino = make_file(*v, kRootIno, "f");
    const std::string old(20000, 'o');
    for (const uint64_t cut : {0, 1, 4095, 4096, 4097, 10000}) {
        for (const uint64_t grow : {cut + 1, uint64_t(4096), uint64_t(8192), uint64_t(20000)}) {
            if (grow <= cut) continue;
            EXO_REQUIRE_OK(v->truncate(ino, 0));
            EXO_REQUIRE_OK(v->write(ino, 0, bytes_of(old)));
            EXO_REQUIRE_OK(v->truncate(ino, cut));
            if (grow % 2)
                EXO_REQUIRE_OK(v->truncate(ino, grow));
            else
                EXO_REQUIRE_OK(v->write(ino, grow - 1, bytes_of(std::string(1, '\0'))));
            const std::string content = read_all(*v, ino);
            CHECK(content == old.substr(0, cut) + std::string(grow - cut, '\0'));
        }
    }
}

TEST_CASE("fallocate: allocate, punch, zero; seek sees data and holes") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino ino = make_file(*v, kRootIno, "f");
    EXO_REQUIRE_OK(v->fallocate(ino, FallocateMode::kAllocate, 0, 100000, true));
    CHECK(v->getattr(ino)->size == 0);
    CHECK(v->getattr(ino)->blocks_512 == 25 * 8);
    EXO_REQUIRE_OK(v->fallocate(ino, FallocateMode::kAllocate, 0, 100000, false));
    CHECK(read_all(*v, ino) == std::string(100000, '\0'));
    EXO_CHECK_CODE(v->seek(ino, 0, SEEK_DATA), ENXIO);
    CHECK(*v->seek(ino, 10, SEEK_HOLE) == 10);
    std::string model(100000, '\0');
    auto put = [&](size_t at, size_t length, char c) {
        EXO_REQUIRE_OK(v->write(ino, at, bytes_of(std::string(length, c))));
        model.replace(at, length, std::string(length, c));
    };
    put(5000, 30000, 'a');
    CHECK(*v->seek(ino, 0, SEEK_DATA) == 4096);
    CHECK(*v->seek(ino, 5000, SEEK_HOLE) == 36864);
    EXO_REQUIRE_OK(v->fallocate(ino, FallocateMode::kPunchHole, 9000, 10000, true));
    model.replace(9000, 10000, std::string(10000, '\0'));
    CHECK(read_all(*v, ino) == model);
    EXO_REQUIRE_OK(v->fallocate(ino, FallocateMode::kZeroRange, 30001, 1000, false));
    model.replace(30001, 1000, std::string(1000, '\0'));
    EXO_REQUIRE_OK(v->fallocate(ino, FallocateMode::kZeroRange, 34000, 9000, false));
    model.replace(34000, 9000, std::string(9000, '\0'));
    CHECK(read_all(*v, ino) == model);
    put(12000, 1, 'x');
    put(99999, 1, 'z');
    CHECK(read_all(*v, ino) == model);
    EXO_CHECK_CODE(v->fallocate(ino, FallocateMode::kAllocate, 0, 1ull << 40, false), ENOSPC);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("a file of a thousand extents") {
    MemoryDevice device = fresh_image();
    Ino ino;
    std::string model;
    {
        auto v = mount(device);
        ino = make_file(*v, kRootIno, "f");
        for (int pass = 0; pass < 2; pass++)
            for (uint64_t block = uint64_t(pass); block < 2400; block += 2)
                EXO_REQUIRE_OK(v->write(ino, block * 4096,
                                        bytes_of(std::string(4096, char('a' + block % 26)))));
        CHECK(v->extent_count(ino) >= 1000);
        for (uint64_t block = 0; block < 2400; block++) model.append(4096, char('a' + block % 26));
        EXO_REQUIRE_OK(v->close());
    }
    require_sound(device);
    auto v = mount(device);
    CHECK(read_all(*v, ino) == model);
    uint64_t at = 0, count = 0;
    for (;;) {
        auto extents = v->extents_of(ino, at, 100);
        EXO_REQUIRE_OK(extents);
        if (extents->empty()) break;
        for (const auto& extent : *extents) {
            REQUIRE(extent.file_offset >= at);
            std::string disk(extent.length, '?');
            device.peek(extent.disk_offset, disk.data(), disk.size());
            REQUIRE(disk == model.substr(extent.file_offset, extent.length));
            at = extent.file_offset + extent.length;
            count++;
        }
    }
    CHECK(at == model.size());
    CHECK(count == v->extent_count(ino));
    EXO_REQUIRE_OK(v->unlink(kRootIno, "f"));
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("a full volume refuses data, still deletes, and then has its space again") {
    MemoryDevice device = fresh_image(16u << 20);
    auto v = mount(device);
    EXO_REQUIRE_OK(v->sync());
    const uint64_t before = v->statfs().blocks_available;
    const std::string piece(1u << 20, 'p');
    std::vector<std::string> names;
    for (int i = 0;; i++) {
        REQUIRE(i < 1000);
        const std::string name = "f" + std::to_string(i);
        auto attr = v->create(kRootIno, name, S_IFREG | 0644, 0, 0);
        if (!attr) {
            CHECK(attr.error().code == ENOSPC);
            break;
        }
        names.push_back(name);
        auto written = v->write(attr->ino, 0, bytes_of(piece));
        v->close_ref(attr->ino);
        if (!written) {
            CHECK(written.error().code == ENOSPC);
            if (v->statfs().blocks_available == 0) break;
        }
    }
    EXO_REQUIRE_OK(v->sync());
    require_sound(device);
    for (const auto& name : names) EXO_REQUIRE_OK(v->unlink(kRootIno, name));
    EXO_REQUIRE_OK(v->sync());
    CHECK(v->statfs().blocks_available + 64 >= before);
    const Ino ino = make_file(*v, kRootIno, "again");
    EXO_REQUIRE_OK(v->write(ino, 0, bytes_of(piece)));
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("a pinned file cannot change, keeps its blocks when unlinked, and the pin survives") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino ino = make_file(*v, kRootIno, "f");
    EXO_REQUIRE_OK(v->write(ino, 0, bytes_of("pinned data")));
    EXO_REQUIRE_OK(v->set_pinned(ino, false));
    EXO_CHECK_CODE(v->set_pinned(ino, false), EEXIST);
    EXO_REQUIRE_OK(v->set_pinned(ino, true));
    EXO_CHECK_CODE(v->set_pinned(kRootIno, true), EISDIR);
    CHECK(v->getattr(ino)->pin_persistent);
    EXO_CHECK_CODE(v->write(ino, 0, bytes_of("x")), EPERM);
    EXO_CHECK_CODE(v->truncate(ino, 0), EPERM);
    EXO_CHECK_CODE(v->fallocate(ino, FallocateMode::kPunchHole, 0, 4096, true), EPERM);
    SetAttr mode;
    mode.mode = 0400;
    EXO_REQUIRE_OK(v->setattr(ino, mode));
    EXO_REQUIRE_OK(v->rename(kRootIno, "f", kRootIno, "g", RenameMode::kReplace));
    MemoryDevice crashed(device);
    EXO_REQUIRE_OK(v->close());
    for (MemoryDevice* image : {&device, &crashed}) {
        require_sound(*image);
        auto w = mount(*image);
        auto pinned = w->pinned_inodes();
        EXO_REQUIRE_OK(pinned);
        REQUIRE(pinned->size() == 1);
        CHECK(pinned->front().ino == ino);
        EXO_CHECK_CODE(w->write(ino, 0, bytes_of("x")), EPERM);
        EXO_REQUIRE_OK(w->open_ref(ino));
        EXO_REQUIRE_OK(w->unlink(kRootIno, image == &device ? "g" : "f"));
        w->close_ref(ino);
        CHECK(read_all(*w, ino) == "pinned data");
        EXO_REQUIRE_OK(w->clear_pinned(ino));
        EXO_CHECK_CODE(w->clear_pinned(ino), ENODATA);
        EXO_CHECK_CODE(w->getattr(ino), ESTALE);
        EXO_REQUIRE_OK(w->close());
        require_sound(*image);
    }
}

TEST_CASE("a read-only mount changes nothing, also when the log must be replayed") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino ino = make_file(*v, kRootIno, "f");
    EXO_REQUIRE_OK(v->write(ino, 0, bytes_of("data")));
    EXO_REQUIRE_OK(v->fsync(ino, false));
    MemoryDevice crashed(device), copy(device);
    MountOptions options = quiet_mount();
    options.read_only = true;
    auto w = mount(crashed, options);
    CHECK(w->info().journal_replayed);
    CHECK(read_all(*w, ino) == "data");
    EXO_CHECK_CODE(w->write(ino, 0, bytes_of("x")), EROFS);
    EXO_CHECK_CODE(w->create(kRootIno, "x", S_IFREG | 0644, 0, 0), EROFS);
    EXO_REQUIRE_OK(w->close());
    std::string a(crashed.size_bytes(), 'a'), b(copy.size_bytes(), 'b');
    crashed.peek(0, a.data(), a.size());
    copy.peek(0, b.data(), b.size());
    CHECK(a == b);
}

TEST_CASE("several threads at once" * doctest::test_suite("threads")) {
    MemoryDevice device = fresh_image(64u << 20);
    MountOptions options;
    options.commit_interval_ms = 1;
    auto v = mount(device, options);
    std::vector<std::thread> threads;
    std::atomic<int> failures{0};
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&, t] {
            auto dir = v->mkdir(kRootIno, "t" + std::to_string(t), 0755, 0, 0);
            if (!dir) return void(failures++);
            for (int i = 0; i < 300; i++) {
                const std::string name = "f" + std::to_string(i % 50);
                auto attr = v->create(dir->ino, name, S_IFREG | 0644, 0, 0);
                if (!attr) {
                    failures += !v->unlink(dir->ino, name);
                    continue;
                }
                const std::string data(size_t(1000 + i * 37), char('a' + t));
                failures += !v->write(attr->ino, 0, bytes_of(data));
                if (i % 10 == 0) failures += !v->fsync(attr->ino, false);
                std::string back(data.size(), '?');
                auto got = v->read(attr->ino, 0, std::as_writable_bytes(std::span(back)));
                failures += !got || back != data;
                v->close_ref(attr->ino);
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(failures == 0);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}
