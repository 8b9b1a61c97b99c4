// SPDX-License-Identifier: MIT
// Entry of the module's interface tests; doctest's own options choose among them.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
