// SPDX-License-Identifier: MIT
// Answers just enough FUSE requests for files to be looked up and opened.
#define FUSE_USE_VERSION 314

#include "fake_mount.h"

#include <fuse_lowlevel.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace exo::test {
namespace {

FakeMount& mount_of(fuse_req_t request) {
    return *static_cast<FakeMount*>(fuse_req_userdata(request));
}

struct stat attributes(const FakeFile& file) {
    struct stat st = {};
    st.st_ino = file.ino;
    st.st_mode = file.directory ? S_IFDIR | 0755 : S_IFREG | file.mode;
    st.st_uid = file.uid;
    st.st_nlink = 1;
    st.st_size = static_cast<off_t>(file.size_bytes);
    return st;
}

const FakeFile root = {.ino = FUSE_ROOT_ID, .generation = 0, .size_bytes = 0, .directory = true};

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    const FakeFile* file = parent == FUSE_ROOT_ID ? mount_of(request).find(name) : nullptr;
    if (!file) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    fuse_entry_param entry = {};
    entry.ino = file->ino;
    entry.generation = file->generation;
    entry.attr = attributes(*file);
    fuse_reply_entry(request, &entry);
}

void getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) {
    const FakeFile* file = ino == FUSE_ROOT_ID ? &root : mount_of(request).find(ino);
    if (!file) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    struct stat st = attributes(*file);
    fuse_reply_attr(request, &st, 0);
}

void open(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    // Nobody answers once this process is killed; closing its files must not ask then.
    info->noflush = 1;
    fuse_reply_open(request, info);
}

void read(fuse_req_t request, fuse_ino_t, size_t, off_t, fuse_file_info*) {
    fuse_reply_err(request, EIO);
}

const fuse_lowlevel_ops operations = [] {
    fuse_lowlevel_ops ops = {};
    ops.lookup = lookup;
    ops.getattr = getattr;
    ops.open = open;
    ops.opendir = open;
    ops.read = read;
    return ops;
}();

}  // namespace

FakeMount::FakeMount(std::map<std::string, FakeFile> files, const std::string& options)
    : files_(std::move(files)) {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base ? base : "/tmp") + "/exo-fake-XXXXXX";
    if (!mkdtemp(path_.data())) {
        throw std::runtime_error("no folder to mount on");
    }
    char name[] = "exo-fake", option[] = "-o";
    std::string given = options;
    char* argv[] = {name, option, given.data(), nullptr};
    fuse_args args = FUSE_ARGS_INIT(options.empty() ? 1 : 3, argv);
    session_ = fuse_session_new(&args, &operations, sizeof(operations), this);
    fuse_opt_free_args(&args);
    if (!session_ || fuse_session_mount(session_, path_.c_str())) {
        throw std::runtime_error("cannot mount a FUSE file system (is the fuse module loaded?)");
    }
    loop_ = std::thread([this] { fuse_session_loop(session_); });
}

FakeMount::~FakeMount() {
    fuse_session_exit(session_);
    fuse_session_unmount(session_);
    loop_.join();
    fuse_session_destroy(session_);
    ::remove(path_.c_str());
}

const FakeFile* FakeMount::find(const std::string& name) const {
    auto it = files_.find(name);
    return it == files_.end() ? nullptr : &it->second;
}

const FakeFile* FakeMount::find(uint64_t ino) const {
    for (const auto& [name, file] : files_) {
        if (file.ino == ino) {
            return &file;
        }
    }
    return nullptr;
}

}  // namespace exo::test
