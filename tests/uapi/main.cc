// SPDX-License-Identifier: MIT
// Entry of the module's interface tests; doctest's own options choose among them. Started with
// --traverse FD PROGRAM by a test, it is a program that was given a grant: it waits for a byte on
// its standard input, runs one traversal, and writes how that ended.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "rig.h"

using namespace exo::test;

namespace {

int traverse(const char* fd, const char* program) {
    char byte = 0;
    if (read(STDIN_FILENO, &byte, 1) != 1) {
        return 1;
    }
    test_act_args args = {};
    Run r = run(atoi(fd), static_cast<uint32_t>(atoi(program)), &args, sizeof(args));
    printf("%d %u", r.error, r.outcome.cause);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 4 && !strcmp(argv[1], "--traverse")) {
        return traverse(argv[2], argv[3]);
    }
    return doctest::Context(argc, argv).run();
}
