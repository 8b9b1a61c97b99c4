// SPDX-License-Identifier: MIT
// Copies of ranges, and where files are put.
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

TEST_CASE("a copied range has the source's data and holes") {
    MemoryDevice device = fresh_image();
    auto v = mount(device);
    const Ino from = make_file(*v, kRootIno, "from"), to = make_file(*v, kRootIno, "to");
    EXO_REQUIRE_OK(v->write(from, 1000, bytes_of(std::string(9000, 'a'))));
    EXO_REQUIRE_OK(v->write(from, 200000, bytes_of(std::string(70000, 'b'))));
    EXO_REQUIRE_OK(v->truncate(from, 400000));
    EXO_REQUIRE_OK(v->write(to, 0, bytes_of(std::string(600000, 'z'))));
    CHECK(*v->copy_range(from, 0, to, 8192, 1u << 30) == 400000);
    const std::string content = read_all(*v, to);
    REQUIRE(content.size() == 600000);
    CHECK(content.substr(0, 8192) == std::string(8192, 'z'));
    CHECK(content.substr(8192, 400000) == read_all(*v, from));
    CHECK(content.substr(408192) == std::string(600000 - 408192, 'z'));
    CHECK(*v->seek(to, 8192 + 100000, SEEK_DATA) >= 8192 + 196608);  // the hole is one
    // To the end of an empty file, holes at its end included.
    const Ino fresh = make_file(*v, kRootIno, "fresh");
    CHECK(*v->copy_range(from, 100, fresh, 0, 500000) == 399900);
    CHECK(read_all(*v, fresh) == read_all(*v, from).substr(100));
    CHECK(v->getattr(fresh)->blocks_512 < v->getattr(to)->blocks_512);
    CHECK(*v->copy_range(from, 400000, to, 0, 10) == 0);
    CHECK(*v->copy_range(from, 0, to, 0, 0) == 0);
    EXO_CHECK_CODE(v->copy_range(from, 0, from, 5000, 5001), EINVAL);
    CHECK(*v->copy_range(from, 0, from, 500000, 100000) == 100000);
    EXO_CHECK_CODE(v->copy_range(kRootIno, 0, to, 0, 10), EISDIR);
    EXO_REQUIRE_OK(v->set_pinned(to, false));
    EXO_CHECK_CODE(v->copy_range(from, 0, to, 0, 10), EPERM);
    CHECK(*v->copy_range(to, 0, fresh, 0, 10) == 10);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

TEST_CASE("a file goes where its placement says, if there is room") {
    MemoryDevice device = fresh_image(64u << 20);
    auto v = mount(device);
    const Ino file = make_file(*v, kRootIno, "file"), near = make_file(*v, kRootIno, "near");
    constexpr uint64_t kGoal = 40u << 20;
    EXO_REQUIRE_OK(v->set_placement(file, kGoal));
    EXO_REQUIRE_OK(v->write(file, 0, bytes_of(std::string(8192, 'x'))));
    CHECK(v->extents_of(file, 0, 1)->front().disk_offset == kGoal);
    EXO_REQUIRE_OK(v->set_placement_near(near, file));
    EXO_REQUIRE_OK(v->fallocate(near, FallocateMode::kAllocate, 0, 8192, false));
    const uint64_t placed = v->extents_of(near, 0, 1)->front().disk_offset;
    CHECK(placed >= kGoal + 8192);
    CHECK(placed < kGoal + (4u << 20));
    // Where another file is already, the next place counts, not one far away.
    const Ino late = make_file(*v, kRootIno, "late");
    EXO_REQUIRE_OK(v->set_placement(late, kGoal + 4096));
    EXO_REQUIRE_OK(v->write(late, 0, bytes_of(std::string(300000, 'l'))));
    const uint64_t next = v->extents_of(late, 0, 1)->front().disk_offset;
    CHECK(next >= kGoal + 8192);
    CHECK(next < kGoal + (1u << 20));
    // Blocks that follow others stay with them; behind a gap the wish counts again.
    EXO_REQUIRE_OK(v->set_placement(late, 20u << 20));
    EXO_REQUIRE_OK(v->write(late, 300000, bytes_of(std::string(300000, 'm'))));
    CHECK(v->extents_of(late, 0, 10)->size() == 1);
    EXO_REQUIRE_OK(v->write(late, 10u << 20, bytes_of(std::string(300000, 'n'))));
    CHECK(v->extents_of(late, 10u << 20, 1)->front().disk_offset == 20u << 20);
    // Taken back: no more than any other file.
    EXO_REQUIRE_OK(v->set_placement(late, 0));
    EXO_REQUIRE_OK(v->write(late, 30u << 20, bytes_of(std::string(4096, 'o'))));
    CHECK(v->extents_of(late, 30u << 20, 1)->front().disk_offset == (20u << 20) + 303104);
    EXO_CHECK_CODE(v->set_placement(file, 64u << 20), EINVAL);
    EXO_CHECK_CODE(v->set_placement(kRootIno, kGoal), EINVAL);
    EXO_CHECK_CODE(v->set_placement_near(file, kRootIno), EINVAL);
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}
