// SPDX-License-Identifier: MIT
// What an operation costs, and what memory stays behind, as the number of files grows. The regular
// run is small; EXO_TEST_SCALE=1000000 is the size that counts. Times are printed; only what does
// not depend on the machine is checked: requests to the device and memory.
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>

#include "fs/device/open_device.h"
#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {

uint64_t resident_bytes() {
    malloc_trim(0);
    std::ifstream statm("/proc/self/statm");
    uint64_t size = 0, resident = 0;
    statm >> size >> resident;
    return resident * uint64_t(sysconf(_SC_PAGESIZE));
}

template <typename F>
double microseconds_each(uint64_t count, F&& operation) {
    const auto start = std::chrono::steady_clock::now();
    for (uint64_t i = 0; i < count; i++) operation(i);
    const std::chrono::duration<double, std::micro> spent =
        std::chrono::steady_clock::now() - start;
    return spent.count() / double(count);
}

struct ImageFile {
    std::string path = "/var/tmp/exo-scale-XXXXXX";
    explicit ImageFile(uint64_t bytes) {
        const int fd = mkstemp(path.data());
        REQUIRE(fd >= 0);
        REQUIRE(ftruncate(fd, off_t(bytes)) == 0);
        close(fd);
    }
    ~ImageFile() { unlink(path.c_str()); }
    std::unique_ptr<BlockDevice> open() const {
        DeviceOptions options;
        options.direct = false;
        auto device = open_device(path, options);
        EXO_REQUIRE_OK(device);
        return std::move(*device);
    }
};

struct Costs {
    double create, lookup, list, remove;  // microseconds each
};

// `files` in one directory, looked up and listed with references kept, as the kernel does.
Costs measure(const ImageFile& image, uint64_t files, uint64_t& bytes_per_reference) {
    {
        auto device = image.open();
        EXO_REQUIRE_OK(mkfs(*device, {}));
    }
    MountOptions options;
    auto v = Volume::open(image.open(), options);
    EXO_REQUIRE_OK(v);
    auto dir = (*v)->mkdir(kRootIno, "dir", 0755, 0, 0);
    EXO_REQUIRE_OK(dir);
    Costs costs{};
    std::vector<Ino> inos(files);
    costs.create = microseconds_each(files, [&](uint64_t i) {
        auto made = (*v)->create(dir->ino, "file" + std::to_string(i), S_IFREG | 0644, 0, 0);
        inos[i] = made ? made->ino : 0;
        if (made) (*v)->close_ref(made->ino);
    });
    REQUIRE(inos.back() != 0);
    uint64_t failed = 0;
    const uint64_t before = resident_bytes();
    costs.lookup = microseconds_each(files, [&](uint64_t i) {
        failed += !(*v)->lookup(dir->ino, "file" + std::to_string(i * 7919 % files));
    });
    const uint64_t after = resident_bytes();
    bytes_per_reference = after > before ? (after - before) / files : 0;
    for (const Ino ino : inos) (*v)->close_ref(ino);
    uint64_t seen = 0, cookie = 0;
    costs.list = microseconds_each(1, [&](uint64_t) {
        for (;;) {
            auto entries = (*v)->readdir_plus(dir->ino, cookie, 128);
            if (!entries || entries->empty()) break;
            for (const auto& entry : *entries) {
                if (entry.name != "." && entry.name != "..") (*v)->close_ref(entry.ino);
                cookie = entry.cookie;
                seen++;
            }
        }
    });
    costs.list /= double(files);
    CHECK(seen == files + 2);
    costs.remove = microseconds_each(
        files, [&](uint64_t i) { failed += !(*v)->unlink(dir->ino, "file" + std::to_string(i)); });
    CHECK(failed == 0);
    EXO_REQUIRE_OK((*v)->close());
    return costs;
}

}  // namespace

TEST_CASE("memory is bounded and cost stays flat as files become many") {
    const QuietLog quiet;
    const char* text = getenv("EXO_TEST_SCALE");
    const uint64_t most = text ? strtoull(text, nullptr, 0) : 30000;
    const ImageFile image(std::max<uint64_t>(most * 4096, 256u << 20));
    for (const uint64_t files : {most / 100 + 100, most}) {
        uint64_t bytes = 0;
        const Costs c = measure(image, files, bytes);
        MESSAGE(files << " files, microseconds each: create " << c.create << ", lookup " << c.lookup
                      << ", list " << c.list << ", unlink " << c.remove << "; " << bytes
                      << " bytes per reference; resident " << (resident_bytes() >> 20) << " MiB");
        // The cache of metadata, bounded by itself, may still grow in the smaller runs.
        if (files >= 500000) CHECK(bytes <= 150);
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK(resident_bytes() < (256u << 20));
#endif
}

TEST_CASE("a large volume is mounted soon, in little memory") {
    const QuietLog quiet;
    const ImageFile image(1ull << 40);
    {
        auto device = image.open();
        EXO_REQUIRE_OK(mkfs(*device, {}));
    }
    const uint64_t before = resident_bytes();
    const double mounting = microseconds_each(1, [&](uint64_t) {
        auto v = Volume::open(image.open(), {});
        EXO_REQUIRE_OK(v);
        CHECK((*v)->statfs().blocks == (1ull << 40) / 4096);
        CHECK(resident_bytes() < before + (64u << 20));
        EXO_REQUIRE_OK((*v)->close());
    });
    MESSAGE("1 TiB mounted and unmounted in " << mounting / 1000 << " ms");
    CHECK(mounting < 5e6);  // ten times what it takes, for machines under load
}

TEST_CASE("threads on different files: what an operation takes" * doctest::test_suite("threads")) {
    const QuietLog quiet;
    const uint64_t rounds = getenv("EXO_TEST_SCALE") ? 100000 : 2000;
    for (const unsigned threads : {1u, 2u, 4u}) {
        const ImageFile image(256u << 20);
        {
            auto device = image.open();
            EXO_REQUIRE_OK(mkfs(*device, {}));
        }
        auto v = Volume::open(image.open(), {});
        EXO_REQUIRE_OK(v);
        std::vector<Ino> files;
        for (unsigned t = 0; t < threads; t++) {
            files.push_back(make_file(**v, kRootIno, "f" + std::to_string(t)));
            EXO_REQUIRE_OK((*v)->write(files.back(), 0, bytes_of(std::string(4u << 20, 'x'))));
        }
        const auto run = [&](const std::function<bool(Ino, uint64_t)>& operation) {
            std::atomic<uint64_t> failed = 0;
            const double spent = microseconds_each(1, [&](uint64_t) {
                std::vector<std::thread> workers;
                for (const Ino ino : files)
                    workers.emplace_back([&, ino] {
                        for (uint64_t i = 0; i < rounds; i++) failed += !operation(ino, i);
                    });
                for (auto& worker : workers) worker.join();
            });
            CHECK(failed == 0);
            return spent / double(rounds * threads);
        };
        const auto place = [](uint64_t i) { return i * 7919 % 1024 * 4096; };
        const double stat = run([&](Ino ino, uint64_t) { return bool((*v)->getattr(ino)); });
        const double read = run([&](Ino ino, uint64_t i) {
            alignas(4096) std::byte buffer[4096];
            return bool((*v)->read(ino, place(i), buffer));
        });
        const double write = run([&](Ino ino, uint64_t i) {
            alignas(4096) static const std::byte buffer[4096]{};
            return bool((*v)->write(ino, place(i), buffer));
        });
        const double make = run([&](Ino ino, uint64_t i) {
            const std::string name = std::to_string(ino) + "-" + std::to_string(i);
            auto made = (*v)->create(kRootIno, name, S_IFREG | 0644, 0, 0);
            if (made) (*v)->close_ref(made->ino);
            return made && (*v)->unlink(kRootIno, name);
        });
        MESSAGE(threads << " threads, microseconds each: getattr " << stat << ", read 4 KiB "
                        << read << ", write 4 KiB " << write << ", create and unlink " << make);
        EXO_REQUIRE_OK((*v)->close());
    }
}
