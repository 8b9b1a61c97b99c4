/* SPDX-License-Identifier: MIT */
/*
 * Traversals through an io_uring of the application's own: fills its submission entries, and reads
 * its completions. For users of liburing (in C with _GNU_SOURCE, as it wants); libexo itself
 * neither needs nor links it.
 *
 * A ring takes any number of traversals, as many at a time as the grant allows, between its other
 * work, and its thread waits for none of them. Which grant they run on is the entry's file
 * descriptor, which may be a registered file (IOSQE_FIXED_FILE).
 *
 * What must stay, and until when:
 *  - until io_uring_submit() returned: struct exo_traverse and the arguments it points to. With
 *    IORING_SETUP_SQPOLL, IOSQE_ASYNC or linked entries, until the completion.
 *  - until the completion was reaped: the areas for result and blocks, and where the outcome goes.
 *    With exo_uring__prepare() that is struct exo_traverse itself.
 *  - The thread that submitted, or another of the same process, reaps; in another process, results
 *    could not be written, and the traversal ends with -EFAULT. With exo_uring__use_buffer()
 *    anybody may reap.
 */
#ifndef EXO_URING_H
#define EXO_URING_H

#include <exo/exo.h>
#include <liburing.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All of an entry but its user_data, which may be set before or after; flags only after. */
static inline void exo_uring__fill(struct io_uring_sqe* sqe, int grant_fd, unsigned int command,
                                   const void* what, size_t bytes) {
    __u64 user_data = sqe->user_data;
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->fd = grant_fd;
    sqe->cmd_op = command;
    sqe->user_data = user_data;
    memcpy((unsigned char*)sqe + offsetof(struct io_uring_sqe, cmd), what, bytes);
}

/* In a ring of any kind. The outcome is written to `traverse`. In a ring with IORING_SETUP_IOPOLL
 * the traversal is polled, and any other engine refused; elsewhere EXO_ENGINE_POLLED is (EINVAL).
 */
static inline void exo_uring__prepare(struct io_uring_sqe* sqe, int grant_fd,
                                      struct exo_traverse* traverse) {
    struct exo_uring_pointer command;
    memset(&command, 0, sizeof(command));
    command.traverse = (__u64)(uintptr_t)traverse;
    exo_uring__fill(sqe, grant_fd, (unsigned int)EXO_GRANT_TRAVERSE, &command, sizeof(command));
}

/* In a ring with IORING_SETUP_SQE128 only: all of `traverse` goes into the entry, so that it may be
 * changed or gone right after this call. `outcome` may be NULL: the completion tells how it ended,
 * and with IORING_SETUP_CQE32 the value, too. */
static inline void exo_uring__prepare_whole(struct io_uring_sqe* sqe, int grant_fd,
                                            const struct exo_traverse* traverse,
                                            struct exo_outcome* outcome) {
    struct exo_uring_traverse command;
    memset(&command, 0, sizeof(command));
    memcpy(&command, traverse, offsetof(struct exo_traverse, outcome));
    command.outcome = (__u64)(uintptr_t)outcome;
    exo_uring__fill(sqe, grant_fd, (unsigned int)EXO_URING_TRAVERSE, &command, sizeof(command));
}

/* After either of these: result, blocks and outcome all lie in buffer `index` of those that were
 * registered with the ring (io_uring_register_buffers()), and are written there without another
 * look at the page tables, whichever process reaps. With exo_uring__prepare() the outcome is part
 * of struct exo_traverse, so that must lie there, too. Otherwise the traversal does not start
 * (EFAULT). Of modules that have EXO_FEATURE_FIXED_BUFFERS only. */
static inline void exo_uring__use_buffer(struct io_uring_sqe* sqe, unsigned short index) {
    sqe->uring_cmd_flags |= IORING_URING_CMD_FIXED;
    sqe->buf_index = index;
}

/* Ends the traversals of the same ring and the same grant_fd that were submitted with `user_data`,
 * as soon as what they have in flight has come: they end with EXO_END_CANCELLED. The completion
 * says how many there were, or -ENOENT. io_uring's own cancellation and linked timeouts do not
 * reach traversals. Of modules that have EXO_FEATURE_CANCEL only; older ones say -ENOTTY. */
static inline void exo_uring__prepare_cancel(struct io_uring_sqe* sqe, int grant_fd,
                                             __u64 user_data) {
    struct exo_uring_cancel command;
    memset(&command, 0, sizeof(command));
    command.user_data = user_data;
    exo_uring__fill(sqe, grant_fd, (unsigned int)EXO_URING_CANCEL, &command, sizeof(command));
}

/* How a completion says that a traversal ended: enum exo_end, or a negative errno when it did not
 * start (EBUSY: the grant allows no more at a time) or results could not be written (EFAULT). In
 * both cases nothing was written to the outcome, and this completes it: exo_outcome__check() then
 * has the right words for either. `outcome` may be NULL. */
static inline int exo_uring__finish(const struct io_uring_cqe* cqe, struct exo_outcome* outcome) {
    if (cqe->res < 0 && outcome) {
        memset(outcome, 0, sizeof(*outcome));
        outcome->cause = EXO_END_NOT_STARTED;
        outcome->error = cqe->res;
    }
    return cqe->res;
}

/* What the program reported. In a ring with IORING_SETUP_CQE32 only. */
static inline uint64_t exo_uring__value(const struct io_uring_cqe* cqe) {
    return cqe->big_cqe[0];
}

#ifdef __cplusplus
}
#endif

#endif /* EXO_URING_H */
