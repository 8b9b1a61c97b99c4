// SPDX-License-Identifier: MIT
// Threads that do everything to the same few files, on a volume with hardly any room and a device
// that fills what is discarded with garbage: nobody sees that, nothing is refused without a reason,
// and in the end all space is there again.
#include <atomic>
#include <future>
#include <random>
#include <set>
#include <thread>

#include "tests/support/gate_device.h"
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {

constexpr unsigned kNames = 6;
constexpr uint64_t kFileBlocks = 600;

// The threads may not use doctest's macros: they count what went wrong.
class Rival {
  public:
    Rival(Volume& volume, unsigned id, std::atomic<int>& wrong)
        : v_(volume), random_(id), wrong_(wrong) {}

    void play(int steps) {
        for (int i = 0; i < steps; i++) {
            if (random_() % 3 == 0)
                change_names();
            else
                with_some_file([&](Ino ino) { change_file(ino); });
        }
    }

  private:
    // What may well happen to who is not alone.
    template <typename T>
    bool tolerate(const Result<T>& result) {
        static const std::set<int> fair = {ENOENT, EEXIST, ENOSPC, EPERM,     ENODATA,
                                           ENXIO,  EINVAL, EISDIR, ENOTEMPTY, ENOTDIR};
        if (!result && !fair.contains(result.error().code)) {
            wrong_++;
            fprintf(stderr, "%s (%d)\n", describe(result.error()).c_str(), result.error().code);
        }
        return bool(result);
    }
    std::string name() { return "n" + std::to_string(random_() % kNames); }
    uint64_t place() { return random_() % kFileBlocks * kBlockBytes; }
    uint64_t length() { return (1 + random_() % 64) * kBlockBytes; }

    template <typename F>
    void with_some_file(F&& use) {
        const auto found = v_.lookup(kRootIno, name());
        if (!tolerate(found)) return;
        use(found->ino);
        v_.close_ref(found->ino);
    }

    void change_names() {
        switch (random_() % 8) {
            case 0:
            case 1:
            case 2:
                if (const auto made = v_.create(kRootIno, name(), S_IFREG | 0644, 0, 0);
                    tolerate(made))
                    v_.close_ref(made->ino);
                break;
            case 3:
                tolerate(v_.unlink(kRootIno, name()));
                break;
            case 4:
                tolerate(v_.rename(kRootIno, name(), kRootIno, name(),
                                   random_() % 2 ? RenameMode::kExchange : RenameMode::kReplace));
                break;
            case 5:
                with_some_file([&](Ino ino) {
                    if (const auto linked = v_.link(ino, kRootIno, name()); tolerate(linked))
                        v_.close_ref(ino);
                });
                break;
            case 6:
                if (const auto made = v_.create_unnamed(kRootIno, 0600, 0, 0); tolerate(made)) {
                    write(made->ino);
                    if (random_() % 2)
                        if (const auto linked = v_.link(made->ino, kRootIno, name());
                            tolerate(linked))
                            v_.close_ref(made->ino);
                    v_.close_ref(made->ino);
                }
                break;
            default:
                tolerate(v_.readdir(kRootIno, 0, 100));
        }
    }

    void write(Ino ino) {
        const std::string text(length(), char('a' + random_() % 26));
        tolerate(v_.write(ino, place(), bytes_of(text)));
    }

    void read(Ino ino) {
        std::string seen(size_t(length()), '\0');
        if (!tolerate(v_.read(ino, place(), std::as_writable_bytes(std::span(seen))))) return;
        for (const char c : seen) {
            if (c == 0 || (c >= 'a' && c <= 'z')) continue;
            wrong_++;
            fprintf(stderr, "byte %d was never written\n", int(c));
            return;
        }
    }

    void change_file(Ino ino) {
        switch (random_() % 16) {
            case 0:
            case 1:
            case 2:
                return write(ino);
            case 3:
            case 4:
                return read(ino);
            case 5:
                return void(tolerate(v_.truncate(ino, place())));
            case 6:
                return void(tolerate(v_.fallocate(ino, FallocateMode(random_() % 3), place(),
                                                  length(), random_() % 2)));
            case 7:
                return with_some_file([&](Ino other) {
                    tolerate(v_.copy_range(ino, place(), other, place(), length()));
                });
            case 8:
                return void(tolerate(v_.seek(ino, place(), random_() % 2 ? SEEK_DATA : SEEK_HOLE)));
            case 9:
                return void(tolerate(v_.fsync(ino, random_() % 2)));
            case 10:
                if (tolerate(v_.set_pinned(ino, random_() % 2))) {
                    read(ino);
                    tolerate(v_.clear_pinned(ino));
                }
                return;
            case 11:
                return void(tolerate(v_.set_xattr(
                    ino, "user.x", bytes_of(std::string(random_() % 3000, 'v')), XattrMode::kSet)));
            case 12:
                tolerate(v_.get_xattr(ino, "user.x"));
                return void(tolerate(v_.remove_xattr(ino, "user.x")));
            case 13:
                return with_some_file([&](Ino other) {
                    tolerate(random_() % 2 ? v_.set_placement_near(ino, other)
                                           : v_.set_placement(ino, place()));
                });
            case 14:
                tolerate(v_.extents_of(ino, 0, 50));
                return v_.closed(ino);
            default:
                if (random_() % 8 == 0) tolerate(v_.trim(0));
                if (v_.statfs().blocks == 0) wrong_++;
                SetAttr change;
                change.mode = 0600 | random_() % 64;
                tolerate(v_.setattr(ino, change));
        }
    }

    Volume& v_;
    std::mt19937_64 random_;
    std::atomic<int>& wrong_;
};

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("threads do everything to the same files where there is hardly any room") {
    const QuietLog quiet;
    for (const bool discard : {false, true}) {
        MemoryDevice image = fresh_image(20u << 20);
        FaultyDevice device(image);
        MountOptions options;
        options.commit_interval_ms = 2;
        options.cache_bytes = 1u << 20;
        options.discard = discard;
        auto v = mount(device, options);
        const uint64_t room = v->statfs().blocks_free;
        std::atomic<int> wrong = 0;
        std::vector<std::thread> threads;
        for (unsigned id = 0; id < 4; id++)
            threads.emplace_back([&, id] { Rival(*v, id, wrong).play(1200); });
        for (auto& thread : threads) thread.join();
        CHECK(wrong == 0);
        for (unsigned i = 0; i < kNames; i++) (void)v->unlink(kRootIno, "n" + std::to_string(i));
        EXO_REQUIRE_OK(v->close());
        require_sound(image);
        v = mount(image);
        // Only the file of inodes does not shrink.
        CHECK(v->statfs().blocks_free + 8 >= room);
        EXO_REQUIRE_OK(v->close());
    }
}

TEST_CASE("who needs the space that a trim tells the device of waits for it") {
    const QuietLog quiet;
    MemoryDevice device = fresh_image();
    GateDevice gate(device);
    auto v = mount(gate);
    const Ino file = make_file(*v, kRootIno, "file");
    gate.hold_discards();
    std::thread trimmer([&] { CHECK(v->trim(0).value_or(0) > 0); });
    gate.wait_for_waiter();
    auto writer = std::async(std::launch::async,
                             [&] { return v->write(file, 0, bytes_of(std::string(100000, 'w'))); });
    (void)writer.wait_for(std::chrono::milliseconds(100));
    gate.let_through();
    trimmer.join();
    EXO_REQUIRE_OK(writer.get());
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_SUITE_END();
