// SPDX-License-Identifier: MIT
// Scripts about names, links, directories and attributes.
#include <sys/sysmacros.h>

#include "tests/crash/workloads.h"

namespace exo::test {

namespace {
std::string padded(const char* stem, int number, size_t length) {
    std::string name = stem + std::to_string(number) + "-";
    return name + std::string(length - name.size(), 'n');
}
}  // namespace

Script script_kinds() {
    Script s;
    s.mkdir("dir").create("dir/file").mknod("dir/pipe", S_IFIFO | 0600, 0);
    s.mknod("dir/socket", S_IFSOCK | 0755, 0).mknod("dir/null", S_IFCHR | 0666, makedev(1, 3));
    s.mknod("disk", S_IFBLK | 0640, makedev(8, 1)).sync();
    s.symlink("short", "dir/file").symlink("long", std::string(3500, 'l')).fsync("dir");
    s.link("dir/file", "hard").link("dir/pipe", "pipe").sync();
    s.unlink("dir/file").unlink("long").unlink("dir/null").sync();
    s.unlink("pipe").unlink("dir/pipe").unlink("hard").unlink("dir/socket").rmdir("dir");
    s.unlink("disk").unlink("short").sync();
    return s;
}

Script script_rename() {
    Script s;
    s.mkdir("a").mkdir("b").create("a/one").create("a/two").mkdir("a/sub").create("a/sub/deep");
    s.write("a/one", 0, 700, '1').write("a/two", 0, 9000, '2').sync();
    s.rename("a/one", "a/uno").sync();
    s.rename("a/uno", "b/one").fsync("b/one");
    s.rename("a/two", "b/one").sync();  // over a file
    s.create("a/x").write("a/x", 0, 100, 'x').create("b/y").symlink("b/z", "nowhere").sync();
    s.rename("a/x", "b/y", RenameMode::kExchange).fsync("b/y");
    s.rename("b/z", "a/x", RenameMode::kExchange).sync();
    s.rename("b/z", "b/new", RenameMode::kNoReplace);
    s.rename("a/sub", "b/sub").sync();  // a directory moves: its `..` changes
    s.mkdir("a/empty").rename("b/sub", "a/empty").fsync("a");  // over an empty directory
    s.mkdir("c").create("c/f").rename("a/empty", "c", RenameMode::kExchange).sync();
    s.rename("b/new", "b/new2").rename("b/new2", "b/new3").rename("b/new3", "top").sync();
    // The way editors save.
    for (int i = 0; i < 5; i++) {
        s.create("draft").write("draft", 0, size_t(300 + 4000 * i), char('A' + i)).fsync("draft");
        s.rename("draft", "document");
    }
    s.fsync("document").sync();
    return s;
}

Script script_links() {
    Script s;
    s.create("file").write("file", 0, 5000, 'f').mkdir("d").sync();
    for (int i = 0; i < 12; i++) {
        s.link("file", padded("d/link", i, 40));
        if (i % 3 == 2) s.fsync("file");
    }
    s.sync();
    for (int i = 0; i < 12; i++) {
        s.unlink(padded("d/link", i, 40));
        if (i % 4 == 3) s.fsync("d");
    }
    s.unlink("file").sync().rmdir("d").sync();
    return s;
}

Script script_attributes() {
    Script s;
    s.create("file").mkdir("dir").symlink("soft", "file").sync();
    s.chmod("file", 0600).fsync("file").chown("file", 1000, 1001).fsync("file");
    s.utimens("file", 1000000000).fsync("file").chmod("dir", 01777).chown("dir", 7, 8);
    s.utimens("dir", -5).fsync("dir").utimens("soft", 1).chown("soft", 3, 4).sync();
    s.chmod("file", 04755).utimens("file", 2000000000).fdatasync("file").sync();
    s.write("file", 0, 10, 'w').utimens("file", 3).fsync("file");
    s.chmod("file", 0).chmod("dir", 0).sync();
    return s;
}

Script script_xattrs() {
    Script s;
    s.create("f").mkdir("d").symlink("l", "f").sync().set_xattr("f", "user.a", "1").fsync("f");
    s.set_xattr("f", "user.b", std::string(300, 'b')).set_xattr("l", "trusted.l", "of a link");
    s.fsync("f").set_xattr("f", "user.a", std::string(2000, 'A')).sync();
    for (int i = 0; i < 8; i++)
        s.set_xattr("d", "user." + std::to_string(i), std::string(size_t(500 * i + 1), 'x'));
    s.fsync("d").set_acl("f", true, 1000).fsync("f").set_acl("d", false, 1001).sync();
    s.create("d/heir")
        .chmod("f", 0700)
        .fsync("f")
        .remove_xattr("f", "user.b")
        .set_acl("f", true, 7);
    s.sync().set_xattr("f", "security.c", std::string(20, 'c')).rename("f", "d/g").fsync("d/g");
    for (int i = 0; i < 8; i += 2) s.remove_xattr("d", "user." + std::to_string(i));
    s.fsync("d").unlink("l").unlink("d/g").sync().unlink("d/heir").rmdir("d").sync();
    return s;
}

// Enough names to split nodes of the directory several times, and enough removals to empty them.
Script script_directory() {
    Script s;
    s.mkdir("dir");
    for (int i = 0; i < 120; i++) {
        s.create(padded("dir/", i, 180));
        if (i % 10 == 9) s.fsync("dir");
        if (i % 40 == 39) s.rename(padded("dir/", i, 180), padded("dir/moved", i, 60));
    }
    s.sync();
    for (int i = 0; i < 120; i++) {
        if (i % 40 != 39) s.unlink(padded("dir/", i, 180));
        if (i % 12 == 11) s.fsync("dir");
    }
    s.sync();
    return s;
}

// Files without names, and files that lose theirs while somebody has them open.
Script script_unnamed() {
    Script s;
    s.unnamed("t").write("@t", 0, 6000, 't').fsync("@t").name("t", "named").sync().release("t");
    s.unnamed("u").write("@u", 0, 20000, 'u').sync().release("u").sync();
    s.unnamed("n").name("n", "first").write("@n", 0, 3000, 'n').fsync("first").release("n");
    s.create("open").write("open", 0, 30000, 'o').sync().hold("open", "o").unlink("open").sync();
    s.write("@o", 8192, 9000, 'O').sync().truncate("@o", 100).sync().release("o").sync();
    s.create("over").create("victim").write("victim", 0, 12000, 'v').sync();
    s.hold("victim", "v").rename("over", "victim").sync().write("@v", 0, 50, 'V').sync();
    s.release("v").sync();
    s.mkdir("gone").hold("gone", "g").rmdir("gone").sync().release("g").sync();
    s.unnamed("last").write("@last", 0, 4096, 'l').sync();
    return s;
}

// A log that is written around several times, with metadata blocks freed and used again.
Script script_wrap() {
    Script s;
    s.mkdir("dir");
    for (int round = 0; round < 3; round++) {
        const char stem[] = {'d', 'i', 'r', '/', char('a' + round), 0};
        for (int i = 0; i < 24; i++) {
            s.create(padded(stem, i, 200));
            if (i % 2 == 1) s.sync();
        }
        for (int i = 0; i < 24; i++) s.unlink(padded(stem, i, 200));
        s.sync();
    }
    return s;
}

Script script_unmount() {
    Script s;
    s.create("file").write("file", 0, 9000, 'f').mkdir("dir").create("dir/x");
    return s;
}

}  // namespace exo::test
