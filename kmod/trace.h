/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints of traversals: start, each block handed to the program, end. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM exo

#if !defined(EXO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define EXO_TRACE_H

#include <linux/tracepoint.h>

#include <linux/exo.h>

TRACE_EVENT(exo_traversal_start,
	TP_PROTO(u64 grant_id, u32 program_id, u64 ino, u64 offset, u32 hop_bytes),
	TP_ARGS(grant_id, program_id, ino, offset, hop_bytes),
	TP_STRUCT__entry(
		__field(u64, grant_id)
		__field(u64, ino)
		__field(u64, offset)
		__field(u32, program_id)
		__field(u32, hop_bytes)
	),
	TP_fast_assign(
		__entry->grant_id = grant_id;
		__entry->ino = ino;
		__entry->offset = offset;
		__entry->program_id = program_id;
		__entry->hop_bytes = hop_bytes;
	),
	TP_printk("grant=%llu program=%u ino=%llu offset=%llu hop_bytes=%u", __entry->grant_id,
		  __entry->program_id, __entry->ino, __entry->offset, __entry->hop_bytes)
);

TRACE_EVENT(exo_hop,
	TP_PROTO(u64 grant_id, u32 hop, u64 offset, u32 len, bool hole, int verdict),
	TP_ARGS(grant_id, hop, offset, len, hole, verdict),
	TP_STRUCT__entry(
		__field(u64, grant_id)
		__field(u64, offset)
		__field(u32, hop)
		__field(u32, len)
		__field(bool, hole)
		__field(int, verdict)
	),
	TP_fast_assign(
		__entry->grant_id = grant_id;
		__entry->offset = offset;
		__entry->hop = hop;
		__entry->len = len;
		__entry->hole = hole;
		__entry->verdict = verdict;
	),
	TP_printk("grant=%llu hop=%u offset=%llu len=%u hole=%d verdict=%d", __entry->grant_id,
		  __entry->hop, __entry->offset, __entry->len, __entry->hole, __entry->verdict)
);

TRACE_EVENT(exo_traversal_end,
	TP_PROTO(u64 grant_id, u32 cause, int error, u32 hops, u32 direct, u32 deferred,
		 u64 elapsed_ns),
	TP_ARGS(grant_id, cause, error, hops, direct, deferred, elapsed_ns),
	TP_STRUCT__entry(
		__field(u64, grant_id)
		__field(u64, elapsed_ns)
		__field(u32, cause)
		__field(int, error)
		__field(u32, hops)
		__field(u32, direct)
		__field(u32, deferred)
	),
	TP_fast_assign(
		__entry->grant_id = grant_id;
		__entry->elapsed_ns = elapsed_ns;
		__entry->cause = cause;
		__entry->error = error;
		__entry->hops = hops;
		__entry->direct = direct;
		__entry->deferred = deferred;
	),
	TP_printk("grant=%llu cause=%u error=%d hops=%u direct=%u deferred=%u elapsed_ns=%llu",
		  __entry->grant_id, __entry->cause, __entry->error, __entry->hops,
		  __entry->direct, __entry->deferred, __entry->elapsed_ns)
);

#endif /* EXO_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
