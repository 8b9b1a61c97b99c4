// SPDX-License-Identifier: MIT
// Threads whose batches share a grant that lets one traversal run at a time: none is refused, each
// waits for its turn, and all answers are right. Usage: exo_narrow_batches INDEX KEYS
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exo/index/btree.hpp>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "must.h"

namespace {

constexpr size_t kKeys = 200;
constexpr size_t kThreads = 4;

exo::Index open_index(const exo::File& file, uint32_t mode) {
    exo_index_options options = {};
    options.mode = mode;
    options.in_flight_limit = 1;
    return must(exo::Index::open(file, options));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    auto file = exo::File::open(argv[1]);
    if (!file) return 2;
    const exo::Index kernel = open_index(*file, EXO_INDEX_KERNEL);
    const exo::Index user = open_index(*file, EXO_INDEX_USER);
    std::ifstream input(argv[2]);
    std::vector<std::string> keys;
    for (std::string line; keys.size() < kKeys && std::getline(input, line);) keys.push_back(line);
    const std::vector<exo::Index::Answer> wanted = user.lookup_batch(keys);

    std::atomic<size_t> right = 0;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kThreads; i++) {
        threads.emplace_back([&] {
            const std::vector<exo::Index::Answer> got = kernel.lookup_batch(keys);
            for (size_t at = 0; at < keys.size(); at++) {
                if (!got[at]) {
                    std::fprintf(stderr, "%s: %s\n", keys[at].c_str(),
                                 got[at].error().message.c_str());
                } else {
                    right += *got[at] == *wanted[at] && got[at]->has_value();
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    std::printf("%zu of %zu answers right\n", right.load(), kThreads * kKeys);
    return right == kThreads * kKeys ? 0 : 1;
}
