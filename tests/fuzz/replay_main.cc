// SPDX-License-Identifier: MIT
// Runs inputs from files, as an ordinary test: fuzz_replay FILE-OR-FOLDER...
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/image_target.h"

namespace {

void run_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    // A crash must leave the name of its cause behind.
    fprintf(stderr, "%s\r", path.c_str());
    exo::fuzz::run_image({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

}  // namespace

int main(int argc, char** argv) {
    size_t inputs = 0;
    for (int i = 1; i < argc; i++) {
        if (!std::filesystem::is_directory(argv[i])) {
            run_file(argv[i]);
            inputs++;
            continue;
        }
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            run_file(entry.path());
            inputs++;
        }
    }
    printf("\n%zu inputs\n", inputs);
    return inputs == 0;
}
