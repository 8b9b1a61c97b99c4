// SPDX-License-Identifier: MIT
// Who gets how much of a device that tenants share. They are run by tests/vm/16-uapi-fairness.sh on
// a device whose time is the bottleneck; elsewhere only what does not depend on that. Processors
// are cpu_fairness_test.cc's, rates are rates_test.cc's.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <tuple>

#include "parameter.h"
#include "rig.h"
#include "tenants.h"

using namespace exo::test;
using namespace std::chrono_literals;

TEST_SUITE_BEGIN("fairness");

TEST_CASE("a light tenant beside a greedy one") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    const Competitor light = {.uid = 1001, .in_flight = 4};
    const Competitor greedy = {.uid = 1002, .in_flight = 300};
    Share alone = compete(rig, {light})[0];
    std::vector<Share> both = compete(rig, {light, greedy});
    double device = both[0].reads + both[1].reads;
    // It gets half of the device, or all that it can use.
    double fair = std::min(alone.reads, device / 2);
    CHECK(both[0].reads >= 0.8 * fair);
    // And the other one gets the rest: nothing is held back for nobody.
    double most = compete(rig, {greedy})[0].reads;
    CHECK(device >= 0.8 * most);
}

TEST_CASE("a read that waits in line takes the fast path from nobody") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    const Competitor heavy = {
        .uid = 1002, .in_flight = 8, .weight = EXO_WEIGHT_MAX, .hops = 50, .late_ms = 200};
    if (!compete(rig, {heavy})[0].direct) {
        MESSAGE("this kernel reissues nothing in an interrupt");
        return;
    }
    // There is no room for most of these until the other one comes, and no turn afterwards.
    const Competitor crowd = {.uid = 1001, .in_flight = 64, .weight = 1};
    CHECK(compete(rig, {crowd, heavy})[1].direct > 0);
}

TEST_CASE("equal tenants get equal parts") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    std::vector<Competitor> loads;
    for (uint32_t i = 0; i < 8; i++) {
        loads.push_back({.uid = 1001 + i, .in_flight = 8 + 4 * i});
    }
    double index = jain(compete(rig, loads));
    MESSAGE("Jain's index " << index);
    CHECK(index >= 0.95);
}

// Three tenants whose weights are as 1:2:4.
void check_weights(Rig& rig, Competitor one, double tolerance) {
    std::vector<Competitor> three;
    for (uint32_t i = 0; i < 3; i++) {
        three.push_back(one);
        three.back().uid = 1001 + i;
        three.back().weight = 100u << i;
    }
    std::vector<Share> shares = compete(rig, three, 2500ms);
    double whole = shares[0].reads + shares[1].reads + shares[2].reads;
    CHECK(shares[0].reads / whole == doctest::Approx(1 / 7.).epsilon(tolerance));
    CHECK(shares[1].reads / whole == doctest::Approx(2 / 7.).epsilon(tolerance));
    CHECK(shares[2].reads / whole == doctest::Approx(4 / 7.).epsilon(tolerance));
}

TEST_CASE("parts follow weights, of first reads and of those that are reissued") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    for (uint16_t engine : {EXO_ENGINE_COMPLETION, EXO_ENGINE_DISPATCH}) {
        CAPTURE(engine);
        check_weights(rig, {.in_flight = 16, .hops = 1, .engine = engine}, 0.1);
        check_weights(rig, {.in_flight = 8, .hops = 8, .engine = engine}, 0.1);
    }
    // As it is by default.
    Parameter keep("fair_keep_us", 500);
    check_weights(rig, {.in_flight = 16, .hops = 2}, 0.1);
}

TEST_CASE("grants of one tenant share its part by their weights") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    Competitor one = {.uid = 1001, .in_flight = 16};
    Competitor three = one, other = one;
    one.terms.weight = 100;
    three.terms.weight = 300;
    other.uid = 1002;
    std::vector<Share> shares = compete(rig, {one, three, other}, 2500ms);
    CHECK(shares[1].reads / shares[0].reads == doctest::Approx(3).epsilon(0.15));
    CHECK((shares[0].reads + shares[1].reads) / shares[2].reads == doctest::Approx(1).epsilon(0.1));
}

TEST_CASE("tenants may be cgroups") {
    if (!slow_device()) {
        return;
    }
    const std::string groups = "/sys/fs/cgroup/exo-fair-";
    Parameter on("cgroup_tenants", "Y");
    Rig rig(64 * 4096);
    std::vector<Competitor> two;
    for (const char* name : {"a", "b"}) {
        REQUIRE(mkdir((groups + name).c_str(), 0755) == 0);
        two.push_back({.uid = 1001, .in_flight = 16, .cgroup = groups + name});
    }
    two[0].weight = 100;
    two[1].weight = 300;
    std::vector<Share> shares = compete(rig, two, 2500ms);
    CHECK(shares[1].reads / shares[0].reads == doctest::Approx(3).epsilon(0.15));

    // Listed by its number; without privilege one sees the one that one is in.
    struct stat a = {};
    REQUIRE(stat((groups + "a").c_str(), &a) == 0);
    pid_t child = fork();
    if (child == 0) {
        Fd procs = open_path(groups + "a/cgroup.procs", O_WRONLY);
        bool fine = write(procs.get(), "0", 1) == 1 && !setresuid(1001, 1001, 1001);
        Fd exo = open_exo();
        exo_grant_open request = {};
        request.file_fd = rig.file.get();
        fine &= call(exo, EXO_IOC_GRANT_OPEN, &request) >= 0;
        std::vector<exo_tenant_entry> seen = tenants();
        fine &= seen.size() == 1 && seen[0].key == a.st_ino && seen[0].flags & EXO_TENANT_CGROUP;
        _exit(fine ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    for (const Competitor& c : two) {
        CHECK(rmdir(c.cgroup.c_str()) == 0);
    }
}

TEST_CASE("bytes count, not reads") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 65536);
    std::vector<Share> shares = compete(
        rig, {{.uid = 1001, .in_flight = 64}, {.uid = 1002, .in_flight = 64, .read_bytes = 16384}});
    CHECK(shares[0].reads / shares[1].reads == doctest::Approx(4).epsilon(0.15));
}

TEST_CASE("traversals that explode take no more than their tenant's part") {
    if (!slow_device()) {
        return;
    }
    Rig rig(64 * 4096);
    const Competitor light = {.uid = 1001, .in_flight = 4};
    Share alone = compete(rig, {light})[0];
    std::vector<Share> both = compete(
        rig,
        {light,
         {.uid = 1002, .in_flight = 32, .hops = 16, .program = "test_explode", .fan_out = 16}});
    double device = both[0].reads + both[1].reads;
    CHECK(both[0].reads >= 0.8 * std::min(alone.reads, device / 2));
}

// ---- on any device ----

TEST_CASE("turns of polled reads follow weights") {
    Rig rig(64 * 4096);
    const Program& stride = shared_program("test_stride");
    const test_stride_args args = {.stride = 4096, .count = 1, .len = 4096};
    if (slow_device() || run(rig.grant, stride.id(), args, {.engine = EXO_ENGINE_POLLED}).error) {
        return;
    }
    // So few at once that the rest waits for its turn.
    Parameter depth("fair_depth", 1);
    check_weights(rig, {.in_flight = 8, .hops = 4, .engine = EXO_ENGINE_POLLED}, 0.2);
}

TEST_CASE("parameters are bounded") {
    for (auto [name, least, most] : {std::tuple{"step_budget_us", 10, 10000},
                                     {"fair_depth", 1, 1024},
                                     {"fair_keep_us", 0, 10000}}) {
        CAPTURE(name);
        Parameter parameter(name);
        CHECK(parameter.set(std::to_string(least)) == 0);
        CHECK(parameter.set(std::to_string(least - 1)) == -EINVAL);
        CHECK(parameter.get() == std::to_string(least));
        CHECK(parameter.set(std::to_string(most)) == 0);
        CHECK(parameter.set(std::to_string(most + 1)) == -EINVAL);
        CHECK(parameter.get() == std::to_string(most));
    }
}

TEST_CASE("weights, and what the administrator sets, are bounded and listed") {
    Rig rig(64 * 4096);
    auto weight_of = [](const Fd& grant) {
        exo_grant_entry entry = {};
        REQUIRE(call(grant, EXO_GRANT_INFO, &entry) == 0);
        return entry.weight;
    };
    auto opened_with = [&](uint32_t weight) {
        exo_grant_open terms = {};
        terms.weight = weight;
        Opened opened = rig.regrant(terms);
        REQUIRE(opened.error == 0);
        return std::move(opened.fd);
    };
    CHECK(weight_of(rig.grant) == EXO_WEIGHT_DEFAULT);
    CHECK(weight_of(opened_with(1)) == 1);
    CHECK(weight_of(opened_with(EXO_WEIGHT_MAX)) == EXO_WEIGHT_MAX);
    CHECK(weight_of(opened_with(EXO_WEIGHT_MAX + 1)) == EXO_WEIGHT_MAX);
    Fd parent = opened_with(50);
    for (auto [asked, got] : {std::pair{0u, 50u}, {49u, 49u}, {50u, 50u}, {51u, 50u}}) {
        CAPTURE(asked);
        exo_grant_derive wish = {};
        wish.weight = asked;
        Fd child(call(parent, EXO_GRANT_DERIVE, &wish));
        REQUIRE(child);
        CHECK(weight_of(child) == got);
    }

    exo_tenant_set good = {};
    good.volume_id = rig.info.volume_id;
    good.key = 4711;
    good.weight = 300;
    auto answer = [](exo_tenant_set request) {
        return call(open_exo(), EXO_IOC_TENANT_SET, &request);
    };
    exo_tenant_set bad = good;
    bad.flags = 2;
    CHECK(answer(bad) == -EINVAL);
    bad.volume_id = 0;  // arguments come before the volume
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.volume_id++;
    CHECK(answer(bad) == -ENOENT);
    bad = good;
    bad.weight = EXO_WEIGHT_MAX + 1;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.key = UINT32_MAX;
    CHECK(answer(bad) == -EINVAL);

    // Kept without any grant, and forgotten when the terms are the usual ones.
    CHECK(tenant(4711).tenant_id == 0);
    CHECK(answer(good) == 0);
    CHECK(tenant(4711).weight == 300);
    CHECK(tenant(4711).grants == 0);
    CHECK(tenant(4711).flags == EXO_TENANT_KEPT);
    CHECK(tenant(4711).volume_id == rig.info.volume_id);
    good.weight = EXO_WEIGHT_MAX;
    CHECK(answer(good) == 0);
    CHECK(tenant(4711).weight == EXO_WEIGHT_MAX);
    exo_tenant_set usual = good;
    usual.weight = 0;
    CHECK(answer(usual) == 0);
    CHECK(tenant(4711).tenant_id == 0);
    CHECK(answer(usual) == 0);

    // A cgroup's number may be a user's, too, and is another tenant.
    good.flags = EXO_TENANT_CGROUP;
    CHECK(answer(good) == 0);
    CHECK(tenant(4711).flags == (EXO_TENANT_CGROUP | EXO_TENANT_KEPT));

    // The one who opened the grant; without privilege one sees nobody else.
    exo_grant_entry entry = {};
    REQUIRE(call(rig.grant, EXO_GRANT_INFO, &entry) == 0);
    CHECK(entry.tenant_id == tenant(0).tenant_id);
    CHECK(tenant(0).grants >= 1);
    CHECK(tenants().size() == 2);
    pid_t child = fork();
    if (child == 0) {
        bool fine = !setresuid(1001, 1001, 1001);
        int exo = open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC);
        exo_grant_open request = {};
        request.file_fd = rig.file.get();
        int grant = ioctl(exo, EXO_IOC_GRANT_OPEN, &request);
        fine &= grant >= 0 && ioctl(exo, EXO_IOC_TENANT_SET, &good) < 0 && errno == EPERM;
        std::vector<exo_tenant_entry> seen = tenants();
        fine &= seen.size() == 1 && seen[0].key == 1001 && seen[0].grants == 1;
        _exit(fine ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(tenant(1001).tenant_id == 0);

    // All of it goes with the volume.
    exo_detach detach = {};
    REQUIRE(call(rig.volume, EXO_VOLUME_DETACH, &detach) == 0);
    rig.volume.reset();
    rig.grant.reset();
    parent.reset();
    CHECK(tenants().empty());
}

TEST_SUITE_END();
