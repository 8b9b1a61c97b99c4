// SPDX-License-Identifier: MIT
// Programs: what the verifier and the type refuse, names and ids, and detaching one that runs.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <thread>

#include "rig.h"

using namespace exo::test;

TEST_SUITE_BEGIN("programs");

TEST_CASE("what must be refused is refused, with a log that says why") {
    drop_shared_programs();
    int tried = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(EXO_TEST_BPF_SOURCE_DIR "/refused")) {
        std::string name = entry.path().filename();
        name.resize(name.find('.'));
        CAPTURE(name);
        std::ifstream source(entry.path());
        std::string text((std::istreambuf_iterator<char>(source)), {});
        std::smatch expected;
        REQUIRE(std::regex_search(text, expected, std::regex(R"(/\* expect: (\S.*) \*/)")));
        std::string log = load_log(EXO_TEST_BPF_DIR "/refused/" + name + ".bpf.o");
        CHECK_MESSAGE(!log.empty(), "was accepted");
        CHECK_MESSAGE(std::regex_search(log, std::regex(expected[1].str())), log);
        tried++;
    }
    CHECK(tried == 22);
    CHECK(stats().programs == 0);
}

TEST_CASE("a name is taken once, ids are never used again") {
    drop_shared_programs();
    uint32_t first_id = 0;
    {
        Program first("test_act");
        first_id = first.id();
        std::string log = load_log(EXO_TEST_BPF_DIR "/test_act.bpf.o");
        CHECK(log.find("File exists") != std::string::npos);
        Program other("test_stride");
        CHECK(other.id() > first_id);
        CHECK(stats().programs == 2);
    }
    for (int i = 0; i < 100 && stats().programs; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    CHECK(stats().programs == 0);
    Program again("test_act");
    CHECK(again.id() > first_id + 1);
    Rig rig;
    CHECK(run(rig.grant, first_id, test_act_args{}).error == -ENOENT);
}

TEST_CASE("detaching a program ends its traversals") {
    drop_shared_programs();
    Rig rig(64 * 4096);
    exo_grant_open request = {};
    request.hop_limit = UINT32_MAX;
    Opened most = rig.regrant(request);
    REQUIRE(most.error == 0);
    for (int round = 0; round < 5; round++) {
        Program stride("test_stride");
        exo_outcome outcome[4] = {};
        std::vector<std::thread> busy;
        for (exo_outcome& o : outcome) {
            busy.emplace_back([&] {
                test_stride_args for_ever = {.stride = 4096, .count = 0, .len = 4096};
                o = run(most.fd, stride.id(), for_ever, {.timeout_ms = 30000}).outcome;
            });
        }
        for (int i = 0; i < 10000 && stats().traversals_in_flight < 4; i++) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        stride.detach();
        for (std::thread& t : busy) {
            t.join();
        }
        for (const exo_outcome& o : outcome) {
            CHECK((o.cause == EXO_END_DETACHED || o.cause == EXO_END_HOP_LIMIT));
        }
        CHECK(outcome[0].cause == EXO_END_DETACHED);
        for (int i = 0; i < 100 && stats().programs; i++) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        CHECK(stats().programs == 0);
    }
}

TEST_SUITE_END();
