// SPDX-License-Identifier: MIT
// doctest's main. A random test prints its seed; EXO_TEST_SEED repeats it.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
