/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The calls that a thread is in. A function of a library may do its work by calling another that is
 * probed, and a call may never return: a thread dies in it, or leaves it by longjmp().
 */
#pragma once

#include "tls.h"

static const struct tls_thread no_calls;

/*
 * Is a call that begins under `outer` one that `outer` makes to do its own work? Each function calls
 * at most one of a lower rank once; whatever else begins means that `outer` was left by longjmp().
 */
static __always_inline int is_wrapped_by(struct tls_call *outer, u64 cookie, u64 object)
{
	return TLS_RANK(cookie) < TLS_RANK(outer->cookie) && !outer->wrapped && outer->object == object;
}

static __noinline int call_begins(struct tls_call *now)
{
	u64 thread_id = bpf_get_current_pid_tgid();
	struct tls_thread *thread = bpf_map_lookup_elem(&tls_threads, &thread_id);
	struct tls_call *outer = NULL;
	u32 depth;

	if (!now)
		return 0;
	if (!thread) {
		bpf_map_update_elem(&tls_threads, &thread_id, &no_calls, BPF_NOEXIST);
		thread = bpf_map_lookup_elem(&tls_threads, &thread_id);
		if (!thread)
			return 0;
	}
	depth = thread->depth;
	/* Calls that this stack pointer is not within are over, whether or not we have seen them return. */
#pragma unroll
	for (int i = 0; i < TLS_DEPTH; i++) {
		if (!depth || depth > TLS_DEPTH)
			break;
		outer = &thread->calls[(depth - 1) & (TLS_DEPTH - 1)];
		/* Equal, but another function: a call by a jump at the outer one's end. */
		if (outer->sp > now->sp || (outer->sp == now->sp && TLS_RANK(now->cookie) < TLS_RANK(outer->cookie)))
			break;
		depth--;
	}
	if (depth && depth <= TLS_DEPTH && outer && outer->object == now->object &&
	    TLS_ACTION(outer->cookie) == TLS_FLUSHES && TLS_ACTION(now->cookie) == TLS_WRITES) {
		/* As many calls as it takes, and none of them moves anything new. */
		now->inner = 1;
	} else if (depth && depth <= TLS_DEPTH && outer && outer->object == now->object &&
		   TLS_ACTION(outer->cookie) == TLS_ACTION(now->cookie)) {
		if (is_wrapped_by(outer, now->cookie, now->object)) {
			outer->wrapped = 1;
			now->inner = 1;
		} else {
			depth--;
		}
	}
	/* Deeper than anything does: these are left over from longjmp(). */
	if (depth >= TLS_DEPTH)
		depth = 0;
	thread->calls[depth & (TLS_DEPTH - 1)] = *now;
	thread->depth = depth + 1;
	return 0;
}

/* The call of this function that returns with this stack pointer; what it had called is over, too. */
static __always_inline struct tls_call *call_ends(struct tls_thread *thread, u64 sp, u64 cookie)
{
	u32 depth = thread->depth;

#pragma unroll
	for (int i = 0; i < TLS_DEPTH; i++) {
		if (!depth || depth > TLS_DEPTH)
			break;
		struct tls_call *call = &thread->calls[(depth - 1) & (TLS_DEPTH - 1)];

		if (call->sp > sp)
			break;
		depth--;
		thread->depth = depth;
		if (call->sp == sp && call->cookie == cookie)
			return call;
	}
	return NULL;
}
