// SPDX-License-Identifier: MIT
// Loads BPF objects with traversal programs, has the module attach them, keeps them in bpffs. What
// a verifier or libbpf says is kept for people to read.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "error.hpp"
#include "exo/exo.h"
#include "fd.hpp"
#include "sizes.hpp"

using exo::internal::errno_text;
using exo::internal::fail;
using exo::internal::Fd;
using exo::internal::give_structure;
using exo::internal::guarded;
using exo::internal::set_error;
using exo::internal::take_options;

namespace {

constexpr size_t kVerifierLogBytes = size_t{16} << 20;
constexpr long kBpffsMagic = 0xcafe4a11;
constexpr const char* kBpffs = "/sys/fs/bpf";
constexpr const char* kOpsType = "exo_program_ops";

struct LinkDeleter {
    void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
struct ObjectDeleter {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Link = std::unique_ptr<bpf_link, LinkDeleter>;
using Object = std::unique_ptr<bpf_object, ObjectDeleter>;

struct Attached {
    std::string name;
    uint32_t id = 0;
    Link link;
};

struct Function {
    std::string name;
    uint32_t instructions = 0;
    uint32_t verified = 0;
};

// libbpf reports through one callback of the process. While one of our loads runs, its warnings go
// to a buffer; the application's own callback comes back afterwards.
class LibbpfMessages {
  public:
    LibbpfMessages() : lock_(mutex()) {
        text().clear();
        previous_ = libbpf_set_print(&LibbpfMessages::take);
    }
    ~LibbpfMessages() { libbpf_set_print(previous_); }
    LibbpfMessages(const LibbpfMessages&) = delete;
    LibbpfMessages& operator=(const LibbpfMessages&) = delete;
    static std::string& text() {
        static std::string text;
        return text;
    }

  private:
    static std::mutex& mutex() {
        static std::mutex mutex;
        return mutex;
    }
    static int take(libbpf_print_level level, const char* format, va_list arguments) {
        if (level != LIBBPF_WARN) return 0;
        char line[2048];
        int length = vsnprintf(line, sizeof(line), format, arguments);
        if (length > 0 && text().size() < 64 * 1024) text() += line;
        return length;
    }
    std::lock_guard<std::mutex> lock_;
    libbpf_print_fn_t previous_;
};

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (!line.empty()) lines.push_back(line);
    }
    return lines;
}

// The verifier ends its log with counts; the line before them is the complaint.
std::string verifier_complaint(std::string_view log) {
    std::string complaint;
    for (std::string_view line : lines_of(log)) {
        if (line.starts_with("processed ") || line.starts_with("verification time") ||
            line.starts_with("stack depth") || line.starts_with("mark_precise")) {
            continue;
        }
        complaint = line;
    }
    return complaint;
}

// libbpf: prog 'NAME': BPF program load failed: ...
std::string failed_function(std::string_view messages) {
    for (std::string_view line : lines_of(messages)) {
        size_t at = line.find("prog '");
        if (at == std::string_view::npos || line.find("load failed") == std::string_view::npos) {
            continue;
        }
        line.remove_prefix(at + strlen("prog '"));
        return std::string(line.substr(0, line.find('\'')));
    }
    return {};
}

std::string first_message(std::string_view messages) {
    auto lines = lines_of(messages);
    if (lines.empty()) return {};
    std::string_view line = lines.front();
    if (line.starts_with("libbpf: ")) line.remove_prefix(strlen("libbpf: "));
    return std::string(line);
}

int explain_load(int code, const std::string& path, const std::string& messages,
                 const std::string& log) {
    std::string complaint = verifier_complaint(log);
    std::string function = failed_function(messages);
    if (!complaint.empty()) {
        set_error(path + ": " + (function.empty() ? "a function" : function) +
                      " was rejected by the kernel's verifier: " + complaint,
                  log);
        return -code;
    }
    if (code == EPERM) {
        set_error(path +
                      ": not allowed to load BPF programs: needs root (CAP_BPF, CAP_PERFMON "
                      "and CAP_SYS_ADMIN)",
                  messages);
        return -code;
    }
    std::string why = first_message(messages);
    if (why.find(kOpsType) != std::string::npos && access(EXO_DEVICE_PATH, F_OK) != 0) {
        return exo_module__open();
    }
    set_error(path + ": cannot load: " + (why.empty() ? errno_text(code) : why), messages);
    return -code;
}

// The initial value of an exo_program_ops map holds the name; the object's own type says where.
std::string program_name(const bpf_object* object, bpf_map* map) {
    size_t size = 0;
    const auto* value = static_cast<const char*>(bpf_map__initial_value(map, &size));
    const btf* types = bpf_object__btf(object);
    int id = types ? btf__find_by_name_kind(types, kOpsType, BTF_KIND_STRUCT) : -1;
    if (!value || id < 0) return bpf_map__name(map);
    const btf_type* type = btf__type_by_id(types, id);
    const btf_member* member = btf_members(type);
    for (int i = 0; i < btf_vlen(type); i++, member++) {
        const char* name = btf__name_by_offset(types, member->name_off);
        size_t at = member->offset / 8;
        if (strcmp(name, "name") != 0 || at >= size) continue;
        std::string text(value + at, strnlen(value + at, size - at));
        return text.empty() ? bpf_map__name(map) : text;
    }
    return bpf_map__name(map);
}

int ensure_pin_dir(const std::string& dir) {
    struct statfs status;
    if (dir.starts_with(kBpffs) && statfs(kBpffs, &status) == 0 && status.f_type != kBpffsMagic &&
        mount("bpf", kBpffs, "bpf", 0, "mode=0700") < 0) {
        int code = errno;
        return fail(code, "cannot mount the BPF file system on %s: %s", kBpffs,
                    errno_text(code).c_str());
    }
    if (mkdir(dir.c_str(), 0700) < 0 && errno != EEXIST) {
        int code = errno;
        return fail(code, "cannot make %s: %s", dir.c_str(), errno_text(code).c_str());
    }
    return 0;
}

int explain_attach(int code, const std::string& path, const std::string& name) {
    switch (code) {
        case EEXIST:
            return fail(code, "%s: a program named %s is attached already (exo prog unload %s)",
                        path.c_str(), name.c_str(), name.c_str());
        case EPERM:
            return fail(code, "%s: not allowed to attach %s: needs root (CAP_SYS_ADMIN)",
                        path.c_str(), name.c_str());
        default:
            return fail(code, "%s: cannot attach %s: %s", path.c_str(), name.c_str(),
                        errno_text(code).c_str());
    }
}

}  // namespace

struct exo_program {
    std::string path;
    std::vector<Attached> attached;
    std::vector<Function> functions;
    Object object;
    ~exo_program() { attached.clear(); }
};

namespace {

void note_functions(exo_program& program) {
    bpf_program* function = nullptr;
    bpf_object__for_each_program(function, program.object.get()) {
        bpf_prog_info info = {};
        uint32_t size = sizeof(info);
        Function entry;
        entry.name = bpf_program__name(function);
        if (bpf_prog_get_info_by_fd(bpf_program__fd(function), &info, &size) == 0) {
            entry.instructions = info.xlated_prog_len / sizeof(bpf_insn);
            entry.verified = info.verified_insns;
        }
        program.functions.push_back(std::move(entry));
    }
}

int attach_one(exo_program& program, bpf_map* map, const exo_program_options& options) {
    Attached entry;
    entry.name = program_name(program.object.get(), map);
    if (entry.name.find('/') != std::string::npos || entry.name.starts_with('.')) {
        return fail(EINVAL, "%s: a program may not be named %s", program.path.c_str(),
                    entry.name.c_str());
    }
    if (options.flags & EXO_PROGRAM_CHECK_ONLY) {
        program.attached.push_back(std::move(entry));
        return 0;
    }
    errno = 0;
    entry.link.reset(bpf_map__attach_struct_ops(map));
    if (!entry.link) {
        return explain_attach(errno ? errno : EIO, program.path, entry.name);
    }
    if (options.flags & EXO_PROGRAM_KEEP) {
        std::string dir = options.pin_dir ? options.pin_dir : EXO_PROGRAM_PIN_DIR;
        int error = ensure_pin_dir(dir);
        if (error) return error;
        std::string path = dir + "/" + entry.name;
        error = bpf_link__pin(entry.link.get(), path.c_str());
        if (error) {
            return fail(-error, "%s: cannot keep %s at %s: %s", program.path.c_str(),
                        entry.name.c_str(), path.c_str(), errno_text(-error).c_str());
        }
    }
    // First, so that undo_keep() finds it if its id cannot be had.
    program.attached.push_back(std::move(entry));
    Attached& attached = program.attached.back();
    return exo_program__find(attached.name.c_str(), &attached.id);
}

// Takes back what was kept when a later program of the object fails.
void undo_keep(exo_program& program, const exo_program_options& options) {
    if (!(options.flags & EXO_PROGRAM_KEEP)) return;
    for (Attached& entry : program.attached) {
        if (entry.link) bpf_link__unpin(entry.link.get());
    }
}

// Parses, loads and attaches. `open` makes the bpf_object with the options it is given.
template <typename Open>
int load(const std::string& path, const exo_program_options* given, exo_program** out, Open open) {
    exo_program_options options;
    int error = take_options(given, options);
    if (error) return error;
    if (options.flags & ~(EXO_PROGRAM_KEEP | EXO_PROGRAM_CHECK_ONLY) || options.reserved) {
        return fail(EINVAL, "unknown flags for a program");
    }
    auto program = std::make_unique<exo_program>();
    program->path = path;
    std::string log(kVerifierLogBytes, '\0');
    LibbpfMessages messages;
    LIBBPF_OPTS(bpf_object_open_opts, open_options, .kernel_log_buf = log.data(),
                .kernel_log_size = log.size());
    errno = 0;
    program->object.reset(open(&open_options));
    if (!program->object) {
        int code = errno ? errno : EINVAL;
        if (code == ENOENT || code == EACCES) {
            return fail(code, "%s: %s", path.c_str(), errno_text(code).c_str());
        }
        std::string why = first_message(messages.text());
        return fail(code, "%s: not a BPF object%s%s", path.c_str(), why.empty() ? "" : ": ",
                    why.c_str());
    }
    std::vector<bpf_map*> maps;
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, program->object.get()) {
        if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS) maps.push_back(map);
    }
    if (maps.empty()) {
        return fail(ENOMSG, "%s: no traversal program in it (EXO_PROGRAM makes one)", path.c_str());
    }
    error = bpf_object__load(program->object.get());
    log.resize(strnlen(log.data(), log.size()));
    if (error) return explain_load(-error, path, messages.text(), log);
    note_functions(*program);
    for (bpf_map* each : maps) {
        error = attach_one(*program, each, options);
        if (error) {
            undo_keep(*program, options);
            return error;
        }
    }
    *out = program.release();
    return 0;
}

}  // namespace

int exo_program__load_file(const char* path, const struct exo_program_options* options,
                           struct exo_program** program) {
    return guarded([&] {
        return load(path, options, program, [&](const bpf_object_open_opts* open_options) {
            return bpf_object__open_file(path, open_options);
        });
    });
}

int exo_program__load_memory(const void* object, size_t object_len, const char* name,
                             const struct exo_program_options* options,
                             struct exo_program** program) {
    return guarded([&] {
        return load(name ? name : "program", options, program,
                    [&](const bpf_object_open_opts* open_options) {
                        return bpf_object__open_mem(object, object_len, open_options);
                    });
    });
}

size_t exo_program__count(const struct exo_program* program) {
    return program->attached.size();
}

const char* exo_program__name(const struct exo_program* program, size_t at) {
    return at < program->attached.size() ? program->attached[at].name.c_str() : nullptr;
}

uint32_t exo_program__id(const struct exo_program* program, size_t at) {
    return at < program->attached.size() ? program->attached[at].id : 0;
}

size_t exo_program__function_count(const struct exo_program* program) {
    return program->functions.size();
}

int exo_program__function(const struct exo_program* program, size_t at,
                          struct exo_function_info* info, size_t bytes) {
    if (at >= program->functions.size()) return fail(ENOENT, "no function %zu", at);
    const Function& function = program->functions[at];
    const exo_function_info answer = {function.name.c_str(), function.instructions,
                                      function.verified};
    give_structure(answer, info, bytes);
    return 0;
}

void exo_program__close(struct exo_program* program) {
    delete program;
}

int exo_program__find(const char* name, uint32_t* program_id) {
    int fd = exo_module__open();
    if (fd < 0) return fd;
    Fd device(fd);
    struct exo_program_find request = {};
    if (strlen(name) >= sizeof(request.name)) {
        return fail(EINVAL, "%s: program names have at most %zu bytes", name,
                    sizeof(request.name) - 1);
    }
    memcpy(request.name, name, strlen(name));
    if (ioctl(device.get(), EXO_IOC_PROGRAM_FIND, &request) == 0) {
        *program_id = request.program_id;
        return 0;
    }
    int code = errno;
    if (code == ENOENT) {
        return fail(code, "no program %s is attached: exo prog load %s.bpf.o", name, name);
    }
    return fail(code, "cannot find program %s: %s", name, errno_text(code).c_str());
}

int exo_program__unload(const char* name, const char* pin_dir) {
    return guarded([&] {
        std::string path =
            std::string(pin_dir ? pin_dir : EXO_PROGRAM_PIN_DIR) + "/" + std::string(name);
        if (strchr(name, '/') || name[0] == '.') {
            return fail(EINVAL, "%s is not the name of a program", name);
        }
        if (unlink(path.c_str()) == 0) return 0;
        int code = errno;
        if (code == ENOENT) {
            return fail(code, "no program %s is kept in %s: see exo prog list", name,
                        pin_dir ? pin_dir : EXO_PROGRAM_PIN_DIR);
        }
        return fail(code, "cannot unload %s: %s", name, errno_text(code).c_str());
    });
}
