// SPDX-License-Identifier: MIT
// The entry of every test on a mount: skips them all, with the reason, where nothing can be
// mounted.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "tests/fuse/mounted_image.h"

int main(int argc, char** argv) {
    if (const auto reason = exo::test::why_not(); !reason.empty()) {
        printf("skipped: %s\n", reason.c_str());
        return 77;
    }
    return doctest::Context(argc, argv).run();
}
