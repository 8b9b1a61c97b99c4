// SPDX-License-Identifier: MIT
// The ioctls as the fuzzer makes them: mostly such as could succeed, often spoilt, with sizes from
// past and future, bad addresses, and now and then on the wrong kind of file descriptor. A new
// command belongs here.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fuzz.h"
#include "test_args.h"

namespace exo::fuzz {
namespace {

uint64_t address(const void* p) {
    return reinterpret_cast<uint64_t>(p);
}

// Does the call with what may become of it, and copies the answer back.
template <typename T>
int send(Task& task, Kind kind, unsigned long command, T& request) {
    Random& random = task.random;
    std::fill(task.buffer.begin(), task.buffer.end(), 0);
    memcpy(task.buffer.data(), &request, sizeof(request));
    if (random.one_in(4)) {
        mutate(random, task.buffer.data(), sizeof(request));
    }
    if (random.one_in(16)) {
        size_t bytes = random.pick<size_t>(
            {0, 4, sizeof(T) - 8, sizeof(T) - 1, sizeof(T) + 8, sizeof(T) + 8, 4096, 4097, 16383});
        command = resized(command, bytes);
        if (bytes > sizeof(T) && random.one_in(3)) {
            task.buffer[sizeof(T) + random.below(bytes - sizeof(T))] = 1;
        }
    }
    void* argument = task.buffer.data();
    if (random.one_in(48)) {
        argument = reinterpret_cast<void*>(random.pick<uint64_t>(
            {0, 1, 4096, 0xffff888000000000, ~0ULL, task.process.hot_address(random, 512)}));
    }
    int fd = random.one_in(32) ? task.process.fds.any(random) : task.process.fds.any(random, kind);
    int ret = ioctl(fd, command, argument);
    int error = errno;
    memcpy(&request, task.buffer.data(), sizeof(request));
    return ret < 0 ? -error : ret;
}

// The same for calls that return a file descriptor.
template <typename T>
int send_for_fd(Task& task, Kind kind, unsigned long command, T& request, Kind result) {
    int ret = send(task, kind, command, request);
    if (ret > 0) {
        task.process.fds.put(task.random, result, ret);
    }
    return ret;
}

uint32_t grace(Random& random) {
    return random.one_in(200) ? static_cast<uint32_t>(random.boundary())
                              : static_cast<uint32_t>(random.below(20));
}

// Ranges of a file; most are good ones.
void choose_range(Random& random, __u64* start, __u64* len) {
    *start = random.one_in(2) ? 0 : random.below(64) * 512;
    *len = random.one_in(2) ? 0 : random.below(64) * 512;
}

// Weights and rates; most leave enough to read with.
void choose_shares(Random& random, __u32* weight, __u32* rate_reads, __u64* rate_bytes) {
    *weight = random.pick<uint32_t>({0, 0, 1, 100, EXO_WEIGHT_MAX, EXO_WEIGHT_MAX + 1});
    *rate_reads = random.one_in(8) ? random.pick<uint32_t>({1, 100, 10000, UINT32_MAX}) : 0;
    *rate_bytes = random.one_in(8) ? random.pick<uint64_t>({1, 1 << 20, 1ULL << 40, ~0ULL}) : 0;
}

/* ---- /dev/exo ---- */

int info(Task& task) {
    exo_info request = {};
    return send(task, kDevice, EXO_IOC_INFO, request);
}

int stats(Task& task) {
    exo_stats request = {};
    return send(task, kDevice, EXO_IOC_STATS, request);
}

int attach(Task& task) {
    exo_attach request = {};
    request.device_fd = task.process.fds.any(task.random, kDisk);
    memset(request.uuid, 0xe0, sizeof(request.uuid));
    if (task.random.one_in(16)) {
        request.uuid[0]++;
    }
    int ret = send_for_fd(task, kDevice, EXO_IOC_ATTACH, request, kVolume);
    if (ret > 0) {
        task.process.shared.volume_id = request.volume_id;
    }
    return ret;
}

int grant_open(Task& task) {
    exo_grant_open request = {};
    request.file_fd = task.process.fds.any(task.random, kFile);
    choose_range(task.random, &request.range_start, &request.range_len);
    request.hop_limit = task.random.pick<uint32_t>({0, 0, 1, 10, 1000, UINT32_MAX});
    request.in_flight_limit = task.random.pick<uint32_t>({0, 0, 1, 2, 4096, UINT32_MAX});
    choose_shares(task.random, &request.weight, &request.rate_reads, &request.rate_bytes);
    int ret = send_for_fd(task, kDevice, EXO_IOC_GRANT_OPEN, request, kGrant);
    if (ret > 0) {
        task.process.shared.grant_id = request.grant_id;
    }
    return ret;
}

int program_find(Task& task) {
    exo_program_find request = {};
    strcpy(request.name, task.random.pick<const char*>(
                             {"test_stride", "test_act", "test_chain", "test_none", ""}));
    return send(task, kDevice, EXO_IOC_PROGRAM_FIND, request);
}

int list(Task& task) {
    exo_list request = {};
    request.kind = static_cast<uint32_t>(task.random.below(6));
    request.entry_bytes = task.random.pick<uint32_t>({8, 64, 128, 200, 512, 4096, 4097, 0});
    request.cursor = task.random.one_in(2) ? 0 : task.random.below(64);
    request.buffer = task.random.one_in(4) ? task.process.hot_address(task.random, task.list.size())
                                           : address(task.list.data());
    request.buffer_bytes =
        static_cast<uint32_t>(task.random.one_in(4) ? task.random.below(64) : task.list.size());
    request.volume_id = task.random.one_in(4) ? task.process.shared.volume_id.load() : 0;
    return send(task, kDevice, EXO_IOC_LIST, request);
}

int audit_open(Task& task) {
    exo_audit_open request = {
        .flags = static_cast<uint32_t>(task.random.below(2)),
        .event_bytes = task.random.pick<uint32_t>({0, 8, sizeof(exo_audit_event), 200, 4096}),
    };
    int ret = send_for_fd(task, kDevice, EXO_IOC_AUDIT_OPEN, request, kAudit);
    if (ret > 0 && !task.random.one_in(16)) {
        fcntl(ret, F_SETFL, O_NONBLOCK);
    }
    return ret;
}

int release(Task& task) {
    exo_release request = {.volume_id = task.process.shared.volume_id,
                           .grace_ms = grace(task.random)};
    return send(task, kDevice, EXO_IOC_RELEASE, request);
}

int tenant_set(Task& task) {
    Random& random = task.random;
    exo_tenant_set request = {};
    request.volume_id = task.process.shared.volume_id;
    request.flags = random.one_in(8) ? EXO_TENANT_CGROUP : 0;
    request.key = random.pick<uint64_t>({0, 0, 65534, 1, 4711, UINT32_MAX});
    choose_shares(random, &request.weight, &request.rate_reads, &request.rate_bytes);
    return send(task, kDevice, EXO_IOC_TENANT_SET, request);
}

int revoke_id(Task& task) {
    exo_revoke_id request = {};
    request.grant_id = task.process.shared.grant_id - task.random.below(8);
    request.grace_ms = grace(task.random);
    return send(task, kDevice, EXO_IOC_REVOKE_ID, request);
}

int set_create(Task& task) {
    Random& random = task.random;
    std::array<int32_t, 80> grants = {};
    for (int32_t& fd : grants) {
        fd =
            random.one_in(64) ? task.process.fds.any(random) : task.process.fds.any(random, kGrant);
    }
    exo_set_create request = {};
    request.grant_fds = random.one_in(16) ? task.process.hot_address(random, sizeof(grants))
                                          : address(grants.data());
    request.count = random.pick<uint32_t>({0, 1, 1, 2, 2, 5, 16, 64, 65, 80});
    return send_for_fd(task, kDevice, EXO_IOC_SET_CREATE, request, kSet);
}

/* ---- volume ---- */

int bind_mount(Task& task) {
    exo_bind_mount request = {.mount_fd = task.process.fds.any(task.random, kFolder), .flags = 0};
    return send(task, kVolume, EXO_VOLUME_BIND_MOUNT, request);
}

int pin(Task& task) {
    Random& random = task.random;
    std::array<exo_extent, 16> extents = {};
    uint64_t ino = random.below(kInos);
    size_t count = random.pick<size_t>({0, 1, 1, 2, 16});
    // Runs of the file in order, from places of the device that no other run has.
    for (size_t i = 0; i < count; i++) {
        uint64_t length = kFileBytes / count;
        extents[i] = {.file_offset = i * length,
                      .disk_offset = random.one_in(2) ? i * length : (count - 1 - i) * length,
                      .length = length};
    }
    if (count > 1 && random.one_in(3)) {
        extents[random.below(count)].length -= kBlock;
    }
    if (random.one_in(8)) {
        mutate(random, extents.data(), count * sizeof(exo_extent));
    }
    exo_pin request = {};
    request.ino = kFirstIno + ino;
    request.generation = 1;
    request.size_bytes = kFileBytes;
    request.extents = address(extents.data());
    request.extent_count = static_cast<uint32_t>(count);
    return send(task, kVolume, EXO_VOLUME_PIN, request);
}

int unpin(Task& task) {
    exo_unpin request = {};
    request.ino = kFirstIno + task.random.below(kInos);
    request.generation = 1;
    request.grace_ms = grace(task.random);
    return send(task, kVolume, EXO_VOLUME_UNPIN, request);
}

int detach(Task& task) {
    exo_detach request = {.grace_ms = grace(task.random), .flags = 0};
    return send(task, kVolume, EXO_VOLUME_DETACH, request);
}

/* ---- grant ---- */

int grant_info(Task& task) {
    exo_grant_entry request = {};
    return send(task, kGrant, EXO_GRANT_INFO, request);
}

int traverse(Task& task) {
    exo_traverse request = make_traverse(task);
    return send(task, task.random.one_in(3) ? kSet : kGrant, EXO_GRANT_TRAVERSE, request);
}

int batch(Task& task) {
    Random& random = task.random;
    size_t count = random.pick<size_t>({0, 1, 2, 8, 32, 64});
    for (size_t i = 0; i < count; i++) {
        task.batch[i] = make_traverse(task);
        if (random.one_in(16)) {
            mutate(random, &task.batch[i], sizeof(exo_traverse));
        }
    }
    exo_batch request = {};
    request.traversals = address(task.batch.data());
    request.count = static_cast<uint32_t>(count);
    request.entry_bytes = sizeof(exo_traverse);
    return send(task, random.one_in(3) ? kSet : kGrant, EXO_GRANT_BATCH, request);
}

int derive(Task& task) {
    Random& random = task.random;
    exo_grant_derive request = {};
    choose_range(random, &request.range_start, &request.range_len);
    request.rights = random.pick<uint32_t>(
        {0, 0, EXO_RIGHTS_ALL, EXO_RIGHT_TRAVERSE, EXO_RIGHT_TRAVERSE | EXO_RIGHT_DERIVE, 8});
    request.hop_limit = random.pick<uint32_t>({0, 0, 1, 10, UINT32_MAX});
    request.in_flight_limit = random.pick<uint32_t>({0, 0, 1, UINT32_MAX});
    choose_shares(random, &request.weight, &request.rate_reads, &request.rate_bytes);
    request.expires_ms = random.pick<uint32_t>({0, 0, 0, 1, 50, UINT32_MAX});
    if (random.one_in(8)) {
        request.program_id = task.process.shared.programs[random.below(kMaxPrograms)];
    }
    int ret = send_for_fd(task, kGrant, EXO_GRANT_DERIVE, request, kGrant);
    if (ret > 0) {
        task.process.shared.grant_id = request.grant_id;
    }
    return ret;
}

int revoke(Task& task) {
    exo_grant_revoke request = {};
    request.grace_ms = grace(task.random);
    request.flags = task.random.one_in(4) ? EXO_REVOKE_SELF : 0;
    return send(task, kGrant, EXO_GRANT_REVOKE, request);
}

// Anything in the number space of the module's commands, known or not.
int unknown(Task& task) {
    Random& random = task.random;
    for (uint8_t& byte : std::span(task.buffer).first(256)) {
        byte = random.one_in(4) ? static_cast<uint8_t>(random.next()) : 0;
    }
    unsigned long command =
        _IOC(random.below(4), random.one_in(8) ? random.below(256) : EXO_IOC_TYPE,
             random.one_in(4) ? random.below(256) : random.below(6) + random.pick({0, 0x20, 0x40}),
             random.one_in(4) ? random.below(16384) : random.below(32) * 8);
    int ret = ioctl(task.process.fds.any(random), command, task.buffer.data());
    int error = errno;
    if (ret > 0 && _IOC_TYPE(command) == EXO_IOC_TYPE) {
        task.process.fds.put(random, kOther, ret);
    }
    return ret < 0 ? -error : ret;
}

constexpr Action kActions[] = {
    {"info", 1, info},
    {"stats", 2, stats},
    {"attach", 6, attach},
    {"grant_open", 30, grant_open},
    {"program_find", 2, program_find},
    {"tenant_set", 3, tenant_set},
    {"list", 6, list},
    {"audit_open", 2, audit_open},
    {"release", 1, release},
    {"revoke_id", 3, revoke_id},
    {"set_create", 8, set_create},
    {"bind_mount", 6, bind_mount},
    {"pin", 20, pin},
    {"unpin", 4, unpin},
    {"detach", 1, detach},
    {"grant_info", 4, grant_info},
    {"traverse", 60, traverse},
    {"batch", 12, batch},
    {"derive", 20, derive},
    {"revoke", 4, revoke},
    {"unknown", 6, unknown},
    {"ring_open", 6, ring_open},
    {"ring_submit", 40, ring_submit},
    {"ring_reap", 40, ring_reap},
    {"ring_close", 3, ring_close},
    {"ring_fork", 1, ring_fork},
    {"open", 16, fds_open},
    {"close", 16, fds_close},
    {"duplicate", 4, fds_duplicate},
    {"send", 6, fds_send},
    {"receive", 6, fds_receive},
    {"poke", 8, fds_poke},
    {"show", 4, fds_show},
    {"memory", 6, hot_change},
};
static_assert(std::size(kActions) <= kMaxActions);

}  // namespace

std::span<const Action> actions() {
    return kActions;
}

uint64_t Random::boundary() {
    uint64_t value =
        pick<uint64_t>({0,          1,          2,          7,          8,
                        511,        512,        513,        4095,       4096,
                        4097,       65536,      65537,      1ULL << 20, (1ULL << 20) + 1,
                        INT32_MAX,  1ULL << 31, UINT32_MAX, 1ULL << 32, INT64_MAX,
                        1ULL << 63, ~0ULL,      ~511ULL,    ~4095ULL});
    return one_in(4) ? value + below(16) - 8 : value;
}

void mutate(Random& random, void* data, size_t bytes) {
    auto* at = static_cast<uint8_t*>(data);
    for (uint64_t n = 1 + random.below(3); n && bytes >= 8; n--) {
        uint64_t value = random.one_in(4) ? random.next() : random.boundary();
        switch (random.below(3)) {
            case 0:
                memcpy(at + random.below(bytes / 8) * 8, &value, 8);
                break;
            case 1:
                memcpy(at + random.below(bytes / 4) * 4, &value, 4);
                break;
            default:
                at[random.below(bytes)] ^= static_cast<uint8_t>(1 << random.below(8));
        }
    }
}

unsigned long resized(unsigned long command, size_t bytes) {
    return _IOC(_IOC_DIR(command), _IOC_TYPE(command), _IOC_NR(command), bytes);
}

exo_traverse make_traverse(Task& task) {
    Random& random = task.random;
    std::fill(task.args.begin(), task.args.end(), 0);
    test_stride_args stride = {.stride = random.pick<uint64_t>({0, 512, 4096, 4096, 4097, 100000}),
                               .count = random.pick<uint32_t>({0, 1, 2, 5, 16, 100}),
                               .len = random.pick<uint32_t>({512, 4096, 4096, 1, 4097, 65536, 0})};
    test_act_args act = {.offset = random.below(kFileBytes + kBlock),
                         .len = static_cast<uint32_t>(random.below(5000)),
                         .read = static_cast<uint32_t>(random.below(2)),
                         .verdict = random.pick<int32_t>({0, 1, 1, 2, -1, -22, INT32_MIN}),
                         .report_len = static_cast<uint32_t>(random.below(80))};
    switch (random.below(4)) {
        case 0:
            memcpy(task.args.data(), &act, sizeof(act));
            break;
        case 1:
            mutate(random, task.args.data(), 64);
            break;
        default:
            memcpy(task.args.data(), &stride, sizeof(stride));
    }
    exo_traverse request = {};
    request.program_id = task.process.shared.programs[random.below(kMaxPrograms)];
    request.start_offset = random.below(8) * kBlock + (random.one_in(4) ? random.below(kBlock) : 0);
    request.hop_bytes = random.pick<uint32_t>({512, 4096, 4096, 8192, 65536, 69632, 73728});
    request.hop_limit = random.pick<uint32_t>({0, 1, 5, 50, 500});
    request.timeout_ms = random.pick<uint32_t>({0, 1, 5, 20, 100});
    request.args = address(task.args.data());
    request.args_len = random.pick<uint32_t>({16, 24, 24, 64, 4096});
    request.result = task.process.hot_address(random, 65536);
    request.result_len = random.pick<uint32_t>({0, 8, 64, 64, 4096, 65536});
    if (random.one_in(4)) {
        request.flags = random.pick<uint32_t>({EXO_TRAVERSE_LAST_BLOCK, EXO_TRAVERSE_ALL_BLOCKS});
        request.blocks_len = random.pick<uint32_t>({4096, 8192, 1 << 20});
        request.blocks = task.process.hot_address(random, request.blocks_len);
    }
    request.engine =
        random.pick<uint16_t>({EXO_ENGINE_AUTO, EXO_ENGINE_AUTO, EXO_ENGINE_AUTO,
                               EXO_ENGINE_COMPLETION, EXO_ENGINE_POLLED, EXO_ENGINE_DISPATCH});
    request.fan_out = random.pick<uint16_t>({0, 0, 1, 2, 16});
    request.slot = random.one_in(4) ? static_cast<uint32_t>(random.below(4)) : 0;
    return request;
}

}  // namespace exo::fuzz
