// SPDX-License-Identifier: MIT
// Bad arguments of every ioctl that needs no grant: sizes, reserved fields, order of checks,
// privilege.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "rig.h"

using namespace exo::test;

namespace {

// The same command with another size.
unsigned long resized(unsigned long command, size_t bytes) {
    return _IOC(_IOC_DIR(command), _IOC_TYPE(command), _IOC_NR(command), bytes);
}

struct Command {
    const char* name;
    unsigned long number;
    size_t first_bytes;
    size_t bytes = first_bytes;  // now
};

const Command kDevice[] = {
    {"INFO", EXO_IOC_INFO, offsetof(exo_info, default_hops), sizeof(exo_info)},
    {"ATTACH", EXO_IOC_ATTACH, sizeof(exo_attach)},
    {"GRANT_OPEN", EXO_IOC_GRANT_OPEN, offsetof(exo_grant_open, weight), sizeof(exo_grant_open)},
    {"PROGRAM_FIND", EXO_IOC_PROGRAM_FIND, sizeof(exo_program_find)},
    {"LIST", EXO_IOC_LIST, sizeof(exo_list)},
    {"STATS", EXO_IOC_STATS, sizeof(exo_stats)},
    {"AUDIT_OPEN", EXO_IOC_AUDIT_OPEN, sizeof(exo_audit_open)},
    {"RELEASE", EXO_IOC_RELEASE, sizeof(exo_release)},
    {"REVOKE_ID", EXO_IOC_REVOKE_ID, sizeof(exo_revoke_id)},
    {"SET_CREATE", EXO_IOC_SET_CREATE, sizeof(exo_set_create)},
    {"TENANT_SET", EXO_IOC_TENANT_SET, sizeof(exo_tenant_set)},
};
const Command kVolume[] = {
    {"BIND_MOUNT", EXO_VOLUME_BIND_MOUNT, sizeof(exo_bind_mount)},
    {"PIN", EXO_VOLUME_PIN, sizeof(exo_pin)},
    {"UNPIN", EXO_VOLUME_UNPIN, sizeof(exo_unpin)},
    {"DETACH", EXO_VOLUME_DETACH, sizeof(exo_detach)},
};
const Command kGrant[] = {
    {"INFO", EXO_GRANT_INFO, offsetof(exo_grant_entry, weight), sizeof(exo_grant_entry)},
    {"TRAVERSE", EXO_GRANT_TRAVERSE, sizeof(exo_traverse)},
    {"BATCH", EXO_GRANT_BATCH, sizeof(exo_batch)},
    {"DERIVE", EXO_GRANT_DERIVE, offsetof(exo_grant_derive, weight), sizeof(exo_grant_derive)},
    {"REVOKE", EXO_GRANT_REVOKE, sizeof(exo_grant_revoke)},
};
const Command kSet[] = {
    {"TRAVERSE", EXO_GRANT_TRAVERSE, sizeof(exo_traverse)},
    {"BATCH", EXO_GRANT_BATCH, sizeof(exo_batch)},
};

template <size_t N>
void check_sizes(const Fd& fd, const Command (&commands)[N]) {
    for (const Command& c : commands) {
        CAPTURE(c.name);
        std::vector<uint8_t> buffer(8192, 0);
        CHECK(call(fd, resized(c.number, 0), buffer.data()) == -EINVAL);
        CHECK(call(fd, resized(c.number, c.first_bytes - 1), buffer.data()) == -EINVAL);
        // From the future: fine while the unknown part is zero.
        buffer[c.bytes] = 1;
        CHECK(call(fd, resized(c.number, c.bytes + 8), buffer.data()) == -E2BIG);
        buffer[c.bytes] = 0;
        buffer[4095] = 1;
        CHECK(call(fd, resized(c.number, 4096), buffer.data()) == -E2BIG);
        CHECK(call(fd, c.number, static_cast<void*>(nullptr)) == -EFAULT);
        CHECK(call(fd, c.number, reinterpret_cast<void*>(0xffff888000000000)) == -EFAULT);
        // Another direction or type is another command.
        CHECK(call(fd, _IOC(_IOC_NONE, EXO_IOC_TYPE, _IOC_NR(c.number), c.first_bytes),
                   buffer.data()) == -ENOTTY);
        CHECK(call(fd, _IOC(_IOC_READ | _IOC_WRITE, 'x', _IOC_NR(c.number), c.first_bytes),
                   buffer.data()) == -ENOTTY);
    }
    std::vector<uint8_t> buffer(8192, 0);
    CHECK(call(fd, _IOWR(EXO_IOC_TYPE, 0x1f, exo_info), buffer.data()) == -ENOTTY);
    CHECK(call(fd, _IOWR(EXO_IOC_TYPE, 0xff, exo_info), buffer.data()) == -ENOTTY);
}

// Runs in a child without any privilege; returns its exit code.
int as_nobody(const std::function<int()>& body) {
    pid_t child = fork();
    if (child == 0) {
        if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) {
            _exit(99);
        }
        _exit(body());
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

Fd set_of(const Fd& grant) {
    int32_t fds[] = {grant.get()};
    exo_set_create request = {};
    request.grant_fds = reinterpret_cast<uint64_t>(fds);
    request.count = 1;
    Fd set(call(open_exo(), EXO_IOC_SET_CREATE, &request));
    REQUIRE(set);
    return set;
}

// Memory that can be read and not written.
template <typename T>
class ReadOnly {
  public:
    explicit ReadOnly(const T& value) {
        memory_ =
            mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(memory_ != MAP_FAILED);
        memcpy(memory_, &value, sizeof(T));
        REQUIRE(mprotect(memory_, sizeof(T), PROT_READ) == 0);
    }
    ~ReadOnly() { munmap(memory_, sizeof(T)); }
    ReadOnly(const ReadOnly&) = delete;
    ReadOnly& operator=(const ReadOnly&) = delete;
    T* get() { return static_cast<T*>(memory_); }

  private:
    void* memory_;
};

// The answer of a call that cannot write it.
template <typename T>
int untold(const Fd& fd, unsigned long command, const T& request) {
    ReadOnly<T> memory(request);
    return call(fd, command, memory.get());
}

size_t open_descriptors() {
    auto all = std::filesystem::directory_iterator("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(all), end(all)));
}

exo_attach attach_request(int fd) {
    exo_attach request = {};
    request.device_fd = fd;
    memcpy(request.uuid, kUuid.data(), kUuid.size());
    return request;
}

}  // namespace

TEST_SUITE_BEGIN("arguments");

TEST_CASE("sizes of the past and of the future") {
    Rig rig;
    check_sizes(open_exo(), kDevice);
    check_sizes(rig.volume, kVolume);
    check_sizes(rig.grant, kGrant);
    Fd set = set_of(rig.grant);
    check_sizes(set, kSet);

    // Each kind of fd knows its own commands only.
    std::vector<uint8_t> buffer(8192, 0);
    for (const Command& c : kVolume) {
        CHECK(call(open_exo(), c.number, buffer.data()) == -ENOTTY);
        CHECK(call(rig.grant, c.number, buffer.data()) == -ENOTTY);
    }
    for (const Command& c : kGrant) {
        CHECK(call(rig.volume, c.number, buffer.data()) == -ENOTTY);
        bool known = c.number == EXO_GRANT_TRAVERSE || c.number == EXO_GRANT_BATCH;
        CHECK((call(set, c.number, buffer.data()) == -ENOTTY) == !known);
    }

    // A larger structure gets what the module knows and keeps its zeros.
    struct {
        exo_info info;
        uint64_t more;
    } bigger = {};
    CHECK(call(open_exo(), resized(EXO_IOC_INFO, sizeof(bigger)), &bigger) == 0);
    CHECK(bigger.info.abi_version == EXO_ABI_VERSION);
    CHECK(bigger.more == 0);
}

TEST_CASE("info") {
    exo_info info = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &info) == 0);
    CHECK(info.abi_version == EXO_ABI_VERSION);
    CHECK(info.reserved == 0);
    // Each of them, and none that has no name.
    const uint64_t features = EXO_FEATURE_POLLED | EXO_FEATURE_BLOCKS | EXO_FEATURE_BATCH |
                              EXO_FEATURE_URING | EXO_FEATURE_DERIVE | EXO_FEATURE_DISPATCH |
                              EXO_FEATURE_FAN_OUT | EXO_FEATURE_SETS | EXO_FEATURE_TENANTS |
                              EXO_FEATURE_FIXED_BUFFERS | EXO_FEATURE_CANCEL;
    CHECK((info.features & ~EXO_FEATURE_DIRECT_ISSUE) == features);
    CHECK(info.max_extents >= 1U << 20);
    CHECK(info.max_hops >= 1024);
    CHECK(info.max_hop_bytes >= 65536);
    CHECK(info.max_args_bytes >= 4096);
    CHECK(info.max_result_bytes >= 65536);
    CHECK(info.max_timeout_ms >= 1000);
    CHECK(info.max_blocks_bytes >= 1U << 20);
    CHECK(info.max_batch >= 4096);
    CHECK(info.max_fan_out >= 16);
    CHECK(info.max_slots >= 64);

    // Direct issue is what the administrator says, as far as the kernel allows it.
    const char* parameter = "/sys/module/exo/parameters/direct_issue";
    unsigned mode = 0;
    std::ifstream(parameter) >> mode;
    bool direct = info.features & EXO_FEATURE_DIRECT_ISSUE;
    std::ofstream(parameter) << 0 << std::flush;
    CHECK(call(open_exo(), EXO_IOC_INFO, &info) == 0);
    CHECK((info.features & EXO_FEATURE_DIRECT_ISSUE) == 0);
    std::ofstream(parameter) << mode << std::flush;
    CHECK(call(open_exo(), EXO_IOC_INFO, &info) == 0);
    CHECK(bool(info.features & EXO_FEATURE_DIRECT_ISSUE) == direct);
}

TEST_CASE("an answer that cannot be written: no descriptor is left, and what was done is done") {
    drop_shared_programs();
    const size_t before = open_descriptors();
    {
        Fd exo = open_exo();
        {
            Fd device = open_path(device_path(), O_RDWR);
            CHECK(untold(exo, EXO_IOC_ATTACH, attach_request(device.get())) == -EFAULT);
            CHECK(stats().volumes == 0);
            CHECK(open_path(device_path(), O_RDWR | O_EXCL));  // let go
        }
        Rig rig(64 * 4096);
        Fd set = set_of(rig.grant);
        const size_t with_rig = open_descriptors();
        exo_grant_open file = {};
        file.file_fd = rig.file.get();
        CHECK(untold(exo, EXO_IOC_GRANT_OPEN, file) == -EFAULT);
        CHECK(untold(rig.grant, EXO_GRANT_DERIVE, exo_grant_derive{}) == -EFAULT);
        CHECK(stats().grants == 1);
        int32_t grants[] = {rig.grant.get()};
        exo_set_create slots = {};
        slots.grant_fds = reinterpret_cast<uint64_t>(grants);
        slots.count = 1;
        CHECK(untold(exo, EXO_IOC_SET_CREATE, slots) == -EFAULT);
        exo_audit_open trail = {};
        trail.event_bytes = sizeof(exo_audit_event);
        CHECK(untold(exo, EXO_IOC_AUDIT_OPEN, trail) == -EFAULT);
        CHECK(open_descriptors() == with_rig);

        CHECK(untold(exo, EXO_IOC_INFO, exo_info{}) == -EFAULT);
        CHECK(untold(exo, EXO_IOC_STATS, exo_stats{}) == -EFAULT);
        CHECK(untold(rig.grant, EXO_GRANT_INFO, exo_grant_entry{}) == -EFAULT);
        exo_program_find find = {};
        strcpy(find.name, "test_act");
        exo_traverse traverse = {};
        traverse.program_id = shared_program("test_act").id();
        traverse.hop_bytes = 4096;
        CHECK(untold(exo, EXO_IOC_PROGRAM_FIND, find) == -EFAULT);
        for (uint32_t kind : {EXO_LIST_VOLUMES, EXO_LIST_PINS, EXO_LIST_GRANTS, EXO_LIST_PROGRAMS,
                              EXO_LIST_TENANTS}) {
            CAPTURE(kind);
            ReadOnly<std::array<uint8_t, 4096>> room({});
            exo_list list = {};
            list.kind = kind;
            list.entry_bytes = 64;
            list.buffer = reinterpret_cast<uint64_t>(room.get());
            list.buffer_bytes = 4096;
            CHECK(call(exo, EXO_IOC_LIST, &list) == -EFAULT);
            CHECK(list.cursor == 0);
            std::array<uint8_t, 4096> good = {};
            list.buffer = reinterpret_cast<uint64_t>(good.data());
            CHECK(untold(exo, EXO_IOC_LIST, list) == -EFAULT);
        }

        // A traversal runs all the same, and ends.
        for (const Fd* fd : {&rig.grant, &set}) {
            uint64_t started = stats().traversals;
            CHECK(untold(*fd, EXO_GRANT_TRAVERSE, traverse) == -EFAULT);
            exo_batch batch = {.traversals = reinterpret_cast<uint64_t>(&traverse),
                               .count = 1,
                               .entry_bytes = sizeof(exo_traverse),
                               .flags = 0,
                               .reserved = 0};
            CHECK(untold(*fd, EXO_GRANT_BATCH, batch) == -EFAULT);
            ReadOnly<exo_traverse> entry(traverse);
            batch.traversals = reinterpret_cast<uint64_t>(entry.get());
            CHECK(call(*fd, EXO_GRANT_BATCH, &batch) == -EFAULT);
            CHECK(stats().traversals - started == 3);
            CHECK(stats().traversals_in_flight == 0);
        }

        exo_extent extent = {.file_offset = 0, .disk_offset = 0, .length = 4096};
        exo_pin request = {};
        request.ino = 99;
        request.generation = 1;
        request.size_bytes = 4096;
        request.extents = reinterpret_cast<uint64_t>(&extent);
        request.extent_count = 1;
        CHECK(untold(rig.volume, EXO_VOLUME_PIN, request) == -EFAULT);
        CHECK(call(rig.volume, EXO_VOLUME_PIN, &request) == -EEXIST);
        exo_unpin end = {};
        end.ino = 99;
        end.generation = 1;
        CHECK(untold(rig.volume, EXO_VOLUME_UNPIN, end) == -EFAULT);
        CHECK(call(rig.volume, EXO_VOLUME_UNPIN, &end) == -ENOENT);
        exo_bind_mount mount = {};
        mount.mount_fd = rig.file.get();
        CHECK(untold(rig.volume, EXO_VOLUME_BIND_MOUNT, mount) == -EFAULT);

        exo_grant_revoke revoke = {};
        revoke.flags = EXO_REVOKE_SELF;
        CHECK(untold(rig.grant, EXO_GRANT_REVOKE, revoke) == -EFAULT);
        CHECK(call(rig.grant, EXO_GRANT_TRAVERSE, &traverse) == -EKEYREVOKED);
        Opened second = rig.regrant();
        REQUIRE(second.error == 0);
        exo_grant_entry entry = {};
        REQUIRE(call(second.fd, EXO_GRANT_INFO, &entry) == 0);
        exo_revoke_id by_id = {};
        by_id.grant_id = entry.grant_id;
        CHECK(untold(exo, EXO_IOC_REVOKE_ID, by_id) == -EFAULT);
        CHECK(call(second.fd, EXO_GRANT_TRAVERSE, &traverse) == -EKEYREVOKED);

        exo_tenant_set terms = {};
        terms.volume_id = rig.info.volume_id;
        terms.key = 4711;
        CHECK(untold(exo, EXO_IOC_TENANT_SET, terms) == -EFAULT);
        exo_detach detach = {};
        CHECK(untold(rig.volume, EXO_VOLUME_DETACH, detach) == -EFAULT);
        CHECK(call(rig.volume, EXO_VOLUME_DETACH, &detach) == -ENODEV);
        rig.volume.reset();
    }
    {
        Rig orphan(64 * 4096);
        orphan.volume.reset();
        exo_release release = {.volume_id = orphan.info.volume_id, .grace_ms = 0};
        CHECK(untold(open_exo(), EXO_IOC_RELEASE, release) == -EFAULT);
        CHECK(stats().volumes == 0);
    }
    drop_shared_programs();
    CHECK(open_descriptors() == before);
}

TEST_CASE("attach") {
    Fd exo = open_exo();
    Fd device = open_path(device_path(), O_RDWR);
    Fd read_only = open_path(device_path(), O_RDONLY);
    Fd write_only = open_path(device_path(), O_WRONLY);
    Fd path_only = open_path(device_path(), O_PATH);
    Fd null = open_path("/dev/null", O_RDWR);
    Fd folder = open_path("/tmp", O_RDONLY);
    auto answer = [&](exo_attach request) {
        int ret = call(exo, EXO_IOC_ATTACH, &request);
        if (ret >= 0) {
            close(ret);
            return 0;
        }
        return ret;
    };
    exo_attach good = attach_request(device.get());
    REQUIRE(answer(good) == 0);

    exo_attach bad = good;
    bad.flags = 1;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.refused = 1;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    memset(bad.uuid, 0, sizeof(bad.uuid));
    CHECK(answer(bad) == -EINVAL);
    CHECK(answer(attach_request(-1)) == -EBADF);
    CHECK(answer(attach_request(1000)) == -EBADF);
    CHECK(answer(attach_request(path_only.get())) == -EBADF);
    CHECK(answer(attach_request(null.get())) == -ENOTBLK);
    CHECK(answer(attach_request(folder.get())) == -ENOTBLK);
    CHECK(answer(attach_request(exo.get())) == -ENOTBLK);
    CHECK(answer(attach_request(read_only.get())) == -EBADF);
    CHECK(answer(attach_request(write_only.get())) == -EBADF);
    // Arguments come before the file descriptor.
    bad = attach_request(-1);
    bad.flags = 1;
    CHECK(answer(bad) == -EINVAL);

    // Somebody else holds the device.
    Fd holder = open_path(device_path(), O_RDWR | O_EXCL);
    REQUIRE(holder);
    CHECK(answer(good) == -EBUSY);
    holder.reset();
    CHECK(answer(good) == 0);

    // And when the volume holds it, nobody else can.
    Opened volume = attach(device_path());
    REQUIRE(volume.error == 0);
    CHECK(!open_path(device_path(), O_RDWR | O_EXCL));
    CHECK(errno == EBUSY);
    CHECK(answer(good) == -EBUSY);
    volume.fd.reset();
    CHECK(stats().volumes == 0);
    CHECK(open_path(device_path(), O_RDWR | O_EXCL));
}

// Run by scripts on such a device only: the variable is the reason.
TEST_CASE("a device that cannot serve is refused, and the reason told" *
          doctest::skip(!std::getenv("EXO_TEST_REFUSED"))) {
    exo_attach answer = {};
    CHECK(attach(device_path(), &answer).error == -EOPNOTSUPP);
    CHECK(answer.refused == std::strtoul(std::getenv("EXO_TEST_REFUSED"), nullptr, 0));
    CHECK(answer.volume_id == 0);
    // And let go again.
    CHECK(open_path(device_path(), O_RDWR | O_EXCL));
}

TEST_CASE("attach needs the privilege, before anything else is looked at") {
    Fd device = open_path(device_path(), O_RDWR);
    Fd exo = open_exo();
    CHECK(as_nobody([&] {
              exo_attach request = attach_request(device.get());
              request.flags = 1;
              exo_audit_open audit = {.flags = ~0u, .event_bytes = 0};
              exo_release release = {};
              exo_list list = {};
              list.entry_bytes = 8;
              list.kind = EXO_LIST_VOLUMES;
              int bad = call(exo, EXO_IOC_ATTACH, &request) != -EPERM;
              bad |= (call(exo, EXO_IOC_AUDIT_OPEN, &audit) != -EPERM) << 1;
              bad |= (call(exo, EXO_IOC_RELEASE, &release) != -EPERM) << 2;
              bad |= (call(exo, EXO_IOC_LIST, &list) != -EPERM) << 3;
              list.kind = EXO_LIST_PINS;
              bad |= (call(exo, EXO_IOC_LIST, &list) != -EPERM) << 4;
              list.kind = EXO_LIST_GRANTS;
              bad |= (call(exo, EXO_IOC_LIST, &list) != 0) << 5;
              exo_info info = {};
              bad |= (call(exo, EXO_IOC_INFO, &info) != 0) << 6;
              return bad;
          }) == 0);
}

TEST_CASE("attach again: only the volume's own file system, and only one daemon") {
    exo_attach info = {};
    Opened first = attach(device_path(), &info);
    REQUIRE(first.error == 0);
    CHECK(info.volume_id > 0);
    CHECK(info.size_bytes > 0);
    CHECK((info.logical_block_bytes == 512 || info.logical_block_bytes == 4096));
    CHECK(info.out_flags == 0);
    REQUIRE(pin(first.fd, 5, 1, 4096, {{0, 0, 4096}}) == 0);
    CHECK(attach(device_path()).error == -EBUSY);

    first.fd.reset();  // the daemon dies; its pin keeps the volume
    CHECK(stats().volumes == 1);
    CHECK(!open_path(device_path(), O_RDWR | O_EXCL));
    auto other = kUuid;
    other[3] ^= 1;
    CHECK(attach(device_path(), nullptr, other).error == -EEXIST);

    exo_attach again = {};
    Opened second = attach(device_path(), &again);
    REQUIRE(second.error == 0);
    CHECK(again.volume_id == info.volume_id);
    CHECK(again.out_flags == EXO_ATTACH_REATTACHED);
    CHECK(pin(second.fd, 5, 1, 4096, {{0, 0, 4096}}) == -EEXIST);
    CHECK(unpin(second.fd, 5, 1) == 0);
    second.fd.reset();
    CHECK(stats().volumes == 0);
}

TEST_CASE("pin") {
    exo_attach info = {};
    Opened volume = attach(device_path(), &info);
    REQUIRE(volume.error == 0);
    const uint64_t block = info.logical_block_bytes;
    const uint64_t end = info.size_bytes / block * block;
    const uint64_t size = 16 * block;

    struct {
        const char* what;
        std::vector<exo_extent> extents;
        int error;
    } table[] = {
        {"holes only", {}, 0},
        {"one", {{0, 0, block}}, 0},
        {"the device's last block", {{0, end - block, block}}, 0},
        {"the file's last block", {{15 * block, 0, block}}, 0},
        {"empty", {{0, 0, 0}}, -EINVAL},
        {"odd file offset", {{1, 0, block}}, -EINVAL},
        {"odd disk offset", {{0, 1, block}}, -EINVAL},
        {"odd length", {{0, 0, block + 1}}, -EINVAL},
        {"behind the file", {{size, 0, block}}, -EINVAL},
        {"across the file's end", {{15 * block, 0, 2 * block}}, -EINVAL},
        {"behind the device", {{0, end, block}}, -EINVAL},
        {"across the device's end", {{0, end - block, 2 * block}}, -EINVAL},
        {"overflowing file offset", {{~(block - 1), 0, block}}, -EINVAL},
        {"overflowing disk offset", {{0, ~(block - 1), block}}, -EINVAL},
        {"overflowing length", {{0, 0, ~(block - 1)}}, -EINVAL},
        {"unsorted", {{block, 0, block}, {0, block, block}}, -EINVAL},
        {"overlap in the file", {{0, 0, 2 * block}, {block, 8 * block, block}}, -EINVAL},
        {"overlap on the device", {{0, 0, 2 * block}, {8 * block, block, block}}, -EINVAL},
        {"the same block twice", {{0, block, block}, {block, block, block}}, -EINVAL},
    };
    for (const auto& row : table) {
        CAPTURE(row.what);
        CHECK(pin(volume.fd, 5, 1, size, row.extents) == row.error);
        if (!row.error) {
            CHECK(unpin(volume.fd, 5, 1) == 0);
        }
    }

    exo_extent one = {0, 0, block};
    exo_pin good = {.ino = 5,
                    .generation = 1,
                    .size_bytes = size,
                    .extents = reinterpret_cast<uint64_t>(&one),
                    .extent_count = 1,
                    .flags = 0,
                    .pin_id = 0};
    auto answer = [&](exo_pin request) { return call(volume.fd, EXO_VOLUME_PIN, &request); };
    exo_pin bad = good;
    bad.ino = 0;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.flags = 1;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.generation = 1ULL << 32;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.size_bytes = ~0ULL;
    CHECK(answer(bad) == -EINVAL);
    bad = good;
    bad.extents = 8;
    CHECK(answer(bad) == -EFAULT);
    exo_info limits = {};
    REQUIRE(call(open_exo(), EXO_IOC_INFO, &limits) == 0);
    bad = good;
    bad.extent_count = limits.max_extents + 1;
    CHECK(answer(bad) == -E2BIG);
    bad.extent_count = UINT32_MAX;
    CHECK(answer(bad) == -E2BIG);
    bad.ino = 0;  // arguments come before the count, the count before the address
    CHECK(answer(bad) == -EINVAL);

    // The largest generation and the largest map.
    good.generation = UINT32_MAX;
    CHECK(answer(good) == 0);
    CHECK(unpin(volume.fd, 5, UINT32_MAX) == 0);
    std::vector<exo_extent> many;
    uint64_t fits = std::min<uint64_t>(limits.max_extents, end / block / 2);
    for (uint64_t i = 0; i < fits; i++) {
        many.push_back({i * block, (fits - i) * 2 * block - block, block});
    }
    CHECK(pin(volume.fd, 5, 1, fits * block, many) == 0);
    CHECK(unpin(volume.fd, 5, 1) == 0);
    CHECK(stats().pins == 0);
}

TEST_CASE("unpin, detach, bind, release") {
    Rig rig;
    CHECK(unpin(rig.volume, 0, 0) == -ENOENT);
    CHECK(unpin(rig.volume, kIno, kGeneration + 1) == -ENOENT);
    CHECK(unpin(rig.volume, kIno, kGeneration + (1ULL << 32)) == -ENOENT);
    CHECK(unpin(rig.volume, kIno + 1, kGeneration) == -ENOENT);
    exo_unpin request = {};
    request.flags = 1;
    CHECK(call(rig.volume, EXO_VOLUME_UNPIN, &request) == -EINVAL);
    exo_detach detach = {.grace_ms = 0, .flags = 1};
    CHECK(call(rig.volume, EXO_VOLUME_DETACH, &detach) == -EINVAL);

    exo_bind_mount mount = {.mount_fd = -1, .flags = 0};
    CHECK(call(rig.volume, EXO_VOLUME_BIND_MOUNT, &mount) == -EBADF);
    Fd tmp = open_path("/tmp", O_RDONLY);
    mount.mount_fd = tmp.get();
    CHECK(call(rig.volume, EXO_VOLUME_BIND_MOUNT, &mount) == -EINVAL);
    Fd null = open_path("/dev/null", O_RDONLY);
    mount.mount_fd = null.get();
    CHECK(call(rig.volume, EXO_VOLUME_BIND_MOUNT, &mount) == -EINVAL);
    mount.flags = 1;
    CHECK(call(rig.volume, EXO_VOLUME_BIND_MOUNT, &mount) == -EINVAL);
    Fd path_only = open_path(rig.mount.path(), O_PATH);
    mount = {.mount_fd = path_only.get(), .flags = 0};
    CHECK(call(rig.volume, EXO_VOLUME_BIND_MOUNT, &mount) == 0);

    exo_release release = {.volume_id = rig.info.volume_id + 1, .grace_ms = 0};
    CHECK(call(open_exo(), EXO_IOC_RELEASE, &release) == -ENOENT);
    release.volume_id = 0;
    CHECK(call(open_exo(), EXO_IOC_RELEASE, &release) == -ENOENT);
    release.volume_id = rig.info.volume_id;
    CHECK(call(open_exo(), EXO_IOC_RELEASE, &release) == -EBUSY);
    rig.volume.reset();
    CHECK(stats().volumes == 1);
    CHECK(call(open_exo(), EXO_IOC_RELEASE, &release) == 0);
    CHECK(call(open_exo(), EXO_IOC_RELEASE, &release) == -ENOENT);
    CHECK(stats().volumes == 0);
    CHECK(stats().pins == 0);
}

TEST_CASE("after detach a volume fd is good to close only") {
    Rig rig;
    exo_detach detach = {};
    REQUIRE(call(rig.volume, EXO_VOLUME_DETACH, &detach) == 0);
    CHECK(call(rig.volume, EXO_VOLUME_DETACH, &detach) == -ENODEV);
    CHECK(pin(rig.volume, 5, 1, 4096, {{0, 0, 4096}}) == -ENODEV);
    CHECK(unpin(rig.volume, kIno, kGeneration) == -ENOENT);
    CHECK(bind(rig.volume, rig.mount) == -ENODEV);
    // The device is free, and may be attached while the old fd still lives.
    Opened again = attach(device_path());
    CHECK(again.error == 0);
    rig.volume.reset();
    CHECK(stats().volumes == 1);
}

TEST_CASE("program find and audit open") {
    exo_program_find find = {};
    CHECK(call(open_exo(), EXO_IOC_PROGRAM_FIND, &find) == -ENOENT);
    memset(find.name, 'x', sizeof(find.name));
    CHECK(call(open_exo(), EXO_IOC_PROGRAM_FIND, &find) == -EINVAL);
    find.name[sizeof(find.name) - 1] = 0;
    CHECK(call(open_exo(), EXO_IOC_PROGRAM_FIND, &find) == -ENOENT);
    find.reserved = 1;
    CHECK(call(open_exo(), EXO_IOC_PROGRAM_FIND, &find) == -EINVAL);
    exo_audit_open audit = {.flags = 2, .event_bytes = sizeof(exo_audit_event)};
    CHECK(call(open_exo(), EXO_IOC_AUDIT_OPEN, &audit) == -EINVAL);
    for (uint32_t bytes : {0u, 4097u, UINT32_MAX}) {
        audit = {.flags = 0, .event_bytes = bytes};
        CHECK(call(open_exo(), EXO_IOC_AUDIT_OPEN, &audit) == -EINVAL);
    }
    for (uint32_t bytes : {1u, 4096u}) {
        audit = {.flags = 0, .event_bytes = bytes};
        CHECK(Fd(call(open_exo(), EXO_IOC_AUDIT_OPEN, &audit)));
    }
}

TEST_SUITE_END();
