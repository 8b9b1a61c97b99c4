// SPDX-License-Identifier: MIT
// exo lookup: keys of an index file, by the kernel's traversals, many in a call, by plain reads, or
// by both and compared.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exo/index/btree.hpp>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>
#include <thread>

#include "tools/exo/files.h"
#include "tools/exo/output.h"

namespace exo::tool {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kKeysPerTurn = 64;  // at least: what a thread takes at a time
constexpr unsigned kBatch = 256;
constexpr unsigned kBatchInFlight = 128;  // of each thread
constexpr unsigned kMaxInFlight = 4096;   // of a grant
constexpr size_t kExamplesShown = 5;
constexpr size_t kLongestBase = 1000;  // of a made-up key; keys have at most 1024 bytes
constexpr unsigned kMaxJobs = 256;
constexpr auto kProgressInterval = std::chrono::milliseconds(200);

struct Options {
    std::string file;
    std::vector<std::string> keys;
    std::string keys_file;
    bool absent = false;
    bool compare = false;
    bool user = false;
    std::string engine = "auto";
    bool verbose = false;
    unsigned jobs = 1;
    unsigned batch = kBatch;
    std::string program = "btree_lookup";
};

const std::map<std::string, uint32_t> kEngines = {{"auto", EXO_ENGINE_AUTO},
                                                  {"completion", EXO_ENGINE_COMPLETION},
                                                  {"polled", EXO_ENGINE_POLLED},
                                                  {"dispatch", EXO_ENGINE_DISPATCH}};

// What many lookups came to.
struct Totals {
    uint64_t lookups = 0;
    uint64_t found = 0;
    uint64_t absent = 0;
    uint64_t wrong = 0;  // differs from the plain read, or from what was expected
    uint64_t hops = 0;
    uint64_t direct = 0;
    uint64_t deferred = 0;
    uint64_t polled = 0;
    uint64_t dispatched = 0;
    uint64_t calls = 0;  // into the kernel, to traverse

    void count(const exo_lookup& how, bool is_found) {
        lookups++;
        (is_found ? found : absent)++;
        hops += how.hops;
        direct += how.direct;
        deferred += how.deferred;
        polled += how.polled;
        dispatched += how.dispatched;
    }
    void add(const Totals& other) {
        lookups += other.lookups;
        found += other.found;
        absent += other.absent;
        wrong += other.wrong;
        hops += other.hops;
        direct += other.direct;
        deferred += other.deferred;
        polled += other.polled;
        dispatched += other.dispatched;
        calls += other.calls;
    }
};

Index open_index(const File& file, const Options& options, bool kernel) {
    exo_index_options index_options = {};
    index_options.mode = kernel ? EXO_INDEX_KERNEL : EXO_INDEX_USER;
    index_options.engine = kEngines.at(options.engine);
    if (kernel)
        index_options.in_flight_limit =
            std::min(options.jobs * std::min(options.batch, kBatchInFlight), kMaxInFlight);
    index_options.program = options.program.c_str();
    Result<Index> index = Index::open(file, index_options);
    if (!index && index.error().code == ENODEV)
        throw Failure(index.error().message + "; --user looks up without it");
    return take(std::move(index));
}

std::vector<std::string> read_keys(const std::string& path) {
    std::ifstream opened;
    if (path != "-") {
        opened.open(path, std::ios::binary);
        if (!opened) throw Failure(path + ": " + std::generic_category().message(errno));
    }
    std::istream& input = path == "-" ? std::cin : opened;
    std::vector<std::string> keys;
    for (std::string line; std::getline(input, line);) keys.push_back(std::move(line));
    return keys;
}

// As many keys that are in no index which holds the given ones: each with a tail that no other has.
std::vector<std::string> absent_keys(const std::vector<std::string>& keys) {
    std::vector<std::string> sorted = keys;
    std::sort(sorted.begin(), sorted.end());
    std::vector<std::string> absent;
    for (const std::string& key : keys) {
        std::string other = key.substr(0, kLongestBase) + "~";
        while (std::binary_search(sorted.begin(), sorted.end(), other)) other += "~";
        absent.push_back(std::move(other));
    }
    return absent;
}

// Looks up a list of keys in several threads, each taking some at a time.
class Run {
  public:
    // batch: keys in a call; 0 when the index is read in user space, without calls to count.
    Run(const Index& index, const Index* reference, const std::vector<std::string>& keys,
        unsigned batch, std::optional<bool> expect_found)
        : index_(index),
          reference_(reference),
          keys_(keys),
          batch_(batch),
          expect_found_(expect_found) {}

    Totals go(unsigned jobs, bool show_progress) {
        std::vector<std::thread> threads;
        threads.reserve(jobs);
        for (unsigned i = 0; i < jobs; i++) threads.emplace_back([this] { work(); });
        if (show_progress) watch();
        for (std::thread& thread : threads) thread.join();
        if (!failure_.empty()) throw Failure(failure_);
        return totals_;
    }
    const std::vector<std::string>& examples() const { return examples_; }

  private:
    void work() {
        Totals mine;
        const size_t turn = std::max<size_t>(kKeysPerTurn, batch_);
        while (!stop_) {
            const size_t first = next_.fetch_add(turn);
            if (first >= keys_.size()) break;
            const size_t last = std::min(first + turn, keys_.size());
            for (size_t at = first; at < last && !stop_;) {
                const size_t some = std::min<size_t>(std::max(batch_, 1u), last - at);
                look_up({keys_.data() + at, some}, mine);
                at += some;
            }
            done_ += last - first;
        }
        const std::lock_guard lock(mutex_);
        totals_.add(mine);
    }

    void look_up(std::span<const std::string> keys, Totals& mine) {
        mine.calls += batch_ != 0;
        if (batch_ <= 1) {
            exo_lookup how = {};
            const Index::Answer answer = index_.lookup(keys.front(), &how);
            return judge(keys.front(), answer, how, mine);
        }
        std::vector<exo_lookup> hows;
        const std::vector<Index::Answer> answers = index_.lookup_batch(keys, &hows);
        for (size_t at = 0; at < keys.size(); at++) judge(keys[at], answers[at], hows[at], mine);
    }

    void judge(const std::string& key, const Index::Answer& value, const exo_lookup& how,
               Totals& mine) {
        if (!value) return fail("key \"" + printable(key) + "\": " + value.error().message);
        mine.count(how, value->has_value());
        if (reference_) {
            const Result<std::optional<std::string>> plain = reference_->lookup(key);
            if (!plain) return fail("key \"" + printable(key) + "\": " + plain.error().message);
            if (*value != *plain) {
                mine.wrong++;
                example("key \"" + printable(key) + "\": the kernel says " + text_of(*value) +
                        ", the file says " + text_of(*plain));
            }
        }
        if (expect_found_ && value->has_value() != *expect_found_) {
            if (!reference_ || *expect_found_) mine.wrong++;
            example("key \"" + printable(key) + "\" is " + (*value ? "there" : "missing"));
        }
    }

    static std::string text_of(const std::optional<std::string>& value) {
        return value ? "\"" + printable(value->substr(0, 60)) + "\"" : "absent";
    }

    void fail(const std::string& message) {
        const std::lock_guard lock(mutex_);
        if (failure_.empty()) failure_ = message;
        stop_ = true;
    }

    void example(const std::string& text) {
        const std::lock_guard lock(mutex_);
        if (examples_.size() < kExamplesShown) examples_.push_back(text);
    }

    void watch() {
        while (!stop_ && done_ < keys_.size()) {
            std::this_thread::sleep_for(kProgressInterval);
            std::cerr << "\r" << done_ << " of " << keys_.size() << " keys" << std::flush;
        }
        std::cerr << "\r\033[K";
    }

    const Index& index_;
    const Index* reference_;
    const std::vector<std::string>& keys_;
    const unsigned batch_;
    const std::optional<bool> expect_found_;
    std::atomic<size_t> next_ = 0;
    std::atomic<size_t> done_ = 0;
    std::atomic<bool> stop_ = false;
    std::mutex mutex_;  // guards what follows
    Totals totals_;
    std::string failure_;
    std::vector<std::string> examples_;
};

int look_up_one(const Options& options, const Context& context, const std::string& key) {
    const File file = take(File::open(options.file));
    const Index index = open_index(file, options, !options.user);
    exo_lookup how = {};
    const std::optional<std::string> value = take(index.lookup(key, &how));
    bool differs = false;
    if (options.compare) {
        const std::optional<std::string> plain = take(open_index(file, options, false).lookup(key));
        differs = plain != value;
    }
    if (context.json) {
        Json object{{"file", options.file}};
        put_bytes(object, "key", key);
        object["found"] = value.has_value();
        if (value) put_bytes(object, "value", *value);
        object["hops"] = how.hops;
        object["direct"] = how.direct;
        object["deferred"] = how.deferred;
        object["polled"] = how.polled;
        object["dispatched"] = how.dispatched;
        object["kernel_ns"] = how.elapsed_ns;
        if (options.compare) object["differs"] = differs;
        print_object(true, object);
    } else if (value) {
        std::cout << *value << "\n";
    }
    if (options.verbose)
        std::cerr << how.hops << " hops, " << how.direct << " reissued at completion, "
                  << how.deferred << " deferred, " << how.polled << " polled, " << how.dispatched
                  << " dispatched, " << how.elapsed_ns << " ns\n";
    if (differs)
        throw Failure(options.file + ": the kernel's answer differs from the file's", kExitNo);
    if (!value && !context.json)
        std::cerr << "exo: " << options.file << " has no key \"" << printable(key) << "\"\n";
    return value ? kExitOk : kExitNo;
}

Json totals_json(const Totals& totals, double seconds) {
    const uint64_t reissued = totals.direct + totals.deferred + totals.polled + totals.dispatched;
    return {{"lookups", totals.lookups},
            {"found", totals.found},
            {"absent", totals.absent},
            {"mismatches", totals.wrong},
            {"hops", totals.hops},
            {"reissued", reissued},
            {"direct", totals.direct},
            {"deferred", totals.deferred},
            {"polled", totals.polled},
            {"dispatched", totals.dispatched},
            {"calls", totals.calls},
            {"seconds", seconds},
            {"lookups_per_second", seconds > 0 ? double(totals.lookups) / seconds : 0}};
}

void print_totals(const Totals& totals, const Options& options, double seconds) {
    std::cout << totals.lookups << " lookups" << (options.user ? " by plain reads" : "") << ": "
              << totals.found << " found, " << totals.absent << " absent";
    if (options.compare) std::cout << ", " << totals.wrong << " differ from the mounted file";
    std::cout << "\n" << totals.hops << " hops";
    const uint64_t reissued = totals.direct + totals.deferred + totals.polled + totals.dispatched;
    if (!options.user) {
        std::cout << " in " << totals.calls << (totals.calls == 1 ? " call; " : " calls; ")
                  << reissued << " reissued: " << totals.direct << " at the completion";
        if (reissued) {
            char share[16];
            std::snprintf(share, sizeof share, " (%.1f %%)",
                          100.0 * double(totals.direct) / double(reissued));
            std::cout << share;
        }
        std::cout << ", " << totals.deferred << " deferred, " << totals.polled << " polled, "
                  << totals.dispatched << " dispatched";
    }
    char rate[64];
    std::snprintf(rate, sizeof rate, "%.2f s, %.0f lookups/s", seconds,
                  seconds > 0 ? double(totals.lookups) / seconds : 0);
    std::cout << "\n" << rate << (options.compare ? " (each looked up twice)" : "") << "\n";
}

int look_up_many(const Options& options, const Context& context,
                 const std::vector<std::string>& keys) {
    const File file = take(File::open(options.file));
    const Index index = open_index(file, options, !options.user);
    std::optional<Index> reference;
    if (options.compare) reference = open_index(file, options, false);
    const bool show_progress = isatty(STDERR_FILENO) && !context.json;

    Totals totals;
    std::vector<std::string> examples;
    const auto start = Clock::now();
    auto run = [&](const std::vector<std::string>& list, std::optional<bool> expect_found) {
        Run one(index, reference ? &*reference : nullptr, list, options.user ? 0 : options.batch,
                expect_found);
        totals.add(one.go(options.jobs, show_progress));
        examples.insert(examples.end(), one.examples().begin(), one.examples().end());
    };
    run(keys, std::nullopt);
    if (options.absent) run(absent_keys(keys), false);
    const std::chrono::duration<double> took = Clock::now() - start;

    if (context.json)
        print_object(true, totals_json(totals, took.count()));
    else
        print_totals(totals, options, took.count());
    for (const std::string& example : examples) std::cerr << "exo: " << example << "\n";
    return totals.wrong ? kExitNo : kExitOk;
}

}  // namespace

void add_lookup(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand(
        "lookup",
        "Look keys up in a pinned index file, through a program at the drive's completion");
    command->add_option("FILE", options->file, "An index file (exo index build), pinned (exo pin)")
        ->required();
    command->add_option("KEY", options->keys, "Keys; one alone prints its value");
    command->add_option("--keys", options->keys_file, "Look up every line of this file (-: stdin)");
    command
        ->add_flag("--absent", options->absent,
                   "Look up as many keys that are not there, too (with --keys)")
        ->needs("--keys");
    auto* compare = command->add_flag(
        "--compare", options->compare,
        "Compare every answer with reading the mounted file; exit 1 if one differs");
    auto* user = command->add_flag("--user", options->user,
                                   "By plain reads in user space, without the module");
    command
        ->add_option("--engine", options->engine,
                     "auto, completion, polled (no interrupt) or dispatch (bios)")
        ->check(CLI::IsMember(kEngines))
        ->excludes(user);
    compare->excludes(user);
    command->add_option("-j,--jobs", options->jobs, "Threads")->check(CLI::Range(1u, kMaxJobs));
    auto* batch =
        command->add_option("--batch", options->batch, "Of many keys, so many in each call (256)");
    batch->check(CLI::Range(1u, unsigned{EXO_INDEX_BATCH}))->excludes(user);
    command->add_option("--program", options->program, "The attached program (btree_lookup)");
    command->add_flag("-v,--verbose", options->verbose, "Say how a single key was found");
    command->footer(
        "Exit code 1: the key is not there, or an answer differs. Prints for many keys how many "
        "calls into\nthe kernel they took, and how many reads were reissued at the completion "
        "itself, deferred to a\nworker, polled, or dispatched as bios.");
    command->callback([&context, options] {
        context.run = [&context, options] {
            std::vector<std::string> keys = options->keys;
            if (!options->keys_file.empty()) {
                std::vector<std::string> more = read_keys(options->keys_file);
                keys.insert(keys.end(), more.begin(), more.end());
            } else if (keys.size() == 1) {
                return look_up_one(*options, context, keys.front());
            }
            if (keys.empty())
                throw Failure("lookup needs a KEY or --keys FILE (see exo lookup --help)",
                              kExitUsage);
            return look_up_many(*options, context, keys);
        };
    });
}

}  // namespace exo::tool
