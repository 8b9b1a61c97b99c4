// SPDX-License-Identifier: GPL-2.0-only
/*
 * The struct_ops type behind traversal programs: what the verifier allows them, their names and
 * ids, and how they are detached. What they may call besides helpers is kfuncs.c's.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>

#include "audit.h"
#include "ioctl.h"
#include "limits.h"
#include "program_ops.h"

DEFINE_XARRAY(exo_programs);

static DEFINE_MUTEX(attach_lock);	/* guards names and the change of exo_programs */
static u32 last_program_id;
static atomic64_t programs_now;

u64 exo_programs_now(void)
{
	return atomic64_read(&programs_now);
}

/* ---- what the verifier asks ---- */

static bool is_valid_access(int off, int size, enum bpf_access_type type,
			    const struct bpf_prog *prog, struct bpf_insn_access_aux *info)
{
	return bpf_tracing_btf_ctx_access(off, size, type, prog, info);
}

static int refuse_write(struct bpf_verifier_log *log, const struct bpf_reg_state *reg, int off,
			int size)
{
	bpf_log(log, "exo: a program may write its result (exo_result) and its maps only\n");
	return -EACCES;
}

/*
 * An allow list, because programs run in hard interrupts and on behalf of whoever holds a grant:
 * nothing that sleeps, waits for other contexts, or looks at the interrupted task.
 */
static const struct bpf_func_proto *get_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	switch (id) {
	case BPF_FUNC_map_lookup_elem:
	case BPF_FUNC_map_update_elem:
	case BPF_FUNC_map_delete_elem:
	case BPF_FUNC_map_push_elem:
	case BPF_FUNC_map_pop_elem:
	case BPF_FUNC_map_peek_elem:
	case BPF_FUNC_map_lookup_percpu_elem:
	case BPF_FUNC_for_each_map_elem:
	case BPF_FUNC_loop:
	case BPF_FUNC_spin_lock:
	case BPF_FUNC_spin_unlock:
	case BPF_FUNC_strncmp:
	case BPF_FUNC_get_prandom_u32:
	case BPF_FUNC_get_smp_processor_id:
	case BPF_FUNC_ktime_get_ns:
	case BPF_FUNC_jiffies64:
	case BPF_FUNC_ringbuf_output:
	case BPF_FUNC_ringbuf_reserve:
	case BPF_FUNC_ringbuf_submit:
	case BPF_FUNC_ringbuf_discard:
	case BPF_FUNC_trace_printk:
	case BPF_FUNC_snprintf:
		return bpf_base_func_proto(id, prog);
	default:
		return NULL;
	}
}

static const struct bpf_verifier_ops verifier_ops = {
	.get_func_proto = get_func_proto,
	.is_valid_access = is_valid_access,
	.btf_struct_access = refuse_write,
};

/* ---- attach and detach ---- */

static int ops_init(struct btf *btf)
{
	return 0;
}

static int check_member(const struct btf_type *t, const struct btf_member *member,
			const struct bpf_prog *prog)
{
	return prog->sleepable ? -EINVAL : 0;
}

/* Printable ASCII without spaces, so that a listing stays readable. */
static bool valid_name(const char *name)
{
	size_t len = strnlen(name, EXO_PROGRAM_NAME_BYTES);

	if (!len || len == EXO_PROGRAM_NAME_BYTES)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isascii(name[i]) || !isgraph(name[i]))
			return false;
	}
	return !memchr_inv(name + len, 0, EXO_PROGRAM_NAME_BYTES - len);
}

/*
 * Finds the program that is attached as step. The core has replaced its descriptor by its id by now,
 * so somebody who exchanges descriptors meanwhile is found out. The core keeps what it has attached
 * until after unreg(), so no reference of ours is needed.
 */
static int find_step(struct exo_program_ops *to, const struct exo_program_ops *from)
{
	struct bpf_prog *prog;

	if (!to->step)
		return -EINVAL;
	prog = bpf_prog_get_type_dev(to->step_fd, BPF_PROG_TYPE_STRUCT_OPS, false);
	if (IS_ERR(prog))
		return PTR_ERR(prog);
	if (prog->aux->id == (unsigned long)from->step)
		to->step_prog = prog;
	bpf_prog_put(prog);
	return to->step_prog ? 1 : -EINVAL;
}

/*
 * Called in the order of the members. The descriptors of programs stand in place of the functions,
 * until the core has seen to the member.
 */
static int init_member(const struct btf_type *t, const struct btf_member *member, void *kdata,
		       const void *udata)
{
	const struct exo_program_ops *from = udata;
	struct exo_program_ops *to = kdata;

	switch (__btf_member_bit_offset(t, member) / 8) {
	case offsetof(struct exo_program_ops, step):
		to->step_fd = (unsigned long)from->step;
		return 0;
	case offsetof(struct exo_program_ops, name):
		if (!valid_name(from->name))
			return -EINVAL;
		memcpy(to->name, from->name, sizeof(to->name));
		return 1;
	case offsetof(struct exo_program_ops, step_fd):
		return from->step_fd ? -EINVAL : 1;
	case offsetof(struct exo_program_ops, step_prog):
		return from->step_prog ? -EINVAL : find_step(to, from);
	default:
		return 0;
	}
}

static struct exo_program *find_by_name(const char *name)
{
	struct exo_program *program;
	unsigned long id;

	xa_for_each(&exo_programs, id, program) {
		if (!strncmp(program->name, name, EXO_PROGRAM_NAME_BYTES))
			return program;
	}
	return NULL;
}

static void audit_program(const struct exo_program *program, u32 type)
{
	exo_audit(&(struct exo_audit_event){ .type = type, .program_id = program->id });
}

static void program_free_rcu(struct rcu_head *rcu)
{
	struct exo_program *program = container_of(rcu, struct exo_program, rcu);

	percpu_ref_exit(&program->in_flight);
	free_percpu(program->counters);
	kfree(program);
}

static void program_release(struct kref *ref)
{
	/* Lookups, listings and interrupts on their way out may still look at it. */
	call_rcu(&container_of(ref, struct exo_program, ref)->rcu, program_free_rcu);
}

static void program_drained(struct percpu_ref *in_flight)
{
	struct exo_program *program = container_of(in_flight, struct exo_program, in_flight);

	complete(&program->drained);
	kref_put(&program->ref, program_release);
}

static int reg(void *kdata, struct bpf_link *link)
{
	const struct exo_program_ops *ops = kdata;
	struct exo_program *program;
	int ret;

	guard(mutex)(&attach_lock);
	if (find_by_name(ops->name))
		return -EEXIST;
	if (last_program_id == U32_MAX)
		return -ENOSPC;

	program = kzalloc(sizeof(*program), GFP_KERNEL_ACCOUNT);
	if (!program)
		return -ENOMEM;
	program->start = ops->start;
	program->step = ops->step;
	program->finish = ops->finish;
	program->step_prog = ops->step_prog;
	memcpy(program->name, ops->name, sizeof(program->name));
	program->uid = current_uid();
	program->attached_at_ns = ktime_get_real_ns();
	init_completion(&program->drained);
	kref_init(&program->ref);
	kref_get(&program->ref);
	ret = -ENOMEM;
	program->counters = alloc_percpu_gfp(struct exo_program_counters,
						     GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!program->counters)
		goto err_free;
	ret = percpu_ref_init(&program->in_flight, program_drained, 0, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_counters;
	program->id = ++last_program_id;
	ret = xa_insert(&exo_programs, program->id, program, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_ref;
	atomic64_inc(&programs_now);
	audit_program(program, EXO_AUDIT_PROGRAM_ATTACH);
	return 0;

err_ref:
	percpu_ref_exit(&program->in_flight);
err_counters:
	free_percpu(program->counters);
err_free:
	kfree(program);
	return ret;
}

/*
 * Returns only when nobody is in the program or comes to it any more, since its memory goes next.
 * Traversals whose reads complete soon are waited for, so that their finish is called. Those whose
 * reads do not are not: all of the kernel's links of struct_ops may be waiting for us.
 */
static void unreg(void *kdata, struct bpf_link *link)
{
	const struct exo_program_ops *ops = kdata;
	struct exo_program *program;

	mutex_lock(&attach_lock);
	program = find_by_name(ops->name);
	if (WARN_ON_ONCE(!program || program->step_prog != ops->step_prog)) {
		mutex_unlock(&attach_lock);
		return;
	}
	xa_erase(&exo_programs, program->id);
	atomic64_dec(&programs_now);
	mutex_unlock(&attach_lock);

	WRITE_ONCE(program->detaching, true);
	percpu_ref_kill(&program->in_flight);
	wait_for_completion_timeout(&program->drained, msecs_to_jiffies(EXO_DETACH_WAIT_MS));
	WRITE_ONCE(program->gone, true);
	synchronize_rcu();
	audit_program(program, EXO_AUDIT_PROGRAM_DETACH);
	kref_put(&program->ref, program_release);
}

/* The verifier takes argument types from these, and an indirect call its checksum. */
static int start_stub(struct exo_hop_context *context)
{
	return 0;
}

static int step_stub(struct exo_hop_context *context)
{
	return 0;
}

static void finish_stub(struct exo_hop_context *context)
{
}

static struct exo_program_ops stubs = {
	.start = start_stub,
	.step = step_stub,
	.finish = finish_stub,
};

static struct bpf_struct_ops struct_ops = {
	.verifier_ops = &verifier_ops,
	.init = ops_init,
	.check_member = check_member,
	.init_member = init_member,
	.reg = reg,
	.unreg = unreg,
	.cfi_stubs = &stubs,
	.name = "exo_program_ops",
	.owner = THIS_MODULE,
};

int __init exo_program_init(void)
{
	return register_bpf_struct_ops(&struct_ops, exo_program_ops);
}

/* ---- use ---- */

/**
 * exo_program_get() - the program of an id, for one traversal
 * @id: of an attached program
 *
 * Context: any.
 * Return: a referenced program, or NULL.
 */
struct exo_program *exo_program_get(u32 id)
{
	struct exo_program *program;

	rcu_read_lock();
	program = xa_load(&exo_programs, id);
	if (program && !percpu_ref_tryget_live_rcu(&program->in_flight))
		program = NULL;
	rcu_read_unlock();
	return program;
}

/**
 * exo_program_put() - the traversal will not call the program again
 * @program: must not be used afterwards
 *
 * Context: any, hard interrupt included.
 */
void exo_program_put(struct exo_program *program)
{
	percpu_ref_put(&program->in_flight);
}

/**
 * exo_program_find() - serve EXO_IOC_PROGRAM_FIND
 * @call: argument struct exo_program_find
 *
 * Context: process, may sleep.
 */
int exo_program_find(struct exo_ioctl_call *call)
{
	struct exo_program_find *arg = call->arg;
	struct exo_program *program;

	if (strnlen(arg->name, sizeof(arg->name)) == sizeof(arg->name) || arg->reserved)
		return -EINVAL;
	guard(mutex)(&attach_lock);
	program = find_by_name(arg->name);
	if (!program)
		return -ENOENT;
	arg->program_id = program->id;
	return 0;
}

/**
 * exo_program_fill_entry() - describe a program to the current process
 * @program: to describe
 * @entry: filled
 *
 * Context: process, under rcu_read_lock().
 */
void exo_program_fill_entry(const struct exo_program *program, struct exo_program_entry *entry)
{
	u64 started = 0, ended = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		ended += READ_ONCE(per_cpu_ptr(program->counters, cpu)->ended);
	/* Ends are read before starts, so that the difference is never negative. */
	smp_rmb();
	for_each_possible_cpu(cpu) {
		started += READ_ONCE(per_cpu_ptr(program->counters, cpu)->started);
		entry->steps += READ_ONCE(per_cpu_ptr(program->counters, cpu)->steps);
		entry->slow += READ_ONCE(per_cpu_ptr(program->counters, cpu)->slow);
	}
	entry->program_id = program->id;
	entry->uid = from_kuid_munged(current_user_ns(), program->uid);
	memcpy(entry->name, program->name, sizeof(entry->name));
	entry->traversals = started;
	entry->attached_at_ns = program->attached_at_ns;
	entry->in_flight = started - ended;
}
