/* SPDX-License-Identifier: MIT */
/*
 * libexo's C interface: pins, grants, programs, traversals and B+-tree index files. The C++ headers
 * beside this one wrap it; there is no other interface. Structures of the kernel come from
 * linux/exo.h.
 *
 * Rules:
 *  - A function returns 0 or a positive answer, or a negative errno. Then exo_last_error() is one
 *    line for people: what was wrong, with which object, what to do next.
 *  - Files and grants are file descriptors, owned by the caller and closed with close(2).
 *    Everything else is an opaque handle, made by a function with a `**` argument and ended by one
 *    ending in __close or __free, which accept NULL.
 *  - Handles may be used by several threads at once, except builders. Nothing may be in use in
 *    another thread while it is closed.
 *  - Structures grow at the end, and the program says how large they are to it. Option structures
 *    and struct exo_lookup start with their own size (`.size = sizeof(opts)`); of all others it is
 *    an argument (`bytes` = `sizeof(info)`). Nothing is written past it. What the program knows and
 *    the library does not is zero in answers, and must be zero in requests (E2BIG). struct
 *    exo_outcome and struct exo_index_query never grow.
 *  - NULL for options means defaults, and so does a zero in any member.
 *  - Nothing here prints, and no C++ exception gets out.
 */
#ifndef EXO_EXO_H
#define EXO_EXO_H

#include <linux/exo.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors */

/* What the last failed call of this thread met. Valid until this thread's next call. */
const char* exo_last_error(void);
/* More of it if there is more, such as a verifier's whole log; else "". */
const char* exo_last_error_detail(void);

/* ---- the module */

/* Opens /dev/exo and checks that module and library understand each other. Returns a fd. ENODEV:
 * not loaded, EPROTO: another interface version, ENOSYS: a kernel older than 6.12 without the
 * module. */
int exo_module__open(void);
int exo_module__info(struct exo_info* info, size_t bytes);
int exo_module__stats(struct exo_stats* stats, size_t bytes);
/* Calls `each` for every object of a kind (EXO_LIST_*), with an entry of `entry_bytes`; stops when
 * it returns non-zero and returns that. volume_id 0: of all volumes. */
int exo_module__list(uint32_t kind, uint32_t entry_bytes, uint32_t volume_id,
                     int (*each)(const void* entry, void* context), void* context);
/* A fd that delivers the audit trail, by exo_audit__read() or read(2), in events of `event_bytes`.
 * flags: EXO_AUDIT_FROM_NOW. */
int exo_audit__open(uint32_t flags, uint32_t event_bytes);
/* Reads up to `count` events, of the size that the fd was opened with; returns how many. EAGAIN:
 * none now and the fd is non-blocking. */
int exo_audit__read(int audit_fd, struct exo_audit_event* events, size_t count, size_t event_bytes);
/* Ends a volume whose daemon is gone. */
int exo_volume__release(uint32_t volume_id, uint32_t grace_ms);
/* What a user or a cgroup gets of a volume's device that others share. */
int exo_tenant__set(const struct exo_tenant_set* request, size_t bytes);

/* ---- files on an exo mount */

int exo_file__info(int fd, struct exo_file_info* info, size_t bytes);
/* flags: EXO_PIN_PERSISTENT; without it the pin ends when this open file is closed. */
int exo_file__pin(int fd, uint32_t flags);
/* Returns when every grant is cut and no read is in flight. `result` may be NULL. */
int exo_file__unpin(int fd, uint32_t grace_ms, struct exo_file_unpin* result, size_t bytes);
/* Extents at or after map->start_offset; repeat from the end of the last until map->count is 0. */
int exo_file__map(int fd, struct exo_file_map* map, size_t bytes);
/* Where blocks that the file gets from now on should lie: from byte `where` of the device on, or
 * with flags EXO_PLACE_NEAR behind the data of the file with that inode number, which somebody has
 * open. A hint. The file must be open for writing. */
int exo_file__place(int fd, uint64_t where, uint32_t flags);

/* ---- grants and traversals */

struct exo_grant_options {
    size_t size;
    uint64_t range_start;
    uint64_t range_len; /* 0: to the end of the file */
    uint32_t hop_limit;
    uint32_t in_flight_limit;
    uint32_t weight;     /* beside the other grants of the same tenant */
    uint32_t rate_reads; /* in a second; 0: no limit */
    uint64_t rate_bytes;
};
/* Exchanges a fd open for reading for a grant fd, which is returned. The file must be pinned. */
int exo_grant__open(int file_fd, const struct exo_grant_options* options);
int exo_grant__info(int grant_fd, struct exo_grant_entry* info, size_t bytes);
/* Makes a weaker grant of a grant, and returns its fd. What is 0 in `terms` stays as it is;
 * terms->grant_id is filled in. */
int exo_grant__derive(int grant_fd, struct exo_grant_derive* terms, size_t bytes);
/* Takes back what was derived from it, with EXO_REVOKE_SELF in flags the grant itself as well.
 * Returns when nothing more is read through any of them. */
int exo_grant__revoke(int grant_fd, struct exo_grant_revoke* request, size_t bytes);
/* The same of any grant, itself included, by its id. Needs CAP_SYS_ADMIN. `result` may be NULL. */
int exo_grant__revoke_id(uint64_t grant_id, uint32_t grace_ms, struct exo_revoke_id* result,
                         size_t bytes);
/* Makes a set of grants, and returns its fd, on which traversals may read all of their files. It
 * keeps the grants open. Slots are numbered in the order given. */
int exo_set__create(const int* grant_fds, size_t count);

struct exo_traverse_options {
    size_t size;
    uint64_t start_offset;
    uint32_t hop_bytes; /* default: 4096 */
    uint32_t hop_limit;
    uint32_t timeout_ms;
    uint32_t flags; /* EXO_TRAVERSE_* */
    const void* args;
    size_t args_len;
    void* result;
    size_t result_len;
    void* blocks; /* copies of visited blocks: EXO_TRAVERSE_LAST_BLOCK or _ALL_BLOCKS in flags */
    size_t blocks_len;
    uint32_t engine;  /* enum exo_engine */
    uint32_t fan_out; /* reads at once; 0: one */
    uint32_t slot;    /* of a set, for the first read */
};
/* Runs one traversal to its end. 0 whenever it started: how it ended is in the outcome. */
int exo_grant__traverse(int grant_fd, uint32_t program_id,
                        const struct exo_traverse_options* options, struct exo_outcome* outcome);
/* Runs many, as many at a time as the grant allows, and returns when all have ended. Each entry's
 * outcome says how it went, EXO_END_NOT_STARTED when it could not start. If the call fails, entries
 * that it did not come to have that with -ECANCELED. entry_bytes: sizeof(struct exo_traverse). */
int exo_grant__batch(int grant_fd, struct exo_traverse* entries, size_t count, size_t entry_bytes);
/* 0 if the program came to its own end, else the errno that fits, with exo_last_error() set;
 * `what` names the file in it. For traversals of a batch and of an io_uring (exo/uring.h), too. */
int exo_outcome__check(const struct exo_outcome* outcome, const char* what);
/* "done", "out of range" ... */
const char* exo_end__name(uint32_t cause);

/* ---- programs */

struct exo_program; /* the programs of one BPF object */

struct exo_program_options {
    size_t size;
    uint32_t flags; /* EXO_PROGRAM_* */
    uint32_t reserved;
    const char* pin_dir; /* default: EXO_PROGRAM_PIN_DIR */
};
#define EXO_PROGRAM_KEEP (1U << 0)       /* pin, so that the programs stay attached after __close */
#define EXO_PROGRAM_CHECK_ONLY (1U << 1) /* have the kernel verify, attach nothing */
#define EXO_PROGRAM_PIN_DIR "/sys/fs/bpf/exo"

/* Loads a BPF object and attaches every struct exo_program_ops in it. Needs CAP_BPF, CAP_PERFMON
 * and CAP_SYS_ADMIN. When the verifier rejects it (EACCES, EINVAL, E2BIG), exo_last_error_detail()
 * is its log. */
int exo_program__load_file(const char* path, const struct exo_program_options* options,
                           struct exo_program** program);
int exo_program__load_memory(const void* object, size_t object_len, const char* name,
                             const struct exo_program_options* options,
                             struct exo_program** program);
size_t exo_program__count(const struct exo_program* program);
/* Of the program at an index below the count; id is 0 if it was only checked. */
const char* exo_program__name(const struct exo_program* program, size_t at);
uint32_t exo_program__id(const struct exo_program* program, size_t at);
/* Functions of the object, and what the verifier did with each. */
struct exo_function_info {
    const char* name;
    uint32_t instructions; /* after the verifier's rewrites */
    uint32_t verified;     /* instructions that the verifier walked */
};
size_t exo_program__function_count(const struct exo_program* program);
int exo_program__function(const struct exo_program* program, size_t at,
                          struct exo_function_info* info, size_t bytes);
/* Detaches what was not kept. */
void exo_program__close(struct exo_program* program);
/* Id of an attached program, whoever attached it. */
int exo_program__find(const char* name, uint32_t* program_id);
/* Undoes EXO_PROGRAM_KEEP. pin_dir NULL: the default. */
int exo_program__unload(const char* name, const char* pin_dir);

/* ---- index files: build */

struct exo_index_builder;

enum exo_duplicates {
    EXO_DUPLICATES_ERROR = 0,
    EXO_DUPLICATES_FIRST = 1,
    EXO_DUPLICATES_LAST = 2,
};
struct exo_index_builder_options {
    size_t size;
    uint32_t duplicates; /* enum exo_duplicates */
    uint32_t reserved;
    uint64_t memory_limit_bytes; /* of the records held until __finish; default: 4 GiB */
};
struct exo_index_info {
    uint64_t build_id;
    uint64_t file_bytes;
    uint64_t records;
    uint64_t duplicates; /* left out; of a builder only */
    uint64_t key_bytes;
    uint64_t value_bytes;
    uint64_t leaf_nodes;
    uint64_t inner_nodes;
    uint64_t overflow_nodes;
    uint64_t root_offset;
    uint32_t depth; /* nodes on the way from the root to a leaf */
    uint32_t node_bytes;
    uint32_t max_key_bytes;
    uint32_t max_value_bytes;
};

int exo_index_builder__new(const struct exo_index_builder_options* options,
                           struct exo_index_builder** builder);
/* In any order. EMSGSIZE: a key over 1024 bytes or a value over 32768; ENOMEM: over the limit. */
int exo_index_builder__add(struct exo_index_builder* builder, const void* key, size_t key_len,
                           const void* value, size_t value_len);
/* Writes the index to a fd open for writing on an empty file, and syncs it. The builder is empty
 * then. EEXIST: a key occurs twice, and duplicates are errors. `info` may be NULL. */
int exo_index_builder__finish(struct exo_index_builder* builder, int fd,
                              struct exo_index_info* info, size_t bytes);
void exo_index_builder__free(struct exo_index_builder* builder);

/* ---- index files: look up */

struct exo_index;

enum exo_index_mode {
    EXO_INDEX_USER = 0,   /* plain reads through the file: no module needed */
    EXO_INDEX_KERNEL = 1, /* traversals at the drive's completion */
};
struct exo_index_options {
    size_t size;
    uint32_t mode;   /* enum exo_index_mode */
    uint32_t engine; /* kernel mode: enum exo_engine */
    uint32_t in_flight_limit;
    uint32_t flags;      /* EXO_INDEX_SKIP_CHECKSUMS */
    const char* program; /* default: "btree_lookup" */
    const char* name;    /* of the file, for messages */
};
#define EXO_INDEX_SKIP_CHECKSUMS (1U << 0) /* user mode: check nodes as programs do, no CRC */

struct exo_lookup {
    size_t size;
    void* value;           /* in: where the value goes; may be NULL */
    size_t value_capacity; /* in: no more than this is written there */
    size_t value_len;      /* out: of the value, which may be more */
    uint32_t hops;         /* out: nodes read */
    uint32_t direct;       /* out: of them, reissued inside the completion interrupt */
    uint32_t deferred;     /* out: by a worker */
    uint32_t polled;       /* out: by this polling caller */
    uint32_t dispatched;   /* out: as bios */
    uint32_t engine;       /* out: enum exo_engine that was used, 0 in user mode */
    uint64_t elapsed_ns;   /* out: kernel mode */
};

/* Reads the header through the file descriptor, which is duplicated. EBADMSG: no index. In kernel
 * mode a grant on the whole file is opened as well; it lives as long as the handle. */
int exo_index__open(int fd, const struct exo_index_options* options, struct exo_index** index);
void exo_index__close(struct exo_index* index);
int exo_index__info(const struct exo_index* index, struct exo_index_info* info, size_t bytes);
/* 1: found, 0: no such key. EBADMSG: a node is damaged. */
int exo_index__lookup(const struct exo_index* index, const void* key, size_t key_len,
                      struct exo_lookup* lookup);

/* One of many keys. */
struct exo_index_query {
    const void* key;
    size_t key_len;
    struct exo_lookup* lookup; /* in and out, as for one key; may be NULL */
    int32_t answer;            /* out: what exo_index__lookup() would return */
    uint32_t reserved;
};
#define EXO_INDEX_BATCH 1024
/* Looks many keys up: in kernel mode with one entry into the kernel for every EXO_INDEX_BATCH of
 * them, and waiting for its turn when others use up the grant's traversals in flight. Every query
 * gets its answer. Returns how many were found, or the first negative answer, which
 * exo_last_error() is then about. */
int exo_index__lookup_batch(const struct exo_index* index, struct exo_index_query* queries,
                            size_t count);

/* Calls `each` for the records from a key on (NULL: all) in order, read in user space; stops when
 * it returns non-zero and returns that. */
int exo_index__scan(const struct exo_index* index, const void* from, size_t from_len,
                    int (*each)(const void* key, size_t key_len, const void* value,
                                size_t value_len, void* context),
                    void* context);
/* Reads every node and checks checksums, links, order and counts. EBADMSG says where. */
int exo_index__verify(const struct exo_index* index);

#ifdef __cplusplus
}
#endif

#endif /* EXO_EXO_H */
