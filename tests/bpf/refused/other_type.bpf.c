// SPDX-License-Identifier: GPL-2.0-only
/* Refused: programs of other kinds cannot call in. */
/* expect: expected pointer to STRUCT exo_hop_context but R1 has a pointer to STRUCT */
#include "exo.bpf.h"

SEC("struct_ops/ssthresh")
__u32 BPF_PROG(bad_ssthresh, struct sock *sk)
{
	return exo_read((void *)sk, 0, 4096);
}

SEC("struct_ops/undo_cwnd")
__u32 BPF_PROG(bad_undo_cwnd, struct sock *sk)
{
	return 0;
}

SEC("struct_ops/cong_avoid")
void BPF_PROG(bad_cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
}

SEC(".struct_ops.link")
struct tcp_congestion_ops bad = {
	.ssthresh = (void *)bad_ssthresh,
	.undo_cwnd = (void *)bad_undo_cwnd,
	.cong_avoid = (void *)bad_cong_avoid,
	.name = "exo_bad",
};
EXO_LICENSE;
