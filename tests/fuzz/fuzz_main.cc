// SPDX-License-Identifier: MIT
// The connection to libFuzzer. Build with tests/fuzz/run.
#include <algorithm>
#include <cstring>
#include <random>

#include "tests/fuzz/image_input.h"
#include "tests/fuzz/image_target.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    exo::fuzz::run_image({data, size});
    return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
    std::minstd_rand random(seed);
    if (random() % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
    auto input = exo::fuzz::decode({data, size});
    for (unsigned i = unsigned(random() % 3); i < 3; i++)
        input = exo::fuzz::mutate(std::move(input), random);
    const auto bytes = exo::fuzz::encode(input);
    const size_t length = std::min(bytes.size(), max_size);
    memcpy(data, bytes.data(), length);
    return length;
}
