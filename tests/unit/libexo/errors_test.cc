// SPDX-License-Identifier: MIT
// The rules of exo.h: option structures of other versions, messages, what is said without a module.
#include "index_support.h"

#include <cstring>
#include <exo/grant.hpp>
#include <exo/program.hpp>

TEST_CASE("options of an older caller are completed, of a newer one accepted while zero") {
    exo_index_builder* builder = nullptr;
    exo_index_builder_options options = {};
    options.size = offsetof(exo_index_builder_options, memory_limit_bytes);
    options.memory_limit_bytes = 1;  // not part of the older structure
    REQUIRE(exo_index_builder__new(&options, &builder) == 0);
    CHECK(exo_index_builder__add(builder, "key", 3, "value", 5) == 0);
    exo_index_builder__free(builder);

    struct {
        exo_index_builder_options known;
        uint64_t unknown;
    } newer = {};
    newer.known.size = sizeof newer;
    builder = nullptr;
    REQUIRE(exo_index_builder__new(&newer.known, &builder) == 0);
    exo_index_builder__free(builder);
    newer.unknown = 1;
    CHECK(exo_index_builder__new(&newer.known, &builder) == -E2BIG);
    CHECK(std::strstr(exo_last_error(), "does not know") != nullptr);
    newer.known.size = 3;
    CHECK(exo_index_builder__new(&newer.known, &builder) == -EINVAL);
}

TEST_CASE("reserved members and unknown values are refused") {
    exo_index_builder* builder = nullptr;
    exo_index_builder_options options = {};
    options.size = sizeof options;
    options.duplicates = EXO_DUPLICATES_LAST + 1;
    CHECK(exo_index_builder__new(&options, &builder) == -EINVAL);
    exo::File file = build({{"a", "1"}});
    exo_index_options index_options = {};
    index_options.flags = EXO_INDEX_SKIP_CHECKSUMS << 1;
    auto index = exo::Index::open(file, index_options);
    REQUIRE_FALSE(index);
    CHECK(index.error().code == EINVAL);
}

TEST_CASE("freeing nothing is fine") {
    exo_index_builder__free(nullptr);
    exo_index__close(nullptr);
    exo_program__close(nullptr);
}

TEST_CASE("a value that does not fit is cut, and its length told") {
    exo::File file = build({{"key", "0123456789"}, {"large", std::string(9000, 'x')}});
    exo::Index opened = open_index(file);
    exo_index* index = nullptr;
    REQUIRE(exo_index__open(file.fd(), nullptr, &index) == 0);
    char value[5] = "----";
    exo_lookup lookup = {};
    lookup.size = sizeof lookup;
    lookup.value = value;
    lookup.value_capacity = 3;
    CHECK(exo_index__lookup(index, "key", 3, &lookup) == 1);
    CHECK(lookup.value_len == 10);
    CHECK(std::string(value) == "012-");
    CHECK(exo_index__lookup(index, "large", 5, &lookup) == 1);
    CHECK(lookup.value_len == 9000);
    CHECK(std::string(value) == "xxx-");
    CHECK(exo_index__lookup(index, "key", 3, nullptr) == 1);
    exo_index__close(index);
}

TEST_CASE("without the module, what needs it says how to get it") {
    if (access(EXO_DEVICE_PATH, F_OK) == 0) {
        MESSAGE("skipped: the module is loaded");
        return;
    }
    exo::File file = build({{"a", "1"}});
    auto grant = exo::Grant::open(file);
    REQUIRE_FALSE(grant);
    CHECK((grant.error().code == ENODEV || grant.error().code == ENOSYS));
    CHECK(grant.error().message.find("module") != std::string::npos);
    exo_index_options options = {};
    options.mode = EXO_INDEX_KERNEL;
    CHECK_FALSE(exo::Index::open(file, options));
}

TEST_CASE("files off an exo mount cannot be pinned or mapped") {
    exo::File file = memory_file();
    auto pinned = file.pin(EXO_PIN_PERSISTENT);
    REQUIRE_FALSE(pinned);
    CHECK(pinned.error().message.find("is not on an exo mount") != std::string::npos);
    CHECK_FALSE(file.map());
}

TEST_CASE("objects that hold no program are told apart") {
    auto missing = exo::Program::load("/nonexistent/program.bpf.o");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ENOENT);
    auto text = exo::Program::load("/etc/passwd");
    REQUIRE_FALSE(text);
    CHECK(text.error().message.find("not a BPF object") != std::string::npos);
    auto other = exo::Program::load(SIM_OBJECT);
    REQUIRE_FALSE(other);
    CHECK(other.error().message.find("no traversal program in it") != std::string::npos);
}
