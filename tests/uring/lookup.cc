// SPDX-License-Identifier: MIT
// Looks keys of an index up through io_uring, in every kind of ring, as an application would that
// has a ring already, and compares each answer with reading the mounted file. Usage:
// exo_uring_lookup INDEX KEYS [polled]; prints how many and how fast, for each kind of ring.
#include <exo/uring.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exo/grant.hpp>
#include <exo/index/btree.hpp>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "exo_index.h"
#include "must.h"

namespace {

constexpr unsigned kInFlight = 64;

struct Question {
    std::string key;
    std::optional<std::string> answer;  // of the mounted file
};

// All keys of a file and as many that are not there, with what plain reads say.
std::vector<Question> read_questions(const exo::Index& index, const char* path) {
    std::ifstream input(path, std::ios::binary);
    std::vector<Question> questions;
    size_t there = 0;
    for (std::string line; std::getline(input, line);) {
        for (const std::string& key : {line, line + "~absent"}) {
            questions.push_back({key, must(index.lookup(key))});
            there += questions.back().answer.has_value();
        }
    }
    if (!there || there == questions.size()) die("not half of the keys are there");
    return questions;
}

// What one traversal in flight needs.
struct Slot {
    exo_traverse request;
    exo_outcome outcome;
    unsigned char args[EXO_BTREE_ARGS_LONG];
    unsigned char result[EXO_BTREE_RESULT_LARGE];
    size_t question;
};

class Lookups {
  public:
    Lookups(const exo::Grant& grant, uint32_t program, const exo_index_info& info, unsigned flags)
        : grant_(grant), program_(program), info_(info), flags_(flags), slots_(kInFlight) {
        int error = io_uring_queue_init(kInFlight, &ring_, flags);
        if (error) die("io_uring: " + std::generic_category().message(-error));
    }
    ~Lookups() { io_uring_queue_exit(&ring_); }
    Lookups(const Lookups&) = delete;
    Lookups& operator=(const Lookups&) = delete;

    // Keeps as many in flight as there are slots; returns how many were polled hops.
    uint64_t run(const std::vector<Question>& questions) {
        size_t next = 0, in_flight = 0;
        for (Slot& slot : slots_) {
            if (next == questions.size()) break;
            push(slot, questions, next++);
            in_flight++;
        }
        while (in_flight) {
            const int submitted = io_uring_submit(&ring_);
            if (submitted < 0) die("submit: " + std::generic_category().message(-submitted));
            io_uring_cqe* cqe = nullptr;
            const int error = io_uring_wait_cqe(&ring_, &cqe);
            if (error) die("wait: " + std::generic_category().message(-error));
            // All that have come, before the next is submitted.
            do {
                Slot& slot = slots_[cqe->user_data];
                check(*cqe, slot, questions[slot.question]);
                io_uring_cqe_seen(&ring_, cqe);
                in_flight--;
                if (next < questions.size()) {
                    push(slot, questions, next++);
                    in_flight++;
                }
            } while (io_uring_peek_cqe(&ring_, &cqe) == 0);
        }
        return polled_;
    }

  private:
    bool is_whole() const { return flags_ & IORING_SETUP_SQE128; }

    void push(Slot& slot, const std::vector<Question>& questions, size_t at) {
        const std::string& key = questions[at].key;
        const bool is_short = key.size() <= EXO_BTREE_KEY_SHORT;
        slot.question = at;
        slot.outcome = {};
        exo_btree_args head = {info_.build_id, info_.depth - 1, uint32_t(key.size())};
        memset(slot.args, 0, sizeof slot.args);
        memcpy(slot.args, &head, sizeof head);
        memcpy(slot.args + sizeof head, key.data(), key.size());
        slot.request = {};
        slot.request.program_id = program_;
        slot.request.start_offset = info_.root_offset;
        slot.request.hop_bytes = EXO_INDEX_NODE_BYTES;
        slot.request.timeout_ms = 10'000;
        slot.request.args = reinterpret_cast<uintptr_t>(slot.args);
        slot.request.args_len = is_short ? EXO_BTREE_ARGS_SHORT : EXO_BTREE_ARGS_LONG;
        slot.request.result = reinterpret_cast<uintptr_t>(slot.result);
        slot.request.result_len = info_.max_value_bytes > EXO_INDEX_INLINE_MAX
                                      ? EXO_BTREE_RESULT_LARGE
                                      : EXO_BTREE_RESULT_SMALL;
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        if (!sqe) die("the ring has no room");
        if (is_whole()) {
            exo_uring__prepare_whole(sqe, grant_.fd(), &slot.request, &slot.outcome);
            slot.request = {};  // not needed any more
        } else {
            exo_uring__prepare(sqe, grant_.fd(), &slot.request);
        }
        sqe->user_data = uint64_t(&slot - slots_.data());
    }

    void check(const io_uring_cqe& cqe, Slot& slot, const Question& question) {
        exo_outcome& outcome = is_whole() ? slot.outcome : slot.request.outcome;
        const int end = exo_uring__finish(&cqe, &outcome);
        if (end != EXO_END_DONE || outcome.cause != EXO_END_DONE) {
            exo_outcome__check(&outcome, question.key.c_str());
            die(exo_last_error());
        }
        if (flags_ & IORING_SETUP_CQE32 && exo_uring__value(&cqe) != outcome.value) {
            die(question.key + ": the completion has another value than the outcome");
        }
        std::optional<std::string> value;
        if (outcome.value == EXO_BTREE_FOUND) {
            value.emplace(reinterpret_cast<char*>(slot.result) + sizeof(exo_btree_result),
                          outcome.result_len - sizeof(exo_btree_result));
        }
        if (value != question.answer) die(question.key + ": differs from the mounted file");
        polled_ += outcome.polled;
    }

    const exo::Grant& grant_;
    uint32_t program_;
    const exo_index_info info_;
    unsigned flags_;
    io_uring ring_ = {};
    std::vector<Slot> slots_;
    uint64_t polled_ = 0;
};

// What no traversal does: each refusal must come back through the ring, in words.
void check_refusal(const exo::Grant& grant) {
    io_uring ring = {};
    if (io_uring_queue_init(1, &ring, 0)) die("io_uring");
    exo_traverse request = {};
    request.program_id = UINT32_MAX;
    request.hop_bytes = EXO_INDEX_NODE_BYTES;
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    sqe->user_data = 7;
    exo_uring__prepare(sqe, grant.fd(), &request);
    io_uring_submit(&ring);
    io_uring_cqe* cqe = nullptr;
    if (io_uring_wait_cqe(&ring, &cqe)) die("wait");
    if (cqe->user_data != 7) die("preparing an entry lost its user_data");
    if (exo_uring__finish(cqe, &request.outcome) != -ENOENT) die("an unknown program was accepted");
    if (exo_outcome__check(&request.outcome, "it") != -ENOENT ||
        !strstr(exo_last_error(), "not attached"))
        die(std::string("a refusal without its reason: ") + exo_last_error());
    io_uring_queue_exit(&ring);
}

}  // namespace

int main(int argc, char** argv) {
    const std::map<std::string, unsigned> kinds = {
        {"plain", 0},
        {"large", IORING_SETUP_SQE128 | IORING_SETUP_CQE32},
        {"deferred", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN},
        {"polled", IORING_SETUP_IOPOLL}};
    if (argc < 4) die("usage: exo_uring_lookup INDEX KEYS {plain|large|deferred|polled}...");
    const exo::File file = must(exo::File::open(argv[1]));
    const exo::Index index = must(exo::Index::open(file));
    const exo::Grant grant = must(exo::Grant::open(file));
    uint32_t program = 0;
    if (exo_program__find("btree_lookup", &program) < 0) die(exo_last_error());
    const std::vector<Question> questions = read_questions(index, argv[2]);
    check_refusal(grant);

    for (int i = 3; i < argc; i++) {
        const auto kind = kinds.find(argv[i]);
        if (kind == kinds.end()) die(std::string(argv[i]) + " is no kind of ring");
        const unsigned flags = kind->second;
        Lookups lookups(grant, program, index.info(), flags);
        const auto start = std::chrono::steady_clock::now();
        const uint64_t polled = lookups.run(questions);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        if (!polled != !(flags & IORING_SETUP_IOPOLL)) die("polled, or not, as it should not");
        std::printf("%s ring: %zu lookups, all equal; %.0f/s\n", argv[i], questions.size(),
                    double(questions.size()) / took.count());
    }
}
