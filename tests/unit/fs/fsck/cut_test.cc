// SPDX-License-Identifier: MIT
// Repairs that do not come to their end: the power is cut at any write, or a request fails. A
// second repair then does it, and nothing is lost that the first would have kept.
#include <algorithm>
#include <cstdlib>
#include <random>

#include "tests/support/crash_states.h"
#include "tests/unit/fs/fsck/damage.h"

using namespace exo;
using namespace exo::test;

namespace {

FsckOptions repair_all() {
    FsckOptions options;
    options.mode = FsckMode::kRepair;
    return options;
}

size_t rounds() {
    const char* text = getenv("EXO_TEST_ROUNDS");
    return text ? size_t(atoi(text)) : 1;
}

// Two runs put what they cannot name under the same names, so contents are the same, too.
void require_same(const Contents& wanted, const Contents& got, const std::string& name) {
    for (const auto& [path, text] : wanted) {
        auto it = got.find(path);
        if (it == got.end() || it->second != text) FAIL(name << ": " << path << " differs");
    }
}

}  // namespace

TEST_CASE("a repair may be cut off at any write") {
    const QuietLog quiet;
    std::mt19937_64 random(11);
    size_t states = 0;
    for (const DamageCase& test : damage_cases()) {
        CAPTURE(test.name);
        MemoryDevice damaged(sample().image);
        test.seed(damaged);
        MemoryDevice target(damaged);
        FaultyDevice device(target);
        device.start_recording();
        EXO_REQUIRE_OK(fsck_run(device, repair_all()));
        const Contents wanted = contents_of(target);
        const size_t records = device.records();
        CrashStates cuts(damaged, device.log());
        // All cuts of a short repair, some of a long one.
        const size_t step = std::max<size_t>(1, records / (8 * rounds()));
        for (size_t at = 0; at <= records; at += step) {
            cuts.advance(at);
            std::vector<MemoryDevice> images{cuts.none_survive()};
            if (cuts.open() > 0) images.push_back(cuts.some_survive(random));
            for (MemoryDevice& image : images) {
                states++;
                CAPTURE(at);
                auto again = fsck_run(image, repair_all());
                EXO_REQUIRE_OK(again);
                REQUIRE(again->repaired == again->found);
                require_sound(image);
                if (states % 3 == 0) require_same(wanted, contents_of(image), test.name);
            }
        }
    }
    MESSAGE(states << " cut repairs were repaired");
    CHECK(states > 700);
}

TEST_CASE("a repair that meets an I/O error says so, and another one mends it") {
    const QuietLog quiet;
    using Fault = FaultyDevice::Fault;
    size_t tried = 0, lived = 0;
    // One error at every request of every repair; the other ways of failing in turn.
    for (const DamageCase& test : damage_cases()) {
        CAPTURE(test.name);
        MemoryDevice damaged(sample().image);
        test.seed(damaged);
        MemoryDevice target(damaged);
        FaultyDevice undisturbed(target);
        EXO_REQUIRE_OK(fsck_run(undisturbed, repair_all()));
        const Contents wanted = contents_of(target);
        const auto attempt = [&](uint64_t n, Fault fault) {
            CAPTURE(n);
            CAPTURE(int(fault));
            target.become(damaged);
            FaultyDevice device(target);
            device.fail_request(n, fault);
            auto first = fsck_run(device, repair_all());
            tried++;
            // A failed read is tried again; nothing else may go unnoticed.
            const bool told = !first || first->repaired < first->found;
            if (device.first_failed() != FaultyDevice::Request::kRead) REQUIRE(told);
            if (fault == Fault::kOnce && device.first_failed() == FaultyDevice::Request::kRead) {
                REQUIRE(!told);
                lived++;
            }
            auto again = fsck_run(target, repair_all());
            EXO_REQUIRE_OK(again);
            REQUIRE(again->repaired == again->found);
            if (tried % 4 == 0) {
                require_sound(target);
                require_same(wanted, contents_of(target), test.name);
            }
        };
#ifdef __SANITIZE_ADDRESS__
        const uint64_t step = 5;
#else
        const uint64_t step = 1;
#endif
        const uint64_t most = undisturbed.requests();
        for (uint64_t n = 1; n <= most; n += step) {
            attempt(n, Fault::kOnce);
            constexpr Fault kOthers[] = {Fault::kTorn, Fault::kWrites, Fault::kForEver};
            for (size_t i = 0; i < 3; i++)
                if (rounds() > 1 || n % 6 == i) attempt(n, kOthers[i]);
        }
    }
    MESSAGE(tried << " repairs met an I/O error; " << lived << " read past it");
    CHECK(tried > 600);
}

TEST_CASE("a journal that waits to be replayed outlives the errors of a repair") {
    const QuietLog quiet;
    using Fault = FaultyDevice::Fault;
    MemoryDevice crashed(sample().image);
    {
        MemoryDevice image(crashed);
        auto v = mount(image);
        for (int i = 0; i < 3; i++) {
            const Ino ino = make_file(*v, kRootIno, "late" + std::to_string(i));
            EXO_REQUIRE_OK(v->write(ino, 0, bytes_of("synced")));
            EXO_REQUIRE_OK(v->sync());
        }
        crashed.become(image);
        EXO_REQUIRE_OK(v->close());
    }
    Surgeon(crashed).ruin(1024);  // something to repair beside it
    size_t tried = 0;
    for (const Fault fault : {Fault::kOnce, Fault::kTorn, Fault::kWrites, Fault::kForEver}) {
        for (uint64_t n = 1;; n++) {
            CAPTURE(n);
            CAPTURE(int(fault));
            MemoryDevice image(crashed);
            FaultyDevice device(image);
            device.fail_request(n, fault);
            (void)fsck_run(device, repair_all());
            if (device.first_failed() == FaultyDevice::Request::kNone) break;
            tried++;
            EXO_REQUIRE_OK(fsck_run(image, repair_all()));
            auto v = mount(image);
            for (int i = 0; i < 3; i++) {
                const auto late = v->lookup(kRootIno, "late" + std::to_string(i));
                EXO_REQUIRE_OK(late);
                CHECK(read_all(*v, late->ino) == "synced");
            }
            EXO_REQUIRE_OK(v->close());
        }
    }
    CHECK(tried > 60);
}

TEST_CASE("metadata that cannot be read is reported; the check ends") {
    const QuietLog quiet;
    // A block cannot be read at all, however it is asked for.
    class Unreadable final : public BlockDevice {
      public:
        Unreadable(MemoryDevice& under, BlockNo block) : under_(under), block_(block) {}
        Result<> run(std::span<const IoRequest> requests) override {
            for (const IoRequest& request : requests) {
                uint64_t length = 0;
                for (const iovec& piece : request.buffers) length += piece.iov_len;
                const uint64_t bad = block_ * kBlockBytes;
                if (request.offset_bytes <= bad && bad < request.offset_bytes + length) {
                    if (request.kind == IoKind::kRead && !healed_) return fail(EIO, "a bad sector");
                    healed_ = healed_ || request.kind != IoKind::kRead;  // drives remap on writes
                }
                EXO_TRY(under_.run({&request, 1}));
            }
            return {};
        }
        Result<> flush() override { return {}; }
        Result<> discard(uint64_t, uint64_t) override { return {}; }
        uint64_t size_bytes() const override { return under_.size_bytes(); }
        uint32_t logical_block_bytes() const override { return 512; }
        bool read_only() const override { return false; }
        const std::string& name() const override { return under_.name(); }

      private:
        MemoryDevice& under_;
        BlockNo block_;
        bool healed_ = false;
    };
    MemoryDevice whole(sample().image);
    Surgeon s(whole);
    const auto& inos = sample().inos;
    std::vector<BlockNo> blocks{0,
                                1,
                                kSystemPlace,
                                1024,
                                1025,
                                1030,
                                s.record_block(inos.at("/plain")),
                                s.bitmap_block(kRootIno),
                                s.leaf(inos.at("/many"), 1),
                                s.leaf(inos.at("/fragmented")),
                                s.nodes(inos.at("/many")).front().block,
                                s.nodes(inos.at("/tagged"), true).front().block};
    for (BlockNo block : blocks) {
        CAPTURE(block);
        MemoryDevice image(sample().image);
        Unreadable device(image, block);
        auto checked = fsck_check(device);
        EXO_REQUIRE_OK(checked);
        CHECK(checked->found > 0);
        auto repaired = fsck_run(device, repair_all());
        EXO_REQUIRE_OK(repaired);
        auto second = fsck_check(device);
        EXO_REQUIRE_OK(second);
        for (const auto& problem : second->problems) FAIL_CHECK(problem);
    }
}
