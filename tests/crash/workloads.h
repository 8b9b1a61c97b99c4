// SPDX-License-Identifier: MIT
// The scripts behind workloads().
#pragma once

#include "tests/crash/script.h"

namespace exo::test {

// Names, links, directories, attributes.
Script script_kinds();
Script script_rename();
Script script_links();
Script script_attributes();
Script script_xattrs();
Script script_directory();
Script script_unnamed();
Script script_wrap();
Script script_unmount();

// Content and space.
Script script_append();
Script script_overwrite();
Script script_truncate();
Script script_allocate();
Script script_punch();
Script script_extents();
Script script_copy();
Script script_pins();
Script script_leases();
Script script_reuse();
Script script_full();
Script script_discard();

// A little of everything, for errors at every request.
Script script_medley();

}  // namespace exo::test
