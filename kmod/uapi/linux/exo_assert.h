/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * The sizes and offsets of exo.h that binaries depend on, checked by whatever compiler includes
 * this file. A line here may be added, never changed.
 */
#ifndef _UAPI_LINUX_EXO_ASSERT_H
#define _UAPI_LINUX_EXO_ASSERT_H

#include <linux/exo.h>

#ifdef __cplusplus
#define EXO_ASSERT(condition)	static_assert(condition, #condition)
#else
#define EXO_ASSERT(condition)	_Static_assert(condition, #condition)
#endif
#define EXO_ASSERT_SIZE(type, bytes)	EXO_ASSERT(sizeof(struct type) == (bytes))
#define EXO_ASSERT_AT(type, member, at)	EXO_ASSERT(__builtin_offsetof(struct type, member) == (at))

EXO_ASSERT_SIZE(exo_info, 88);
EXO_ASSERT_AT(exo_info, abi_version, 0);
EXO_ASSERT_AT(exo_info, reserved, 4);
EXO_ASSERT_AT(exo_info, features, 8);
EXO_ASSERT_AT(exo_info, max_extents, 16);
EXO_ASSERT_AT(exo_info, max_hops, 20);
EXO_ASSERT_AT(exo_info, max_hop_bytes, 24);
EXO_ASSERT_AT(exo_info, max_args_bytes, 28);
EXO_ASSERT_AT(exo_info, max_result_bytes, 32);
EXO_ASSERT_AT(exo_info, max_timeout_ms, 36);
EXO_ASSERT_AT(exo_info, max_blocks_bytes, 40);
EXO_ASSERT_AT(exo_info, max_batch, 44);
EXO_ASSERT_AT(exo_info, max_fan_out, 48);
EXO_ASSERT_AT(exo_info, max_slots, 52);
EXO_ASSERT_AT(exo_info, default_hops, 56);
EXO_ASSERT_AT(exo_info, default_timeout_ms, 60);
EXO_ASSERT_AT(exo_info, max_in_flight, 64);
EXO_ASSERT_AT(exo_info, default_in_flight, 68);
EXO_ASSERT_AT(exo_info, max_grants_per_user, 72);
EXO_ASSERT_AT(exo_info, max_grace_ms, 76);
EXO_ASSERT_AT(exo_info, drain_timeout_ms, 80);
EXO_ASSERT_AT(exo_info, reserved_2, 84);

EXO_ASSERT_SIZE(exo_attach, 48);
EXO_ASSERT_AT(exo_attach, device_fd, 0);
EXO_ASSERT_AT(exo_attach, flags, 4);
EXO_ASSERT_AT(exo_attach, uuid, 8);
EXO_ASSERT_AT(exo_attach, volume_id, 24);
EXO_ASSERT_AT(exo_attach, logical_block_bytes, 28);
EXO_ASSERT_AT(exo_attach, size_bytes, 32);
EXO_ASSERT_AT(exo_attach, out_flags, 40);
EXO_ASSERT_AT(exo_attach, refused, 44);

EXO_ASSERT_SIZE(exo_grant_open, 64);
EXO_ASSERT_AT(exo_grant_open, file_fd, 0);
EXO_ASSERT_AT(exo_grant_open, flags, 4);
EXO_ASSERT_AT(exo_grant_open, range_start, 8);
EXO_ASSERT_AT(exo_grant_open, range_len, 16);
EXO_ASSERT_AT(exo_grant_open, hop_limit, 24);
EXO_ASSERT_AT(exo_grant_open, in_flight_limit, 28);
EXO_ASSERT_AT(exo_grant_open, grant_id, 32);
EXO_ASSERT_AT(exo_grant_open, size_bytes, 40);
EXO_ASSERT_AT(exo_grant_open, weight, 48);
EXO_ASSERT_AT(exo_grant_open, rate_reads, 52);
EXO_ASSERT_AT(exo_grant_open, rate_bytes, 56);

EXO_ASSERT_SIZE(exo_program_find, 40);
EXO_ASSERT_AT(exo_program_find, name, 0);
EXO_ASSERT_AT(exo_program_find, program_id, 32);
EXO_ASSERT_AT(exo_program_find, reserved, 36);

EXO_ASSERT_SIZE(exo_list, 40);
EXO_ASSERT_AT(exo_list, kind, 0);
EXO_ASSERT_AT(exo_list, entry_bytes, 4);
EXO_ASSERT_AT(exo_list, cursor, 8);
EXO_ASSERT_AT(exo_list, buffer, 16);
EXO_ASSERT_AT(exo_list, buffer_bytes, 24);
EXO_ASSERT_AT(exo_list, count, 28);
EXO_ASSERT_AT(exo_list, volume_id, 32);
EXO_ASSERT_AT(exo_list, reserved, 36);

EXO_ASSERT_SIZE(exo_volume_entry, 80);
EXO_ASSERT_AT(exo_volume_entry, volume_id, 0);
EXO_ASSERT_AT(exo_volume_entry, flags, 4);
EXO_ASSERT_AT(exo_volume_entry, uuid, 8);
EXO_ASSERT_AT(exo_volume_entry, disk_name, 24);
EXO_ASSERT_AT(exo_volume_entry, size_bytes, 56);
EXO_ASSERT_AT(exo_volume_entry, logical_block_bytes, 64);
EXO_ASSERT_AT(exo_volume_entry, pins, 68);
EXO_ASSERT_AT(exo_volume_entry, grants, 72);

EXO_ASSERT_SIZE(exo_pin_entry, 56);
EXO_ASSERT_AT(exo_pin_entry, pin_id, 0);
EXO_ASSERT_AT(exo_pin_entry, ino, 8);
EXO_ASSERT_AT(exo_pin_entry, generation, 16);
EXO_ASSERT_AT(exo_pin_entry, size_bytes, 24);
EXO_ASSERT_AT(exo_pin_entry, volume_id, 32);
EXO_ASSERT_AT(exo_pin_entry, extents, 36);
EXO_ASSERT_AT(exo_pin_entry, grants, 40);
EXO_ASSERT_AT(exo_pin_entry, state, 44);
EXO_ASSERT_AT(exo_pin_entry, pinned_at_ns, 48);

EXO_ASSERT_SIZE(exo_grant_entry, 176);
EXO_ASSERT_AT(exo_grant_entry, grant_id, 0);
EXO_ASSERT_AT(exo_grant_entry, pin_id, 8);
EXO_ASSERT_AT(exo_grant_entry, ino, 16);
EXO_ASSERT_AT(exo_grant_entry, generation, 24);
EXO_ASSERT_AT(exo_grant_entry, range_start, 32);
EXO_ASSERT_AT(exo_grant_entry, range_len, 40);
EXO_ASSERT_AT(exo_grant_entry, traversals, 48);
EXO_ASSERT_AT(exo_grant_entry, hops, 56);
EXO_ASSERT_AT(exo_grant_entry, bytes, 64);
EXO_ASSERT_AT(exo_grant_entry, opened_at_ns, 72);
EXO_ASSERT_AT(exo_grant_entry, volume_id, 80);
EXO_ASSERT_AT(exo_grant_entry, uid, 84);
EXO_ASSERT_AT(exo_grant_entry, pid, 88);
EXO_ASSERT_AT(exo_grant_entry, state, 92);
EXO_ASSERT_AT(exo_grant_entry, hop_limit, 96);
EXO_ASSERT_AT(exo_grant_entry, in_flight, 100);
EXO_ASSERT_AT(exo_grant_entry, comm, 104);
EXO_ASSERT_AT(exo_grant_entry, parent_id, 120);
EXO_ASSERT_AT(exo_grant_entry, expires_at_ns, 128);
EXO_ASSERT_AT(exo_grant_entry, rights, 136);
EXO_ASSERT_AT(exo_grant_entry, program_id, 140);
EXO_ASSERT_AT(exo_grant_entry, in_flight_limit, 144);
EXO_ASSERT_AT(exo_grant_entry, reserved, 148);
EXO_ASSERT_AT(exo_grant_entry, weight, 152);
EXO_ASSERT_AT(exo_grant_entry, tenant_id, 156);
EXO_ASSERT_AT(exo_grant_entry, rate_reads, 160);
EXO_ASSERT_AT(exo_grant_entry, reserved_2, 164);
EXO_ASSERT_AT(exo_grant_entry, rate_bytes, 168);

EXO_ASSERT_SIZE(exo_program_entry, 80);
EXO_ASSERT_AT(exo_program_entry, program_id, 0);
EXO_ASSERT_AT(exo_program_entry, uid, 4);
EXO_ASSERT_AT(exo_program_entry, name, 8);
EXO_ASSERT_AT(exo_program_entry, traversals, 40);
EXO_ASSERT_AT(exo_program_entry, steps, 48);
EXO_ASSERT_AT(exo_program_entry, attached_at_ns, 56);
EXO_ASSERT_AT(exo_program_entry, in_flight, 64);
EXO_ASSERT_AT(exo_program_entry, slow, 72);
EXO_ASSERT_AT(exo_program_entry, reserved, 68);

EXO_ASSERT_SIZE(exo_tenant_entry, 88);
EXO_ASSERT_AT(exo_tenant_entry, tenant_id, 0);
EXO_ASSERT_AT(exo_tenant_entry, volume_id, 4);
EXO_ASSERT_AT(exo_tenant_entry, key, 8);
EXO_ASSERT_AT(exo_tenant_entry, flags, 16);
EXO_ASSERT_AT(exo_tenant_entry, weight, 20);
EXO_ASSERT_AT(exo_tenant_entry, rate_reads, 24);
EXO_ASSERT_AT(exo_tenant_entry, grants, 28);
EXO_ASSERT_AT(exo_tenant_entry, rate_bytes, 32);
EXO_ASSERT_AT(exo_tenant_entry, in_flight, 40);
EXO_ASSERT_AT(exo_tenant_entry, waiting, 44);
EXO_ASSERT_AT(exo_tenant_entry, traversals, 48);
EXO_ASSERT_AT(exo_tenant_entry, reads, 56);
EXO_ASSERT_AT(exo_tenant_entry, bytes, 64);
EXO_ASSERT_AT(exo_tenant_entry, waited, 72);
EXO_ASSERT_AT(exo_tenant_entry, cpu_ns, 80);

EXO_ASSERT_SIZE(exo_tenant_set, 32);
EXO_ASSERT_AT(exo_tenant_set, volume_id, 0);
EXO_ASSERT_AT(exo_tenant_set, flags, 4);
EXO_ASSERT_AT(exo_tenant_set, key, 8);
EXO_ASSERT_AT(exo_tenant_set, weight, 16);
EXO_ASSERT_AT(exo_tenant_set, rate_reads, 20);
EXO_ASSERT_AT(exo_tenant_set, rate_bytes, 24);

EXO_ASSERT_SIZE(exo_stats, 168);
EXO_ASSERT_AT(exo_stats, traversals, 0);
EXO_ASSERT_AT(exo_stats, hops, 8);
EXO_ASSERT_AT(exo_stats, issued_first, 16);
EXO_ASSERT_AT(exo_stats, issued_direct, 24);
EXO_ASSERT_AT(exo_stats, issued_polled, 32);
EXO_ASSERT_AT(exo_stats, issued_deferred, 40);
EXO_ASSERT_AT(exo_stats, holes, 48);
EXO_ASSERT_AT(exo_stats, bytes, 56);
EXO_ASSERT_AT(exo_stats, io_errors, 64);
EXO_ASSERT_AT(exo_stats, denied_grants, 72);
EXO_ASSERT_AT(exo_stats, out_of_range, 80);
EXO_ASSERT_AT(exo_stats, revoked_grants, 88);
EXO_ASSERT_AT(exo_stats, audit_events, 96);
EXO_ASSERT_AT(exo_stats, audit_lost, 104);
EXO_ASSERT_AT(exo_stats, traversals_in_flight, 112);
EXO_ASSERT_AT(exo_stats, grants, 120);
EXO_ASSERT_AT(exo_stats, pins, 128);
EXO_ASSERT_AT(exo_stats, volumes, 136);
EXO_ASSERT_AT(exo_stats, programs, 144);
EXO_ASSERT_AT(exo_stats, issued_dispatched, 152);
EXO_ASSERT_AT(exo_stats, cached, 160);

EXO_ASSERT_SIZE(exo_audit_open, 8);
EXO_ASSERT_AT(exo_audit_open, flags, 0);
EXO_ASSERT_AT(exo_audit_open, event_bytes, 4);

EXO_ASSERT_SIZE(exo_audit_event, 136);
EXO_ASSERT_AT(exo_audit_event, sequence, 0);
EXO_ASSERT_AT(exo_audit_event, time_ns, 8);
EXO_ASSERT_AT(exo_audit_event, type, 16);
EXO_ASSERT_AT(exo_audit_event, error, 20);
EXO_ASSERT_AT(exo_audit_event, cause, 24);
EXO_ASSERT_AT(exo_audit_event, volume_id, 28);
EXO_ASSERT_AT(exo_audit_event, uid, 32);
EXO_ASSERT_AT(exo_audit_event, pid, 36);
EXO_ASSERT_AT(exo_audit_event, comm, 40);
EXO_ASSERT_AT(exo_audit_event, ino, 56);
EXO_ASSERT_AT(exo_audit_event, generation, 64);
EXO_ASSERT_AT(exo_audit_event, grant_id, 72);
EXO_ASSERT_AT(exo_audit_event, program_id, 80);
EXO_ASSERT_AT(exo_audit_event, hop, 84);
EXO_ASSERT_AT(exo_audit_event, file_offset, 88);
EXO_ASSERT_AT(exo_audit_event, length, 96);
EXO_ASSERT_AT(exo_audit_event, traversals, 104);
EXO_ASSERT_AT(exo_audit_event, hops, 112);
EXO_ASSERT_AT(exo_audit_event, bytes, 120);
EXO_ASSERT_AT(exo_audit_event, parent_grant_id, 128);

EXO_ASSERT_SIZE(exo_release, 8);
EXO_ASSERT_AT(exo_release, volume_id, 0);
EXO_ASSERT_AT(exo_release, grace_ms, 4);

EXO_ASSERT_SIZE(exo_set_create, 16);
EXO_ASSERT_AT(exo_set_create, grant_fds, 0);
EXO_ASSERT_AT(exo_set_create, count, 8);
EXO_ASSERT_AT(exo_set_create, flags, 12);

EXO_ASSERT_SIZE(exo_bind_mount, 8);
EXO_ASSERT_AT(exo_bind_mount, mount_fd, 0);
EXO_ASSERT_AT(exo_bind_mount, flags, 4);

EXO_ASSERT_SIZE(exo_extent, 24);
EXO_ASSERT_AT(exo_extent, file_offset, 0);
EXO_ASSERT_AT(exo_extent, disk_offset, 8);
EXO_ASSERT_AT(exo_extent, length, 16);

EXO_ASSERT_SIZE(exo_pin, 48);
EXO_ASSERT_AT(exo_pin, ino, 0);
EXO_ASSERT_AT(exo_pin, generation, 8);
EXO_ASSERT_AT(exo_pin, size_bytes, 16);
EXO_ASSERT_AT(exo_pin, extents, 24);
EXO_ASSERT_AT(exo_pin, extent_count, 32);
EXO_ASSERT_AT(exo_pin, flags, 36);
EXO_ASSERT_AT(exo_pin, pin_id, 40);

EXO_ASSERT_SIZE(exo_unpin, 40);
EXO_ASSERT_AT(exo_unpin, ino, 0);
EXO_ASSERT_AT(exo_unpin, generation, 8);
EXO_ASSERT_AT(exo_unpin, grace_ms, 16);
EXO_ASSERT_AT(exo_unpin, flags, 20);
EXO_ASSERT_AT(exo_unpin, revoked_grants, 24);
EXO_ASSERT_AT(exo_unpin, drained_traversals, 28);
EXO_ASSERT_AT(exo_unpin, drain_ns, 32);

EXO_ASSERT_SIZE(exo_detach, 8);
EXO_ASSERT_AT(exo_detach, grace_ms, 0);
EXO_ASSERT_AT(exo_detach, flags, 4);

EXO_ASSERT_SIZE(exo_outcome, 80);
EXO_ASSERT_AT(exo_outcome, cause, 0);
EXO_ASSERT_AT(exo_outcome, error, 4);
EXO_ASSERT_AT(exo_outcome, value, 8);
EXO_ASSERT_AT(exo_outcome, hops, 16);
EXO_ASSERT_AT(exo_outcome, result_len, 20);
EXO_ASSERT_AT(exo_outcome, file_offset, 24);
EXO_ASSERT_AT(exo_outcome, direct, 32);
EXO_ASSERT_AT(exo_outcome, deferred, 36);
EXO_ASSERT_AT(exo_outcome, polled, 40);
EXO_ASSERT_AT(exo_outcome, holes, 44);
EXO_ASSERT_AT(exo_outcome, elapsed_ns, 48);
EXO_ASSERT_AT(exo_outcome, blocks_len, 56);
EXO_ASSERT_AT(exo_outcome, blocks, 60);
EXO_ASSERT_AT(exo_outcome, dispatched, 64);
EXO_ASSERT_AT(exo_outcome, slot, 68);
EXO_ASSERT_AT(exo_outcome, engine, 72);
EXO_ASSERT_AT(exo_outcome, engine_reason, 74);
EXO_ASSERT_AT(exo_outcome, cached, 76);

EXO_ASSERT_SIZE(exo_traverse, 152);
EXO_ASSERT_AT(exo_traverse, flags, 0);
EXO_ASSERT_AT(exo_traverse, program_id, 4);
EXO_ASSERT_AT(exo_traverse, start_offset, 8);
EXO_ASSERT_AT(exo_traverse, hop_bytes, 16);
EXO_ASSERT_AT(exo_traverse, hop_limit, 20);
EXO_ASSERT_AT(exo_traverse, timeout_ms, 24);
EXO_ASSERT_AT(exo_traverse, args_len, 28);
EXO_ASSERT_AT(exo_traverse, args, 32);
EXO_ASSERT_AT(exo_traverse, result, 40);
EXO_ASSERT_AT(exo_traverse, result_len, 48);
EXO_ASSERT_AT(exo_traverse, blocks_len, 52);
EXO_ASSERT_AT(exo_traverse, blocks, 56);
EXO_ASSERT_AT(exo_traverse, engine, 64);
EXO_ASSERT_AT(exo_traverse, fan_out, 66);
EXO_ASSERT_AT(exo_traverse, slot, 68);
EXO_ASSERT_AT(exo_traverse, outcome, 72);

EXO_ASSERT_SIZE(exo_block_header, 24);
EXO_ASSERT_AT(exo_block_header, file_offset, 0);
EXO_ASSERT_AT(exo_block_header, len, 8);
EXO_ASSERT_AT(exo_block_header, hop, 12);
EXO_ASSERT_AT(exo_block_header, slot, 16);
EXO_ASSERT_AT(exo_block_header, reserved, 20);

EXO_ASSERT_SIZE(exo_batch, 24);
EXO_ASSERT_AT(exo_batch, traversals, 0);
EXO_ASSERT_AT(exo_batch, count, 8);
EXO_ASSERT_AT(exo_batch, entry_bytes, 12);
EXO_ASSERT_AT(exo_batch, flags, 16);
EXO_ASSERT_AT(exo_batch, reserved, 20);

EXO_ASSERT_SIZE(exo_grant_derive, 64);
EXO_ASSERT_AT(exo_grant_derive, range_start, 0);
EXO_ASSERT_AT(exo_grant_derive, range_len, 8);
EXO_ASSERT_AT(exo_grant_derive, rights, 16);
EXO_ASSERT_AT(exo_grant_derive, program_id, 20);
EXO_ASSERT_AT(exo_grant_derive, hop_limit, 24);
EXO_ASSERT_AT(exo_grant_derive, in_flight_limit, 28);
EXO_ASSERT_AT(exo_grant_derive, expires_ms, 32);
EXO_ASSERT_AT(exo_grant_derive, flags, 36);
EXO_ASSERT_AT(exo_grant_derive, grant_id, 40);
EXO_ASSERT_AT(exo_grant_derive, weight, 48);
EXO_ASSERT_AT(exo_grant_derive, rate_reads, 52);
EXO_ASSERT_AT(exo_grant_derive, rate_bytes, 56);

EXO_ASSERT_SIZE(exo_grant_revoke, 24);
EXO_ASSERT_AT(exo_grant_revoke, grace_ms, 0);
EXO_ASSERT_AT(exo_grant_revoke, flags, 4);
EXO_ASSERT_AT(exo_grant_revoke, revoked_grants, 8);
EXO_ASSERT_AT(exo_grant_revoke, drained_traversals, 12);
EXO_ASSERT_AT(exo_grant_revoke, drain_ns, 16);

EXO_ASSERT_SIZE(exo_revoke_id, 32);
EXO_ASSERT_AT(exo_revoke_id, grant_id, 0);
EXO_ASSERT_AT(exo_revoke_id, grace_ms, 8);
EXO_ASSERT_AT(exo_revoke_id, flags, 12);
EXO_ASSERT_AT(exo_revoke_id, revoked_grants, 16);
EXO_ASSERT_AT(exo_revoke_id, drained_traversals, 20);
EXO_ASSERT_AT(exo_revoke_id, drain_ns, 24);

/* The commands of the two kinds of SQE. */
EXO_ASSERT_SIZE(exo_uring_pointer, 16);
EXO_ASSERT_AT(exo_uring_pointer, traverse, 0);
EXO_ASSERT_AT(exo_uring_pointer, reserved, 8);

EXO_ASSERT_SIZE(exo_uring_cancel, 16);
EXO_ASSERT_AT(exo_uring_cancel, user_data, 0);
EXO_ASSERT_AT(exo_uring_cancel, flags, 8);
EXO_ASSERT_AT(exo_uring_cancel, reserved, 12);

EXO_ASSERT_SIZE(exo_uring_traverse, 80);
EXO_ASSERT_AT(exo_uring_traverse, flags, 0);
EXO_ASSERT_AT(exo_uring_traverse, program_id, 4);
EXO_ASSERT_AT(exo_uring_traverse, start_offset, 8);
EXO_ASSERT_AT(exo_uring_traverse, hop_bytes, 16);
EXO_ASSERT_AT(exo_uring_traverse, hop_limit, 20);
EXO_ASSERT_AT(exo_uring_traverse, timeout_ms, 24);
EXO_ASSERT_AT(exo_uring_traverse, args_len, 28);
EXO_ASSERT_AT(exo_uring_traverse, args, 32);
EXO_ASSERT_AT(exo_uring_traverse, result, 40);
EXO_ASSERT_AT(exo_uring_traverse, result_len, 48);
EXO_ASSERT_AT(exo_uring_traverse, blocks_len, 52);
EXO_ASSERT_AT(exo_uring_traverse, blocks, 56);
EXO_ASSERT_AT(exo_uring_traverse, engine, 64);
EXO_ASSERT_AT(exo_uring_traverse, fan_out, 66);
EXO_ASSERT_AT(exo_uring_traverse, slot, 68);
EXO_ASSERT_AT(exo_uring_traverse, outcome, 72);

EXO_ASSERT_SIZE(exo_file_info, 56);
EXO_ASSERT_AT(exo_file_info, uuid, 0);
EXO_ASSERT_AT(exo_file_info, ino, 16);
EXO_ASSERT_AT(exo_file_info, generation, 24);
EXO_ASSERT_AT(exo_file_info, size_bytes, 32);
EXO_ASSERT_AT(exo_file_info, extents, 40);
EXO_ASSERT_AT(exo_file_info, flags, 48);
EXO_ASSERT_AT(exo_file_info, block_bytes, 52);

EXO_ASSERT_SIZE(exo_file_pin, 8);
EXO_ASSERT_AT(exo_file_pin, flags, 0);
EXO_ASSERT_AT(exo_file_pin, reserved, 4);

EXO_ASSERT_SIZE(exo_file_unpin, 24);
EXO_ASSERT_AT(exo_file_unpin, grace_ms, 0);
EXO_ASSERT_AT(exo_file_unpin, flags, 4);
EXO_ASSERT_AT(exo_file_unpin, revoked_grants, 8);
EXO_ASSERT_AT(exo_file_unpin, drained_traversals, 12);
EXO_ASSERT_AT(exo_file_unpin, drain_ns, 16);

EXO_ASSERT_SIZE(exo_file_extent, 32);
EXO_ASSERT_AT(exo_file_extent, file_offset, 0);
EXO_ASSERT_AT(exo_file_extent, disk_offset, 8);
EXO_ASSERT_AT(exo_file_extent, length, 16);
EXO_ASSERT_AT(exo_file_extent, flags, 24);
EXO_ASSERT_AT(exo_file_extent, reserved, 28);

EXO_ASSERT_SIZE(exo_file_map, 3216);
EXO_ASSERT_AT(exo_file_map, start_offset, 0);
EXO_ASSERT_AT(exo_file_map, flags, 8);
EXO_ASSERT_AT(exo_file_map, count, 12);
EXO_ASSERT_AT(exo_file_map, extents, 16);

EXO_ASSERT_SIZE(exo_file_place, 16);
EXO_ASSERT_AT(exo_file_place, where, 0);
EXO_ASSERT_AT(exo_file_place, flags, 8);

EXO_ASSERT_SIZE(exo_hop, 72);
EXO_ASSERT_AT(exo_hop, offset, 0);
EXO_ASSERT_AT(exo_hop, file_size, 8);
EXO_ASSERT_AT(exo_hop, range_start, 16);
EXO_ASSERT_AT(exo_hop, range_end, 24);
EXO_ASSERT_AT(exo_hop, len, 32);
EXO_ASSERT_AT(exo_hop, hop, 36);
EXO_ASSERT_AT(exo_hop, hops_left, 40);
EXO_ASSERT_AT(exo_hop, args_len, 44);
EXO_ASSERT_AT(exo_hop, result_len, 48);
EXO_ASSERT_AT(exo_hop, logical_block_bytes, 52);
EXO_ASSERT_AT(exo_hop, tag, 56);
EXO_ASSERT_AT(exo_hop, slot, 64);
EXO_ASSERT_AT(exo_hop, pending, 68);

#endif /* _UAPI_LINUX_EXO_ASSERT_H */
