// SPDX-License-Identifier: MIT
// One measured job on a directory, for tests/bench/filesystems: few instructions of its own per
// operation, so that what is timed is the file system. Prints the seconds and how many operations
// or bytes they were for.
//   bench_worker JOB DIRECTORY COUNT [FIRST]
// Small files: create, create-fsync, stat, read-small, unlink. A large directory: populate, lookup
// (COUNT random ones of FIRST entries, but no longer than three seconds), visit. A large file
// (COUNT MiB): write, read, read-direct.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

constexpr size_t kFilesPerFolder = 100;
constexpr size_t kSmallFileBytes = 1024;
constexpr size_t kLargeBlockBytes = 1u << 20;
constexpr std::chrono::seconds kLongestLookups{3};
using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& what) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread
    fprintf(stderr, "bench_worker: %s: %s\n", what.c_str(), strerror(errno));
    exit(1);  // NOLINT(concurrency-mt-unsafe)
}

void check(bool good, const std::string& what) {
    if (!good) die(what);
}

struct Job {
    std::string directory;
    uint64_t count, first;

    std::string folder(uint64_t index) const {
        return directory + "/d" + std::to_string(index / kFilesPerFolder);
    }
    std::string small_file(uint64_t index) const {
        return folder(index) + "/file-" + std::to_string(index);
    }
    std::string entry(uint64_t index) const {
        return directory + "/entry-" + std::to_string(index);
    }
};

// What one job does before the clock starts, and to each number.
void make_folders(const Job& job) {
    for (uint64_t i = 0; i < job.count; i += kFilesPerFolder)
        check(mkdir(job.folder(i).c_str(), 0755) == 0, job.folder(i));
}

void create(const std::string& path, bool sync) {
    static const std::vector<char> content(kSmallFileBytes, 'x');
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
    check(fd >= 0, path);
    check(write(fd, content.data(), content.size()) == ssize_t(content.size()), path);
    if (sync) check(fsync(fd) == 0, path);
    check(close(fd) == 0, path);
}

void read_whole(const std::string& path) {
    static std::vector<char> buffer(kSmallFileBytes * 2);
    const int fd = open(path.c_str(), O_RDONLY);
    check(fd >= 0, path);
    check(read(fd, buffer.data(), buffer.size()) == ssize_t(kSmallFileBytes), path);
    close(fd);
}

void get_status(const std::string& path) {
    struct stat st;
    check(lstat(path.c_str(), &st) == 0, path);
}

uint64_t next_random(uint64_t& state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

void large_file(const Job& job, int flags, bool writing) {
    char* buffer = static_cast<char*>(aligned_alloc(4096, kLargeBlockBytes));
    for (size_t i = 0; i < kLargeBlockBytes; i++) buffer[i] = char(i * 31 + (i >> 12));
    const std::string path = job.directory + "/large";
    const int fd = open(path.c_str(), flags, 0644);
    check(fd >= 0, path);
    for (uint64_t i = 0; i < job.count; i++) {
        const ssize_t done =
            writing ? write(fd, buffer, kLargeBlockBytes) : read(fd, buffer, kLargeBlockBytes);
        check(done == ssize_t(kLargeBlockBytes), path);
    }
    if (writing) check(fsync(fd) == 0, path);
    check(close(fd) == 0, path);
    free(buffer);
}

// Lists a directory and asks for the attributes of everything in it, as `ls -l` does.
void visit(const Job& job) {
    DIR* dir = opendir(job.directory.c_str());
    check(dir != nullptr, job.directory);
    const int fd = dirfd(dir);
    check(fd >= 0, job.directory);
    uint64_t seen = 0;
    while (const dirent* entry = readdir(dir)) {  // NOLINT(concurrency-mt-unsafe)
        struct stat st;
        check(fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0, entry->d_name);
        seen++;
    }
    closedir(dir);
    errno = ENODATA;
    check(seen >= job.count, job.directory + " has lost entries");
}

// How many of random entries were looked up in time.
uint64_t lookup(const Job& job) {
    const auto end = Clock::now() + kLongestLookups;
    const uint64_t entries = std::max<uint64_t>(job.first, 1);
    uint64_t state = 1, done = 0;
    while (done < job.count && Clock::now() < end) {
        get_status(job.entry(next_random(state) % entries));
        done++;
    }
    return done;
}

// How many operations or MiB were done; 0: there is no such job.
uint64_t run(const std::string& name, const Job& job) {
    const auto each = [&](auto operation) {
        for (uint64_t i = job.first; i < job.first + job.count; i++) operation(i);
    };
    if (name == "create" || name == "create-fsync")
        each([&](uint64_t i) { create(job.small_file(i), name == "create-fsync"); });
    else if (name == "stat")
        each([&](uint64_t i) { get_status(job.small_file(i)); });
    else if (name == "read-small")
        each([&](uint64_t i) { read_whole(job.small_file(i)); });
    else if (name == "unlink")
        each([&](uint64_t i) { check(unlink(job.small_file(i).c_str()) == 0, job.small_file(i)); });
    else if (name == "populate")
        each([&](uint64_t i) {
            check(mknod(job.entry(i).c_str(), S_IFREG | 0644, 0) == 0, job.entry(i));
        });
    else if (name == "lookup")
        return lookup(job);
    else if (name == "visit")
        visit(job);
    else if (name == "write")
        large_file(job, O_WRONLY | O_CREAT, true);
    else if (name == "read")
        large_file(job, O_RDONLY, false);
    else if (name == "read-direct")
        large_file(job, O_RDONLY | O_DIRECT, false);
    else
        return 0;
    return job.count;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: bench_worker JOB DIRECTORY COUNT [FIRST]\n");
        return 2;
    }
    const std::string name = argv[1];
    const Job job{argv[2], strtoull(argv[3], nullptr, 10),
                  argc > 4 ? strtoull(argv[4], nullptr, 10) : 0};
    if (name == "create" || name == "create-fsync") make_folders(job);
    const auto start = Clock::now();
    const uint64_t done = run(name, job);
    if (done == 0) {
        fprintf(stderr, "bench_worker: there is no job '%s'\n", name.c_str());
        return 2;
    }
    const std::chrono::duration<double> seconds = Clock::now() - start;
    printf("%.6f %llu\n", seconds.count(), static_cast<unsigned long long>(done));
    return 0;
}
