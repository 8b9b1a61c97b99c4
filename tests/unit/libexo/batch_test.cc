// SPDX-License-Identifier: MIT
// Many keys, or many traversals, in one call: each has its own answer, and errors name what failed.
#include <fcntl.h>

#include <cstring>
#include <exo/grant.hpp>
#include <set>
#include <string>

#include "index_support.h"

TEST_CASE("a batch of keys is answered as each of them alone") {
    Random random(5);
    Records records = awkward_records(3000, random);
    exo::File file = build(records);
    exo::Index index = open_index(file);
    std::vector<std::string> keys;
    for (const auto& [key, value] : records) {
        keys.push_back(key);
        keys.push_back(neighbour(key, random));
    }
    keys.push_back(std::string(EXO_INDEX_KEY_MAX + 1, 'k'));  // no index can hold it
    std::vector<exo_lookup> hows;
    std::vector<exo::Index::Answer> answers = index.lookup_batch(keys, &hows);
    REQUIRE(answers.size() == keys.size());
    for (size_t at = 0; at < keys.size(); at++) {
        exo_lookup how = {};
        auto alone = index.lookup(keys[at], &how);
        REQUIRE(alone);
        REQUIRE(answers[at]);
        CHECK(*answers[at] == *alone);
        CHECK(hows[at].hops == how.hops);
        CHECK(hows[at].value_len == how.value_len);
    }
    CHECK(index.lookup_batch({}).empty());
}

TEST_CASE("errors of single keys leave the others their answers, and the first is told") {
    Records records;
    for (int i = 0; i < 2000; i++) records["key " + std::to_string(10000 + i)] = "v";
    exo::File file = build(records);
    exo_index* index = nullptr;
    exo_index_options options = {};
    options.size = sizeof options;
    options.name = "the file";
    REQUIRE(exo_index__open(file.fd(), &options, &index) == 0);
    // The first leaf lies right behind the header.
    REQUIRE(pwrite(file.fd(), "X", 1, EXO_INDEX_NODE_BYTES + 100) == 1);

    exo_lookup bad = {};
    bad.size = 1;
    exo_lookup good = {};
    good.size = sizeof good;
    exo_index_query queries[5] = {};
    const char* keys[] = {"key 11999", "key 10001", "key 11998", "key 10000", "nothing"};
    for (int i = 0; i < 5; i++) {
        queries[i].key = keys[i];
        queries[i].key_len = strlen(keys[i]);
        queries[i].answer = 99;
    }
    queries[0].lookup = &good;
    queries[2].lookup = &bad;
    CHECK(exo_index__lookup_batch(index, queries, 5) == -EBADMSG);
    CHECK(std::strstr(exo_last_error(), "the file: the node at offset 4096 is damaged"));
    const int answers[] = {1, -EBADMSG, -EINVAL, -EBADMSG, 0};
    for (int i = 0; i < 5; i++) {
        CAPTURE(i);
        CHECK(queries[i].answer == answers[i]);
    }
    CHECK(good.value_len == 1);
    CHECK(good.hops > 1);

    queries[1] = queries[0];
    CHECK(exo_index__lookup_batch(index, queries, 2) == 2);
    CHECK(exo_index__lookup_batch(index, queries + 4, 1) == 0);
    CHECK(exo_index__lookup_batch(index, nullptr, 0) == 0);
    exo_index__close(index);
}

TEST_CASE("the C++ answers of a batch keep every code") {
    Records records;
    for (int i = 0; i < 2000; i++) records["key " + std::to_string(10000 + i)] = "v";
    exo::File file = build(records);
    exo::Index index = open_index(file);
    REQUIRE(pwrite(file.fd(), "X", 1, EXO_INDEX_NODE_BYTES + 100) == 1);
    const std::vector<std::string> keys = {"key 10001", "key 11999", "key 10000"};
    auto answers = index.lookup_batch(keys);
    REQUIRE_FALSE(answers[0]);
    CHECK(answers[0].error().code == EBADMSG);
    CHECK(answers[0].error().message.find("offset 4096 is damaged") != std::string::npos);
    REQUIRE(answers[1]);
    CHECK(answers[1]->value() == "v");
    REQUIRE_FALSE(answers[2]);
    CHECK(answers[2].error().code == EBADMSG);
    CHECK_FALSE(answers[2].error().message.empty());
}

TEST_CASE("a batch that cannot run leaves no entry without an outcome") {
    exo::File file = memory_file();
    std::vector<exo_traverse> entries(3);
    CHECK(exo_grant__batch(file.fd(), entries.data(), entries.size(), sizeof(exo_traverse)) ==
          -ENOTTY);
    CHECK(std::strstr(exo_last_error(), "this is no grant"));
    for (const exo_traverse& entry : entries) {
        CHECK(entry.outcome.cause == EXO_END_NOT_STARTED);
        CHECK(entry.outcome.error == -ECANCELED);
    }
    CHECK(exo_grant__batch(file.fd(), entries.data(), entries.size(), 16) == -EINVAL);
    CHECK(std::strstr(exo_last_error(), "entries of 16 bytes"));
    CHECK(exo_grant__batch(-1, entries.data(), 1, sizeof(exo_traverse)) == -EBADF);
    CHECK(std::strstr(exo_last_error(), "traversals 0 to 1"));
}

TEST_CASE("what did not start says why, whatever it was part of") {
    exo_outcome outcome = {};
    outcome.cause = EXO_END_NOT_STARTED;
    struct {
        int code;
        const char* reason;
    } cases[] = {{ENOENT, "its program is not attached"},
                 {EAGAIN, "as many in flight as it allows"},
                 {EBUSY, "as many in flight as it allows"},
                 {EKEYREVOKED, "was revoked"},
                 {EKEYEXPIRED, "time is over"},
                 {EACCES, "lacks the right"},
                 {EFAULT, "cannot be read or written"},
                 {EIO, "Input/output error"}};
    for (const auto& one : cases) {
        outcome.error = -one.code;
        CHECK(exo_outcome__check(&outcome, "file") == -one.code);
        CAPTURE(exo_last_error());
        CHECK(std::string(exo_last_error()).starts_with("file: no traversal: "));
        CHECK(std::strstr(exo_last_error(), one.reason));
    }
    CHECK(std::string(exo_end__name(EXO_END_NOT_STARTED)) == "not started");
}

TEST_CASE("every end has a name of its own, and an errno") {
    std::set<std::string> names;
    for (uint32_t cause = EXO_END_DONE; cause <= EXO_END_IN_FLIGHT_LIMIT; cause++) {
        CAPTURE(cause);
        exo_outcome outcome = {};
        outcome.cause = cause;
        CHECK(std::string(exo_end__name(cause)) != "unknown end");
        CHECK(names.insert(exo_end__name(cause)).second);
        CHECK((exo_outcome__check(&outcome, "file") == 0) == (cause == EXO_END_DONE));
    }
    exo_outcome expired = {};
    expired.cause = EXO_END_EXPIRED;
    CHECK(exo_outcome__check(&expired, "file") == -EKEYEXPIRED);
    CHECK(std::string(exo_end__name(EXO_END_IN_FLIGHT_LIMIT + 1)) == "unknown end");
}

TEST_CASE("sizes that no traversal can have are refused, not cut") {
    exo_traverse_options options = {};
    options.size = sizeof options;
    exo_outcome outcome = {};
    size_t* sizes[] = {&options.args_len, &options.result_len, &options.blocks_len};
    for (size_t* size : sizes) {
        *size = size_t{1} << 32;
        CHECK(exo_grant__traverse(-1, 1, &options, &outcome) == -E2BIG);
        *size = 0;
    }
    // An older caller's structure ends before the blocks.
    options.size = offsetof(exo_traverse_options, blocks);
    options.blocks_len = size_t{1} << 32;
    CHECK(exo_grant__traverse(-1, 1, &options, &outcome) == -EBADF);
}
