// SPDX-License-Identifier: MIT
// Who may do what: every act of the table in docs/SECURITY.md by everybody who could try it, each
// in a process of his own. And what is never taken for a pinned file, however much it looks like
// one.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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

constexpr uid_t kOwner = 1000, kStranger = 2000, kHolder = 3000, kDaemon = 4000;

bool write_text(const char* path, const std::string& text) {
    Fd fd = open_path(path, O_WRONLY);
    return fd && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// No capability is left, and none of root's groups.
bool become(uid_t uid) {
    return !setgroups(0, nullptr) && !setresgid(uid, uid, uid) && !setresuid(uid, uid, uid);
}

// Root of a user namespace and a mount namespace, as in a container; outside of it, `uid`.
bool become_root_of_container(uid_t uid) {
    std::string id = std::to_string(uid);
    // A process that has changed its user could not write its own maps.
    if (!become(uid) || prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER | CLONE_NEWNS)) {
        return false;
    }
    return write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", "0 " + id + " 1") &&
           write_text("/proc/self/gid_map", "0 " + id + " 1") && getuid() == 0;
}

// What `body` returns in a process of its own; 1000 if it could not be brought about.
int apart(const std::function<int()>& body) {
    void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    int* answer = static_cast<int*>(shared);
    *answer = 1000;
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // Nothing but the answer leaves this process, an exception least of all.
        try {
            *answer = body();
        } catch (...) {
            _exit(1);
        }
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    int result = *answer;
    munmap(shared, 4096);
    return result;
}

enum Who { kRoot, kOfDaemon, kOfOwner, kOfHolder, kOfWeakHolder, kOfStranger, kOfContainer, kAll };
const char* const kNames[kAll] = {"root",
                                  "the daemon without privilege",
                                  "the owner",
                                  "who holds a grant",
                                  "who holds a weak grant",
                                  "a stranger",
                                  "a container's root"};

bool become(Who who) {
    switch (who) {
        case kRoot:
            return true;
        case kOfDaemon:
            return become(kDaemon);
        case kOfOwner:
            return become(kOwner);
        case kOfHolder:
        case kOfWeakHolder:
            return become(kHolder);
        case kOfStranger:
            return become(kStranger);
        default:
            return become_root_of_container(kStranger);
    }
}

// Mounts go where everybody can come, and not to the test's own folder.
struct Public {
    Public() : before(std::getenv("TMPDIR") ? std::getenv("TMPDIR") : "/tmp") {
        setenv("TMPDIR", "/tmp", 1);
    }
    ~Public() { setenv("TMPDIR", before.c_str(), 1); }
    Public(const Public&) = delete;
    Public& operator=(const Public&) = delete;
    std::string before;
};

// One pinned file that only its owner may read, a full grant and one to traverse one program only.
struct Scene {
    Scene()
        : mount({{"file",
                  {.ino = kIno,
                   .generation = kGeneration,
                   .size_bytes = kMiB,
                   .uid = kOwner,
                   .mode = 0600}}},
                "allow_other,default_permissions"),
          device(open_path(device_path(), O_RDWR)),
          act(shared_program("test_act").id()) {
        Opened opened = attach(device_path(), &info);
        REQUIRE(opened.error == 0);
        volume = std::move(opened.fd);
        REQUIRE(bind(volume, mount) == 0);
        REQUIRE(pin(volume, kIno, kGeneration, kMiB, {{0, 0, kMiB}}) == 0);
        opened = open_grant(open_path(mount.path("file"), O_RDONLY).get());
        REQUIRE(opened.error == 0);
        grant = std::move(opened.fd);
        exo_grant_derive request = {};
        request.rights = EXO_RIGHT_TRAVERSE;
        request.program_id = act;
        weak = Fd(call(grant, EXO_GRANT_DERIVE, &request));
        REQUIRE(weak);
    }
    ~Scene() {
        exo_detach request = {};
        CHECK(call(volume, EXO_VOLUME_DETACH, &request) == 0);
    }

    // What `who` has to try it with.
    int volume_of(Who who) const {
        return who == kRoot || who == kOfDaemon ? volume.get() : module_fd();
    }
    int grant_of(Who who) const {
        switch (who) {
            case kRoot:
            case kOfHolder:
                return grant.get();
            case kOfWeakHolder:
                return weak.get();
            default:
                return module_fd();
        }
    }
    static int module_fd() {
        static Fd fd;
        if (!fd) {
            fd = open_path(EXO_DEVICE_PATH, O_RDWR);
        }
        return fd.get();
    }

    FakeMount mount;
    exo_attach info = {};
    Fd device, volume, grant, weak;
    uint32_t act;
};

struct Act {
    const char* what;
    std::function<int(const Scene&, Who)> attempt;
    int answers[kAll];
};

template <typename T>
int listed(uint32_t kind) {
    std::vector<T> entries(8);
    exo_list request = {};
    request.kind = kind;
    request.entry_bytes = sizeof(T);
    request.buffer = reinterpret_cast<uint64_t>(entries.data());
    request.buffer_bytes = static_cast<uint32_t>(entries.size() * sizeof(T));
    int ret = call(Scene::module_fd(), EXO_IOC_LIST, &request);
    return ret ? ret : static_cast<int>(request.count);
}

int traverse(const Scene& scene, Who who, uint32_t flags) {
    uint8_t block[4096];
    test_act_args args = {};
    exo_traverse request = {};
    request.flags = flags;
    request.program_id = scene.act;
    request.hop_bytes = 4096;
    request.args = reinterpret_cast<uint64_t>(&args);
    request.args_len = sizeof(args);
    request.blocks = reinterpret_cast<uint64_t>(block);
    request.blocks_len = flags ? sizeof(block) : 0;
    uint8_t result[64];
    request.result = reinterpret_cast<uint64_t>(result);
    request.result_len = sizeof(result);
    return call(scene.grant_of(who), EXO_GRANT_TRAVERSE, &request);
}

int derive(const Scene& scene, Who who) {
    exo_grant_derive request = {};
    request.rights = EXO_RIGHT_TRAVERSE;
    int fd = call(scene.grant_of(who), EXO_GRANT_DERIVE, &request);
    return fd < 0 ? fd : close(fd);
}

const int kP = -EPERM, kT = -ENOTTY, kA = -EACCES;

// As in docs/SECURITY.md. ENOTTY: he has no descriptor that would serve it.
const Act kActs[] = {
    {"attach a volume",  // EBUSY: he might, were it not attached
     [](const Scene& scene, Who) {
         exo_attach request = {};
         request.device_fd = scene.device.get();
         request.uuid[0] = 1;
         return call(Scene::module_fd(), EXO_IOC_ATTACH, &request);
     },
     {-EBUSY, kP, kP, kP, kP, kP, kP}},
    {"release a volume",
     [](const Scene& scene, Who) {
         exo_release request = {.volume_id = scene.info.volume_id, .grace_ms = 0};
         return call(Scene::module_fd(), EXO_IOC_RELEASE, &request);
     },
     {-EBUSY, kP, kP, kP, kP, kP, kP}},
    {"bind a mount",
     [](const Scene& scene, Who who) {
         Fd root = open_path(scene.mount.path(), O_PATH);
         exo_bind_mount request = {.mount_fd = root.get(), .flags = 0};
         return call(scene.volume_of(who), EXO_VOLUME_BIND_MOUNT, &request);
     },
     {0, 0, kT, kT, kT, kT, kT}},
    {"pin a file",
     [](const Scene& scene, Who who) {
         exo_pin request = {};
         request.ino = 100 + who;
         return call(scene.volume_of(who), EXO_VOLUME_PIN, &request);
     },
     {0, 0, kT, kT, kT, kT, kT}},
    {"unpin a file",
     [](const Scene& scene, Who who) {
         exo_unpin request = {};
         request.ino = 100 + who;
         return call(scene.volume_of(who), EXO_VOLUME_UNPIN, &request);
     },
     {0, 0, kT, kT, kT, kT, kT}},
    {"open a grant",
     [](const Scene& scene, Who) {
         Fd file = open_path(scene.mount.path("file"), O_RDONLY);
         return file ? open_grant(file.get()).error : -errno;
     },
     {0, kA, 0, kA, kA, kA, kA}},
    {"traverse",
     [](const Scene& scene, Who who) { return traverse(scene, who, 0); },
     {0, kT, kT, 0, 0, kT, kT}},
    {"get copies of blocks",
     [](const Scene& scene, Who who) { return traverse(scene, who, EXO_TRAVERSE_LAST_BLOCK); },
     {0, kT, kT, 0, kA, kT, kT}},
    {"derive a grant", derive, {0, kT, kT, 0, kA, kT, kT}},
    {"revoke what was derived",  // of another grant than the scene's own
     [](const Scene& scene, Who who) {
         Fd grant(dup(scene.grant_of(who)));
         exo_grant_derive request = {};
         request.rights = EXO_RIGHTS_ALL;
         if (who == kRoot || who == kOfHolder) {
             grant = Fd(call(grant, EXO_GRANT_DERIVE, &request));
         }
         exo_grant_revoke revoke = {};
         return call(grant, EXO_GRANT_REVOKE, &revoke);
     },
     {0, kT, kT, 0, kA, kT, kT}},
    {"make a set",
     [](const Scene& scene, Who who) {
         int fds[] = {scene.grant_of(who)};
         exo_set_create request = {
             .grant_fds = reinterpret_cast<uint64_t>(fds), .count = 1, .flags = 0};
         int fd = call(Scene::module_fd(), EXO_IOC_SET_CREATE, &request);
         return fd < 0 ? fd : close(fd);
     },
     {0, -EBADF, -EBADF, 0, 0, -EBADF, -EBADF}},
    {"revoke any grant by number",  // ENOENT: he might, were there such a one
     [](const Scene&, Who) {
         exo_revoke_id request = {};
         request.grant_id = UINT32_MAX;
         return call(Scene::module_fd(), EXO_IOC_REVOKE_ID, &request);
     },
     {-ENOENT, kP, kP, kP, kP, kP, kP}},
    {"set a tenant's terms",
     [](const Scene& scene, Who) {
         exo_tenant_set request = {};
         request.volume_id = scene.info.volume_id;
         request.key = kStranger;
         return call(Scene::module_fd(), EXO_IOC_TENANT_SET, &request);
     },
     {0, kP, kP, kP, kP, kP, kP}},
    {"read the audit trail",
     [](const Scene&, Who) {
         exo_audit_open request = {.flags = 0, .event_bytes = sizeof(exo_audit_event)};
         int fd = call(Scene::module_fd(), EXO_IOC_AUDIT_OPEN, &request);
         return fd < 0 ? fd : close(fd);
     },
     {0, kP, kP, kP, kP, kP, kP}},
    {"list volumes",
     [](const Scene&, Who) { return listed<exo_volume_entry>(EXO_LIST_VOLUMES); },
     {1, kP, kP, kP, kP, kP, kP}},
    {"list pins",
     [](const Scene&, Who) { return listed<exo_pin_entry>(EXO_LIST_PINS); },
     {1, kP, kP, kP, kP, kP, kP}},
    {"list grants",  // root opened both; to others only their own are shown
     [](const Scene&, Who) { return listed<exo_grant_entry>(EXO_LIST_GRANTS); },
     {2, 0, 0, 0, 0, 0, 0}},
    {"list tenants",
     [](const Scene&, Who) { return listed<exo_tenant_entry>(EXO_LIST_TENANTS); },
     {1, 0, 0, 0, 0, 0, 0}},
    {"list programs, and find one",
     [](const Scene&, Who) {
         exo_program_find request = {};
         strcpy(request.name, "test_act");
         int ret = call(Scene::module_fd(), EXO_IOC_PROGRAM_FIND, &request);
         return ret ? ret : listed<exo_program_entry>(EXO_LIST_PROGRAMS) > 0 ? 0 : -ENOENT;
     },
     {0, 0, 0, 0, 0, 0, 0}},
    {"attach a program",
     [](const Scene&, Who) {
         return load_log(std::string(EXO_TEST_BPF_DIR) + "/test_zero.bpf.o").empty() ? 0 : kP;
     },
     {0, kP, kP, kP, kP, kP, kP}},
    {"adjust parameters",
     [](const Scene&, Who) {
         return open_path("/sys/module/exo/parameters/fair_depth", O_WRONLY) ? 0 : -errno;
     },
     {0, kA, kA, kA, kA, kA, kA}},
};

int grant_on(const std::string& path) {
    Fd file = open_path(path, O_RDONLY);
    return file ? open_grant(file.get()).error : -errno;
}

std::string folder(const char* name) {
    const char* base = std::getenv("TMPDIR");
    std::string path = std::string(base ? base : "/tmp") + "/" + name;
    std::filesystem::create_directories(path);
    return path;
}

}  // namespace

TEST_SUITE_BEGIN("rights");

TEST_CASE("every act, by everybody") {
    Public folder;
    Scene scene;
    for (const Act& act : kActs) {
        for (int who = 0; who < kAll; who++) {
            std::string tried = std::string(act.what) + ", by " + kNames[who];
            CAPTURE(tried);
            int answer = apart([&] {
                return become(static_cast<Who>(who)) ? act.attempt(scene, static_cast<Who>(who))
                                                     : 1000;
            });
            CHECK(answer == act.answers[who]);
        }
    }
}

TEST_CASE("the same mount by another way is the same mount") {
    Rig rig;
    std::string other = folder("bound");
    REQUIRE(mount(rig.mount.path().c_str(), other.c_str(), nullptr, MS_BIND, nullptr) == 0);
    CHECK(grant_on(other + "/file") == 0);
    CHECK(umount2(other.c_str(), MNT_DETACH) == 0);
    CHECK(apart([&] { return unshare(CLONE_NEWNS) ? 1000 : grant_on(rig.mount.path("file")); }) ==
          0);
    // Mounted there and nowhere else.
    CHECK(apart([&] {
              if (unshare(CLONE_NEWNS) ||
                  mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) ||
                  mount(rig.mount.path().c_str(), other.c_str(), nullptr, MS_BIND, nullptr) ||
                  umount2(rig.mount.path().c_str(), MNT_DETACH)) {
                  return 1000;
              }
              return grant_on(other + "/file");
          }) == 0);
}

TEST_CASE("an overlay over the mount is another file system") {
    Rig rig;
    std::string base = folder("overlay");
    REQUIRE(mount("tmpfs", base.c_str(), "tmpfs", 0, nullptr) == 0);
    for (const char* name : {"upper", "work", "merged"}) {
        std::filesystem::create_directory(base + "/" + name);
    }
    std::string options =
        "lowerdir=" + rig.mount.path() + ",upperdir=" + base + "/upper,workdir=" + base + "/work";
    REQUIRE(mount("overlay", (base + "/merged").c_str(), "overlay", 0, options.c_str()) == 0);
    CHECK(grant_on(base + "/merged/file") == -EXDEV);
    CHECK(umount((base + "/merged").c_str()) == 0);
    CHECK(umount(base.c_str()) == 0);
}

TEST_CASE("a FUSE mount of a user who is root in a namespace of his own gets nothing") {
    Public folder;
    Rig rig;
    CHECK(apart([&] {
              if (!become_root_of_container(kStranger)) {
                  return 1000;
              }
              try {
                  FakeMount own(
                      {{"file", {.ino = kIno, .generation = kGeneration, .size_bytes = kMiB}}});
                  struct stat st = {};
                  return stat(own.path("file").c_str(), &st) || st.st_ino != kIno
                             ? 1001
                             : grant_on(own.path("file"));
              } catch (const std::exception&) {
                  return 1002;
              }
          }) == -EXDEV);
    CHECK(rig.regrant().error == 0);
}

TEST_CASE("an inode number that is used again is another file, and a newer pin no older file's") {
    Rig rig;
    // The daemon has deleted the file, and given its number to another one.
    REQUIRE(unpin(rig.volume, kIno, kGeneration) == 0);
    CHECK(rig.regrant().error == -ENODATA);
    REQUIRE(pin(rig.volume, kIno, kGeneration + 1, kMiB, {{0, 0, kMiB}}) == 0);
    CHECK(rig.regrant().error == -ESTALE);
    CHECK(run(rig.grant, shared_program("test_act").id(), test_act_args{}).error == -EKEYREVOKED);
    // A generation that agrees in its lower half only.
    REQUIRE(unpin(rig.volume, kIno, kGeneration + 1) == 0);
    CHECK(pin(rig.volume, kIno, kGeneration | 1ULL << 32, kMiB, {{0, 0, kMiB}}) == -EINVAL);
    REQUIRE(pin(rig.volume, kIno, kGeneration, kMiB, {{0, 0, kMiB}}) == 0);
    CHECK(rig.regrant().error == 0);
}

TEST_SUITE_END();
