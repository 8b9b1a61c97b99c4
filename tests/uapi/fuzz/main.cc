// SPDX-License-Identifier: MIT
// A random fuzzer of the whole interface of /dev/exo. Several processes with several threads each
// make calls of all kinds, good and bad, on file descriptors that come and go, while processes are
// killed and programs attached and detached. Asserts nothing but survival: everything ends, and
// what was held is let go. What the kernel says about it is the harness's to judge.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <new>
#include <thread>

#include "fake_mount.h"
#include "fuzz.h"
#include "test_args.h"

namespace {

using namespace exo::fuzz;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& message) {
    fprintf(stderr, "exo_uapi_fuzz: %s\n", message.c_str());
    _exit(1);
}

unsigned slowness() {
    const char* scale = std::getenv("EXO_TIME_SCALE");
    return scale ? static_cast<unsigned>(std::max(1, std::atoi(scale))) : 1;
}

// Things that take longer than this hang.
std::chrono::seconds patience() {
    return std::chrono::seconds(60 * slowness());
}

/* ---- programs, which come and go ---- */

class Program {
  public:
    explicit Program(const std::string& path) {
        object_ = bpf_object__open_file(path.c_str(), nullptr);
        if (!object_ || bpf_object__load(object_)) {
            fail("cannot load " + path);
        }
        bpf_map* map = nullptr;
        bpf_object__for_each_map(map, object_) {
            if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS) {
                map_ = map;
            }
        }
        name_ = std::filesystem::path(path).stem().stem();
    }
    ~Program() {
        detach();
        bpf_object__close(object_);
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    bool attached() const { return link_; }
    // Returns its id, 0 if that was not possible.
    uint32_t attach(int exo) {
        link_ = bpf_map__attach_struct_ops(map_);
        if (!link_) {
            return 0;
        }
        exo_program_find find = {};
        name_.copy(find.name, sizeof(find.name) - 1);
        return ioctl(exo, EXO_IOC_PROGRAM_FIND, &find) ? 0 : find.program_id;
    }
    // Waits until no traversal runs it.
    void detach() {
        if (link_) {
            bpf_link__destroy(link_);
        }
        link_ = nullptr;
    }

  private:
    bpf_object* object_ = nullptr;
    bpf_map* map_ = nullptr;
    bpf_link* link_ = nullptr;
    std::string name_;
};

std::vector<std::unique_ptr<Program>> load_programs() {
    std::vector<std::unique_ptr<Program>> programs;
    for (const auto& entry : std::filesystem::directory_iterator(EXO_TEST_BPF_DIR)) {
        std::string name = entry.path().filename();
        if (name.starts_with("test_") && name.ends_with(".bpf.o") &&
            programs.size() < kMaxPrograms) {
            programs.push_back(std::make_unique<Program>(entry.path()));
        }
    }
    return programs;
}

/* ---- one process ---- */

void run_thread(Process& process, uint64_t seed) {
    Task task(process, seed);
    uint64_t weights = 0;
    for (const Action& action : actions()) {
        weights += action.weight;
    }
    for (;;) {
        uint64_t at = task.random.below(weights);
        size_t i = 0;
        while (at >= actions()[i].weight) {
            at -= actions()[i++].weight;
        }
        int ret = actions()[i].run(task);
        process.shared.counts[i].calls++;
        process.shared.counts[i].good += ret >= 0;
    }
}

[[noreturn]] void run_process(Shared& shared, const std::string& device, const std::string& mount,
                              int mail, uint64_t seed) {
    Random random(seed);
    void* hot = mmap(nullptr, Process::kHotBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (hot == MAP_FAILED) {
        _exit(1);
    }
    Process process = {shared, device, mount, mail, {}, static_cast<std::byte*>(hot)};
    Fds& fds = process.fds;
    for (uint64_t i = 0; i < kInos; i++) {
        fds.put(random, kFile,
                open((mount + "/file" + std::to_string(i)).c_str(), O_RDONLY | O_CLOEXEC));
    }
    fds.put(random, kDevice, open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC));
    fds.put(random, kDisk, open(device.c_str(), O_RDWR | O_CLOEXEC));
    fds.put(random, kFolder, open(mount.c_str(), O_RDONLY | O_CLOEXEC));
    // The kernel writes results to wherever a spoilt request says; what comes of it is no news.
    if (!freopen("/dev/null", "w", stderr)) {
        _exit(1);
    }
    // Some may not do everything.
    if (random.one_in(4) && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))) {
        _exit(1);
    }
    std::vector<std::thread> threads;
    for (uint64_t i = random.below(3); i; i--) {
        threads.emplace_back(run_thread, std::ref(process), random.next());
    }
    run_thread(process, random.next());
    _exit(0);
}

/* ---- all of them ---- */

class Fuzzer {
  public:
    Fuzzer(uint64_t seed, std::string device, size_t processes)
        : random_(seed), device_(std::move(device)), children_(processes), mount_([] {
              std::map<std::string, exo::test::FakeFile> files;
              for (uint64_t i = 0; i < kInos; i++) {
                  files["file" + std::to_string(i)] = {
                      .ino = kFirstIno + i, .generation = 1, .size_bytes = kFileBytes};
              }
              return files;
          }()) {
        void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, mail_)) {
            fail("no memory or socket");
        }
        shared_ = new (memory) Shared{};
        exo_ = open(EXO_DEVICE_PATH, O_RDWR | O_CLOEXEC);
        if (exo_ < 0) {
            fail(EXO_DEVICE_PATH " cannot be opened: is exo.ko loaded?");
        }
        write_chain();
        programs_ = load_programs();
        if (programs_.empty()) {
            fail("there are no programs in " EXO_TEST_BPF_DIR);
        }
    }

    void run(std::chrono::seconds duration) {
        for (size_t i = 0; i < programs_.size(); i++) {
            shared_->programs[i] = programs_[i]->attach(exo_);
        }
        auto begin = Clock::now();
        for (pid_t& child : children_) {
            child = start();
        }
        // On a slow kernel where most calls fail it may take a while until everything has been
        // seen.
        while (Clock::now() < begin + duration ||
               (!hops() && Clock::now() < begin + duration + patience())) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20 + random_.below(400)) *
                                        std::min(slowness(), 4u));
            if (random_.one_in(3)) {
                size_t i = random_.below(programs_.size());
                if (programs_[i]->attached()) {
                    alarm(static_cast<unsigned>(patience().count()));
                    programs_[i]->detach();
                    alarm(0);
                } else {
                    shared_->programs[i] = programs_[i]->attach(exo_);
                }
            }
            if (random_.one_in(4)) {
                set_parameter(random_.below(std::size(kParameters)));
            }
            pid_t& child = children_[random_.below(children_.size())];
            finish(child);
            child = start();
        }
    }

    // Everything ends and goes, or the program fails.
    void end() {
        for (size_t i = 0; i < std::size(kParameters); i++) {
            write_parameter(kParameters[i].name, kParameters[i].usual);
        }
        for (pid_t child : children_) {
            finish(child);
        }
        close(mail_[0]);
        close(mail_[1]);
        alarm(static_cast<unsigned>(patience().count()));
        programs_.clear();
        alarm(0);
        exo_stats now = {};
        auto deadline = Clock::now() + patience();
        for (;;) {
            release_volumes();
            now = ask<exo_stats>(EXO_IOC_STATS, {}, "EXO_IOC_STATS");
            if (!(now.volumes || now.pins || now.grants || now.programs ||
                  now.traversals_in_flight)) {
                break;
            }
            if (Clock::now() > deadline) {
                fail("still there at the end: " + std::to_string(now.volumes) + " volumes, " +
                     std::to_string(now.pins) + " pins, " + std::to_string(now.grants) +
                     " grants, " + std::to_string(now.programs) + " programs, " +
                     std::to_string(now.traversals_in_flight) + " traversals");
            }
            std::this_thread::sleep_for(20ms);
        }
        report(now);
    }

  private:
    uint64_t hops() {
        exo_stats now = {};
        return ioctl(exo_, EXO_IOC_STATS, &now) ? 0 : now.hops;
    }

    // What an administrator may turn while everything runs. direct_issue is the machine's to
    // choose.
    struct Parameter {
        const char* name;
        unsigned usual;
        std::array<unsigned, 3> others;
    };
    static constexpr Parameter kParameters[] = {
        {"node_cache_blocks", 0, {1, 16, 64}}, {"fair_depth", 32, {1, 2, 256}},
        {"fair_keep_us", 500, {0, 1, 5000}},   {"step_budget_us", 500, {10, 20, 10000}},
        {"cgroup_tenants", 0, {1, 1, 1}},      {"cgroup_io", 1, {0, 0, 0}},
        {"user_memory_mib", 0, {4, 16, 64}},
    };

    static void write_parameter(const std::string& name, unsigned value) {
        std::ofstream("/sys/module/exo/parameters/" + name) << value << std::flush;
    }

    void set_parameter(uint64_t i) {
        const Parameter& p = kParameters[i];
        write_parameter(p.name, random_.one_in(2) ? p.usual : p.others[random_.below(3)]);
    }

    pid_t start() {
        uint64_t seed = random_.next();
        pid_t child = fork();
        if (child < 0) {
            fail("cannot fork");
        }
        if (child == 0) {
            run_process(*shared_, device_, mount_.path(), mail_[random_.below(2)], seed);
        }
        started_++;
        return child;
    }

    void finish(pid_t child) {
        kill(child, SIGKILL);
        auto deadline = Clock::now() + patience();
        int status = 0;
        while (waitpid(child, &status, WNOHANG) == 0) {
            if (Clock::now() > deadline) {
                fail("process " + std::to_string(child) + " does not die");
            }
            std::this_thread::sleep_for(1ms);
        }
        // By its own results in its own memory, mostly.
        crashed_ += !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
    }

    void write_chain() {
        int fd = open(device_.c_str(), O_WRONLY | O_CLOEXEC);
        std::vector<uint8_t> image(kFileBytes);
        for (uint64_t block = 0; block < kFileBytes / kBlock; block++) {
            test_chain_block chain = {.next = (block * 37 + 11) % (kFileBytes / kBlock) * kBlock,
                                      .value = block};
            memcpy(&image[block * kBlock], &chain, sizeof(chain));
        }
        if (fd < 0 ||
            pwrite(fd, image.data(), image.size(), 0) != static_cast<ssize_t>(image.size())) {
            fail("cannot write to " + device_);
        }
        close(fd);
    }

    // Answers that this process is to get fail now and then, too, where faults are injected.
    template <typename T>
    T ask(unsigned long request, const T& argument, const char* name) {
        for (int i = 0; i < 200; i++) {
            T copy = argument;
            if (!ioctl(exo_, request, &copy)) {
                return copy;
            }
            if (errno != EFAULT && errno != ENOMEM) {
                break;
            }
        }
        fail(std::string(name) + " does not work any more");
    }

    void release_volumes() {
        std::vector<exo_volume_entry> volumes(16);
        exo_list request = {};
        request.kind = EXO_LIST_VOLUMES;
        request.entry_bytes = sizeof(exo_volume_entry);
        request.buffer = reinterpret_cast<uint64_t>(volumes.data());
        request.buffer_bytes = static_cast<uint32_t>(volumes.size() * sizeof(exo_volume_entry));
        const exo_list list = ask(EXO_IOC_LIST, request, "EXO_IOC_LIST");
        for (uint32_t i = 0; i < list.count; i++) {
            exo_release release = {.volume_id = volumes[i].volume_id, .grace_ms = 0};
            // EBUSY: what a killed process held is still being let go.
            ioctl(exo_, EXO_IOC_RELEASE, &release);
        }
    }

    void report(const exo_stats& now) {
        uint64_t calls = 0;
        for (size_t i = 0; i < actions().size(); i++) {
            const Shared::Count& count = shared_->counts[i];
            calls += count.calls;
            printf("%-13s %10llu calls %10llu good\n", actions()[i].name,
                   static_cast<unsigned long long>(count.calls),
                   static_cast<unsigned long long>(count.good));
        }
        printf(
            "%llu calls by %llu processes (%llu ended by themselves): %llu traversals, %llu "
            "blocks, %llu grants revoked\n",
            static_cast<unsigned long long>(calls), static_cast<unsigned long long>(started_),
            static_cast<unsigned long long>(crashed_),
            static_cast<unsigned long long>(now.traversals),
            static_cast<unsigned long long>(now.hops),
            static_cast<unsigned long long>(now.revoked_grants));
        if (!now.hops) {
            fail("no traversal ran: this was no test");
        }
    }

    Random random_;
    std::string device_;
    std::vector<pid_t> children_;
    exo::test::FakeMount mount_;
    int mail_[2] = {-1, -1};
    int exo_ = -1;
    Shared* shared_ = nullptr;
    std::vector<std::unique_ptr<Program>> programs_;
    uint64_t started_ = 0, crashed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Random calls of every kind on /dev/exo");
    uint64_t seconds = 10, seed = static_cast<uint64_t>(time(nullptr));
    size_t processes = 3;
    std::string device = "/dev/nvme0n1";
    app.add_option("--seconds", seconds, "how long");
    app.add_option("--seed", seed, "of the chance; the order of things differs all the same");
    app.add_option("--processes", processes, "at a time");
    app.add_option("--device", device, "what is written over")->envname("EXO_TEST_DEVICE");
    CLI11_PARSE(app, argc, argv);

    rlimit none = {};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGIO, SIG_IGN);
    setvbuf(stdout, nullptr, _IOLBF, 0);
    printf("seed %llu\n", static_cast<unsigned long long>(seed));
    Fuzzer fuzzer(seed, device, processes);
    fuzzer.run(std::chrono::seconds(seconds));
    fuzzer.end();
    return 0;
}
