/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EXO_KFUNCS_H
#define EXO_KFUNCS_H

#include <linux/types.h>

struct exo_hop_context;

/* Called by BPF programs only; bpf/include/exo.bpf.h is their side. */
const u8 *exo_block(const struct exo_hop_context *context, const size_t rdonly_buf_size);
const u8 *exo_args(const struct exo_hop_context *context, const size_t rdonly_buf_size);
u8 *exo_result(const struct exo_hop_context *context, const size_t rdwr_buf_size);
int exo_read(const struct exo_hop_context *context, u64 offset, u32 len);
int exo_read_from(const struct exo_hop_context *context, u32 slot, u64 offset, u32 len, u64 tag);
u64 exo_file_size(const struct exo_hop_context *context, u32 slot);
int exo_report(const struct exo_hop_context *context, u64 value, u32 result_len);

int exo_kfuncs_init(void);

#endif /* EXO_KFUNCS_H */
