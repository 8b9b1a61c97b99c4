// SPDX-License-Identifier: MIT
// Tenants that compete: processes, each of which keeps traversals in flight through a ring of its
// own, and counts what it gets. What the parts should be is the tests' business.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "rig.h"
#include "slow.h"

namespace exo::test {

// Set when the time of the device is what is scarce (tests/vm/16-uapi-fairness.sh).
bool slow_device();

// How one of them reads, or computes.
struct Competitor {
    uid_t uid = 0;
    uint32_t in_flight = 1;
    uint32_t read_bytes = 4096;
    uint32_t weight = 0;  // of the tenant, as the administrator sets it
    uint32_t hops = 2;    // of one traversal, which counts when it has ended
    const char* program = "test_stride";
    uint32_t rounds = 0;  // of test_spin, in each step
    uint16_t fan_out = 0;
    uint16_t engine = EXO_ENGINE_AUTO;
    uint32_t late_ms = 0;       // before it begins
    exo_grant_open terms = {};  // of its grant
    std::string cgroup = {};    // that it enters first; empty = none. weight is then the cgroup's
    bool computes = false;      // in user space, and never reads
};

struct Share {
    double reads = 0;     // during the measurement
    uint64_t direct = 0;  // of them, issued in the completion of the one before; from the start
    uint64_t worst_us = 0;
    double cpu = 0;   // seconds that the kernel gave its tenant in interrupts and workers
    double run = 0;   // seconds that its process ran
    double wait = 0;  // and waited for a processor
};

// Lets all of them go at once, and counts for a while after a start that does not count. What
// traversals have read that had not ended is missing, so they should be short against the time.
std::vector<Share> compete(Rig& rig, const std::vector<Competitor>& competitors,
                           std::chrono::milliseconds time = std::chrono::seconds(2));

// How equal the parts are: 1 if all are the same, 1/n if one has everything.
double jain(const std::vector<Share>& shares);

// The device is as much slower as the kernel, within reason, so that its time stays the bottleneck.
uint32_t patience();

// EXO_IOC_TENANT_SET for a user, or with EXO_TENANT_CGROUP for a cgroup.
int set_tenant(const Rig& rig, uint64_t key, uint32_t weight, uint32_t rate_reads = 0,
               uint64_t rate_bytes = 0, uint32_t flags = 0);
std::vector<exo_tenant_entry> tenants();
exo_tenant_entry tenant(uint64_t key);  // all zero if there is none
exo_program_entry program_entry(uint32_t id);

}  // namespace exo::test
