// SPDX-License-Identifier: MIT
// Listings and the audit trail: what is shown, to whom, in which order.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "rig.h"

using namespace exo::test;

namespace {

template <typename Entry>
std::vector<Entry> list_all(uint32_t kind, uint32_t per_page, uint32_t volume = 0) {
    std::vector<Entry> all, page(per_page);
    exo_list request = {};
    request.kind = kind;
    request.entry_bytes = sizeof(Entry);
    request.buffer = reinterpret_cast<uint64_t>(page.data());
    request.buffer_bytes = static_cast<uint32_t>(page.size() * sizeof(Entry));
    request.volume_id = volume;
    do {
        REQUIRE(call(open_exo(), EXO_IOC_LIST, &request) == 0);
        REQUIRE(request.count <= per_page);
        all.insert(all.end(), page.begin(), page.begin() + request.count);
    } while (request.count);
    return all;
}

struct Audit {
    explicit Audit(uint32_t flags = EXO_AUDIT_FROM_NOW,
                   uint32_t event_bytes = sizeof(exo_audit_event)) {
        exo_audit_open request = {.flags = flags, .event_bytes = event_bytes};
        fd = Fd(call(open_exo(), EXO_IOC_AUDIT_OPEN, &request));
        REQUIRE(fd);
        REQUIRE(fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0);
    }
    std::vector<exo_audit_event> take() {
        std::vector<exo_audit_event> events(64);
        ssize_t n = read(fd.get(), events.data(), events.size() * sizeof(exo_audit_event));
        if (n < 0) {
            REQUIRE(errno == EAGAIN);
            n = 0;
        }
        REQUIRE(static_cast<size_t>(n) % sizeof(exo_audit_event) == 0);
        events.resize(static_cast<size_t>(n) / sizeof(exo_audit_event));
        return events;
    }
    Fd fd;
};

}  // namespace

TEST_SUITE_BEGIN("lists");

TEST_CASE("arguments of a listing") {
    drop_shared_programs();
    exo_list good = {};
    good.kind = EXO_LIST_PROGRAMS;
    good.entry_bytes = sizeof(exo_program_entry);
    auto answer = [](exo_list request) { return call(open_exo(), EXO_IOC_LIST, &request); };
    CHECK(answer(good) == 0);
    exo_list bad = good;
    for (uint32_t kind : {0u, 6u, UINT32_MAX}) {
        bad.kind = kind;
        CHECK(answer(bad) == -EINVAL);
    }
    bad = good;
    for (uint32_t bytes : {0u, 4097u, UINT32_MAX}) {
        bad.entry_bytes = bytes;
        CHECK(answer(bad) == -EINVAL);
    }
    bad = good;
    bad.reserved = 1;
    CHECK(answer(bad) == -EINVAL);
    Program act("test_act");
    bad = good;
    bad.buffer = 8;
    bad.buffer_bytes = 1 << 20;
    CHECK(answer(bad) == -EFAULT);
    bad.cursor = ~0ULL;
    CHECK(answer(bad) == 0);
}

TEST_CASE("objects are listed in order of id, whatever the page size") {
    drop_shared_programs();
    Rig rig;
    for (uint64_t ino = 100; ino < 130; ino++) {
        REQUIRE(pin(rig.volume, ino, 1, 4096, {}) == 0);
    }
    for (uint32_t per_page : {1u, 7u, 31u, 100u}) {
        auto pins = list_all<exo_pin_entry>(EXO_LIST_PINS, per_page);
        REQUIRE(pins.size() == 31);
        CHECK(std::is_sorted(pins.begin(), pins.end(),
                             [](const auto& a, const auto& b) { return a.pin_id < b.pin_id; }));
        CHECK(pins[0].ino == kIno);
        CHECK(pins[0].generation == kGeneration);
        CHECK(pins[0].size_bytes == kMiB);
        CHECK(pins[0].extents == 1);
        CHECK(pins[0].grants == 1);
        CHECK(pins[0].state == EXO_PIN_STATE_LIVE);
        CHECK(pins[30].ino == 129);
    }
    CHECK(list_all<exo_pin_entry>(EXO_LIST_PINS, 5, rig.info.volume_id).size() == 31);
    CHECK(list_all<exo_pin_entry>(EXO_LIST_PINS, 5, rig.info.volume_id + 1).empty());

    auto volumes = list_all<exo_volume_entry>(EXO_LIST_VOLUMES, 4);
    REQUIRE(volumes.size() == 1);
    CHECK(volumes[0].volume_id == rig.info.volume_id);
    CHECK((volumes[0].flags & EXO_VOLUME_STATE_DAEMON));
    CHECK((volumes[0].flags & EXO_VOLUME_STATE_BOUND));
    CHECK(memcmp(volumes[0].uuid, kUuid.data(), kUuid.size()) == 0);
    CHECK("/dev/" + std::string(volumes[0].disk_name) == device_path());
    CHECK(volumes[0].size_bytes == rig.info.size_bytes);
    CHECK(volumes[0].pins == 31);
    CHECK(volumes[0].grants == 1);

    Program act("test_act");
    run(rig.grant, act.id(), test_act_args{});
    auto grants = list_all<exo_grant_entry>(EXO_LIST_GRANTS, 3);
    REQUIRE(grants.size() == 1);
    CHECK(grants[0].traversals == 1);
    CHECK(grants[0].hops == 1);
    CHECK(grants[0].bytes == 4096);
    CHECK(grants[0].in_flight == 0);

    auto programs = list_all<exo_program_entry>(EXO_LIST_PROGRAMS, 3);
    auto found = std::find_if(programs.begin(), programs.end(),
                              [&](const auto& p) { return p.program_id == act.id(); });
    REQUIRE(found != programs.end());
    CHECK(std::string(found->name) == "test_act");
    CHECK(found->traversals == 1);
    CHECK(found->steps == 1);
    CHECK(found->in_flight == 0);
}

TEST_CASE("entries of an older and of a newer caller") {
    Rig rig;
    struct Newer {
        exo_pin_entry known;
        uint64_t more;
    };
    std::vector<Newer> newer(1);
    newer[0].more = ~0ULL;
    exo_list request = {};
    request.kind = EXO_LIST_PINS;
    request.entry_bytes = sizeof(Newer);
    request.buffer = reinterpret_cast<uint64_t>(newer.data());
    request.buffer_bytes = sizeof(Newer);
    REQUIRE(call(open_exo(), EXO_IOC_LIST, &request) == 0);
    CHECK(request.count == 1);
    CHECK(newer[0].known.ino == kIno);
    CHECK(newer[0].more == 0);

    uint64_t older[3] = {1, 1, ~0ULL};
    request.entry_bytes = 16;
    request.buffer = reinterpret_cast<uint64_t>(older);
    request.buffer_bytes = 16;
    request.cursor = 0;
    REQUIRE(call(open_exo(), EXO_IOC_LIST, &request) == 0);
    CHECK(request.count == 1);
    CHECK(older[1] == kIno);
    CHECK(older[2] == ~0ULL);
}

TEST_CASE("the audit trail tells the whole story") {
    drop_shared_programs();
    Audit audit;
    CHECK(audit.take().empty());
    uint32_t program_id = 0;
    {
        Rig rig;
        Program act("test_act");
        program_id = act.id();
        test_act_args outside = {
            .offset = 2 * kMiB, .len = 4096, .read = 1, .verdict = EXO_NEXT, .report_len = 0};
        run(rig.grant, act.id(), test_act_args{});
        run(rig.grant, act.id(), outside);
        open_grant(open_path(rig.mount.path("other"), O_RDONLY).get());
        rig.grant.reset();
    }
    auto events = audit.take();
    std::vector<uint32_t> types;
    for (const auto& event : events) {
        types.push_back(event.type);
        CHECK(event.pid == static_cast<uint32_t>(getpid()));
        CHECK(event.uid == getuid());
        CHECK(event.time_ns > 0);
    }
    // The program detaches in the background, when its link is freed.
    auto detached = std::find(types.begin(), types.end(), EXO_AUDIT_PROGRAM_DETACH);
    if (detached != types.end()) {
        types.erase(detached);
    }
    CHECK(types == std::vector<uint32_t>{EXO_AUDIT_VOLUME_ATTACH, EXO_AUDIT_MOUNT_BIND,
                                         EXO_AUDIT_PIN, EXO_AUDIT_GRANT_OPEN,
                                         EXO_AUDIT_PROGRAM_ATTACH, EXO_AUDIT_TRAVERSAL_FAILED,
                                         EXO_AUDIT_GRANT_DENIED, EXO_AUDIT_GRANT_CLOSE,
                                         EXO_AUDIT_UNPIN, EXO_AUDIT_VOLUME_DETACH});
    for (size_t i = 1; i < events.size(); i++) {
        CHECK(events[i].sequence == events[i - 1].sequence + 1);
    }
    REQUIRE(events.size() >= 10);
    const exo_audit_event& failure = events[5];
    CHECK(failure.cause == EXO_END_OUT_OF_FILE);
    CHECK(failure.hop == 1);
    CHECK(failure.file_offset == 2 * kMiB);
    CHECK(failure.length == 4096);
    CHECK(failure.program_id == program_id);
    CHECK(failure.ino == kIno);
    const exo_audit_event& denied = events[6];
    CHECK(denied.error == -ENODATA);
    CHECK(denied.ino == kIno + 1);
    const exo_audit_event& closed = events[7];
    CHECK(closed.traversals == 2);
    CHECK(closed.hops == 2);
    CHECK(closed.bytes == 8192);
}

TEST_CASE("a user's failures cannot fill the ring, and none goes uncounted") {
    constexpr uint32_t kNobody = 65534;
    constexpr uint64_t kFailures = 3000;
    Audit audit;
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        if (setgid(kNobody) || setuid(kNobody)) {
            _exit(1);
        }
        for (uint64_t i = 0; i < kFailures; i++) {
            if (open_grant(-1).error != -EBADF) {
                _exit(2);
            }
        }
        _exit(0);
    }
    auto begin = std::chrono::steady_clock::now();
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin)
            .count();
    uint64_t kept = 0, suppressed = 0;
    for (int i = 0; i < 100 && kept + suppressed < kFailures; i++) {
        for (const exo_audit_event& event : audit.take()) {
            CHECK(event.uid == kNobody);
            kept += event.type == EXO_AUDIT_GRANT_DENIED;
            suppressed += event.type == EXO_AUDIT_SUPPRESSED ? event.length : 0;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    CHECK(kept + suppressed == kFailures);
    CHECK(kept >= 16);
    CHECK(kept <= 16 * (static_cast<uint64_t>(seconds) + 2));
}

TEST_CASE("audit events of an older and of a newer caller") {
    struct Newer {
        exo_audit_event known;
        uint64_t more;
    };
    constexpr size_t kOlder = offsetof(exo_audit_event, cause);
    Audit newer(EXO_AUDIT_FROM_NOW, sizeof(Newer));
    Audit older(EXO_AUDIT_FROM_NOW, kOlder);
    open_grant(-1);
    open_grant(-1);

    std::vector<Newer> whole(3);
    whole[0].more = whole[1].more = ~0ULL;
    CHECK(read(newer.fd.get(), whole.data(), sizeof(Newer) - 1) == -1);
    CHECK(errno == EINVAL);
    REQUIRE(read(newer.fd.get(), whole.data(), 3 * sizeof(Newer)) == 2 * sizeof(Newer));
    CHECK(whole[1].known.sequence == whole[0].known.sequence + 1);
    CHECK(whole[1].known.type == EXO_AUDIT_GRANT_DENIED);
    CHECK(whole[0].more == 0);
    CHECK(whole[1].more == 0);

    std::vector<uint8_t> cut(2 * kOlder + 1, 0xa5);
    REQUIRE(read(older.fd.get(), cut.data(), cut.size()) == 2 * kOlder);
    CHECK(memcmp(&cut[0], &whole[0], kOlder) == 0);
    CHECK(memcmp(&cut[kOlder], &whole[1], kOlder) == 0);
    CHECK(cut.back() == 0xa5);
}

TEST_CASE("an audit reader") {
    Audit audit;
    uint8_t small[sizeof(exo_audit_event) - 1];
    CHECK(read(audit.fd.get(), small, sizeof(small)) == -1);
    CHECK(errno == EINVAL);
    pollfd p = {.fd = audit.fd.get(), .events = POLLIN, .revents = 0};
    CHECK(poll(&p, 1, 0) == 0);
    for (int i = 0; i < 3; i++) {
        open_grant(-1);
    }
    CHECK(poll(&p, 1, 0) == 1);
    // Whole events only, oldest first, each once.
    std::vector<exo_audit_event> two(3);
    CHECK(read(audit.fd.get(), two.data(), 3 * sizeof(exo_audit_event) - 1) ==
          2 * sizeof(exo_audit_event));
    CHECK(two[0].type == EXO_AUDIT_GRANT_DENIED);
    CHECK(two[0].error == -EBADF);
    auto rest = audit.take();
    REQUIRE(rest.size() == 1);
    CHECK(rest[0].sequence == two[1].sequence + 1);

    // One that falls behind finds a gap, and the loss is counted.
    exo_stats before = stats();
    Audit slow;
    uint64_t first = rest[0].sequence + 1;
    for (int i = 0; i < 10000; i++) {
        open_grant(-1);
    }
    auto late = slow.take();
    REQUIRE(!late.empty());
    CHECK(late[0].sequence > first);
    exo_stats after = stats();
    CHECK(after.audit_events - before.audit_events == 10000);
    CHECK(after.audit_lost - before.audit_lost >= 10000 - 8192);
    CHECK(after.denied_grants - before.denied_grants == 10000);
}

TEST_SUITE_END();
