// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opens grants after all checks and counts what is in flight on each. Weaker ones made of them, and
 * taking those back, are derive.c's, the fd over a grant grant_fd.c's, what runs on it
 * traversal.c's.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/overflow.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "audit.h"
#include "grant.h"
#include "grant_fd.h"
#include "ioctl.h"
#include "limits.h"
#include "stats.h"
#include "tenant.h"
#include "user.h"
#include "volume.h"

DEFINE_XARRAY(exo_grants);

static atomic64_t last_grant_id;
static atomic64_t grants_now;

u64 exo_grants_now(void)
{
	return atomic64_read(&grants_now);
}

/* ---- reference ---- */

void exo_grant_get(struct exo_grant *grant)
{
	kref_get(&grant->ref);
}

static void grant_free_rcu(struct rcu_head *rcu)
{
	struct exo_grant *grant = container_of(rcu, struct exo_grant, rcu);

	put_pid(grant->pid);
	kfree(grant);
}

static void grant_unlink(struct kref *ref)
{
	struct exo_grant *grant = container_of(ref, struct exo_grant, ref);

	exo_pin_remove_grant(grant->pin, grant);
}

/**
 * exo_grant_put() - drop a reference
 * @grant: which may be freed by the call
 *
 * Context: process.
 */
void exo_grant_put(struct exo_grant *grant)
{
	struct exo_grant *parent;

	/* A derived grant holds its parent, which may have been closed long ago. */
	while (grant && kref_put(&grant->ref, grant_unlink)) {
		parent = grant->parent;
		/* The pin holds the volume, which the tenant needs. */
		exo_tenant_put(grant->tenant);
		exo_user_put(grant->user);
		exo_pin_put(grant->pin);
		/* A listing may be looking at the grant and at its pid. */
		call_rcu(&grant->rcu, grant_free_rcu);
		grant = parent;
	}
}

/**
 * exo_grant_enter() - begin a traversal
 * @grant: referenced by the caller
 *
 * The increment comes before the second look at the state of grant and pin, and a cut comes before
 * the look at the count (see pin.c and derive.c), so one of the two always notices the other. The
 * first look leaves the count alone: whoever goes on asking for what was taken away would keep it
 * from being seen at zero, and wake everybody who waits for that.
 *
 * Context: any.
 * Return: 0; -EKEYREVOKED it was cut; -EKEYEXPIRED; -EAGAIN the in-flight limit is reached.
 */
int exo_grant_enter(struct exo_grant *grant)
{
	int ret = 0;
	u32 now;

	if (exo_grant_is_cut(grant))
		return -EKEYREVOKED;
	now = atomic_inc_return(&grant->in_flight);
	if (exo_grant_is_cut(grant))
		ret = -EKEYREVOKED;
	else if (grant->expires && time_after_eq(jiffies, grant->expires_at))
		ret = -EKEYEXPIRED;
	else if (now > min(grant->in_flight_limit, exo_limit(max_in_flight)))
		ret = -EAGAIN;
	if (ret)
		exo_grant_leave(grant);
	return ret;
}

/**
 * exo_grant_leave() - a traversal has ended and nothing of it is in flight
 * @grant: still referenced by the caller
 *
 * Context: any, hard interrupt included.
 */
void exo_grant_leave(struct exo_grant *grant)
{
	if (!atomic_dec_return(&grant->in_flight) && exo_grant_is_cut(grant))
		wake_up_all(&grant->pin->wait);
}

/* ---- open and close ---- */

/**
 * exo_grant_audit() - record something about a grant
 * @grant: concerned
 * @type: EXO_AUDIT_GRANT_*
 * @error: negative errno or 0
 *
 * Context: process.
 */
void exo_grant_audit(const struct exo_grant *grant, u32 type, int error)
{
	exo_audit(&(struct exo_audit_event){
		.type = type,
		.error = error,
		.volume_id = grant->pin->volume->id,
		.ino = grant->pin->ino,
		.generation = grant->pin->generation,
		.grant_id = grant->id,
		.file_offset = grant->range_start,
		.length = grant->range_end - grant->range_start,
		.traversals = atomic64_read(&grant->traversals),
		.hops = atomic64_read(&grant->hops),
		.bytes = atomic64_read(&grant->bytes),
		.parent_grant_id = grant->parent ? grant->parent->id : 0,
	});
}

/**
 * exo_grant_actor() - who opened a grant, for records of what was done with it
 * @grant: concerned
 * @actor: filled
 *
 * Context: any.
 */
void exo_grant_actor(const struct exo_grant *grant, struct exo_actor *actor)
{
	actor->uid = from_kuid(&init_user_ns, grant->uid);
	actor->pid = pid_nr(grant->pid);
	memcpy(actor->comm, grant->comm, sizeof(actor->comm));
}

/**
 * exo_grant_close() - the grant's fd has gone
 * @grant: whose fd reference is dropped
 *
 * Context: process, may sleep.
 */
void exo_grant_close(struct exo_grant *grant)
{
	WRITE_ONCE(grant->open, false);
	xa_erase(&exo_grants, grant->id);
	atomic64_dec(&grants_now);
	exo_grant_audit(grant, EXO_AUDIT_GRANT_CLOSE, 0);
	exo_user_uncharge(grant->user);
	exo_pin_close_grant(grant->pin);
	/* Orders the close before the look; exo_grant_revoke() does it the other way round. */
	smp_mb();
	if (READ_ONCE(grant->state) != EXO_PIN_LIVE)
		wake_up_all(&grant->pin->wait);
	exo_grant_put(grant);
}

/* What a refusal is recorded with, filled as far as the checks came. */
struct exo_grant_request {
	const struct exo_grant_open *arg;
	u32 volume_id;
	u64 ino;
	u64 generation;
};

/* Finds the pin of an open file; each refusal has its own errno. */
static struct exo_pinned *pin_of_file(struct file *file, struct exo_grant_request *request)
{
	struct inode *inode = file_inode(file);
	struct exo_volume *volume;
	struct exo_pinned *pin;

	if (!(file->f_mode & FMODE_READ))
		return ERR_PTR(-EBADF);
	request->ino = inode->i_ino;
	request->generation = inode->i_generation;

	volume = exo_volume_of_file(file);
	if (!volume)
		return ERR_PTR(-EXDEV);
	request->volume_id = volume->id;
	pin = S_ISREG(inode->i_mode) ? exo_pin_find(volume, inode->i_ino) : NULL;
	exo_volume_put(volume);
	if (!pin)
		return ERR_PTR(-ENODATA);
	if (pin->generation != inode->i_generation) {
		exo_pin_put(pin);
		return ERR_PTR(-ESTALE);
	}
	return pin;
}

/**
 * exo_grant_range() - check a range that somebody asks for
 * @pin: of the file
 * @start: as asked for
 * @len: as asked for; 0 = to @last
 * @first: of what may be asked for
 * @last: its end
 * @end: set to the end of the range
 *
 * Context: any.
 * Return: 0 or -ERANGE.
 */
int exo_grant_range(const struct exo_pinned *pin, u64 start, u64 len, u64 first, u64 last, u64 *end)
{
	u32 mask = pin->volume->block_bytes - 1;

	*end = last;
	if (start < first || start > last || start & mask)
		return -ERANGE;
	if (len && check_add_overflow(start, len, end))
		return -ERANGE;
	if (*end > last || (*end != pin->size_bytes && *end & mask))
		return -ERANGE;
	return 0;
}

/*
 * What is read counts for the rates of all ancestors, or deriving would multiply them. One that is
 * no lower than the parent's needs no count of its own.
 */
static void set_rate(struct exo_grant *grant, const struct exo_grant_terms *terms)
{
	const struct exo_grant *parent = grant->parent;
	struct exo_rate *rate = &grant->rate;

	exo_rate_init(rate, terms->rate_reads, terms->rate_bytes);
	rate->above = parent ? parent->rate_above : NULL;
	if (rate->reads != (parent ? parent->rate.reads : 0) ||
	    rate->bytes != (parent ? parent->rate.bytes : 0))
		grant->rate_above = rate;
	else
		grant->rate_above = rate->above;
}

static void set_range(struct exo_grant *grant, const struct exo_grant_terms *terms)
{
	const struct exo_pinned *pin = grant->pin;

	grant->range_start = terms->range_start;
	grant->range_end = terms->range_end;
	grant->file_bytes = pin->size_bytes;
	grant->file_read_end = round_up(pin->size_bytes, (u64)pin->volume->block_bytes);
	grant->read_end = terms->range_end == pin->size_bytes ? grant->file_read_end :
								 terms->range_end;
}

/* Takes its own references to @pin and @parent. */
static struct exo_grant *grant_create(struct exo_pinned *pin, struct exo_grant *parent,
				      const struct exo_grant_terms *terms)
{
	struct exo_grant *grant;
	int ret;

	grant = kzalloc(sizeof(*grant), GFP_KERNEL_ACCOUNT);
	if (!grant)
		return ERR_PTR(-ENOMEM);
	kref_init(&grant->ref);
	INIT_LIST_HEAD(&grant->children);
	grant->pin = pin;
	grant->parent = parent;
	grant->depth = parent ? parent->depth + 1 : 0;
	grant->open = true;
	grant->hop_limit = terms->hop_limit;
	grant->in_flight_limit = terms->in_flight_limit;
	grant->rights = terms->rights;
	grant->program_id = terms->program_id;
	grant->expires = terms->expires;
	grant->expires_at = terms->expires_at;
	grant->expires_at_ns = terms->expires_at_ns;
	grant->opened_at_ns = ktime_get_real_ns();
	grant->uid = current_uid();
	get_task_comm(grant->comm, current);
	grant->weight = terms->weight;
	set_range(grant, terms);
	set_rate(grant, terms);

	grant->tenant = exo_tenant_get(pin->volume);
	if (IS_ERR(grant->tenant)) {
		ret = PTR_ERR(grant->tenant);
		goto err_free;
	}
	grant->user = exo_user_charge(grant->uid);
	if (IS_ERR(grant->user)) {
		ret = PTR_ERR(grant->user);
		goto err_tenant;
	}
	grant->id = atomic64_inc_return(&last_grant_id);
	/* Reserved now, shown when nothing can fail any more. */
	ret = xa_reserve(&exo_grants, grant->id, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_uncharge;
	ret = exo_pin_add_grant(pin, grant);
	if (ret)
		goto err_release;
	exo_pin_get(pin);
	if (parent)
		exo_grant_get(parent);
	grant->pid = get_pid(task_tgid(current));
	atomic64_inc(&grants_now);
	xa_store(&exo_grants, grant->id, grant, GFP_KERNEL_ACCOUNT);
	return grant;

err_release:
	xa_release(&exo_grants, grant->id);
err_uncharge:
	exo_user_uncharge(grant->user);
	exo_user_put(grant->user);
err_tenant:
	exo_tenant_put(grant->tenant);
err_free:
	kfree(grant);
	return ERR_PTR(ret);
}

/**
 * exo_grant_new_fd() - make a grant and prepare its fd as the answer of a command
 * @call: the command
 * @pin: referenced by the caller, who keeps that reference
 * @parent: referenced by the caller, or NULL
 * @terms: checked
 * @id: set to the grant's number
 *
 * Context: process, may sleep.
 * Return: 0, -EKEYREVOKED when pin or parent are being revoked, -EUSERS, -EMFILE, -ENFILE, -ENOMEM.
 */
int exo_grant_new_fd(struct exo_ioctl_call *call, struct exo_pinned *pin, struct exo_grant *parent,
		     const struct exo_grant_terms *terms, u64 *id)
{
	struct exo_grant *grant = grant_create(pin, parent, terms);
	int ret;

	if (IS_ERR(grant))
		return PTR_ERR(grant);
	/* The record comes before the fd, so that a grant never closes before it was opened. */
	exo_grant_audit(grant, parent ? EXO_AUDIT_GRANT_DERIVE : EXO_AUDIT_GRANT_OPEN, 0);
	*id = grant->id;
	ret = exo_ioctl_new_fd(call, "[exo-grant]", &exo_grant_fops, grant, O_RDWR);
	if (ret)
		exo_grant_close(grant);
	return ret;
}

static int open_checked(struct exo_ioctl_call *call, struct exo_grant_request *request)
{
	struct exo_grant_open *arg = call->arg;
	struct exo_grant_terms terms = {
		.range_start = arg->range_start,
		.hop_limit = min(arg->hop_limit ?: exo_limit(default_hops), exo_limit(max_hops)),
		.in_flight_limit = min(arg->in_flight_limit ?: exo_limit(default_in_flight),
				       exo_limit(max_in_flight)),
		.rights = EXO_RIGHTS_ALL,
		.weight = min(arg->weight ?: EXO_DEFAULT_WEIGHT, EXO_MAX_WEIGHT),
		.rate_reads = arg->rate_reads,
		.rate_bytes = arg->rate_bytes,
	};
	struct exo_pinned *pin;
	int ret;

	/*
	 * A descriptor opened with O_PATH stands for no right to read; fdget() does not give it
	 * out.
	 */
	CLASS(fd, f)(arg->file_fd);
	if (!fd_file(f))
		return -EBADF;
	pin = pin_of_file(fd_file(f), request);
	if (IS_ERR(pin))
		return PTR_ERR(pin);
	ret = exo_grant_range(pin, arg->range_start, arg->range_len, 0, pin->size_bytes,
			      &terms.range_end);
	if (!ret)
		ret = exo_grant_new_fd(call, pin, NULL, &terms, &arg->grant_id);
	if (!ret)
		arg->size_bytes = pin->size_bytes;
	exo_pin_put(pin);
	return ret;
}

/**
 * exo_grant_open() - serve EXO_IOC_GRANT_OPEN
 * @call: argument struct exo_grant_open
 *
 * Context: process, may sleep.
 */
int exo_grant_open(struct exo_ioctl_call *call)
{
	const struct exo_grant_open *arg = call->arg;
	struct exo_grant_request request = { .arg = arg };
	int ret = arg->flags ? -EINVAL : open_checked(call, &request);

	if (!ret)
		return 0;
	exo_count(denied_grants);
	exo_audit(&(struct exo_audit_event){
		.type = EXO_AUDIT_GRANT_DENIED,
		.error = ret,
		.volume_id = request.volume_id,
		.ino = request.ino,
		.generation = request.generation,
		.file_offset = arg->range_start,
		.length = arg->range_len,
	});
	return ret;
}

/**
 * exo_grant_fill_entry() - describe a grant to the current process
 * @grant: to describe
 * @entry: filled
 *
 * Context: process; under rcu_read_lock() or with a reference.
 */
void exo_grant_fill_entry(const struct exo_grant *grant, struct exo_grant_entry *entry)
{
	const struct exo_pinned *pin = grant->pin;

	entry->grant_id = grant->id;
	entry->pin_id = pin->id;
	entry->ino = pin->ino;
	entry->generation = pin->generation;
	entry->range_start = grant->range_start;
	entry->range_len = grant->range_end - grant->range_start;
	entry->traversals = atomic64_read(&grant->traversals);
	entry->hops = atomic64_read(&grant->hops);
	entry->bytes = atomic64_read(&grant->bytes);
	entry->opened_at_ns = grant->opened_at_ns;
	entry->volume_id = pin->volume->id;
	entry->uid = from_kuid_munged(current_user_ns(), grant->uid);
	/* The number of a process that has gone may be another one's by now. */
	entry->pid = pid_has_task(grant->pid, PIDTYPE_TGID) ? pid_vnr(grant->pid) : 0;
	entry->state = exo_grant_state(grant);
	entry->hop_limit = grant->hop_limit;
	entry->in_flight = atomic_read(&grant->in_flight);
	memcpy(entry->comm, grant->comm, sizeof(entry->comm));
	entry->parent_id = grant->parent ? grant->parent->id : 0;
	entry->expires_at_ns = grant->expires_at_ns;
	entry->rights = grant->rights;
	entry->program_id = grant->program_id;
	entry->in_flight_limit = grant->in_flight_limit;
	entry->weight = grant->weight;
	entry->tenant_id = grant->tenant->id;
	entry->rate_reads = grant->rate.reads;
	entry->rate_bytes = grant->rate.bytes;
}
