// SPDX-License-Identifier: MIT
// Scripts about file content, space and pins.
#include "tests/crash/workloads.h"

namespace exo::test {

namespace {
constexpr auto kAllocate = FallocateMode::kAllocate, kPunch = FallocateMode::kPunchHole,
               kZero = FallocateMode::kZeroRange;
}

Script script_append() {
    Script s;
    s.create("log").create("other").create("idle").sync();
    for (int i = 0; i < 24; i++) {
        s.write("log", uint64_t(i) * 1500, 1500, char('a' + i));
        if (i % 6 == 5) s.fsync("idle");  // flushes what is not its own
        if (i % 3 == 2) s.fdatasync("log");
        if (i % 5 == 4) s.write("other", uint64_t(i) * 700, 700, 'o');
        if (i % 10 == 9) s.fsync("other");
    }
    s.sync().write("log", 60000, 100, 'z').fsync("log").truncate("log", 70000).fsync("log").sync();
    return s;
}

Script script_overwrite() {
    Script s;
    s.create("db").write("db", 0, 65536, '0').create("small").write("small", 0, 1000, '0').sync();
    for (int i = 0; i < 10; i++) {
        s.write("db", uint64_t(i * 7 % 16) * 4096, 4096, char('A' + i));
        s.write("db", uint64_t(i * 5 % 13) * 4096 + 1000, 700, char('a' + i));
        s.write("small", uint64_t(i) * 90, 120, char('a' + i));
        if (i % 2 == 1) s.fdatasync("db");
        if (i % 3 == 2) s.fsync("small");
    }
    s.write("db", 60000, 12000, 'e').fsync("db").sync();
    return s;
}

Script script_truncate() {
    Script s;
    s.create("f").write("f", 0, 50000, 'f').create("g").write("g", 0, 3000, 'g').sync();
    s.truncate("f", 40000).fsync("f").truncate("f", 45000).fsync("f");
    s.truncate("f", 20480).sync().truncate("f", 100).write("f", 8000, 3000, 'h').fsync("f");
    s.truncate("g", 1).truncate("g", 5000).fsync("g").truncate("g", 4097).sync();
    s.write("g", 10000, 10, 'i').truncate("g", 9000).truncate("g", 20000).fsync("g");
    s.truncate("f", 0).fsync("f").write("f", 0, 30000, 'j').fsync("f").truncate("f", 0);
    s.write("f", 0, 5000, 'k').truncate("f", 1 << 20).fsync("f").truncate("f", 511).sync();
    s.write("f", 511, 2, 'l').fsync("f").truncate("f", 4096).sync();
    return s;
}

Script script_allocate() {
    Script s;
    s.create("f").create("g").sync();
    s.fallocate("f", kAllocate, 0, 65536, false).fsync("f").write("f", 4096, 8192, 'a').fsync("f");
    s.write("f", 30000, 100, 'b').sync().fallocate("g", kAllocate, 0, 100000, true).fsync("g");
    s.write("g", 0, 5000, 'c').write("g", 50000, 4096, 'd').fdatasync("g");
    s.fallocate("g", kAllocate, 1000, 200000, false).fsync("g").truncate("g", 60000).sync();
    s.fallocate("f", kAllocate, 60000, 30000, true).write("f", 65536, 9000, 'e').fsync("f");
    s.truncate("f", 66000).fsync("f").unlink("g").sync();
    return s;
}

Script script_punch() {
    Script s;
    s.create("f").write("f", 0, 65536, 'f').create("g").write("g", 0, 65536, 'g').sync();
    s.fallocate("f", kPunch, 8192, 8192, true).fsync("f");
    s.fallocate("f", kPunch, 30000, 10000, true).fsync("f");
    s.write("f", 9000, 100, 'h').fsync("f").fallocate("f", kPunch, 60000, 90000, true).sync();
    s.fallocate("g", kZero, 4096, 12288, true).fsync("g").write("g", 5000, 3000, 'i').fsync("g");
    // Written before the zeroing is durable, into the blocks that it keeps.
    s.fallocate("g", kZero, 24576, 8192, true).write("g", 26000, 1000, 'k').sync();
    // A part of the last block, before the truncation is durable.
    s.truncate("f", 21000).fallocate("f", kPunch, 20900, 3000, true).sync();
    s.fallocate("g", kZero, 20100, 300, false).fsync("g");
    s.fallocate("g", kZero, 60000, 30000, false).fsync("g").write("g", 80000, 5000, 'j').sync();
    s.fallocate("g", kZero, 0, 90000, true).sync().fallocate("g", kPunch, 0, 90000, true).sync();
    return s;
}

// Many extents: the tree of the file splits, and is freed in steps.
Script script_extents() {
    Script s;
    s.create("sparse").sync();
    for (uint64_t i = 0; i < 150; i++) {
        s.write("sparse", i * 8192, 2000, char('a' + i % 26));
        if (i % 25 == 24) s.fsync("sparse");
    }
    s.fallocate("sparse", kAllocate, 0, 150 * 8192, true).fsync("sparse");
    for (uint64_t i = 0; i < 40; i++) s.write("sparse", i * 24576 + 4096, 4096, 'w');
    s.fsync("sparse").fallocate("sparse", kPunch, 100000, 500000, true).fsync("sparse");
    s.truncate("sparse", 700000).fsync("sparse").truncate("sparse", 5000).sync();
    s.unlink("sparse").sync();
    return s;
}

Script script_copy() {
    Script s;
    s.create("from").write("from", 0, 40000, 'c').create("to").sync();
    s.copy("from", 0, "to", 0, 40000).fsync("to");
    s.copy("from", 5000, "to", 20000, 10000).fsync("to");
    s.copy("to", 0, "to", 50000, 9000).fdatasync("to").copy("from", 1, "to", 100000, 30).sync();
    return s;
}

Script script_pins() {
    Script s;
    s.create("f").write("f", 0, 20000, 'p').pin("f").create("g").write("g", 0, 100, 'g').sync();
    s.rename("f", "f2").chmod("f2", 0400).sync().unlink("g").create("h").pin("h").sync();
    s.unpin("f2").write("f2", 0, 3000, 'q').fsync("f2").truncate("f2", 1000).pin("f2");
    s.sync().hold("h", "h").unlink("h").sync().release("h").sync().unpin("f2").sync();
    return s;
}

// Pins by lease, which end with a crash; and unlinked files that only a pin keeps, beside others
// that want their space.
Script script_leases() {
    Script s;
    s.create("l").write("l", 0, 9000, 'l').lease("l").create("p").write("p", 0, 30000, 'p');
    s.pin("p").rename("l", "m").chmod("m", 0400).sync().hold("m", "m").unlink("m").sync();
    s.create("both").write("both", 0, 5000, 'b').lease("both").pin("both").sync();
    s.hold("p", "p").unlink("p").sync();
    for (int i = 0; i < 3; i++) {
        const std::string file = "other" + std::to_string(i);
        s.create(file).write(file, 0, 60000, char('x' + i)).fsync(file);
        if (i > 0) s.unlink(file).sync();
    }
    s.unpin("@m").release("m").sync().unpin("@p").release("p").sync();
    s.create("late").write("late", 0, 50000, 'L').fsync("late").unpin("both");
    s.write("both", 1000, 6000, 'B').fsync("both").lease("both").unpin("both");
    s.truncate("both", 100).sync();
    return s;
}

// Space is used again as soon as it may be, by data and by metadata in turn.
Script script_reuse() {
    Script s;
    s.mkdir("d").sync();
    for (int i = 0; i < 8; i++) {
        const std::string file = "big" + std::to_string(i % 2);
        s.create(file).write(file, 0, 200000, char('a' + i));
        if (i % 2 == 0) s.fsync(file);
        for (int k = 0; k < 6; k++)
            s.create("d/" + std::to_string(k) + std::string(190, 'r'))
                .write("d/" + std::to_string(k) + std::string(190, 'r'), 0, 100, char('0' + k));
        s.sync();
        s.unlink(file);
        for (int k = 0; k < 6; k++) s.unlink("d/" + std::to_string(k) + std::string(190, 'r'));
        if (i % 3 == 0) s.fsync("d");
    }
    s.sync();
    return s;
}

// A volume filled to the last block, so that what was freed must be used again at once.
Script script_full() {
    Script s;
    s.create("keep").write("keep", 0, 10000, 'k').sync();
    for (int round = 0; round < 3; round++) {
        s.create("fill").custom("fill the volume", [](Play& play) -> Result<> {
            EXO_TRY_ASSIGN(const Ino file, play.find("fill"));
            const auto room = play.volume.statfs().blocks_available * 4096;
            auto done = play.volume.fallocate(file, FallocateMode::kAllocate, 0,
                                              room > 65536 ? room - 65536 : 4096, false);
            play.volume.close_ref(file);
            return done;
        });
        s.fsync("fill").create("last").write("last", 0, 40000, char('x' + round)).fsync("last");
        s.truncate("fill", 100000).write("last", 40000, 60000, char('A' + round)).fsync("last");
        s.unlink("fill").unlink("last").sync();
    }
    return s;
}

// Mounted with the discard option: the device hears of what is freed.
Script script_discard() {
    Script s;
    s.create("f").write("f", 0, 100000, 'f').create("g").write("g", 0, 50000, 'g').sync();
    s.truncate("f", 30000).sync().write("g", 50000, 60000, 'h').fsync("g");
    s.fallocate("g", kPunch, 10000, 50000, true).fsync("g").unlink("f").sync();
    s.create("h").write("h", 0, 120000, 'i').fsync("h").trim().write("g", 10000, 50000, 'j');
    s.fsync("g").unlink("h").sync().trim().create("i").write("i", 0, 80000, 'k').sync();
    return s;
}

Script script_medley() {
    Script s;
    s.mkdir("d").create("d/f").write("d/f", 0, 20000, 'a').fsync("d/f").symlink("d/s", "target");
    s.link("d/f", "hard").create("e").write("e", 100, 9000, 'e').sync();
    s.write("d/f", 5000, 6000, 'b').fdatasync("d/f").rename("e", "d/e").truncate("d/e", 3000);
    s.fsync("d").write("d/e", 3000, 5000, 'c').fallocate("d/e", kAllocate, 0, 40000, false);
    s.fsync("d/e").fallocate("d/f", kPunch, 3000, 9000, true).fsync("d/f").chmod("d/f", 0600);
    s.utimens("hard", 77).sync().unlink("hard").mkdir("d/sub").create("d/sub/x").fsync("d/sub");
    s.rename("d/sub/x", "d/s").hold("d/e", "e").unlink("d/e").sync().write("@e", 0, 100, 'z');
    s.release("e").rmdir("d/sub").sync().create("p").write("p", 0, 5000, 'p').pin("p");
    s.rename("p", "q").sync().unpin("q").write("q", 4000, 3000, 'q').fsync("q").trim().sync();
    return s;
}

}  // namespace exo::test
