/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a call's bytes lie, as the kernel's own iterator says it (struct iov_iter): for functions inside the kernel
 * that move bytes, whichever system call or ring has led there. An iterator moves on while its call runs, so where it
 * stands is noted for the thread at the call's entry.
 */
#pragma once

#include "moved.h"

/* Numbered otherwise from kernel to kernel. ITER_UBUF: 6.0. */
enum iter_type {
	ITER_IOVEC,
	ITER_UBUF,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct iov_iter {
	u8 iter_type;
	unsigned long iov_offset, count, nr_segs;
	void *ubuf;
};
struct iov_iter___before_6_4 {
	struct iovec *iov;
};
struct iov_iter___6_4 {
	struct iovec *__iov;
};

struct kiocb {
	struct file *ki_filp;
};

struct msghdr {
	struct iov_iter msg_iter;
};

#pragma clang attribute pop

/* Where an iterator over user memory stands. */
struct position {
	u64 iter;     /* its own address, by which it is known at the end of the call */
	u64 base;     /* the next byte, when there are no segments */
	u64 iov;      /* the kernel's array of iovec … */
	u64 segments; /* … how many are left in it … */
	u64 offset;   /* … and how far into the first of them the next byte lies */
	u64 count;    /* bytes left */
};

/* The call that a thread is in. */
struct thread_call {
	struct position from;
	u32 splicing; /* what its inner calls move is told as a whole when it ends */
	u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, s32);
	__type(value, struct thread_call);
} thread_calls SEC(".maps");

static __always_inline struct thread_call *this_call(u64 flags)
{
	return bpf_task_storage_get(&thread_calls, bpf_get_current_task_btf(), NULL, flags);
}

/* Threads that may be in a call which they entered past the hooks, or when nobody knew that they are watched. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32); /* tid */
	__type(value, u32);
} waiting SEC(".maps");

/* Is this thread in such a call? Its exit tells of it (waiting.h). */
static __always_inline int waits(void)
{
	u32 thread = bpf_get_current_pid_tgid();

	return !this_call(0) && bpf_map_lookup_elem(&waiting, &thread);
}

static __always_inline u64 iovec_of(struct iov_iter *iter)
{
	struct iov_iter___before_6_4 *before = (void *)iter;
	struct iov_iter___6_4 *since = (void *)iter;

	if (bpf_core_field_exists(since->__iov))
		return (u64)READ_KERNEL(since, __iov);
	return (u64)READ_KERNEL(before, iov);
}

static __always_inline int is_one_buffer(u8 type)
{
	return bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
	       type == bpf_core_enum_value(enum iter_type, ITER_UBUF);
}

/* 0 for memory of the kernel's, pages and pipes: there is no address to read from. */
static __always_inline int is_user_memory(struct iov_iter *iter)
{
	u8 type = READ_KERNEL(iter, iter_type);

	return is_one_buffer(type) || type == bpf_core_enum_value(enum iter_type, ITER_IOVEC);
}

static __always_inline int position_of(struct iov_iter *iter, struct position *out)
{
	if (!is_user_memory(iter))
		return 0;
	out->iter = (u64)iter;
	out->offset = READ_KERNEL(iter, iov_offset);
	out->count = READ_KERNEL(iter, count);
	if (is_one_buffer(READ_KERNEL(iter, iter_type))) {
		out->base = (u64)READ_KERNEL(iter, ubuf) + out->offset;
	} else {
		out->iov = iovec_of(iter);
		out->segments = READ_KERNEL(iter, nr_segs);
	}
	return 1;
}

/* At the entry of a call that is to move bytes. */
static __always_inline int call_enters(struct iov_iter *iter)
{
	struct position from = {};
	struct thread_call *call;

	if (!in_scope(bpf_get_current_pid_tgid() >> 32) || !position_of(iter, &from))
		return 0;
	call = this_call(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (call)
		call->from = from;
	return 0;
}

/* The memory of the `length` bytes behind a position. Those of one segment are one buffer. */
static __always_inline void memory_at(struct position *from, u64 length, struct memory *out)
{
	struct iovec first = {};

	out->base = from->base;
	if (!from->segments)
		return;
	bpf_probe_read_kernel(&first, sizeof(first), (void *)from->iov);
	if (first.iov_len - from->offset >= length) {
		out->base = first.iov_base + from->offset;
		return;
	}
	out->iov = from->iov;
	out->segments = from->segments;
	out->skip = from->offset;
	out->iov_in_kernel = 1;
}

/* Does this thread work for an io_uring? */
static __always_inline int in_io_uring(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);

	return task->flags & PF_IO_WORKER || CALL_NR(regs) == NR_io_uring_enter;
}

/* At the end of a call that has moved `length` bytes. */
static __always_inline int call_moved(struct file *file, struct iov_iter *iter, int reading, u64 length)
{
	struct thread_call *call = this_call(0);
	struct memory memory = {};
	u32 cause;

	if (call && call->splicing)
		return 0;
	if (is_user_memory(iter)) {
		if (call && call->from.iter == (u64)iter && call->from.count - READ_KERNEL(iter, count) >= length) {
			memory_at(&call->from, length, &memory);
			return moved_at((u64)file, -1, reading, length, &memory);
		}
		/* Its entry came before our programs; or the bytes were discarded (MSG_TRUNC). */
		cause = LOSS_UNREADABLE;
	} else if (in_io_uring()) {
		cause = LOSS_IO_URING;
	} else {
		/* What is nobody's descriptor is the kernel's own affair. */
		if (fd_of(file) < 0)
			return 0;
		cause = LOSS_SPLICE;
	}
	return moved_unseen(file, -1, reading, length, cause);
}
