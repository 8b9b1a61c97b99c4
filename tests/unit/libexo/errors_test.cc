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
    CHECK(std::strstr(exo_last_error(), "this version of libexo") != nullptr);
    newer.known.size = 3;
    CHECK(exo_index_builder__new(&newer.known, &builder) == -EINVAL);
}

TEST_CASE("answers are cut for an older caller and filled up with zeros for a newer one") {
    exo_index_builder* builder = nullptr;
    REQUIRE(exo_index_builder__new(nullptr, &builder) == 0);
    REQUIRE(exo_index_builder__add(builder, "key", 3, "value", 5) == 0);
    exo::File file = memory_file();
    // To the older caller the structure ends before `duplicates`.
    constexpr size_t kOlder = offsetof(exo_index_info, duplicates);
    exo_index_info info;
    memset(&info, 0xa5, sizeof info);
    REQUIRE(exo_index_builder__finish(builder, file.fd(), &info, kOlder) == 0);
    exo_index_builder__free(builder);
    CHECK(info.records == 1);
    CHECK(info.duplicates == 0xa5a5a5a5a5a5a5a5);
    CHECK(info.max_value_bytes == 0xa5a5a5a5);

    exo_index* index = nullptr;
    REQUIRE(exo_index__open(file.fd(), nullptr, &index) == 0);
    memset(&info, 0xa5, sizeof info);
    REQUIRE(exo_index__info(index, &info, kOlder) == 0);
    CHECK(info.records == 1);
    CHECK(info.duplicates == 0xa5a5a5a5a5a5a5a5);
    struct {
        exo_index_info known;
        uint64_t unknown;
        uint64_t behind;
    } newer;
    memset(&newer, 0xa5, sizeof newer);
    REQUIRE(exo_index__info(index, &newer.known, offsetof(decltype(newer), behind)) == 0);
    CHECK(newer.known.records == 1);
    CHECK(newer.known.max_value_bytes == 5);
    CHECK(newer.unknown == 0);
    CHECK(newer.behind == 0xa5a5a5a5a5a5a5a5);
    exo_index__close(index);
}

// Calls with a request of a newer caller, who asks for what is not known if `asked` is not 0.
template <typename Request, typename Call>
int newer_request(uint64_t asked, Call call) {
    struct {
        Request known;
        uint64_t unknown;
    } newer = {};
    newer.unknown = asked;
    return call(&newer.known, sizeof newer);
}

TEST_CASE("requests of a newer caller are taken while what is not known is zero") {
    auto derive = [](exo_grant_derive* terms, size_t bytes) {
        return exo_grant__derive(-1, terms, bytes);
    };
    CHECK(newer_request<exo_grant_derive>(0, derive) == -EBADF);
    CHECK(newer_request<exo_grant_derive>(1, derive) == -E2BIG);
    CHECK(std::strstr(exo_last_error(), "this version of libexo") != nullptr);
    auto revoke = [](exo_grant_revoke* request, size_t bytes) {
        return exo_grant__revoke(-1, request, bytes);
    };
    CHECK(newer_request<exo_grant_revoke>(0, revoke) == -EBADF);
    CHECK(newer_request<exo_grant_revoke>(1, revoke) == -E2BIG);
    auto map = [](exo_file_map* page, size_t bytes) { return exo_file__map(-1, page, bytes); };
    CHECK(newer_request<exo_file_map>(0, map) == -EBADF);
    CHECK(newer_request<exo_file_map>(1, map) == -E2BIG);
    CHECK(newer_request<exo_tenant_set>(1, exo_tenant__set) == -E2BIG);
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

TEST_CASE("files off an exo mount cannot be pinned, mapped or placed") {
    exo::File file = memory_file();
    auto pinned = file.pin(EXO_PIN_PERSISTENT);
    REQUIRE_FALSE(pinned);
    CHECK(pinned.error().message.find("is not on an exo mount") != std::string::npos);
    CHECK_FALSE(file.map());
    auto placed = file.place(4096);
    REQUIRE_FALSE(placed);
    CHECK(placed.error().message.find("is not on an exo mount") != std::string::npos);
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
