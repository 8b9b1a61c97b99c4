// SPDX-License-Identifier: MIT
#include "kernel_lookup.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "../error.hpp"
#include "../grant.hpp"
#include "reader.hpp"

namespace exo::internal {
namespace {

using Clock = std::chrono::steady_clock;

// The module's default is meant for interactive use; a drive that is being reset, or a machine that
// is overloaded, may take longer over one read without being broken.
constexpr uint32_t kLookupTimeoutMs = 10'000;
// So long none of a batch may find room among the grant's traversals in flight.
constexpr auto kBusyLimit = std::chrono::milliseconds(kLookupTimeoutMs);
constexpr auto kBusyPause = std::chrono::microseconds(200);

size_t args_bytes(size_t key_len) {
    return key_len <= EXO_BTREE_KEY_SHORT ? EXO_BTREE_ARGS_SHORT : EXO_BTREE_ARGS_LONG;
}

size_t result_bytes(const exo_index& index) {
    return index.header.max_value_bytes > EXO_INDEX_INLINE_MAX ? EXO_BTREE_RESULT_LARGE
                                                               : EXO_BTREE_RESULT_SMALL;
}

// The traversal that finds a key. `args` has args_bytes() and `result` result_bytes(), which both
// must stay until it has ended.
exo_traverse make_request(const exo_index& index, std::string_view key, unsigned char* args,
                          unsigned char* result) {
    exo_btree_args head = {index.header.node.build_id, index.header.root_level,
                           static_cast<uint32_t>(key.size())};
    size_t args_len = args_bytes(key.size());
    memcpy(args, &head, sizeof(head));
    if (!key.empty()) memcpy(args + sizeof(head), key.data(), key.size());
    memset(args + sizeof(head) + key.size(), 0, args_len - sizeof(head) - key.size());

    exo_traverse request = {};
    request.engine = static_cast<uint16_t>(index.options.engine);
    request.program_id = index.program_id;
    request.start_offset = index.header.root_offset;
    request.hop_bytes = EXO_INDEX_NODE_BYTES;
    request.timeout_ms = kLookupTimeoutMs;
    request.args = reinterpret_cast<uintptr_t>(args);
    request.args_len = static_cast<uint32_t>(args_len);
    request.result = reinterpret_cast<uintptr_t>(result);
    request.result_len = static_cast<uint32_t>(result_bytes(index));
    return request;
}

// What the end of such a traversal says: 1 found, 0 absent, or an error.
int judge(const exo_index& index, const exo_outcome& outcome, const unsigned char* result,
          exo_lookup& lookup) {
    lookup.hops = outcome.hops;
    lookup.direct = outcome.direct;
    lookup.deferred = outcome.deferred;
    lookup.polled = outcome.polled;
    lookup.dispatched = outcome.dispatched;
    lookup.engine = outcome.engine;
    lookup.elapsed_ns = outcome.elapsed_ns;
    if (outcome.cause == EXO_END_PROGRAM && outcome.error == -EBADMSG) {
        return damaged(index, outcome.file_offset, "the traversal refused it");
    }
    int error = exo_outcome__check(&outcome, index.name.c_str());
    if (error) return error;
    if (outcome.value == EXO_BTREE_ABSENT) return 0;
    exo_btree_result head;
    memcpy(&head, result, sizeof(head));
    if (outcome.result_len != sizeof(head) + head.value_len) {
        return fail(EPROTO, "%s: program %u is no index lookup of this version", index.name.c_str(),
                    index.program_id);
    }
    lookup.value_len = head.value_len;
    size_t size = std::min<size_t>(head.value_len, lookup.value ? lookup.value_capacity : 0);
    if (size) memcpy(lookup.value, result + sizeof(head), size);
    return 1;
}

// Some of a caller's queries as one batch of traversals.
class Round {
  public:
    Round(const exo_index& index, exo_index_query* queries, size_t count)
        : index_(index), queries_(queries), lookups_(count) {
        size_t args_len = 0;
        for (size_t at = 0; at < count; at++) args_len += args_bytes(queries[at].key_len);
        // Not set to zero: the kernel writes as much as there is, and no more is read.
        args_ = std::make_unique_for_overwrite<unsigned char[]>(args_len);
        results_ = std::make_unique_for_overwrite<unsigned char[]>(count * result_bytes(index));
        requests_.reserve(count);
        places_.reserve(count);
    }

    // Answers them all, or fails as a whole.
    int run(FirstError& first) {
        prepare(first);
        auto give_up = Clock::now() + kBusyLimit;
        while (!requests_.empty()) {
            int error = exo_grant__batch(index_.grant.get(), requests_.data(), requests_.size(),
                                         sizeof(exo_traverse));
            if (error) return error;
            const auto now = Clock::now();
            const size_t before = requests_.size();
            settle(first, now >= give_up);
            if (requests_.size() < before) {
                give_up = now + kBusyLimit;
            } else {
                std::this_thread::sleep_for(kBusyPause);
            }
        }
        return 0;
    }

  private:
    void prepare(FirstError& first) {
        unsigned char* args = args_.get();
        for (size_t at = 0; at < lookups_.size(); at++) {
            exo_index_query& query = queries_[at];
            query.answer = take_lookup(query.lookup, lookups_[at]);
            if (query.answer < 0) first.note(query.answer);
            if (query.answer < 0) continue;
            if (query.key_len > EXO_INDEX_KEY_MAX) {  // no index holds such a key
                give_lookup(lookups_[at], query.lookup);
                continue;
            }
            requests_.push_back(make_request(
                index_, {static_cast<const char*>(query.key), query.key_len}, args, result_of(at)));
            places_.push_back(at);
            args += args_bytes(query.key_len);
        }
    }

    // Keeps those that found no room because of others in flight on the same grant, unless that
    // took too long; answers the rest.
    void settle(FirstError& first, bool all) {
        size_t kept = 0;
        for (size_t i = 0; i < requests_.size(); i++) {
            const size_t at = places_[i];
            const exo_outcome& outcome = requests_[i].outcome;
            if (!all && outcome.cause == EXO_END_NOT_STARTED && outcome.error == -EAGAIN) {
                places_[kept] = at;
                requests_[kept++] = requests_[i];
                continue;
            }
            exo_index_query& query = queries_[at];
            query.answer = judge(index_, outcome, result_of(at), lookups_[at]);
            if (query.answer < 0) first.note(query.answer);
            give_lookup(lookups_[at], query.lookup);
        }
        requests_.resize(kept);
        places_.resize(kept);
    }

    unsigned char* result_of(size_t at) { return results_.get() + at * result_bytes(index_); }

    const exo_index& index_;
    exo_index_query* queries_;
    std::vector<exo_lookup> lookups_;  // by place among the queries, as are the results
    std::unique_ptr<unsigned char[]> args_;
    std::unique_ptr<unsigned char[]> results_;
    std::vector<exo_traverse> requests_;  // those that still have to run
    std::vector<size_t> places_;          // of each of them
};

}  // namespace

int lookup_kernel(const exo_index& index, std::string_view key, exo_lookup& lookup) {
    alignas(8) unsigned char args[EXO_BTREE_ARGS_LONG];
    alignas(8) unsigned char small[EXO_BTREE_RESULT_SMALL];
    std::unique_ptr<unsigned char[]> large;
    if (result_bytes(index) > sizeof(small)) {
        large = std::make_unique_for_overwrite<unsigned char[]>(result_bytes(index));
    }
    unsigned char* result = large ? large.get() : small;
    exo_traverse request = make_request(index, key, args, result);
    int error = traverse(index.grant.get(), request);
    return error ? error : judge(index, request.outcome, result, lookup);
}

int lookup_kernel_batch(const exo_index& index, exo_index_query* queries, size_t count) {
    FirstError first;
    for (size_t done = 0; done < count; done += EXO_INDEX_BATCH) {
        const size_t some = std::min<size_t>(count - done, EXO_INDEX_BATCH);
        int error = guarded([&] { return Round(index, queries + done, some).run(first); });
        if (!error) continue;
        // Without an answer of their own, so all that are left share this one.
        for (size_t at = done; at < count; at++) queries[at].answer = error;
        first.note(error);
        break;
    }
    const auto found = std::count_if(
        queries, queries + count, [](const exo_index_query& query) { return query.answer == 1; });
    return first.answer_or(static_cast<int>(found));
}

}  // namespace exo::internal
