/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * The exo user-space interface: everything that the module, the file system daemon, applications
 * and BPF programs share. Offsets and lengths are bytes unless a name says otherwise.
 *
 * Rules that hold for every structure here:
 *  - explicit widths, natural alignment, no implicit padding;
 *  - reserved fields and unknown flag bits must be zero (-EINVAL otherwise);
 *  - structures only ever grow at the end. An ioctl's command carries the caller's size; a smaller
 *    one than the module's is completed with zeros, a larger one is accepted only if the part that
 *    the module does not know is zero (-E2BIG otherwise), and one smaller than the first published
 *    size is refused (-EINVAL). struct exo_outcome, exo_block_header, exo_extent and
 *    exo_file_extent, which stand in arrays or behind bare addresses, never grow;
 *  - an ioctl number that a file descriptor does not know is -ENOTTY.
 * Errors that follow from these rules are not said again below. docs/ABI.md has the others in the
 * order of the checks.
 *
 * Compiles as C, as C++ and beside a BPF program's vmlinux.h.
 */
#ifndef _UAPI_LINUX_EXO_H
#define _UAPI_LINUX_EXO_H

#ifndef __VMLINUX_H__
#include <linux/ioctl.h>
#include <linux/types.h>
#endif

/* Changes only when an old program can no longer be served; additions set a feature bit instead. */
#define EXO_ABI_VERSION		1

#define EXO_DEVICE_PATH		"/dev/exo"
#define EXO_IOC_TYPE		0xE0

#define EXO_UUID_BYTES		16
#define EXO_PROGRAM_NAME_BYTES	32	/* with the terminating zero */
#define EXO_COMM_BYTES		16
#define EXO_DISK_NAME_BYTES	32

/* exo_info.features */
#define EXO_FEATURE_DIRECT_ISSUE	(1ULL << 0)	/* reissue from the completion interrupt */
#define EXO_FEATURE_POLLED		(1ULL << 1)	/* EXO_ENGINE_POLLED */
#define EXO_FEATURE_BLOCKS		(1ULL << 2)	/* EXO_TRAVERSE_LAST_BLOCK and _ALL_BLOCKS */
#define EXO_FEATURE_BATCH		(1ULL << 3)	/* EXO_GRANT_BATCH */
#define EXO_FEATURE_URING		(1ULL << 4)	/* io_uring commands on grants and sets */
#define EXO_FEATURE_DERIVE		(1ULL << 5)	/* EXO_GRANT_DERIVE and _REVOKE */
#define EXO_FEATURE_DISPATCH		(1ULL << 6)	/* EXO_ENGINE_DISPATCH */
#define EXO_FEATURE_FAN_OUT		(1ULL << 7)	/* exo_traverse.fan_out */
#define EXO_FEATURE_SETS		(1ULL << 8)	/* EXO_IOC_SET_CREATE */
#define EXO_FEATURE_TENANTS		(1ULL << 9)	/* tenants; weights and rates of them and of grants */
#define EXO_FEATURE_FIXED_BUFFERS	(1ULL << 10)	/* IORING_URING_CMD_FIXED */
#define EXO_FEATURE_CANCEL		(1ULL << 11)	/* EXO_URING_CANCEL */

/* ------------------------------------------------------------------ /dev/exo: any process may open it */

struct exo_info {
	__u32 abi_version;		/* out: EXO_ABI_VERSION of the module */
	__u32 reserved;
	__u64 features;			/* out: EXO_FEATURE_* */
	__u32 max_extents;		/* out: extents in one pin */
	__u32 max_hops;			/* out: highest hop limit, now */
	__u32 max_hop_bytes;		/* out: largest hop_bytes of a traversal: for 64 KiB at any byte */
	__u32 max_args_bytes;		/* out: largest argument of a traversal */
	__u32 max_result_bytes;		/* out: largest result of a traversal */
	__u32 max_timeout_ms;		/* out: longest time one traversal may take, now */
	__u32 max_blocks_bytes;		/* out: largest area for visited blocks */
	__u32 max_batch;		/* out: traversals in one EXO_GRANT_BATCH */
	__u32 max_fan_out;		/* out: reads of one traversal at once */
	__u32 max_slots;		/* out: grants in one set */
	/* As module parameters of the same names are now, like max_hops and max_timeout_ms. */
	__u32 default_hops;		/* out: of a grant that does not ask */
	__u32 default_timeout_ms;	/* out: of a traversal that does not ask */
	__u32 max_in_flight;		/* out: traversals at once on one grant */
	__u32 default_in_flight;	/* out: of a grant that does not ask */
	__u32 max_grants_per_user;	/* out: open ones */
	__u32 max_grace_ms;		/* out: longest grace of a revocation */
	__u32 drain_timeout_ms;		/* out: of a revocation's drain, until ETIMEDOUT */
	__u32 reserved_2;
};

/*
 * EXO_IOC_ATTACH: take a block device as an exo volume. Needs CAP_SYS_ADMIN.
 * Returns a volume fd, the only handle that may pin, unpin and bind a mount. The device is held
 * exclusively until the volume goes: at EXO_VOLUME_DETACH or EXO_IOC_RELEASE, or when the fd is
 * closed and no pin is left. If a volume of this UUID on this device outlived its daemon (it still
 * has pins), the call re-attaches to it; EXO_ATTACH_REATTACHED is then set in out_flags.
 * Errors: EPERM; EINVAL flags, refused, uuid; EBADF, ENOTBLK device_fd is no block device, or not
 * open for reading and writing; EBUSY somebody else holds the device, or the volume has a live
 * volume fd; EEXIST another UUID is attached on this device; EOPNOTSUPP the device cannot serve
 * (refused says why, and is written all the same); ENXIO it has gone; ENOSPC no volume number is
 * left; EMFILE; ENFILE; ENOMEM.
 */
struct exo_attach {
	__s32 device_fd;		/* in: O_RDWR fd of the block device */
	__u32 flags;			/* in: 0 */
	__u8 uuid[EXO_UUID_BYTES];	/* in: of the file system; not all zero */
	__u32 volume_id;		/* out: unique while the module is loaded */
	__u32 logical_block_bytes;	/* out */
	__u64 size_bytes;		/* out: of the device or partition */
	__u32 out_flags;		/* out: EXO_ATTACH_* */
	__u32 refused;			/* in: 0; out: enum exo_refused, with EOPNOTSUPP */
};
#define EXO_ATTACH_REATTACHED	(1U << 0)

/* Why a device cannot serve. */
enum exo_refused {
	EXO_REFUSED_NOT		= 0,
	EXO_REFUSED_ZONED	= 1,
	EXO_REFUSED_INTEGRITY	= 2,	/* it keeps metadata with each block */
	EXO_REFUSED_BLOCK_SIZE	= 3,	/* its logical blocks are over 4096 bytes */
	EXO_REFUSED_ALIGNMENT	= 4,	/* it wants buffers aligned to more than a block */
	EXO_REFUSED_NO_SIZE	= 5,	/* it has no blocks, or none that Linux can read */
};

/*
 * EXO_IOC_GRANT_OPEN: exchange a file descriptor for a grant fd (close-on-exec).
 * The file must be open for reading, be a regular file on a mount that is bound to a volume, and
 * its inode and generation must be pinned there. The grant can read [range_start, range_start +
 * range_len) of the file and nothing else. range_start must be a multiple of the logical block
 * size; so must the end, unless it is the end of the file. range_len 0 means to the end of the
 * file.
 * Errors: EINVAL flags; EBADF file_fd is not a file open for reading; EXDEV its mount is bound to
 * no volume; ENODATA it is not pinned; ESTALE it is pinned, but with another generation; ERANGE the
 * range is outside the file or not aligned; EKEYREVOKED the pin is being revoked; EUSERS the user's
 * grants are at their limit; EMFILE; ENFILE; ENOMEM. Every refusal leaves an audit record, but see
 * EXO_AUDIT_SUPPRESSED.
 */
struct exo_grant_open {
	__s32 file_fd;			/* in */
	__u32 flags;			/* in: 0 */
	__u64 range_start;		/* in */
	__u64 range_len;		/* in: 0 = to the end of the file */
	__u32 hop_limit;		/* in: hops of one traversal; 0 = default; lowered to the maximum */
	__u32 in_flight_limit;		/* in: concurrent traversals; 0 = default */
	__u64 grant_id;			/* out: never reused while the module is loaded */
	__u64 size_bytes;		/* out: size of the pinned file */
	__u32 weight;			/* in: beside the other grants of the same tenant; 0 = default */
	__u32 rate_reads;		/* in: reads of the device in a second; 0 = no limit */
	__u64 rate_bytes;		/* in: and bytes; 0 = no limit */
};
/*
 * Bounds of a weight, a tenant's as well as a grant's. Out of what two share, each gets a part in
 * proportion to its weight, as long as it asks for so much. A grant's weight that is too large is
 * lowered to the maximum; EXO_IOC_TENANT_SET refuses it.
 */
#define EXO_WEIGHT_DEFAULT	100U
#define EXO_WEIGHT_MAX		10000U

/*
 * EXO_IOC_PROGRAM_FIND: id of the attached program of a name.
 * Errors: EINVAL no terminated name, or reserved; ENOENT.
 */
struct exo_program_find {
	char name[EXO_PROGRAM_NAME_BYTES];	/* in */
	__u32 program_id;			/* out */
	__u32 reserved;
};

/*
 * EXO_IOC_LIST: a snapshot of the module's objects, in order of id, in pages.
 * Start with cursor 0 and repeat with the returned cursor until count is 0. Without CAP_SYS_ADMIN a
 * process sees the grants and tenants of its own user and the programs, but no volumes or pins.
 * entry_bytes is the caller's size of one entry; entries are cut or zero-filled to it. A buffer
 * without room for one gets none, and then a count of 0 says nothing.
 * Errors: EINVAL kind, reserved, or entry_bytes 0 or over 4096; EPERM; EINTR killed; EFAULT.
 */
struct exo_list {
	__u32 kind;			/* in: EXO_LIST_* */
	__u32 entry_bytes;		/* in */
	__u64 cursor;			/* in/out */
	__u64 buffer;			/* in: address of the array to fill */
	__u32 buffer_bytes;		/* in */
	__u32 count;			/* out: entries written */
	__u32 volume_id;		/* in: only of this volume; 0 = all */
	__u32 reserved;
};
#define EXO_LIST_VOLUMES	1	/* struct exo_volume_entry */
#define EXO_LIST_PINS		2	/* struct exo_pin_entry */
#define EXO_LIST_GRANTS		3	/* struct exo_grant_entry */
#define EXO_LIST_PROGRAMS	4	/* struct exo_program_entry */
#define EXO_LIST_TENANTS	5	/* struct exo_tenant_entry */

struct exo_volume_entry {
	__u32 volume_id;
	__u32 flags;			/* EXO_VOLUME_STATE_* */
	__u8 uuid[EXO_UUID_BYTES];
	char disk_name[EXO_DISK_NAME_BYTES];	/* as in /dev, with the partition */
	__u64 size_bytes;
	__u32 logical_block_bytes;
	__u32 pins;
	__u64 grants;
};
#define EXO_VOLUME_STATE_DAEMON	(1U << 0)	/* a volume fd is open */
#define EXO_VOLUME_STATE_BOUND	(1U << 1)	/* a mount is bound */
#define EXO_VOLUME_STATE_POLLED	(1U << 2)	/* the device has poll queues */
#define EXO_VOLUME_STATE_DISPATCH (1U << 3)	/* EXO_ENGINE_DISPATCH is all that it can do */

struct exo_pin_entry {
	__u64 pin_id;
	__u64 ino;
	__u64 generation;
	__u64 size_bytes;
	__u32 volume_id;
	__u32 extents;
	__u32 grants;			/* open grants on it */
	__u32 state;			/* EXO_PIN_STATE_* */
	__u64 pinned_at_ns;		/* CLOCK_REALTIME */
};
#define EXO_PIN_STATE_LIVE	0
#define EXO_PIN_STATE_REVOKING	1	/* in its grace period, or draining */

struct exo_grant_entry {
	__u64 grant_id;
	__u64 pin_id;
	__u64 ino;
	__u64 generation;
	__u64 range_start;
	__u64 range_len;
	__u64 traversals;		/* started */
	__u64 hops;			/* blocks read */
	__u64 bytes;			/* read from the device */
	__u64 opened_at_ns;		/* CLOCK_REALTIME */
	__u32 volume_id;
	__u32 uid;			/* as seen by the caller's user namespace */
	__u32 pid;			/* that opened it, in the caller's pid namespace; 0 = not visible */
	__u32 state;			/* EXO_PIN_STATE_* plus EXO_GRANT_STATE_CUT */
	__u32 hop_limit;
	__u32 in_flight;
	char comm[EXO_COMM_BYTES];
	__u64 parent_id;		/* of the grant that it was derived from; 0 = opened on the file */
	__u64 expires_at_ns;		/* CLOCK_REALTIME at the time it was made; 0 = never */
	__u32 rights;			/* EXO_RIGHT_* */
	__u32 program_id;		/* the only one it may run; 0 = any */
	__u32 in_flight_limit;
	__u32 reserved;
	__u32 weight;
	__u32 tenant_id;
	__u32 rate_reads;		/* per second; 0 = no limit but its tenant's */
	__u32 reserved_2;
	__u64 rate_bytes;		/* per second; 0 = no limit but its tenant's */
};
#define EXO_GRANT_STATE_CUT	2	/* revoked: every traversal ends with EXO_END_REVOKED */

struct exo_program_entry {
	__u32 program_id;
	__u32 uid;			/* that attached it */
	char name[EXO_PROGRAM_NAME_BYTES];
	__u64 traversals;
	__u64 steps;
	__u64 attached_at_ns;		/* CLOCK_REALTIME */
	__u32 in_flight;
	__u32 reserved;
	__u64 slow;			/* times that it took longer than it may with interrupts off */
};

/*
 * A tenant: those who share a volume's device with others, a user or a cgroup. It lists as long as
 * it has grants open, or terms of its own, and its counters begin anew when it comes back some
 * seconds later.
 */
struct exo_tenant_entry {
	__u32 tenant_id;
	__u32 volume_id;
	__u64 key;			/* user in the caller's user namespace, or cgroup's inode number */
	__u32 flags;			/* EXO_TENANT_* */
	__u32 weight;
	__u32 rate_reads;		/* per second, of all its grants together; 0 = no limit */
	__u32 grants;			/* open, or closed and still reading */
	__u64 rate_bytes;		/* per second; 0 = no limit */
	__u32 in_flight;		/* traversals */
	__u32 waiting;			/* reads, for their turn */
	__u64 traversals;		/* started */
	__u64 reads;			/* of the device, by traversals that have ended */
	__u64 bytes;
	__u64 waited;			/* reads that had to wait for their turn */
	__u64 cpu_ns;			/* spent by its traversals in interrupts and workers */
};
#define EXO_TENANT_CGROUP	(1U << 0)	/* key is a cgroup, else a user */
#define EXO_TENANT_KEPT		(1U << 1)	/* its terms were set by EXO_IOC_TENANT_SET */
#define EXO_TENANT_ACTIVE	(1U << 2)	/* it has read lately, so that others share with it */

/*
 * EXO_IOC_TENANT_SET: what a tenant of a volume gets. All of it is set at once, at once in force,
 * for grants that are open and those to come, until it is set again or the volume goes. Needs
 * CAP_SYS_ADMIN. Errors, in this order: EPERM; EINVAL flags, a weight over the maximum, no such
 * user number; ENOENT no such volume; ENOMEM.
 */
struct exo_tenant_set {
	__u32 volume_id;		/* in */
	__u32 flags;			/* in: EXO_TENANT_CGROUP */
	__u64 key;			/* in: user in the initial namespace, or cgroup's inode number */
	__u32 weight;			/* in: 0 = default */
	__u32 rate_reads;		/* in: per second; 0 = no limit */
	__u64 rate_bytes;		/* in: per second; 0 = no limit */
};

/* EXO_IOC_STATS: totals since the module was loaded. */
struct exo_stats {
	__u64 traversals;
	__u64 hops;			/* blocks handed to a program */
	__u64 issued_first;		/* first reads, issued by the caller's own context */
	__u64 issued_direct;		/* reissued inside the completion, mostly its interrupt; or issued after
					 * the first by the call that starts the traversal
					 */
	__u64 issued_polled;		/* reissued by a polling caller */
	__u64 issued_deferred;		/* reissued by a worker, because the completion could not or
					 * might not
					 */
	__u64 holes;			/* hops answered with zeros, no read */
	__u64 bytes;			/* read from devices */
	__u64 io_errors;
	__u64 denied_grants;
	__u64 out_of_range;
	__u64 revoked_grants;
	__u64 audit_events;
	__u64 audit_lost;		/* overwritten before any reader saw them */
	__u64 traversals_in_flight;	/* now */
	__u64 grants;			/* now */
	__u64 pins;			/* now */
	__u64 volumes;			/* now */
	__u64 programs;			/* now */
	__u64 issued_dispatched;	/* reissued as bios by EXO_ENGINE_DISPATCH */
	__u64 cached;			/* hops answered from a node cache, no read */
};

/*
 * EXO_IOC_AUDIT_OPEN: a fd that delivers audit events by read(2), whole struct exo_audit_event
 * only, oldest first; poll works; O_NONBLOCK is honoured. Needs CAP_SYS_ADMIN.
 * event_bytes is the caller's size of one event; events are cut or zero-filled to it.
 * A reader that falls behind the ring finds the gap in the sequence numbers.
 * Errors: EPERM; EINVAL flags, or event_bytes 0 or over 4096; EMFILE; ENFILE; ENOMEM. Of read(2):
 * EINVAL no room for one event; EAGAIN; EINTR; EFAULT.
 */
struct exo_audit_open {
	__u32 flags;			/* in: EXO_AUDIT_* */
	__u32 event_bytes;		/* in */
};
#define EXO_AUDIT_FROM_NOW	(1U << 0)	/* skip what is already in the ring */

struct exo_audit_event {
	__u64 sequence;			/* 1, 2, 3 ... */
	__u64 time_ns;			/* CLOCK_REALTIME */
	__u32 type;			/* EXO_AUDIT_* type */
	__s32 error;			/* negative errno, or 0 */
	__u32 cause;			/* EXO_END_* of a traversal, else 0 */
	__u32 volume_id;
	__u32 uid;			/* in the initial user namespace */
	__u32 pid;			/* in the initial pid namespace */
	char comm[EXO_COMM_BYTES];
	__u64 ino;
	__u64 generation;
	__u64 grant_id;
	__u32 program_id;
	__u32 hop;			/* of a traversal's end */
	__u64 file_offset;		/* of the failing read; range start of a grant */
	__u64 length;			/* of the failing read; range length of a grant */
	__u64 traversals;		/* totals, when a grant closes */
	__u64 hops;
	__u64 bytes;
	__u64 parent_grant_id;		/* of a derived grant, else 0 */
};
#define EXO_AUDIT_VOLUME_ATTACH		1
#define EXO_AUDIT_VOLUME_DETACH		2
#define EXO_AUDIT_MOUNT_BIND		3
#define EXO_AUDIT_PIN			4
#define EXO_AUDIT_UNPIN			5	/* hops: traversals drained; length: drain time in ns */
#define EXO_AUDIT_GRANT_OPEN		6
#define EXO_AUDIT_GRANT_DENIED		7
#define EXO_AUDIT_GRANT_REVOKE		8
#define EXO_AUDIT_GRANT_CLOSE		9
#define EXO_AUDIT_TRAVERSAL_FAILED	10	/* ended by anything but its program's own verdict */
#define EXO_AUDIT_PROGRAM_ATTACH	11
#define EXO_AUDIT_PROGRAM_DETACH	12
/*
 * GRANT_DENIED and TRAVERSAL_FAILED of a user other than root are recorded up to 16 times a second,
 * so that nobody can push everything else out of the ring. The rest is counted, and follows within
 * about a second as one record: length says how many, uid whose they were (~0: of several users).
 */
#define EXO_AUDIT_SUPPRESSED		13
#define EXO_AUDIT_GRANT_DERIVE		14	/* by the process that the record names */

/*
 * EXO_IOC_RELEASE: an administrator's way to end a volume whose daemon is gone: revokes its grants,
 * drains, unpins and lets the device go. Needs CAP_SYS_ADMIN.
 * Errors: EPERM; ENOENT; EBUSY a daemon has it, or somebody else is releasing it; EINTR and
 * ETIMEDOUT as of EXO_VOLUME_UNPIN, after which it may be called again.
 */
struct exo_release {
	__u32 volume_id;		/* in */
	__u32 grace_ms;			/* in */
};

/*
 * EXO_IOC_REVOKE_ID: an administrator's EXO_GRANT_REVOKE of any grant and all that was derived from
 * it, by id. Needs CAP_SYS_ADMIN.
 * Errors: EPERM; EINVAL flags; ENOENT no such grant is open; EINTR; ETIMEDOUT.
 */
struct exo_revoke_id {
	__u64 grant_id;			/* in */
	__u32 grace_ms;			/* in: bounded by the module */
	__u32 flags;			/* in: 0 */
	__u32 revoked_grants;		/* out */
	__u32 drained_traversals;	/* out */
	__u64 drain_ns;			/* out */
};

/*
 * EXO_IOC_SET_CREATE: make a set of grants; returns its fd (close-on-exec). A traversal on it may
 * read any of the files, each as far as that slot's grant allows. The set keeps the grant fds open;
 * slots are numbered from 0 in the order given. EXO_GRANT_TRAVERSE, EXO_GRANT_BATCH and io_uring
 * commands work on it as on a grant fd, with the lowest hop limit and the earliest expiry of its
 * grants, and an engine that serves the devices of them all; poll tells of the revocation of any.
 * Errors: EINVAL flags, or no grant; E2BIG too many; EBADF a fd is no grant; EFAULT; EMFILE;
 * ENFILE; ENOMEM.
 */
struct exo_set_create {
	__u64 grant_fds;		/* in: address of __s32[count] */
	__u32 count;			/* in */
	__u32 flags;			/* in: 0 */
};

#define EXO_IOC_INFO		_IOWR(EXO_IOC_TYPE, 0x00, struct exo_info)
#define EXO_IOC_ATTACH		_IOWR(EXO_IOC_TYPE, 0x01, struct exo_attach)
#define EXO_IOC_GRANT_OPEN	_IOWR(EXO_IOC_TYPE, 0x02, struct exo_grant_open)
#define EXO_IOC_PROGRAM_FIND	_IOWR(EXO_IOC_TYPE, 0x03, struct exo_program_find)
#define EXO_IOC_LIST		_IOWR(EXO_IOC_TYPE, 0x04, struct exo_list)
#define EXO_IOC_STATS		_IOWR(EXO_IOC_TYPE, 0x05, struct exo_stats)
#define EXO_IOC_AUDIT_OPEN	_IOWR(EXO_IOC_TYPE, 0x06, struct exo_audit_open)
#define EXO_IOC_RELEASE		_IOWR(EXO_IOC_TYPE, 0x07, struct exo_release)
#define EXO_IOC_REVOKE_ID	_IOWR(EXO_IOC_TYPE, 0x08, struct exo_revoke_id)
#define EXO_IOC_SET_CREATE	_IOWR(EXO_IOC_TYPE, 0x09, struct exo_set_create)
#define EXO_IOC_TENANT_SET	_IOWR(EXO_IOC_TYPE, 0x0a, struct exo_tenant_set)

/* ------------------------------------------------------------------ volume fd */

/*
 * EXO_VOLUME_BIND_MOUNT: from now on files of this FUSE mount name the volume's inodes (st_ino) and
 * generations. A later call replaces an earlier one.
 * Errors: EINVAL flags, or not a FUSE mount; EBADF; ENODEV the volume was detached.
 */
struct exo_bind_mount {
	__s32 mount_fd;			/* in: any fd on the mount, O_PATH will do */
	__u32 flags;			/* in: 0 */
};

/*
 * One run of a file on the device. All three are multiples of the logical block size; length > 0.
 */
struct exo_extent {
	__u64 file_offset;
	__u64 disk_offset;		/* from the start of the attached device or partition */
	__u64 length;
};

/*
 * EXO_VOLUME_PIN: register an immutable map of a file. Extents are sorted by file offset, do not
 * overlap in the file or on the device, lie inside the device and below the file's size rounded up
 * to a logical block. Gaps are holes and read as zeros. The caller promises that the data is on
 * stable storage, that no extent is unwritten, and that nothing will change it until
 * EXO_VOLUME_UNPIN returned. The memory of the map is charged to the caller.
 * Errors: EINVAL, also for a generation over 32 bits, which an inode in memory cannot hold; E2BIG
 * too many extents; EEXIST this inode is pinned; ENODEV the volume was or is being detached, or its
 * device has gone; ENOMEM; EFAULT.
 */
struct exo_pin {
	__u64 ino;			/* in: not 0 */
	__u64 generation;		/* in */
	__u64 size_bytes;		/* in */
	__u64 extents;			/* in: address of struct exo_extent[extent_count] */
	__u32 extent_count;		/* in: 0 is a file of holes only */
	__u32 flags;			/* in: 0 */
	__u64 pin_id;			/* out: never reused while the module is loaded */
};

/*
 * EXO_VOLUME_UNPIN: revoke every grant on the pin, then forget it. Holders are notified (poll on
 * the grant fd reports EPOLLPRI); after grace_ms, or as soon as no grant is left open, the grants
 * are cut and traversals in flight are drained. When the call returns 0, no read of the pin's
 * extents is in flight or will ever be issued. May be called again after EINTR or ETIMEDOUT.
 * Errors: EINVAL flags; ENOENT not pinned with this generation; EINTR a fatal signal came while it
 * waited; ETIMEDOUT the device did not complete a read in time. After these two the extents must
 * not be reused yet.
 */
struct exo_unpin {
	__u64 ino;			/* in */
	__u64 generation;		/* in */
	__u32 grace_ms;			/* in: bounded by the module */
	__u32 flags;			/* in: 0 */
	__u32 revoked_grants;		/* out */
	__u32 drained_traversals;	/* out: that were in flight at the cut */
	__u64 drain_ns;			/* out: from the cut to the last completion */
};

/*
 * EXO_VOLUME_DETACH: unpin everything as above and let the device go; the fd is then only good to
 * close.
 * Errors: EINVAL flags; ENODEV it was detached; EINTR and ETIMEDOUT as of EXO_VOLUME_UNPIN, and the
 * volume is there still.
 */
struct exo_detach {
	__u32 grace_ms;			/* in */
	__u32 flags;			/* in: 0 */
};

#define EXO_VOLUME_BIND_MOUNT	_IOWR(EXO_IOC_TYPE, 0x20, struct exo_bind_mount)
#define EXO_VOLUME_PIN		_IOWR(EXO_IOC_TYPE, 0x21, struct exo_pin)
#define EXO_VOLUME_UNPIN	_IOWR(EXO_IOC_TYPE, 0x22, struct exo_unpin)
#define EXO_VOLUME_DETACH	_IOWR(EXO_IOC_TYPE, 0x23, struct exo_detach)

/* ------------------------------------------------------------------ grant fd */

/*
 * Why a traversal ended. Everything but EXO_END_DONE and EXO_END_PROGRAM leaves an audit record
 * (see EXO_AUDIT_SUPPRESSED).
 */
enum exo_end {
	EXO_END_DONE		= 0,	/* the program said so */
	EXO_END_PROGRAM		= 1,	/* the program gave up: outcome.error is what it returned */
	EXO_END_OUT_OF_RANGE	= 2,	/* the next read is in the file but outside the grant */
	EXO_END_OUT_OF_FILE	= 3,	/* the next read is outside the file */
	EXO_END_BAD_LENGTH	= 4,	/* the next read has no length, or touches more than
					 * hop_bytes of blocks
					 */
	EXO_END_IO		= 5,	/* the device failed the read: outcome.error says how */
	EXO_END_HOP_LIMIT	= 6,
	EXO_END_TIMEOUT		= 7,
	EXO_END_CANCELLED	= 8,	/* the caller was killed, its ring closed, or EXO_URING_CANCEL sent */
	EXO_END_REVOKED		= 9,	/* the grant was cut */
	EXO_END_DETACHED	= 10,	/* the program was detached */
	EXO_END_BAD_VERDICT	= 11,	/* the program returned something that is no verdict, or EXO_NEXT
					 * without saying what to read
					 */
	EXO_END_NO_REQUEST	= 12,	/* the device's queue could not be entered: outcome.error says why */
	EXO_END_NOT_STARTED	= 13,	/* in a batch only: outcome.error is what EXO_GRANT_TRAVERSE
					 * would return
					 */
	EXO_END_EXPIRED		= 14,	/* the grant's time was over */
	EXO_END_BAD_SLOT	= 15,	/* the next read is of a slot that the set does not have */
	EXO_END_DENIED		= 16,	/* or of one whose grant lacks the right, or is for another program */
	EXO_END_IN_FLIGHT_LIMIT	= 17,	/* or of one whose grant has as many in flight as it may */
};

/*
 * How the reads after the first are issued. With EXO_ENGINE_AUTO it is dispatch where nothing else
 * works or is right, otherwise completion; outcome.engine and .engine_reason tell.
 */
enum exo_engine {
	EXO_ENGINE_AUTO		= 0,
	EXO_ENGINE_COMPLETION	= 1,	/* by the driver, where the read before completed */
	EXO_ENGINE_POLLED	= 2,	/* by the caller, who spins on a poll queue; no interrupt */
	EXO_ENGINE_DISPATCH	= 3,	/* as bios, by the caller or a worker; any device, any cgroup */
};

enum exo_engine_reason {
	EXO_REASON_ASKED	= 0,	/* the caller, or its ring, said so */
	EXO_REASON_BEST		= 1,	/* nothing speaks against it */
	EXO_REASON_DEVICE	= 2,	/* the device has no hardware queue, or its driver stacks on others */
	EXO_REASON_CGROUP	= 3,	/* the io controller of the caller's cgroup must see every read */
};

struct exo_outcome {
	__u32 cause;			/* enum exo_end */
	__s32 error;			/* negative errno for PROGRAM, IO, NO_REQUEST and
					 * NOT_STARTED, else 0
					 */
	__u64 value;			/* what the program reported with exo_report() */
	__u32 hops;			/* blocks handed to the program */
	__u32 result_len;		/* bytes of the result that the program declared valid */
	__u64 file_offset;		/* of the last read, or of the one that was refused */
	__u32 direct;			/* reads reissued inside the completion, mostly its interrupt; or issued
					 * after the first by the call that starts the traversal
					 */
	__u32 deferred;			/* reads reissued by a worker */
	__u32 polled;			/* reads reissued by the polling caller */
	__u32 holes;			/* hops answered with zeros, no read */
	__u64 elapsed_ns;
	__u32 blocks_len;		/* bytes written to the blocks area */
	__u32 blocks;			/* blocks in it */
	__u32 dispatched;		/* reads reissued as bios */
	__u32 slot;			/* of the set, that file_offset is in */
	__u16 engine;			/* EXO_ENGINE_* that was used */
	__u16 engine_reason;
	__u32 cached;			/* hops answered from the pin's node cache, no read */
};

/*
 * EXO_GRANT_TRAVERSE: run one traversal and wait for its end. Returns 0 whenever the traversal
 * started, whatever its end was: read outcome.cause.
 * A read may begin and end at any byte. The device reads whole logical blocks, in as many pieces as
 * the file has extents there, and the program sees the bytes that it asked for as one block.
 * With fan_out over 1 a program may ask for several reads in one step. They run at the same time,
 * and step is called for each as it arrives, never twice at once; each has a buffer of hop_bytes.
 * The traversal ends with the first verdict but EXO_NEXT, once the reads still in flight have come.
 * Errors, in the order of the checks: EINVAL no such slot; EKEYREVOKED the grant was already cut;
 * EKEYEXPIRED its time is over; EAGAIN the in-flight limit is reached; EINVAL flags, engine,
 * fan_out, blocks_len without a flag, or hop_bytes not a multiple of the logical block size or over
 * the maximum; E2BIG args_len, result_len or blocks_len; EACCES the grant lacks the right, or is
 * for another program; EOPNOTSUPP the engine cannot serve this device (no poll queue, no hardware
 * queue) or this caller (whose cgroup's io controller must see each read: EXO_ENGINE_DISPATCH
 * only); ENOENT no such program; ENOMEM; EFAULT args. After the start: EINTR the caller was killed;
 * EFAULT result or blocks, which are written after the end, and only as far as the program
 * reported.
 */
struct exo_traverse {
	__u32 flags;			/* in: EXO_TRAVERSE_* */
	__u32 program_id;		/* in */
	__u64 start_offset;		/* in: first read, unless the program's start chooses another */
	__u32 hop_bytes;		/* in: room for the blocks that one read touches; the
					 * caller's first takes it all
					 */
	__u32 hop_limit;		/* in: 0 = the grant's; only ever lowers it */
	__u32 timeout_ms;		/* in: 0 = default; only ever lowers the maximum */
	__u32 args_len;			/* in */
	__u64 args;			/* in: address of what exo_args() shows the program */
	__u64 result;			/* in: address that receives outcome.result_len bytes */
	__u32 result_len;		/* in: size of the result area; zeroed before the start */
	__u32 blocks_len;		/* in: size of the blocks area; 0 without a flag that fills it */
	__u64 blocks;			/* in: address that receives outcome.blocks_len bytes */
	__u16 engine;			/* in: EXO_ENGINE_* */
	__u16 fan_out;			/* in: reads at once; 0 = 1 */
	__u32 slot;			/* in: of a set, for the first read; else 0 */
	struct exo_outcome outcome;	/* out */
};
/*
 * Copies of what the program was shown, from the first on: an application feeds its own cache with
 * them. Only one of the two flags; a block for which there is no room is left out, and so are those
 * after it.
 */
#define EXO_TRAVERSE_LAST_BLOCK	(1U << 0)	/* the last one, and nothing else */
#define EXO_TRAVERSE_ALL_BLOCKS	(1U << 1)	/* each after a struct exo_block_header, at
						 * multiples of 8 bytes
						 */

struct exo_block_header {
	__u64 file_offset;
	__u32 len;			/* of the block that follows, valid bytes */
	__u32 hop;
	__u32 slot;
	__u32 reserved;
};

/*
 * EXO_GRANT_BATCH: run many traversals at once and wait for the end of all. As many are in flight
 * as the grant allows; each entry's outcome says how it went, and those that did not start have
 * EXO_END_NOT_STARTED. Returns 0 when every outcome has been written.
 * Errors: EINVAL flags, reserved, or entry_bytes smaller than struct exo_traverse was when first
 * published; E2BIG count, or entry_bytes over 4096; EFAULT an entry could not be read or written,
 * and the others that had started have ended; ENOMEM; EINTR the caller was killed.
 */
struct exo_batch {
	__u64 traversals;		/* in: address of struct exo_traverse[count] */
	__u32 count;			/* in */
	__u32 entry_bytes;		/* in: size of one, as the caller knows it */
	__u32 flags;			/* in: 0 */
	__u32 reserved;
};

/*
 * EXO_GRANT_DERIVE: make a weaker grant of a grant; returns its fd (close-on-exec). It reads the
 * same pinned file and can never do more than the grant it was made of: its range lies inside, its
 * rights are some of its parent's, its limits and its time are lowered to them. It lives on when
 * the parent's fd is closed, and is charged to the caller. What it reads counts for the rates of
 * its ancestors, too, so that deriving does not multiply them.
 * Errors: EINVAL flags, unknown rights; EACCES rights that the parent lacks (EXO_RIGHT_DERIVE above
 * all), or another program than the parent's; ERANGE the range is not inside the parent's or not
 * aligned, as with EXO_IOC_GRANT_OPEN; EKEYREVOKED the parent is being revoked; EKEYEXPIRED; ELOOP
 * derived too often, one from another; EUSERS; EMFILE; ENFILE; ENOMEM.
 */
struct exo_grant_derive {
	__u64 range_start;		/* in */
	__u64 range_len;		/* in: 0 = to the end of the parent's */
	__u32 rights;			/* in: EXO_RIGHT_*; 0 = the parent's */
	__u32 program_id;		/* in: the only program it may run; 0 = the parent's, or any */
	__u32 hop_limit;		/* in: 0 = the parent's */
	__u32 in_flight_limit;		/* in: of this grant alone; 0 = the parent's */
	__u32 expires_ms;		/* in: from now; 0 = the parent's time, or never */
	__u32 flags;			/* in: 0 */
	__u64 grant_id;			/* out */
	__u32 weight;			/* in: 0 = the parent's */
	__u32 rate_reads;		/* in: reads in a second; 0 = the parent's */
	__u64 rate_bytes;		/* in: 0 = the parent's */
};
#define EXO_RIGHT_TRAVERSE	(1U << 0)
#define EXO_RIGHT_BLOCKS	(1U << 1)	/* get blocks themselves, and not only what a
						 * program reports
						 */
#define EXO_RIGHT_DERIVE	(1U << 2)	/* derive, and revoke what was derived */
#define EXO_RIGHTS_ALL		(EXO_RIGHT_TRAVERSE | EXO_RIGHT_BLOCKS | EXO_RIGHT_DERIVE)

/*
 * EXO_GRANT_REVOKE: take back every grant that was derived from this one, and from those, and so
 * on. As with EXO_VOLUME_UNPIN: holders are notified, have grace_ms to close, are cut, and what
 * they have in flight is drained; when the call returns 0 nothing more is read through them. May be
 * called again after EINTR or ETIMEDOUT.
 * Errors: EINVAL flags; EACCES the grant lacks EXO_RIGHT_DERIVE; EINTR; ETIMEDOUT.
 */
struct exo_grant_revoke {
	__u32 grace_ms;			/* in: bounded by the module */
	__u32 flags;			/* in: EXO_REVOKE_* */
	__u32 revoked_grants;		/* out */
	__u32 drained_traversals;	/* out: that were in flight at the cut */
	__u64 drain_ns;			/* out: from the cut to the last completion */
};
#define EXO_REVOKE_SELF		(1U << 0)	/* this one, too */

/*
 * Through io_uring: IORING_OP_URING_CMD on a grant fd. Any number may be in flight, up to the
 * grant's limit.
 *  - cmd_op EXO_GRANT_TRAVERSE, in a ring of any kind: the SQE's command is a struct
 *    exo_uring_pointer.
 *  - cmd_op EXO_URING_TRAVERSE, in a ring with 128-byte SQEs: the command is a struct
 *    exo_uring_traverse, and no user memory is read but the arguments.
 * Everything is read when it is submitted, and results and outcome are written before the
 * completion appears. CQE: res is enum exo_end, or a negative errno when the traversal did not
 * start, as EXO_GRANT_TRAVERSE would return, but EBUSY for the in-flight limit; EFAULT also when
 * something could not be written, for example because another process than the submitter's reaps.
 * With 32-byte CQEs big_cqe[0] is outcome.value.
 * With IORING_URING_CMD_FIXED in the SQE's uring_cmd_flags, all that is written (result, blocks,
 * outcome) lies in the registered buffer buf_index: EFAULT at once, before any other check of the
 * request, for a buffer that there is not and for a place outside of it. The buffer may be
 * unregistered meanwhile; its pages stay until the completion, and whoever reaps makes no
 * difference.
 * In a ring with IORING_SETUP_IOPOLL every traversal is polled, driven by whoever reaps; there any
 * other engine, and elsewhere EXO_ENGINE_POLLED, is EINVAL. If nobody reaps for long, the kernel
 * looks after it meanwhile, slowly. A ring that is closed, or whose process ends, ends its
 * traversals with EXO_END_CANCELLED at their next completion.
 */
struct exo_uring_pointer {
	__u64 traverse;			/* address of a struct exo_traverse; cmd_op carries its size */
	__u64 reserved;
};

/* As struct exo_traverse, without the outcome itself. */
struct exo_uring_traverse {
	__u32 flags;
	__u32 program_id;
	__u64 start_offset;
	__u32 hop_bytes;
	__u32 hop_limit;
	__u32 timeout_ms;
	__u32 args_len;
	__u64 args;
	__u64 result;
	__u32 result_len;
	__u32 blocks_len;
	__u64 blocks;
	__u16 engine;
	__u16 fan_out;
	__u32 slot;
	__u64 outcome;			/* in: address that receives a struct exo_outcome, or 0 */
};

/*
 * EXO_URING_CANCEL: as cmd_op in a ring of any kind, with this as the SQE's command: end traversals
 * that were submitted to the same ring, on the same open file, with that user_data, or with any.
 * Each ends with EXO_END_CANCELLED when what it has in flight has come, or in the way that it was
 * about to end in. res is how many there were. Linux 6.12 passes neither IORING_OP_ASYNC_CANCEL nor
 * a linked timeout on to commands: for a traversal, which goes on, both answer that it is not
 * there.
 * Errors: EINVAL flags, reserved, or user_data with EXO_CANCEL_ALL; ENOENT none of them is in
 * flight.
 */
struct exo_uring_cancel {
	__u64 user_data;		/* in: of the traversals; 0 with EXO_CANCEL_ALL */
	__u32 flags;			/* in: EXO_CANCEL_* */
	__u32 reserved;
};
#define EXO_CANCEL_ALL		(1U << 0)	/* whatever their user_data is */

#define EXO_GRANT_INFO		_IOWR(EXO_IOC_TYPE, 0x40, struct exo_grant_entry)
#define EXO_GRANT_TRAVERSE	_IOWR(EXO_IOC_TYPE, 0x41, struct exo_traverse)
#define EXO_GRANT_BATCH		_IOWR(EXO_IOC_TYPE, 0x42, struct exo_batch)
#define EXO_URING_TRAVERSE	_IOWR(EXO_IOC_TYPE, 0x43, struct exo_uring_traverse)
#define EXO_GRANT_DERIVE	_IOWR(EXO_IOC_TYPE, 0x44, struct exo_grant_derive)
#define EXO_GRANT_REVOKE	_IOWR(EXO_IOC_TYPE, 0x45, struct exo_grant_revoke)
#define EXO_URING_CANCEL	_IOW(EXO_IOC_TYPE, 0x46, struct exo_uring_cancel)

/* ------------------------------------------------------------------ files on an exo mount (served by the daemon) */

/* Any open file or directory. */
struct exo_file_info {
	__u8 uuid[EXO_UUID_BYTES];	/* out: of the file system */
	__u64 ino;			/* out */
	__u64 generation;		/* out */
	__u64 size_bytes;		/* out */
	__u64 extents;			/* out: number of extents */
	__u32 flags;			/* out: EXO_FILE_* */
	__u32 block_bytes;		/* out: file system block */
};
#define EXO_FILE_PINNED			(1U << 0)
#define EXO_FILE_PIN_PERSISTENT		(1U << 1)	/* survives remount */
#define EXO_FILE_KERNEL			(1U << 2)	/* the mount is attached to the module */

/*
 * EXO_FILE_PIN: make a regular file immutable and register it with the module. The caller needs the
 * right to write the file, and no process may have it open for writing. The file's data is on
 * stable storage when the call returns. Without EXO_PIN_PERSISTENT the pin is a lease that ends
 * when this open file is closed.
 * Errors: EINVAL flags, reserved; EISDIR, EINVAL not a regular file; EACCES; EROFS; ENODEV the
 * module is not loaded or was absent at mount; EBUSY somebody else's pin or unpin takes long;
 * EEXIST already pinned (a lease may be made persistent); E2BIG more extents than a pin may have;
 * ETXTBSY open for writing somewhere; ENOSPC; EIO.
 */
struct exo_file_pin {
	__u32 flags;			/* in: EXO_PIN_* */
	__u32 reserved;
};
#define EXO_PIN_PERSISTENT	(1U << 0)

/*
 * EXO_FILE_UNPIN: end the pin; grants on it are revoked as EXO_VOLUME_UNPIN describes, and the file
 * can be changed once the call returned. Needs the same right.
 * Errors: EINVAL flags; EISDIR, EINVAL not a regular file; EACCES; EROFS; EBUSY as above; ENODATA
 * not pinned; EINTR; ETIMEDOUT.
 */
struct exo_file_unpin {
	__u32 grace_ms;			/* in */
	__u32 flags;			/* in: 0 */
	__u32 revoked_grants;		/* out */
	__u32 drained_traversals;	/* out */
	__u64 drain_ns;			/* out */
};

/*
 * EXO_FILE_MAP: where the file lies on the device, from the extent at or after start_offset on.
 * Needs the file open for reading. Repeat from the end of the last extent until count is 0.
 * Errors: EINVAL flags, or a directory; EBADF.
 */
#define EXO_FILE_MAP_EXTENTS	100
struct exo_file_extent {
	__u64 file_offset;
	__u64 disk_offset;
	__u64 length;
	__u32 flags;			/* EXO_EXTENT_* */
	__u32 reserved;
};
#define EXO_EXTENT_UNWRITTEN	(1U << 0)	/* allocated, reads as zeros */
struct exo_file_map {
	__u64 start_offset;		/* in */
	__u32 flags;			/* in: 0 */
	__u32 count;			/* out */
	struct exo_file_extent extents[EXO_FILE_MAP_EXTENTS];	/* out */
};

/*
 * EXO_FILE_PLACE: where blocks that a regular file gets from now on should go, if there is room: at
 * a byte of the device, or behind the data of another file of the mount that somebody has open. A
 * hint: blocks that follow each other in the file stay together, and it is forgotten with the last
 * user of the file. Needs the file open for writing.
 * Errors: EINVAL flags, reserved, or outside of the volume; EISDIR; EBADF; ENOENT no such open
 * file.
 */
struct exo_file_place {
	__u64 where;			/* in: offset on the device (0: no wish), or inode number */
	__u32 flags;			/* in: EXO_PLACE_* */
	__u32 reserved;
};
#define EXO_PLACE_NEAR		(1U << 0)	/* where is the inode number of another file */

#define EXO_FILE_INFO		_IOR(EXO_IOC_TYPE, 0x60, struct exo_file_info)
#define EXO_FILE_PIN		_IOW(EXO_IOC_TYPE, 0x61, struct exo_file_pin)
#define EXO_FILE_UNPIN		_IOWR(EXO_IOC_TYPE, 0x62, struct exo_file_unpin)
#define EXO_FILE_MAP		_IOWR(EXO_IOC_TYPE, 0x63, struct exo_file_map)
#define EXO_FILE_PLACE		_IOW(EXO_IOC_TYPE, 0x64, struct exo_file_place)

/* ------------------------------------------------------------------ BPF programs */

/*
 * What a program is told about the block that arrived. Read-only; in the kernel it is the first
 * member of a larger type, so that a program cannot make one of its own. Its blocks, arguments and
 * results are reached through kfuncs (bpf/include/exo.bpf.h).
 */
struct exo_hop {
	__u64 offset;			/* file offset of the block */
	__u64 file_size;
	__u64 range_start;		/* of the grant */
	__u64 range_end;
	__u32 len;			/* valid bytes of the block, before any end of file padding */
	__u32 hop;			/* 0 for the first block */
	__u32 hops_left;
	__u32 args_len;
	__u32 result_len;		/* size of the result area */
	__u32 logical_block_bytes;	/* of this file's device */
	__u64 tag;			/* that was given to exo_read_from(); 0 of others */
	__u32 slot;			/* of the set; file_size and range are this slot's */
	__u32 pending;			/* other reads of the traversal that have not arrived */
};

/* What start and step return; a negative errno ends the traversal with EXO_END_PROGRAM. */
enum exo_verdict {
	EXO_DONE = 0,
	EXO_NEXT = 1,			/* go on: exo_read() said what to read, or other reads are pending */
};

#endif /* _UAPI_LINUX_EXO_H */
