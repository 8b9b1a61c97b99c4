// SPDX-License-Identifier: MIT
// Building indexes and reading them in user space: what goes in comes out, in order, at every
// bound.
#include "index_support.h"

#include <atomic>
#include <thread>

namespace {

void check_all(const exo::File& file, const Records& records, Random& random) {
    for (uint32_t flags : {0u, EXO_INDEX_SKIP_CHECKSUMS}) {
        exo::Index index = open_index(file, flags);
        REQUIRE(index.info().records == records.size());
        for (const auto& [key, value] : records) {
            exo_lookup how = {};
            auto found = index.lookup(key, &how);
            REQUIRE(found);
            REQUIRE(found->has_value());
            REQUIRE(**found == value);
            size_t overflow = value.size() <= EXO_INDEX_INLINE_MAX
                                  ? 0
                                  : (value.size() - 1) / EXO_INDEX_OVERFLOW_BYTES + 1;
            REQUIRE(how.hops == index.info().depth + overflow);
            std::string other = neighbour(key, random);
            auto absent = index.lookup(other);
            REQUIRE(absent);
            REQUIRE(absent->has_value() == (records.count(other) != 0));
        }
        auto verified = index.verify();
        if (!verified) FAIL(verified.error().message);
        Records scanned;
        std::string last;
        REQUIRE(index.scan({}, [&](std::string_view key, std::string_view value) {
            if (!scanned.empty()) REQUIRE(last < key);
            last = key;
            scanned.emplace(key, value);
            return true;
        }));
        REQUIRE(scanned == records);
    }
}

}  // namespace

TEST_CASE("an index of awkward records equals a std::map") {
    for (size_t count : {20u, 200u, 3000u}) {
        uint64_t seed = test_seed() + count;
        CAPTURE(seed);
        Random random(seed);
        Records records = awkward_records(count, random);
        exo_index_info info = {};
        exo::File file = build(records, &info);
        if (count == 3000) CHECK(info.depth >= 3);
        check_all(file, records, random);
    }
}

TEST_CASE("every small number of records makes a sound index") {
    Random random(1);
    Records records;
    for (int count = 0; count < 300; count++) {
        exo::File file = build(records);
        exo::Index index = open_index(file);
        REQUIRE(index.verify());
        REQUIRE(index.info().records == records.size());
        for (const auto& [key, value] : records) REQUIRE(index.lookup(key)->value() == value);
        REQUIRE_FALSE(index.lookup("absent")->has_value());
        records[random.bytes(1 + random.below(40), 3)] = random.bytes(random.below(200));
    }
}

TEST_CASE("nodes of the largest keys still branch") {
    Random random(2);
    Records records;
    const std::string shared = random.bytes(900);
    for (int i = 0; i < 400; i++) {
        // Differ late, so that separators are long, or early, so that there is no prefix to share.
        std::string key = i % 2 ? shared + random.bytes(EXO_INDEX_KEY_MAX - 900)
                                : random.bytes(EXO_INDEX_KEY_MAX);
        records[key] = random.bytes(EXO_INDEX_INLINE_MAX);
    }
    check_all(build(records), records, random);
}

TEST_CASE("keys and values at their bounds") {
    auto builder = exo::IndexBuilder::make();
    REQUIRE(builder);
    for (size_t length : {0u, 1u, EXO_INDEX_KEY_MAX - 1, EXO_INDEX_KEY_MAX}) {
        CHECK(builder->add(std::string(length, 'k'), "v"));
    }
    auto refused = builder->add(std::string(EXO_INDEX_KEY_MAX + 1, 'k'), "v");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EMSGSIZE);
    CHECK(refused.error().message.find("1025 bytes, over the limit of 1024") != std::string::npos);
    CHECK(builder->add("largest", std::string(EXO_INDEX_VALUE_MAX, 'v')));
    refused = builder->add("larger", std::string(EXO_INDEX_VALUE_MAX + 1, 'v'));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EMSGSIZE);
    exo::File file = memory_file();
    REQUIRE(builder->finish(file));
    exo::Index index = open_index(file);
    CHECK(index.info().records == 5);
    CHECK(index.info().max_key_bytes == EXO_INDEX_KEY_MAX);
    // A key that no index can hold is simply not there.
    CHECK_FALSE(index.lookup(std::string(EXO_INDEX_KEY_MAX + 1, 'k'))->has_value());
}

TEST_CASE("duplicates follow the rule that was chosen") {
    auto with = [](uint32_t rule) {
        exo_index_builder_options options = {};
        options.duplicates = rule;
        auto builder = exo::IndexBuilder::make(options);
        REQUIRE(builder);
        for (const char* value : {"one", "two", "three"}) REQUIRE(builder->add("key", value));
        REQUIRE(builder->add("before", "x"));
        return std::move(*builder);
    };
    exo::File file = memory_file();
    auto refused = with(EXO_DUPLICATES_ERROR).finish(file);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EEXIST);
    CHECK(refused.error().message.find("\"key\" occurs more than once") != std::string::npos);

    exo::File first = memory_file();
    auto info = with(EXO_DUPLICATES_FIRST).finish(first);
    REQUIRE(info);
    CHECK(info->records == 2);
    CHECK(info->duplicates == 2);
    CHECK(open_index(first).lookup("key")->value() == "one");

    exo::File last = memory_file();
    REQUIRE(with(EXO_DUPLICATES_LAST).finish(last));
    CHECK(open_index(last).lookup("key")->value() == "three");
}

TEST_CASE("a builder keeps to its memory limit and to empty files") {
    exo_index_builder_options options = {};
    options.memory_limit_bytes = 1000;
    auto builder = exo::IndexBuilder::make(options);
    REQUIRE(builder);
    CHECK(builder->add("a", std::string(900, 'v')));
    auto refused = builder->add("b", std::string(900, 'v'));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ENOMEM);
    exo::File file = memory_file();
    REQUIRE(write(file.fd(), "x", 1) == 1);
    auto onto = builder->finish(file);
    REQUIRE_FALSE(onto);
    CHECK(onto.error().code == EINVAL);
}

TEST_CASE("the same records make the same bytes, in whatever order they came") {
    Random random(3);
    Records records = awkward_records(500, random);
    auto builder = exo::IndexBuilder::make();
    REQUIRE(builder);
    for (auto record = records.rbegin(); record != records.rend(); ++record) {
        REQUIRE(builder->add(record->first, record->second));
    }
    exo::File backwards = memory_file();
    REQUIRE(builder->finish(backwards));
    exo::File forwards = build(records);
    std::string a(1 << 20, 0), b(1 << 20, 0);
    ssize_t size = pread(forwards.fd(), a.data(), a.size(), 0);
    REQUIRE(size > 4096);
    REQUIRE(pread(backwards.fd(), b.data(), b.size(), 0) == size);
    CHECK(a == b);
}

TEST_CASE("a scan starts where it is told to and stops when it is told to") {
    Records records;
    for (int i = 0; i < 1000; i++) records["key " + std::to_string(10000 + 2 * i)] = "v";
    exo::File file = build(records);
    exo::Index index = open_index(file);
    for (const char* from : {"key 10500", "key 10501", "", "key 11998", "zzz"}) {
        std::vector<std::string> seen;
        REQUIRE(index.scan(from, [&](std::string_view key, std::string_view) {
            seen.emplace_back(key);
            return seen.size() < 3;
        }));
        std::vector<std::string> wanted;
        for (auto at = records.lower_bound(from); at != records.end() && wanted.size() < 3; ++at) {
            wanted.push_back(at->first);
        }
        CHECK(seen == wanted);
    }
}

TEST_CASE("threads share an index") {
    Random random(4);
    Records records = awkward_records(500, random);
    exo::File file = build(records);
    exo::Index index = open_index(file);
    std::vector<std::thread> threads;
    std::atomic<size_t> right = 0;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&] {
            for (const auto& [key, value] : records) right += index.lookup(key)->value() == value;
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(right == 4 * records.size());
}
