// SPDX-License-Identifier: MIT
// Every call that makes, lists or takes back something, with everything that it needs failing in
// turn, the module's loading included. Traversals are traversal_faults_test.cc's.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "rig.h"
#include "sweep.h"

using namespace exo::test;
using namespace std::chrono_literals;

TEST_SUITE_BEGIN("faults");

TEST_CASE("attach") {
    Fd exo = open_exo();
    Fd device = open_path(device_path(), O_RDWR);
    Fd volume;
    sweep(
        "EXO_IOC_ATTACH",
        [&] {
            exo_attach request = {};
            request.device_fd = device.get();
            request.uuid[0] = 1;
            int ret = call(exo, EXO_IOC_ATTACH, &request);
            volume = Fd(ret);
            return ret;
        },
        [&] {
            volume.reset();
            CHECK(stats().volumes == 0);
        });
}

TEST_CASE("pins, and what is made of them") {
    Rig rig(64 * 4096);
    Fd root = open_path(rig.mount.path(), O_RDONLY | O_DIRECTORY);
    Fd exo = open_exo();
    sweep("EXO_VOLUME_BIND_MOUNT", [&] {
        exo_bind_mount request = {.mount_fd = root.get(), .flags = 0};
        return call(rig.volume, EXO_VOLUME_BIND_MOUNT, &request);
    });
    for (uint64_t count : {1, 16, 4096}) {
        std::vector<exo_extent> extents;
        for (uint64_t i = 0; i < count; i++) {
            extents.push_back({i * 4096, (count - 1 - i) * 4096, 4096});
        }
        sweep(
            "EXO_VOLUME_PIN", [&] { return pin(rig.volume, 99, 1, count * 4096, extents); },
            // A pin whose answer could not be told is there.
            [&] {
                int ret = unpin(rig.volume, 99, 1);
                CHECK((ret == 0 || ret == -ENOENT));
                CHECK(stats().pins == 1);
            });
    }
    sweep(
        "EXO_VOLUME_UNPIN",
        [&] {
            int ret = unpin(rig.volume, kIno, kGeneration);
            // Not a second time, if it was just the answer that did not arrive.
            return ret == -ENOENT ? 0 : ret;
        },
        [&] {
            int ret = pin(rig.volume, kIno, kGeneration, 64 * 4096, {{0, 0, 64 * 4096}});
            CHECK((ret == 0 || ret == -EEXIST));
        });
    Fd opened;
    sweep(
        "EXO_IOC_GRANT_OPEN",
        [&] {
            exo_grant_open request = {};
            request.file_fd = rig.file.get();
            int ret = call(exo, EXO_IOC_GRANT_OPEN, &request);
            opened = Fd(ret);
            return ret;
        },
        [&] {
            opened.reset();
            CHECK(stats().grants <= 1);
        });
    rig.grant = std::move(rig.regrant().fd);
    REQUIRE(rig.grant);
    Fd derived;
    sweep(
        "EXO_GRANT_DERIVE",
        [&] {
            exo_grant_derive request = {};
            int ret = call(rig.grant, EXO_GRANT_DERIVE, &request);
            derived = Fd(ret);
            return ret;
        },
        [&] {
            derived.reset();
            CHECK(stats().grants == 1);
        });
    std::array<int32_t, 16> grants = {};
    grants.fill(rig.grant.get());
    Fd set;
    sweep(
        "EXO_IOC_SET_CREATE",
        [&] {
            exo_set_create request = {};
            request.grant_fds = reinterpret_cast<uint64_t>(grants.data());
            request.count = static_cast<uint32_t>(grants.size());
            int ret = call(exo, EXO_IOC_SET_CREATE, &request);
            set = Fd(ret);
            return ret;
        },
        [&] { set.reset(); });
    sweep("EXO_GRANT_REVOKE", [&] {
        exo_grant_revoke request = {};
        return call(rig.grant, EXO_GRANT_REVOKE, &request);
    });
    std::vector<uint8_t> entries(8192);
    for (uint32_t kind :
         {EXO_LIST_VOLUMES, EXO_LIST_PINS, EXO_LIST_GRANTS, EXO_LIST_PROGRAMS, EXO_LIST_TENANTS}) {
        sweep("EXO_IOC_LIST", [&] {
            exo_list request = {};
            request.kind = kind;
            request.entry_bytes = 256;
            request.buffer = reinterpret_cast<uint64_t>(entries.data());
            request.buffer_bytes = static_cast<uint32_t>(entries.size());
            return call(exo, EXO_IOC_LIST, &request);
        });
    }
    sweep("EXO_IOC_INFO", [&] {
        exo_info request = {};
        return call(exo, EXO_IOC_INFO, &request);
    });
    sweep("EXO_IOC_STATS", [&] {
        exo_stats request = {};
        return call(exo, EXO_IOC_STATS, &request);
    });
    sweep("EXO_GRANT_INFO", [&] {
        exo_grant_entry request = {};
        return call(rig.grant, EXO_GRANT_INFO, &request);
    });
    shared_program("test_stride");
    sweep("EXO_IOC_PROGRAM_FIND", [&] {
        exo_program_find request = {};
        strcpy(request.name, "test_stride");
        return call(exo, EXO_IOC_PROGRAM_FIND, &request);
    });
    // Of a tenant that nobody is: it is made and forgotten.
    exo_tenant_set terms = {};
    terms.volume_id = rig.info.volume_id;
    terms.key = 4711;
    sweep(
        "EXO_IOC_TENANT_SET",
        [&] {
            terms.weight = 200;
            return call(exo, EXO_IOC_TENANT_SET, &terms);
        },
        [&] {
            terms.weight = 0;
            CHECK(call(exo, EXO_IOC_TENANT_SET, &terms) == 0);
        });
    Fd audit;
    sweep(
        "EXO_IOC_AUDIT_OPEN",
        [&] {
            exo_audit_open request = {.flags = 0, .event_bytes = sizeof(exo_audit_event)};
            int ret = call(exo, EXO_IOC_AUDIT_OPEN, &request);
            audit = Fd(ret);
            return ret;
        },
        [&] { audit.reset(); });
    exo_audit_open request = {.flags = 0, .event_bytes = sizeof(exo_audit_event)};
    audit = Fd(call(exo, EXO_IOC_AUDIT_OPEN, &request));
    REQUIRE(audit);
    std::vector<exo_audit_event> events(16);
    sweep("reading the audit trail", [&] {
        ssize_t bytes = read(audit.get(), events.data(), events.size() * sizeof(events[0]));
        return bytes < 0 ? -errno : static_cast<int>(bytes);
    });
    expect_idle();
}

TEST_CASE("everything goes at once") {
    auto rig = std::make_unique<Rig>(64 * 4096);
    uint32_t id = rig->info.volume_id;
    Fd exo = open_exo();
    auto anew = [&] {
        rig->volume.reset();
        rig.reset();
        for (int i = 0; i < 500 && stats().volumes; i++) {
            exo_release release = {.volume_id = id, .grace_ms = 0};
            call(exo, EXO_IOC_RELEASE, &release);
            std::this_thread::sleep_for(2ms);
        }
        REQUIRE(stats().volumes == 0);
        CHECK(stats().pins == 0);
        CHECK(stats().grants == 0);
        rig = std::make_unique<Rig>(64 * 4096);
        id = rig->info.volume_id;
    };
    sweep(
        "EXO_VOLUME_DETACH",
        [&] {
            exo_detach request = {};
            int ret = call(rig->volume, EXO_VOLUME_DETACH, &request);
            // The second time, if only its answer did not arrive the first time.
            return ret == -ENODEV ? 0 : ret;
        },
        anew);
    sweep(
        "EXO_IOC_RELEASE",
        [&] {
            // What the daemon left.
            rig->volume.reset();
            exo_release request = {.volume_id = id, .grace_ms = 0};
            int ret = call(exo, EXO_IOC_RELEASE, &request);
            return ret == -ENOENT ? 0 : ret;
        },
        anew);
    rig.reset();
    CHECK(stats().volumes == 0);
}

TEST_CASE("attaching a program") {
    drop_shared_programs();
    libbpf_set_print(nullptr);
    std::string path = std::string(EXO_TEST_BPF_DIR) + "/test_stride.bpf.o";
    for (unsigned nth = 1; nth < kMostFaults; nth += 1 + nth / 16) {
        bpf_object* object = bpf_object__open_file(path.c_str(), nullptr);
        REQUIRE(bpf_object__load(object) == 0);
        bpf_map* map = bpf_object__next_map(object, nullptr);
        while (map && bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS) {
            map = bpf_object__next_map(object, map);
        }
        Fault fault(nth);
        bpf_link* link = bpf_map__attach_struct_ops(map);
        bool happened = fault.stop();
        bool attached = link;
        bpf_link__destroy(link);
        bpf_object__close(object);
        if (!happened) {
            CHECK(attached);
            MESSAGE("attaching a program: " << nth - 1 << " faults");
            break;
        }
    }
    drop_shared_programs();  // waits until the module has none
}

// The kernel itself allocates most of what loading takes. The module's own part comes last.
TEST_CASE("loading the module") {
    const char* path = std::getenv("EXO_MODULE");
    const char* given = std::getenv("EXO_MODULE_ARGS");
    if (!path) {
        return;
    }
    constexpr unsigned kMany = 1000000;
    constexpr unsigned kOwn = 80;
    std::string arguments = given ? given : "";
    Fd file = open_path(path, O_RDONLY);
    auto load = [&] {
        return syscall(SYS_finit_module, file.get(), arguments.c_str(), 0) ? -errno : 0;
    };
    auto unload = [&] {
        for (int i = 0; i < 500 && syscall(SYS_delete_module, "exo", O_NONBLOCK); i++) {
            REQUIRE(errno != ENOENT);
            std::this_thread::sleep_for(20ms);
        }
    };
    drop_shared_programs();
    unload();
    Fault count(kMany);
    int ret = load();
    unsigned chances = kMany - count.left();
    count.stop();
    REQUIRE(ret == 0);
    unload();
    unsigned refused = 0;
    for (unsigned nth = chances > kOwn ? chances - kOwn : 1; nth <= chances; nth++) {
        CAPTURE(nth);
        Fault fault(nth);
        ret = load();
        fault.stop();
        CHECK(definite(ret));
        refused += ret != 0;
        if (ret == 0) {
            unload();
        }
    }
    REQUIRE(load() == 0);
    MESSAGE("loading: " << chances << " faults, the last " << kOwn << " tried, " << refused
                        << " of them refused");
}

TEST_SUITE_END();
