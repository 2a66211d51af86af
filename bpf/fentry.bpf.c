/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Source of bytes where the kernel has trampolines: the functions behind pipes and sockets, at their entry and exit.
 * Every other call on the machine is left alone, and whatever leads to them is seen: io_uring as well as write(2).
 *
 * Which functions a kernel has is found by src/sensor/backend.ts, and their arguments are taken by number: some have
 * more or fewer of them from kernel to kernel.
 */
#include "iter.h"

static __always_inline u64 argument(void *ctx, u32 index)
{
	u64 value = 0;

	bpf_get_func_arg(ctx, index, &value);
	return value;
}

static __always_inline s64 result_of(void *ctx)
{
	u64 value = 0;

	bpf_get_func_ret(ctx, &value);
	return value;
}

static __always_inline int call_exits(struct file *file, struct iov_iter *iter, int reading, s64 result)
{
	if (result < 0 || !file || !in_scope(bpf_get_current_pid_tgid() >> 32) || waits())
		return 0;
	if (result)
		call_moved(file, iter, reading, result);
	else if (reading && READ_KERNEL(iter, count))
		ended(file, -1);
	return 0;
}

/* Where the file stands is read by helper: what READ_KERNEL() gives is no plain number, as moved_at() wants it. */

/* ssize_t f(struct kiocb *, struct iov_iter *) */
#define FILE_CALL(name, reading)                                                                \
	SEC("fentry") int name##_entry(void *ctx)                                               \
	{                                                                                       \
		return call_enters((void *)argument(ctx, 1));                                   \
	}                                                                                       \
	SEC("fexit") int name##_exit(void *ctx)                                                 \
	{                                                                                       \
		struct kiocb *request = (void *)argument(ctx, 0);                               \
												\
		return call_exits(BPF_CORE_READ(request, ki_filp), (void *)argument(ctx, 1),    \
				  reading, result_of(ctx));                                     \
	}

static __always_inline struct iov_iter *iter_of(void *ctx)
{
	struct msghdr *message = (void *)argument(ctx, 1);

	return (void *)__builtin_preserve_access_index(&message->msg_iter);
}

static __always_inline struct file *file_of_socket(void *ctx)
{
	struct socket *socket = (void *)argument(ctx, 0);

	return BPF_CORE_READ(socket, file);
}

static __always_inline struct file *file_of_sock(void *ctx)
{
	struct sock *sk = (void *)argument(ctx, 0);

	return BPF_CORE_READ(sk, sk_socket, file);
}

/* Bytes that stay where they are, or are none of the stream's. Before 5.19 `nonblock` stands before `flags`. */
static __always_inline int looks_only(void *ctx)
{
	return argument(ctx, bpf_get_func_arg_cnt(ctx) == 6 ? 4 : 3) & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE);
}

/* int f(struct socket * or struct sock *, struct msghdr *, size_t [, …, int flags]) */
#define SOCKET_CALLS(name, file_in)                                                             \
	SEC("fentry") int name##_send_entry(void *ctx)                                          \
	{                                                                                       \
		return call_enters(iter_of(ctx));                                               \
	}                                                                                       \
	SEC("fexit") int name##_send_exit(void *ctx)                                            \
	{                                                                                       \
		return call_exits(file_in(ctx), iter_of(ctx), 0, (s32)result_of(ctx));          \
	}                                                                                       \
	SEC("fentry") int name##_receive_entry(void *ctx)                                       \
	{                                                                                       \
		return call_enters(iter_of(ctx));                                               \
	}                                                                                       \
	SEC("fexit") int name##_receive_exit(void *ctx)                                         \
	{                                                                                       \
		if (looks_only(ctx))                                                            \
			return 0;                                                               \
		return call_exits(file_in(ctx), iter_of(ctx), 1, (s32)result_of(ctx));          \
	}

FILE_CALL(pipe_read, 1)
FILE_CALL(pipe_write, 0)
SOCKET_CALLS(unix, file_of_socket)
SOCKET_CALLS(seqpacket, file_of_socket)
SOCKET_CALLS(tcp, file_of_sock)
SOCKET_CALLS(mptcp, file_of_sock)
