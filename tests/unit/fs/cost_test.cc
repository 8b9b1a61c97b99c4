// SPDX-License-Identifier: MIT
// What an operation asks of the device must not grow with the number of files in its directory, but
// for what is inherent: one more level of the tree, and blocks which a bounded cache cannot hold.
// Counted, so that it holds on every machine; tests/bench/scale.cc shows the same for a million.
#include <functional>

#include "tests/support/counting_device.h"
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {

constexpr uint64_t kFew = 1000, kMany = 100000, kOperations = 1000;
constexpr size_t kListed = 24;  // entries that the kernel asks for at a time

// Much smaller than what there is of kMany files: 12,500 blocks of inodes and 1,200 of names.
constexpr size_t kCacheBytes = 16u << 20;

std::string name(uint64_t file) {
    return "file" + std::to_string(file);
}

struct Costs {
    double create_written, lookup_again_read, lookup_cold_waits, list_waits, unlink_written;
};

class Measured {
  public:
    explicit Measured(uint64_t files) : files_(files), device_(image_) {
        EXO_REQUIRE_OK(mkfs(device_, {}));
        mount();
        auto made = volume_->mkdir(kRootIno, "dir", 0755, 0, 0);
        EXO_REQUIRE_OK(made);
        dir_ = made->ino;
        for (uint64_t i = 0; i < files; i++) create(i);
    }

    Costs costs() {
        Costs costs{};
        remount();  // nothing of what was there before is left to be written
        costs.create_written = written([&](uint64_t i) { create(files_ + i); });
        remount();
        uint64_t state = 1;
        std::vector<uint64_t> some(kOperations);
        for (uint64_t& file : some) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            file = (state >> 33) % files_;
        }
        const auto look_up = [&](uint64_t i) {
            auto found = volume_->lookup(dir_, name(some[i]));
            EXO_REQUIRE_OK(found);
            volume_->close_ref(found->ino);
        };
        costs.lookup_cold_waits = each(&DeviceCounts::waits, look_up);
        costs.lookup_again_read = each(&DeviceCounts::blocks_read, look_up);
        remount();
        uint64_t cookie = 0;
        size_t left = 0;
        costs.list_waits = each(&DeviceCounts::waits, [&](uint64_t) {
            if (left-- > 0) return;
            auto entries = volume_->readdir_plus(dir_, cookie, kListed);
            EXO_REQUIRE_OK(entries);
            REQUIRE(!entries->empty());
            for (const DirEntry& entry : *entries)
                if (entry.name != "." && entry.name != "..") volume_->close_ref(entry.ino);
            cookie = entries->back().cookie;
            left = entries->size() - 1;
        });
        costs.unlink_written =
            written([&](uint64_t i) { EXO_REQUIRE_OK(volume_->unlink(dir_, name(i))); });
        EXO_REQUIRE_OK(volume_->close());
        return costs;
    }

  private:
    void mount() {
        MountOptions options = quiet_mount();
        options.cache_bytes = kCacheBytes;
        volume_ = test::mount(device_, options);
    }
    void remount() {
        EXO_REQUIRE_OK(volume_->close());
        mount();
    }
    void create(uint64_t file) {
        auto made = volume_->create(dir_, name(file), S_IFREG | 0644, 0, 0);
        EXO_REQUIRE_OK(made);
        volume_->close_ref(made->ino);
    }
    double each(
        uint64_t DeviceCounts::* what, const std::function<void(uint64_t)>& operation,
        const std::function<void()>& after = [] {}) {
        const DeviceCounts before = device_.counts();
        for (uint64_t i = 0; i < kOperations; i++) operation(i);
        after();
        return double((device_.counts() - before).*what) / double(kOperations);
    }
    // With the commit, so that nothing is left out.
    double written(const std::function<void(uint64_t)>& operation) {
        return each(&DeviceCounts::blocks_written, operation,
                    [&] { EXO_REQUIRE_OK(volume_->sync()); });
    }

    uint64_t files_;
    MemoryDevice image_{uint64_t(2) << 30};
    CountingDevice device_;
    std::unique_ptr<Volume> volume_;
    Ino dir_ = 0;
};

}  // namespace

TEST_CASE("what an operation asks of the device does not grow with the files of a directory") {
    const Costs few = Measured(kFew).costs(), many = Measured(kMany).costs();
    const auto tell = [](uint64_t files, const Costs& c) {
        MESSAGE(files << " files, for each: " << c.create_written << " blocks written by create, "
                      << c.unlink_written << " by unlink; cold lookup waits " << c.lookup_cold_waits
                      << " times, list " << c.list_waits << "; a lookup again reads "
                      << c.lookup_again_read << " blocks");
    };
    tell(kFew, few);
    tell(kMany, many);
    // A name made or removed changes its leaf, and an eighth of a block of inodes.
    CHECK(many.create_written < 1.2);
    CHECK(many.unlink_written < 1.2);
    // The leaf and the inode; the levels above stay in memory, and neighbours come along.
    CHECK(many.lookup_cold_waits < 1.5);
    // One wait for the inodes of all that are listed at once, and one for a leaf now and then.
    CHECK(many.list_waits < 2.0 / kListed);
    CHECK(few.lookup_again_read == 0);
    CHECK(many.lookup_again_read == 0);
}
