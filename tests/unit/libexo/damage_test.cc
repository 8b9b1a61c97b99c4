// SPDX-License-Identifier: MIT
// Damaged index files and files that are none: an error that says where, never a crash or a loop.
#include "index_support.h"

#include <cstring>

namespace {

std::string contents(const exo::File& file) {
    std::string bytes(lseek(file.fd(), 0, SEEK_END), 0);
    REQUIRE(pread(file.fd(), bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()));
    return bytes;
}

exo::File file_of(const std::string& bytes) {
    exo::File file = memory_file();
    REQUIRE(write(file.fd(), bytes.data(), bytes.size()) == ssize_t(bytes.size()));
    return file;
}

exo::Error open_error(const std::string& bytes) {
    auto index = exo::Index::open(file_of(bytes));
    REQUIRE_FALSE(index);
    return index.error();
}

}  // namespace

TEST_CASE("files that are no index are refused by name") {
    for (const std::string& bytes :
         {std::string(), std::string("short"), std::string(8192, 'x'), std::string(8192, '\0')}) {
        exo::Error error = open_error(bytes);
        CHECK(error.code == EBADMSG);
        CHECK(error.message.find("is not an index file (make one with exo index build)") !=
              std::string::npos);
    }
}

TEST_CASE("headers of other versions and damaged headers are told apart") {
    std::string bytes = contents(build({{"a", "1"}}));
    std::string newer = bytes;
    newer[offsetof(exo_index_header, version)] = 9;
    CHECK(open_error(newer).message.find("index of version 9") != std::string::npos);
    std::string damaged = bytes;
    damaged[offsetof(exo_index_header, records)] ^= 1;
    CHECK(open_error(damaged).message.find("wrong checksum") != std::string::npos);
}

TEST_CASE("a file cut short ends with an error") {
    Records records;
    for (int i = 0; i < 2000; i++) records["key" + std::to_string(i)] = "value";
    std::string bytes = contents(build(records));
    exo::File file = file_of(bytes.substr(0, bytes.size() - 4096));
    exo::Index index = open_index(file);
    auto found = index.lookup("key1");
    REQUIRE_FALSE(found);
    CHECK(found.error().code == EBADMSG);
}

TEST_CASE("verify finds every single changed byte") {
    Random random(test_seed());
    CAPTURE(test_seed());
    Records records = awkward_records(120, random);
    const std::string bytes = contents(build(records));
    for (int round = 0; round < 2000; round++) {
        std::string damaged = bytes;
        size_t at = random.below(damaged.size());
        CAPTURE(at);
        damaged[at] ^= char(1 + random.below(255));
        exo::File file = file_of(damaged);
        auto index = exo::Index::open(file);
        auto verdict = index ? index->verify() : std::unexpected(index.error());
        REQUIRE_FALSE(verdict);
        REQUIRE(verdict.error().code == EBADMSG);
    }
}

TEST_CASE("without checksums damage leads to an error or another answer, never out of bounds") {
    Random random(test_seed());
    CAPTURE(test_seed());
    Records records = awkward_records(400, random);
    const std::string bytes = contents(build(records));
    size_t refused = 0;
    for (int round = 0; round < 400; round++) {
        std::string damaged = bytes;
        // Everything but the header, whose checksum is always looked at.
        for (int i = 0; i < 1 + round / 4; i++) {
            size_t at = 4096 + random.below(damaged.size() - 4096);
            // Where it hurts most: node starts and slots.
            if (random.below(2)) at = at / 4096 * 4096 + random.below(400);
            damaged[at] = char(random.below(256));
        }
        exo::File file = file_of(damaged);
        exo::Index index = open_index(file, EXO_INDEX_SKIP_CHECKSUMS);
        for (const auto& [key, value] : records) {
            auto found = index.lookup(key);
            if (!found) {
                REQUIRE(found.error().code == EBADMSG);
                refused++;
            }
        }
        (void)index.scan({}, [](std::string_view, std::string_view) { return true; });
    }
    CHECK(refused > 0);
}

TEST_CASE("a child that is its own ancestor is refused") {
    Records records;
    for (int i = 0; i < 5000; i++) records["key" + std::to_string(i)] = "value";
    exo_index_info info = {};
    std::string bytes = contents(build(records, &info));
    REQUIRE(info.depth >= 2);
    // Point every child of the root to the root.
    auto* root = reinterpret_cast<exo_index_node*>(bytes.data() + info.root_offset);
    auto* slots = reinterpret_cast<exo_index_slot*>(root + 1);
    for (unsigned i = 0; i < root->count; i++) {
        std::memcpy(bytes.data() + info.root_offset + slots[i].key_at + slots[i].key_len,
                    &info.root_offset, 8);
    }
    exo::File file = file_of(bytes);
    exo::Index index = open_index(file, EXO_INDEX_SKIP_CHECKSUMS);
    auto found = index.lookup("key77");
    REQUIRE_FALSE(found);
    CHECK(found.error().code == EBADMSG);
}
