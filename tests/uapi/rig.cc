// SPDX-License-Identifier: MIT
// The wrappers behind rig.h.
#include "rig.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <thread>

#include "slow.h"

namespace exo::test {
namespace {

std::string* log_target = nullptr;
std::map<std::string, std::unique_ptr<Program>> shared_programs;

int collect_log(enum libbpf_print_level level, const char* format, va_list args) {
    if (level == LIBBPF_DEBUG) {
        return 0;
    }
    char line[1 << 16];
    int n = vsnprintf(line, sizeof(line), format, args);
    if (log_target) {
        *log_target += line;
    } else {
        fputs(line, stderr);
    }
    return n;
}

bpf_map* struct_ops_map(bpf_object* object) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS) {
            return map;
        }
    }
    return nullptr;
}

}  // namespace

void Fd::reset() {
    if (fd_ >= 0) {
        close(fd_);
    }
    fd_ = -1;
}

std::string device_path() {
    const char* path = std::getenv("EXO_TEST_DEVICE");
    return path ? path : "/dev/nvme0n1";
}

bool on_nvme() {
    return device_path().starts_with("/dev/nvme") && !std::getenv("EXO_TEST_DISPATCH_ONLY");
}

Fd open_path(const std::string& path, int flags) {
    return Fd(open(path.c_str(), flags | O_CLOEXEC));
}

Fd open_exo() {
    Fd fd = open_path(EXO_DEVICE_PATH, O_RDWR);
    REQUIRE_MESSAGE(fd, EXO_DEVICE_PATH " cannot be opened: is exo.ko loaded?");
    return fd;
}

exo_stats stats() {
    exo_stats s = {};
    REQUIRE(call(open_exo(), EXO_IOC_STATS, &s) == 0);
    return s;
}

void expect_idle() {
    for (int i = 0; i < 500 && stats().traversals_in_flight; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(stats().traversals_in_flight == 0);
}

Opened attach(const std::string& device, exo_attach* out,
              const std::array<uint8_t, EXO_UUID_BYTES>& uuid) {
    Fd fd = open_path(device, O_RDWR);
    REQUIRE_MESSAGE(fd, device << " cannot be opened");
    exo_attach request = {};
    request.device_fd = fd.get();
    std::copy(uuid.begin(), uuid.end(), request.uuid);
    int ret = call(open_exo(), EXO_IOC_ATTACH, &request);
    if (out) {
        *out = request;
    }
    return ret < 0 ? Opened{Fd(), ret} : Opened{Fd(ret), 0};
}

Opened open_grant(int file_fd, exo_grant_open request) {
    request.file_fd = file_fd;
    int ret = call(open_exo(), EXO_IOC_GRANT_OPEN, &request);
    return ret < 0 ? Opened{Fd(), ret} : Opened{Fd(ret), 0};
}

int bind(const Fd& volume, const FakeMount& mount) {
    Fd root = open_path(mount.path(), O_RDONLY | O_DIRECTORY);
    exo_bind_mount request = {.mount_fd = root.get(), .flags = 0};
    return call(volume, EXO_VOLUME_BIND_MOUNT, &request);
}

int pin(const Fd& volume, uint64_t ino, uint64_t generation, uint64_t size_bytes,
        const std::vector<exo_extent>& extents) {
    exo_pin request = {};
    request.ino = ino;
    request.generation = generation;
    request.size_bytes = size_bytes;
    request.extents = reinterpret_cast<uint64_t>(extents.data());
    request.extent_count = static_cast<uint32_t>(extents.size());
    return call(volume, EXO_VOLUME_PIN, &request);
}

int unpin(const Fd& volume, uint64_t ino, uint64_t generation, uint32_t grace_ms, exo_unpin* out) {
    exo_unpin request = {};
    request.ino = ino;
    request.generation = generation;
    request.grace_ms = grace_ms;
    int ret = call(volume, EXO_VOLUME_UNPIN, &request);
    if (out) {
        *out = request;
    }
    return ret;
}

Run run(int grant_fd, uint32_t program_id, const void* args, size_t args_len,
        const RunOptions& options) {
    Run r;
    r.result.resize(options.result_len, 0xee);
    exo_traverse request = {};
    request.flags = options.flags;
    request.engine = options.engine;
    request.fan_out = options.fan_out;
    request.slot = options.slot;
    request.program_id = program_id;
    request.start_offset = options.start_offset;
    request.hop_bytes = options.hop_bytes;
    request.hop_limit = options.hop_limit;
    request.timeout_ms = options.timeout_ms;
    if (!options.timeout_ms && slowness() > 1) {
        request.timeout_ms = 20000;  // the default is for kernels without checkers
    }
    request.args = reinterpret_cast<uint64_t>(args);
    request.args_len = static_cast<uint32_t>(args_len);
    request.result = reinterpret_cast<uint64_t>(r.result.data());
    request.result_len = options.result_len;
    r.error = call(grant_fd, EXO_GRANT_TRAVERSE, &request);
    r.outcome = request.outcome;
    return r;
}

std::string load_log(const std::string& path) {
    std::string log;
    log_target = &log;
    libbpf_set_print(collect_log);
    bpf_object* object = bpf_object__open_file(path.c_str(), nullptr);
    bool ok = object && bpf_object__load(object) == 0;
    if (ok) {
        bpf_map* map = struct_ops_map(object);
        bpf_link* link = map ? bpf_map__attach_struct_ops(map) : nullptr;
        ok = link;
        if (link) {
            bpf_link__destroy(link);
        } else {
            log += "cannot attach: " + std::string(strerror(errno));
        }
    }
    bpf_object__close(object);
    log_target = nullptr;
    return ok ? "" : log + " ";
}

Program::Program(const std::string& name) {
    libbpf_set_print(collect_log);
    std::string path = std::string(EXO_TEST_BPF_DIR) + "/" + name + ".bpf.o";
    object_ = bpf_object__open_file(path.c_str(), nullptr);
    REQUIRE_MESSAGE(object_, path);
    REQUIRE(bpf_object__load(object_) == 0);
    link_ = bpf_map__attach_struct_ops(struct_ops_map(object_));
    REQUIRE_MESSAGE(link_, name << " cannot be attached: " << strerror(errno));

    exo_program_find find = {};
    name.copy(find.name, sizeof(find.name) - 1);
    REQUIRE(call(open_exo(), EXO_IOC_PROGRAM_FIND, &find) == 0);
    id_ = find.program_id;
}

void Program::detach() {
    if (link_) {
        // Also when a child that was forked meanwhile has the descriptor, too.
        bpf_link__detach(link_);
        bpf_link__destroy(link_);
    }
    link_ = nullptr;
}

Program::~Program() {
    detach();
    bpf_object__close(object_);
}

const Program& shared_program(std::string_view name) {
    std::unique_ptr<Program>& program = shared_programs[std::string(name)];
    if (!program) {
        program = std::make_unique<Program>(std::string(name));
    }
    return *program;
}

void drop_shared_programs() {
    shared_programs.clear();
    for (int i = 0; i < 500 && stats().programs; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    REQUIRE(stats().programs == 0);
}

uint64_t Program::map_value(const char* map, uint32_t key) const {
    uint64_t value = 0;
    int fd = bpf_object__find_map_fd_by_name(object_, map);
    REQUIRE(bpf_map_lookup_elem(fd, &key, &value) == 0);
    return value;
}

Rig::Rig(uint64_t size_bytes, std::vector<exo_extent> extents)
    : mount({{"file", {.ino = kIno, .generation = kGeneration, .size_bytes = size_bytes}},
             {"other", {.ino = kIno + 1, .generation = 1, .size_bytes = size_bytes}},
             {"reborn", {.ino = kIno + 2, .generation = 9, .size_bytes = size_bytes}},
             {"folder", {.ino = kIno + 3, .directory = true}}}) {
    Opened opened = attach(device_path(), &info);
    REQUIRE(opened.error == 0);
    volume = std::move(opened.fd);
    REQUIRE(bind(volume, mount) == 0);
    if (extents.empty()) {
        uint64_t block = info.logical_block_bytes;
        extents.push_back({.file_offset = 0,
                           .disk_offset = 0,
                           .length = (size_bytes + block - 1) / block * block});
    }
    REQUIRE(pin(volume, kIno, kGeneration, size_bytes, extents) == 0);
    file = open_path(mount.path("file"), O_RDONLY);
    REQUIRE(file);
    opened = open_grant(file.get());
    REQUIRE(opened.error == 0);
    grant = std::move(opened.fd);
}

Rig::~Rig() {
    // Closing the fd would leave the pins, and with them the volume, in place.
    exo_detach request = {};
    if (volume) {
        CHECK(call(volume, EXO_VOLUME_DETACH, &request) == 0);
    }
}

void write_device(const std::string& device, uint64_t offset, const void* data, size_t bytes) {
    Fd fd = open_path(device, O_RDWR);
    REQUIRE(fd);
    REQUIRE(pwrite(fd.get(), data, bytes, static_cast<off_t>(offset)) ==
            static_cast<ssize_t>(bytes));
    REQUIRE(fsync(fd.get()) == 0);
}

test_chain_result write_chain(const std::string& device, uint32_t blocks, uint32_t span) {
    std::vector<uint32_t> order(span);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin() + 1, order.end(), std::mt19937(1));
    std::vector<uint8_t> image(static_cast<size_t>(span) * 4096);
    test_chain_result expected = {.blocks = blocks, .sum = 0};
    for (uint32_t i = 0; i < blocks; i++) {
        test_chain_block block = {
            .next = i + 1 < blocks ? order[i + 1] * 4096ULL : EXO_TEST_CHAIN_END,
            .value = 1000003ULL * (i + 1)};
        expected.sum += block.value;
        memcpy(&image[order[i] * 4096ULL], &block, sizeof(block));
    }
    write_device(device, 0, image.data(), image.size());
    return expected;
}

}  // namespace exo::test
