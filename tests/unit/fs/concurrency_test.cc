// SPDX-License-Identifier: MIT
// Several threads on one volume. Under ThreadSanitizer this is the check of the locks; everywhere,
// that nothing is lost, and that nobody waits for I/O that is not his own.
#include <atomic>
#include <future>
#include <random>
#include <thread>

#include "tests/support/gate_device.h"
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {

// The thread may not use doctest's macros: it counts what went wrong.
void churn(Volume& v, unsigned id, std::atomic<int>& wrong) {
    std::mt19937_64 random(id);
    const auto expect = [&](bool good) { wrong += !good; };
    const std::string own = "own" + std::to_string(id);
    auto file = v.create(kRootIno, own, S_IFREG | 0644, 0, 0);
    if (!file) return void(wrong++);
    std::string content;
    for (int step = 0; step < 300; step++) {
        const std::string shared = "shared" + std::to_string(random() % 8);
        switch (random() % 12) {
            case 0:
            case 1: {
                const std::string piece(1 + random() % 6000, char('a' + step % 26));
                expect(bool(v.write(file->ino, content.size(), bytes_of(piece))));
                content += piece;
                break;
            }
            case 2: {
                std::string seen(content.size(), '?');
                const auto got = v.read(file->ino, 0, std::as_writable_bytes(std::span(seen)));
                expect(got && seen == content);
                break;
            }
            case 3:
                if (auto made = v.create(kRootIno, shared, S_IFREG | 0644, 0, 0)) {
                    expect(bool(v.write(made->ino, random() % 9000, bytes_of("shared"))));
                    v.close_ref(made->ino);
                }
                break;
            case 4:
                (void)v.unlink(kRootIno, shared);
                break;
            case 5:
                (void)v.rename(kRootIno, shared, kRootIno, "shared" + std::to_string(random() % 8),
                               RenameMode::kReplace);
                break;
            case 6:
                if (auto found = v.lookup(kRootIno, shared)) {
                    expect(bool(v.getattr(found->ino)));
                    std::byte buffer[5000];
                    (void)v.read(found->ino, 100, buffer);
                    expect(bool(v.write(found->ino, 0, bytes_of(std::string(4096, 'o')))));
                    (void)v.set_xattr(found->ino, "user.x", bytes_of("value"), XattrMode::kSet);
                    v.close_ref(found->ino);
                }
                break;
            case 7:
                if (auto entries = v.readdir_plus(kRootIno, 0, 100)) {
                    for (const auto& entry : *entries)
                        if (entry.name[0] != '.') v.close_ref(entry.ino);
                } else {
                    wrong++;
                }
                break;
            case 8:
                expect(bool(v.fsync(file->ino, random() % 2)));
                break;
            case 9: {
                const uint64_t size = content.empty() ? 0 : random() % content.size();
                expect(bool(v.truncate(file->ino, size)));
                content.resize(size);
                break;
            }
            case 10:
                if (v.mkdir(kRootIno, "dir" + std::to_string(id), 0755, 0, 0)) {
                    auto dir = v.lookup(kRootIno, "dir" + std::to_string(id));
                    expect(bool(dir));
                    if (dir) v.close_ref(dir->ino, 2);
                } else {
                    expect(bool(v.rmdir(kRootIno, "dir" + std::to_string(id))));
                }
                break;
            default:
                (void)v.statfs();
                v.closed(file->ino);
                break;
        }
    }
    std::string seen(content.size(), '?');
    const auto got = v.read(file->ino, 0, std::as_writable_bytes(std::span(seen)));
    expect(got && *got == content.size() && seen == content);
    v.close_ref(file->ino);
}

// Runs it elsewhere; false when it is not done long after it should be.
bool goes_on(const std::function<bool()>& operation) {
    auto future = std::async(std::launch::async, operation);
    const bool in_time = future.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
    if (!in_time) MESSAGE("waits for somebody else's I/O");
    return in_time && future.get();
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("threads on shared and own files lose nothing") {
    const QuietLog quiet;
    for (const size_t cache_bytes : {size_t(0), size_t(8u << 20)}) {
        MemoryDevice device = fresh_image(64u << 20);
        MountOptions options;
        options.commit_interval_ms = 3;
        options.cache_bytes = cache_bytes;
        auto v = mount(device, options);
        std::atomic<int> wrong = 0;
        std::vector<std::thread> threads;
        for (unsigned id = 0; id < 4; id++) threads.emplace_back([&, id] { churn(*v, id, wrong); });
        for (auto& thread : threads) thread.join();
        CHECK(wrong == 0);
        EXO_REQUIRE_OK(v->close());
        require_sound(device);
    }
}

TEST_CASE("nobody waits for a commit's I/O but who asked for it") {
    const QuietLog quiet;
    MemoryDevice device = fresh_image(64u << 20);
    GateDevice gate(device);
    auto v = mount(gate);
    const Ino file = make_file(*v, kRootIno, "file"), other = make_file(*v, kRootIno, "other");
    EXO_REQUIRE_OK(v->write(file, 0, bytes_of(std::string(8192, 'x'))));
    gate.hold_writes();
    std::thread committer([&] { (void)v->fsync(file, false); });
    gate.wait_for_waiter();
    CHECK(goes_on([&] { return bool(v->getattr(file)); }));
    CHECK(goes_on([&] { return bool(v->lookup(kRootIno, "other")); }));
    CHECK(goes_on([&] { return bool(v->create(kRootIno, "new", S_IFREG | 0644, 0, 0)); }));
    CHECK(goes_on([&] { return bool(v->unlink(kRootIno, "new")); }));
    CHECK(goes_on([&] { return bool(v->readdir(kRootIno, 0, 10)); }));
    CHECK(goes_on([&] { return read_all(*v, file).size() == 8192; }));
    CHECK(goes_on([&] { return bool(v->set_xattr(other, "user.a", {}, XattrMode::kSet)); }));
    gate.let_through();
    committer.join();
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("nobody waits for somebody else's read or write of data") {
    const QuietLog quiet;
    MemoryDevice device = fresh_image(64u << 20);
    GateDevice gate(device);
    auto v = mount(gate);
    const Ino file = make_file(*v, kRootIno, "file"), other = make_file(*v, kRootIno, "other");
    EXO_REQUIRE_OK(v->write(file, 0, bytes_of(std::string(8192, 'x'))));
    EXO_REQUIRE_OK(v->write(other, 0, bytes_of(std::string(8192, 'y'))));
    const uint64_t place = v->extents_of(file, 0, 1)->front().disk_offset;
    gate.hold_reads_of([place](uint64_t offset) { return offset == place; });
    std::thread reader([&] { (void)read_all(*v, file); });
    gate.wait_for_waiter();
    CHECK(goes_on([&] { return read_all(*v, other).size() == 8192; }));
    CHECK(goes_on([&] { return bool(v->write(other, 0, bytes_of("new"))); }));
    CHECK(goes_on([&] { return bool(v->getattr(file)); }));
    gate.let_through();
    reader.join();
    gate.hold_writes();
    std::thread writer([&] { (void)v->write(file, 0, bytes_of(std::string(4096, 'z'))); });
    gate.wait_for_waiter();
    CHECK(goes_on([&] { return read_all(*v, other).size() == 8192; }));
    CHECK(goes_on([&] { return bool(v->getattr(file)); }));
    CHECK(goes_on([&] { return bool(v->create(kRootIno, "new", S_IFREG | 0644, 0, 0)); }));
    gate.let_through();
    writer.join();
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("nobody waits for metadata that somebody else reads") {
    const QuietLog quiet;
    MemoryDevice device = fresh_image(64u << 20);
    std::vector<Ino> files;
    {
        auto v = mount(device);
        for (int i = 0; i < 1000; i++)
            files.push_back(make_file(*v, kRootIno, "file" + std::to_string(i)));
        EXO_REQUIRE_OK(v->close());
    }
    GateDevice gate(device);
    auto v = mount(gate);
    EXO_REQUIRE_OK(v->getattr(files.front()));
    gate.hold_reads_of([](uint64_t) { return true; });
    std::thread reader([&] { (void)v->getattr(files.back()); });
    gate.wait_for_waiter();
    CHECK(goes_on([&] { return bool(v->getattr(files.front())); }));
    SetAttr change;
    change.mode = 0600;
    CHECK(goes_on([&] { return bool(v->setattr(files.front(), change)); }));
    gate.let_through();
    reader.join();
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("those who sync together share a flush") {
    const QuietLog quiet;
    MemoryDevice device = fresh_image(64u << 20);
    FaultyDevice counted(device);
    GateDevice gate(counted);
    auto v = mount(gate);
    const Ino file = make_file(*v, kRootIno, "file");
    EXO_REQUIRE_OK(v->sync());
    gate.hold_writes();
    std::thread first([&] { (void)v->fsync(file, true); });
    gate.wait_for_waiter();
    std::atomic<unsigned> calling = 0;
    std::vector<std::thread> others;
    for (int i = 0; i < 8; i++)
        others.emplace_back([&] {
            calling++;
            (void)v->fsync(file, true);
        });
    while (calling < 8) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const uint64_t before = counted.requests();
    gate.let_through();
    first.join();
    for (auto& thread : others) thread.join();
    CHECK(counted.requests() - before == 2);  // the first one's, and one for all who came later
    EXO_REQUIRE_OK(v->close());
}

TEST_CASE("who writes to a file that many read waits for a few of them, not for all") {
    MemoryDevice device = fresh_image(64u << 20);
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "f");
    EXO_REQUIRE_OK(v->write(file, 0, bytes_of(std::string(8 << 20, 'f'))));
    std::atomic<bool> stop = false;
    std::atomic<int> reads = 0;
    std::vector<std::thread> readers;
    for (int i = 0; i < 8; i++)
        readers.emplace_back([&] {
            while (!stop) {
                read_all(*v, file);
                ++reads;
            }
        });
    while (!(reads > 10)) std::this_thread::yield();
    const int before = reads;
    for (uint64_t i = 0; i < 20; i++) CHECK(bool(v->write(file, 100 + i, bytes_of("w"))));
    const int meanwhile = reads - before;
    stop = true;
    for (auto& reader : readers) reader.join();
    CHECK(meanwhile < 1000);
    EXO_REQUIRE_OK(v->close());
}

TEST_CASE("copying a hole never cuts off what somebody appends meanwhile") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino source = make_file(*v, kRootIno, "source"),
              target = make_file(*v, kRootIno, "target");
    EXO_REQUIRE_OK(v->truncate(source, 65536));
    constexpr int kRounds = 1500;
    const std::string page(4096, 'x');
    std::atomic<int> round = 0, written = 0, wrong = 0;
    std::thread writer([&] {
        for (int r = 1; r <= kRounds; r++) {
            while (round < r) std::this_thread::yield();
            for (std::atomic<int> delay = 0; delay < r % 300 * 8;) ++delay;
            wrong += !v->write(target, 65536, bytes_of(page));
            written = r;
        }
    });
    int lost = 0;
    for (int r = 1; r <= kRounds; r++) {
        CHECK(bool(v->truncate(target, 0)));
        round = r;
        CHECK(bool(v->copy_range(source, 0, target, 0, 65536)));
        while (written < r) std::this_thread::yield();
        lost += read_all(*v, target) != std::string(65536, '\0') + page;
    }
    writer.join();
    CHECK(wrong == 0);
    CHECK(lost == 0);
    EXO_REQUIRE_OK(v->close());
}

TEST_CASE("an fallocate over many extents lets others in between") {
    MemoryDevice device = fresh_image(256u << 20);
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "f");
    constexpr uint64_t kExtents = 20000;
    for (uint64_t i = 0; i < kExtents; i++) EXO_REQUIRE_OK(v->write(file, i * 8192, bytes_of("x")));
    for (uint64_t i = 0; i < kExtents; i++)
        EXO_REQUIRE_OK(v->write(file, i * 8192 + 4096, bytes_of("y")));
    REQUIRE(v->extent_count(file) >= kExtents);
    EXO_REQUIRE_OK(v->sync());
    const uint64_t before = v->getattr(file)->size;
    std::atomic<bool> stop = false;
    std::atomic<int> looked = 0;
    std::thread other([&] {
        while (!stop) {
            if (v->getattr(kRootIno)) ++looked;
        }
    });
    while (!(looked > 10)) std::this_thread::yield();
    const int at_first = looked;
    CHECK(bool(v->fallocate(file, FallocateMode::kAllocate, 0, before, true)));
    const int meanwhile = looked - at_first;
    stop = true;
    other.join();
    // Each of its some 160 steps waits behind who came before it.
    CHECK(meanwhile >= 10);
    EXO_REQUIRE_OK(v->close());
}

TEST_SUITE_END();
