// SPDX-License-Identifier: MIT
// Every class of damage is found by its name and repaired; a second check finds nothing, and what
// was not harmed is as it was.
#include <algorithm>

#include "fs/volume/posix_acl.h"
#include "tests/unit/fs/fsck/damage.h"

using namespace exo;
using namespace exo::test;

namespace {

FsckReport run(BlockDevice& device, FsckMode mode) {
    FsckOptions options;
    options.mode = mode;
    auto report = fsck_run(device, options);
    EXO_REQUIRE_OK(report);
    return *report;
}

bool names(const FsckReport& report, Damage damage) {
    return std::ranges::any_of(report.findings,
                               [&](const FsckFinding& f) { return f.damage == damage; });
}

bool harmed(const DamageCase& test, const std::string& path) {
    return std::ranges::any_of(test.harmed, [&](const std::string& other) {
        return other == "*" || path == other || path.starts_with(other + "/");
    });
}

// Files without a path any more are in /lost+found, whole.
bool kept_elsewhere(const Contents& after, const std::string& path, const std::string& text) {
    auto ino = sample().inos.find(path);
    if (ino == sample().inos.end()) return false;
    auto it = after.find("/lost+found/#" + std::to_string(ino->second));
    return it != after.end() && it->second == text;
}

void check_contents(const DamageCase& test, const Contents& after) {
    size_t wrong = 0;
    std::string first;
    for (const auto& [path, text] : sample().contents) {
        auto it = after.find(path);
        if (it != after.end() && it->second == text) continue;
        if (harmed(test, path) || kept_elsewhere(after, path, text)) continue;
        if (wrong++ == 0) first = path + (it == after.end() ? " is gone" : " has other content");
    }
    CHECK_MESSAGE(wrong == 0, test.name << ": " << wrong << " are harmed: " << first);
}

}  // namespace

TEST_CASE("the sample is sound") {
    MemoryDevice image(sample().image);
    require_sound(image);
    CHECK(run(image, FsckMode::kRepair).found == 0);
    CHECK(sample().contents.size() > 700);
}

TEST_CASE("each class of damage is found and repaired, and the rest is intact") {
    const QuietLog quiet;
    std::set<Damage> seen;
    for (const DamageCase& test : damage_cases()) {
        CAPTURE(test.name);
        MemoryDevice image(sample().image);
        test.seed(image);
        const MemoryDevice damaged(image);
        const FsckReport checked = run(image, FsckMode::kCheck);
        CHECK_MESSAGE(names(checked, test.damage), test.name << " was not found");
        if (!names(checked, test.damage))
            for (const auto& problem : checked.problems) MESSAGE("instead: " << problem);
        CHECK_FALSE(checked.written);
        CHECK(checked.repaired == 0);
        seen.insert(test.damage);

        // A safe repair is made only if all of it is safe.
        {
            MemoryDevice careful(damaged);
            const FsckReport report = run(careful, FsckMode::kSafe);
            const bool safe = std::ranges::all_of(
                report.findings, [](const FsckFinding& f) { return damage_class(f.damage).safe; });
            CHECK(report.written == safe);
            CHECK(report.repaired == (safe ? report.found : 0));
        }

        const FsckReport repaired = run(image, FsckMode::kRepair);
        CHECK(repaired.repaired == repaired.found);
        CHECK(repaired.found == checked.found);
        const FsckReport second = run(image, FsckMode::kCheck);
        for (const auto& problem : second.problems) FAIL_CHECK(test.name << ": still " << problem);
        const Contents after = contents_of(image);
        check_contents(test, after);
        // It can be written, too, and stays sound.
        {
            auto v = mount(image);
            v->close_ref(make_file(*v, kRootIno, "after the repair"));
            EXO_REQUIRE_OK(v->close());
        }
        require_sound(image);
    }
    for (unsigned i = 0; i < kDamageClasses; i++)
        CHECK_MESSAGE(seen.contains(Damage(i)),
                      "no test of the class " << damage_class(Damage(i)).name);
}

TEST_CASE("blocks of two files: one user gets a copy, another user nothing") {
    const QuietLog quiet;
    for (const DamageCase& test : damage_cases()) {
        const bool same = test.name == "blocks of two files of one user";
        if (!same && test.name != "blocks of two files of different users") continue;
        MemoryDevice image(sample().image);
        test.seed(image);
        CHECK(run(image, FsckMode::kRepair).repaired > 0);
        auto v = mount(image);
        CHECK(read_all(*v, sample().inos.at("/plain")) == std::string(20000, 'a'));
        CHECK(read_all(*v, sample().inos.at("/other")) == std::string(20000, same ? 'a' : '\0'));
        // The copy is the file's own.
        EXO_REQUIRE_OK(v->write(sample().inos.at("/other"), 0, bytes_of("changed")));
        CHECK(read_all(*v, sample().inos.at("/plain")) == std::string(20000, 'a'));
        EXO_REQUIRE_OK(v->close());
        require_sound(image);
    }
}

TEST_CASE("who loses an ACL does not leave its mask to the group") {
    const QuietLog quiet;
    MemoryDevice image(sample().image);
    const auto test = std::ranges::find(damage_cases(), "malformed ACL", &DamageCase::name);
    REQUIRE(test != damage_cases().end());
    test->seed(image);
    CHECK(run(image, FsckMode::kRepair).repaired > 0);
    auto v = mount(image);
    CHECK(v->getattr(sample().inos.at("/shared"))->mode == (S_IFREG | 0600));
}

TEST_CASE("where mode and ACL differ, what both allow is allowed") {
    const QuietLog quiet;
    MemoryDevice image(sample().image);
    const Ino ino = sample().inos.at("/shared");
    // More for the group and others than the ACL has, less for the owner.
    Surgeon(image).change_record(ino, [](InodeRecord& r) { r.mode = S_IFREG | S_ISUID | 0477; });
    CHECK(run(image, FsckMode::kSafe).repaired == 1);
    auto v = mount(image);
    CHECK(v->getattr(ino)->mode == (S_IFREG | S_ISUID | 0460));
    const auto acl = parse_acl(*v->get_xattr(ino, kAclAccessName));
    EXO_REQUIRE_OK(acl);
    CHECK(*acl == Acl{{kAclUserObj, 4, UINT32_MAX},
                      {kAclUser, 4, 1001},
                      {kAclGroupObj, 0, UINT32_MAX},
                      {kAclMask, 6, UINT32_MAX},
                      {kAclOther, 0, UINT32_MAX}});
    EXO_REQUIRE_OK(v->close());
    require_sound(image);
}

TEST_CASE("a lost directory comes back with its names, closed to others") {
    const QuietLog quiet;
    MemoryDevice image(sample().image);
    Surgeon s(image);
    s.ruin(s.record_block(sample().inos.at("/many")));
    CHECK(run(image, FsckMode::kRepair).repaired > 0);
    auto v = mount(image);
    auto many = v->lookup(kRootIno, "many");
    EXO_REQUIRE_OK(many);
    CHECK(many->mode == (S_IFDIR | 0700));
    CHECK(many->uid == 0);
    auto entries = v->readdir(many->ino, 0, 1000);
    EXO_REQUIRE_OK(entries);
    CHECK(entries->size() > 690);
}

TEST_CASE("old nodes of other times are not believed") {
    const QuietLog quiet;
    MemoryDevice image = fresh_image();
    Ino file;
    {
        auto v = mount(image);
        file = make_file(*v, kRootIno, "file");
        for (uint64_t i = 0; i < 100; i++)
            EXO_REQUIRE_OK(v->write(file, i * 8192, bytes_of("secret")));
        EXO_REQUIRE_OK(v->sync());
        EXO_REQUIRE_OK(v->truncate(file, 0));
        EXO_REQUIRE_OK(v->close());
    }
    Surgeon s(image);
    s.change_record(file, [](InodeRecord& r) { r.data_root[0] = std::byte{77}; });
    CHECK(run(image, FsckMode::kRepair).repaired > 0);
    auto v = mount(image);
    CHECK(read_all(*v, file).empty());
}

TEST_CASE("a backup can be chosen") {
    const QuietLog quiet;
    MemoryDevice image(sample().image);
    Surgeon s(image);
    s.ruin(1024);
    FsckOptions options;
    options.backup = 1024;
    EXO_CHECK_CODE(fsck_run(image, options), EUCLEAN);
    options.backup = image.size_bytes() / kBlockBytes - 1;
    image.poke(300, "x", 1);
    options.mode = FsckMode::kRepair;
    auto report = fsck_run(image, options);
    EXO_REQUIRE_OK(report);
    CHECK(names(*report, Damage::kSuperblock));
    CHECK(names(*report, Damage::kBackup));
    require_sound(image);
    options.backup = 1u << 30;
    EXO_CHECK_CODE(fsck_run(image, options), EINVAL);
}

TEST_CASE("a journal that was not replayed: in memory by a check, on the device by a repair") {
    const QuietLog quiet;
    MemoryDevice image(sample().image);
    auto v = mount(image);
    EXO_REQUIRE_OK(v->write(make_file(*v, kRootIno, "late"), 0, bytes_of("synced")));
    EXO_REQUIRE_OK(v->sync());
    MemoryDevice crashed(image);
    EXO_REQUIRE_OK(v->close());
    const MemoryDevice before(crashed);
    const FsckReport checked = run(crashed, FsckMode::kCheck);
    CHECK(checked.journal_replayed);
    CHECK(checked.found == 0);
    std::vector<std::byte> a(crashed.size_bytes()), b(crashed.size_bytes());
    before.peek(0, a.data(), a.size());
    crashed.peek(0, b.data(), b.size());
    CHECK(a == b);
    const FsckReport repaired = run(crashed, FsckMode::kSafe);
    CHECK(repaired.journal_replayed);
    CHECK_FALSE(run(crashed, FsckMode::kCheck).journal_replayed);
    CHECK(contents_of(crashed).contains("/late"));
}

TEST_CASE("a question that is answered no leaves the problem and says so") {
    const QuietLog quiet;
    for (const DamageCase& test : damage_cases()) {
        CAPTURE(test.name);
        MemoryDevice image(sample().image);
        test.seed(image);
        const MemoryDevice damaged(image);
        FsckOptions options;
        options.mode = FsckMode::kAsk;
        options.ask = [](std::string_view, std::string_view) { return false; };
        auto report = fsck_run(image, options);
        if (!report) continue;  // without it nothing else can be found
        CHECK(report->found > 0);
        CHECK(report->repaired == 0);
    }
}

TEST_CASE("cancelled before anything is written") {
    const QuietLog quiet;
    MemoryDevice image(sample().image);
    Surgeon(image).ruin(1);
    FsckOptions options;
    options.mode = FsckMode::kRepair;
    options.cancelled = [] { return true; };
    EXO_CHECK_CODE(fsck_run(image, options), ECANCELED);
    CHECK(names(run(image, FsckMode::kCheck), Damage::kBitmap));
}
