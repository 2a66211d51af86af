/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Source of bytes: the exit of the calls that move them.
 *
 * At sys_exit the saved registers still hold the arguments and the result is
 * known, so one program serves the whole family and nothing is copied for a
 * call that moved nothing. Every other call on the machine pays for the table
 * look-up at the top.
 */
#include "moved.h"
#include "news.h"
#include "waiting.h"

enum call {
	CALL_OTHER,
	CALL_READ,
	CALL_WRITE,
	CALL_READV,
	CALL_WRITEV,
	CALL_SENDTO,
	CALL_RECVFROM,
	CALL_SENDMSG,
	CALL_RECVMSG,
	CALL_SENDMMSG,
	CALL_RECVMMSG,
	CALL_SPLICE,
	CALL_TEE,
	CALL_VMSPLICE,
	CALL_SENDFILE,
	CALL_PIPE,
	CALL_SOCKETPAIR,
	CALL_ACCEPT,
	CALL_CONNECT,
	CALL_OPEN,
	CALL_MMAP,
};

#define CALL_TABLE 512

static const u8 calls[CALL_TABLE] = {
	[NR_read] = CALL_READ,
	[NR_write] = CALL_WRITE,
	[NR_readv] = CALL_READV,
	[NR_preadv2] = CALL_READV,
	[NR_writev] = CALL_WRITEV,
	[NR_pwritev2] = CALL_WRITEV,
	[NR_sendto] = CALL_SENDTO,
	[NR_recvfrom] = CALL_RECVFROM,
	[NR_sendmsg] = CALL_SENDMSG,
	[NR_recvmsg] = CALL_RECVMSG,
	[NR_sendmmsg] = CALL_SENDMMSG,
	[NR_recvmmsg] = CALL_RECVMMSG,
	[NR_splice] = CALL_SPLICE,
	[NR_tee] = CALL_TEE,
	[NR_vmsplice] = CALL_VMSPLICE,
	[NR_sendfile] = CALL_SENDFILE,
	[NR_pipe2] = CALL_PIPE,
	[NR_socketpair] = CALL_SOCKETPAIR,
	[NR_accept] = CALL_ACCEPT,
	[NR_accept4] = CALL_ACCEPT,
	[NR_connect] = CALL_CONNECT,
	[NR_openat] = CALL_OPEN,
	[NR_openat2] = CALL_OPEN,
	[NR_mmap] = CALL_MMAP,
#if defined(__TARGET_ARCH_x86)
	[NR_pipe] = CALL_PIPE,
	[NR_open] = CALL_OPEN,
#endif
};

static __always_inline int reads(u32 call)
{
	return call == CALL_READ || call == CALL_READV || call == CALL_RECVFROM || call == CALL_RECVMSG;
}

static __always_inline int buffer_moved(s32 fd, int reading, u64 length, u64 buffer)
{
	struct memory memory = { .base = buffer };

	return moved(fd, reading, length, &memory);
}

static __always_inline int segments_moved(s32 fd, int reading, u64 length, u64 iov, u64 segments)
{
	struct memory memory = { .iov = iov, .segments = segments };

	return moved(fd, reading, length, &memory);
}

/* `message`: a struct user_msghdr of the program's. */
static __always_inline int message_moved(s32 fd, int reading, u64 length, u64 message, u32 batch)
{
	struct memory memory = { .batch = batch };

	bpf_probe_read_user(&memory.iov, 16, (void *)(message + __builtin_offsetof(struct user_msghdr, msg_iov)));
	return memory.segments ? moved(fd, reading, length, &memory) : 0;
}

/* sendmmsg and recvmmsg: the kernel wrote each message's length back. */
struct batch {
	u64 messages;
	s32 fd;
	u32 count;
	int reading;
};

static long batch_step(u32 index, struct batch *batch)
{
	u64 message = batch->messages + index * sizeof(struct mmsghdr);
	u32 length = 0;

	if (index >= batch->count)
		return 1;
	bpf_probe_read_user(&length, sizeof(length), (void *)(message + __builtin_offsetof(struct mmsghdr, msg_len)));
	if (length)
		message_moved(batch->fd, batch->reading, length, message, 1);
	return 0;
}

static __noinline int pair_born(u64 fds)
{
	s32 pair[2] = { -1, -1 };

	bpf_probe_read_user(pair, sizeof(pair), (void *)fds);
	born(file_of(pair[0]), pair[0]);
	born(file_of(pair[1]), pair[1]);
	return 0;
}

static __noinline int unseen_pair(s32 in, s32 out, u64 length)
{
	if (in >= 0)
		moved_unseen(file_of(in), in, 1, length, LOSS_SPLICE);
	if (out >= 0)
		moved_unseen(file_of(out), out, 0, length, LOSS_SPLICE);
	return 0;
}

/* A 32-bit program: other numbers, other structures. How many bytes it moved is all we take from it. */
static __noinline int compat_call(u64 number, s32 fd, long result)
{
	int writes = number == COMPAT_write || number == COMPAT_writev;

	if (!writes && number != COMPAT_read && number != COMPAT_readv)
		return 0;
	if (result <= 0 || !in_scope(bpf_get_current_pid_tgid() >> 32))
		return 0;
	return moved_unseen(file_of(fd), fd, !writes, result, LOSS_COMPAT);
}

/* Bytes that stay where they are, or are none of the stream's. */
static __always_inline int call_looks_only(u32 call, struct pt_regs *regs)
{
	u64 flags = 0;

	if (call == CALL_RECVFROM || call == CALL_RECVMMSG)
		flags = CALL_ARG3(regs);
	else if (call == CALL_RECVMSG)
		flags = CALL_ARG2(regs);
	return flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE);
}

/* Have these segments room for anything? Of many, one has. */
static __noinline int have_room(u64 segments, u64 count)
{
	if (count > 8)
		return 1;
	for (u32 i = 0; i < 8; i++) {
		struct iovec segment = {};

		if (i >= count)
			break;
		bpf_probe_read_user(&segment, sizeof(segment), (void *)(segments + i * sizeof(segment)));
		if (segment.iov_len)
			return 1;
	}
	return 0;
}

/* Could a call that reads have taken anything? */
static __always_inline int has_room(u32 call, struct pt_regs *regs)
{
	u64 memory = CALL_ARG1(regs), count = CALL_ARG2(regs);

	if (call == CALL_RECVMSG) {
		struct user_msghdr message = {};

		bpf_probe_read_user(&message, sizeof(message), (void *)memory);
		return have_room((u64)message.msg_iov, message.msg_iovlen);
	}
	return call == CALL_READV ? have_room(memory, count) : !!count;
}

static __always_inline int call_returns(struct pt_regs *regs, long result)
{
	u64 number = CALL_NR(regs);
	u32 call;
	s32 fd;

	if (only_waiting && !waited())
		return 0;
	if (CALL_COMPAT(regs))
		return compat_call(number, COMPAT_ARG0(regs), result);
	if (number >= CALL_TABLE)
		return 0;
	call = calls[number];
	if (call == CALL_OTHER)
		return 0;
	/* A connection that is on its way has its addresses already. */
	if (result < 0 && !(call == CALL_CONNECT && result == -EINPROGRESS))
		return 0;
	fd = CALL_ARG0(regs);
	if (!in_scope(bpf_get_current_pid_tgid() >> 32)) {
		if (call == CALL_ACCEPT || call == CALL_CONNECT)
			stranger_connected(file_of(call == CALL_ACCEPT ? result : fd));
		return 0;
	}

	switch (call) {
	case CALL_PIPE:
		return pair_born(CALL_ARG0(regs));
	case CALL_SOCKETPAIR:
		return pair_born(CALL_ARG3(regs));
	case CALL_ACCEPT:
	case CALL_OPEN:
		return born(file_of(result), result);
	case CALL_CONNECT:
		return born(file_of(fd), fd);
	case CALL_MMAP:
		return mapped(CALL_ARG4(regs), CALL_ARG2(regs), CALL_ARG3(regs));
	}
	if (call_looks_only(call, regs))
		return 0;
	if (!result) {
		/* Nothing comes of a call that has room for nothing, either. */
		if (reads(call) && has_room(call, regs))
			ended(file_of(fd), fd);
		return 0;
	}
	switch (call) {
	case CALL_RECVFROM:
	case CALL_READ:
	case CALL_WRITE:
	case CALL_SENDTO:
		return buffer_moved(fd, reads(call), result, CALL_ARG1(regs));
	case CALL_READV:
	case CALL_WRITEV:
		return segments_moved(fd, reads(call), result, CALL_ARG1(regs), CALL_ARG2(regs));
	case CALL_RECVMSG:
	case CALL_SENDMSG:
		return message_moved(fd, reads(call), result, CALL_ARG1(regs), 0);
	case CALL_RECVMMSG:
	case CALL_SENDMMSG: {
		struct batch batch = {
			.messages = CALL_ARG1(regs),
			.fd = fd,
			.count = result,
			.reading = call == CALL_RECVMMSG,
		};

		bpf_loop(1024, batch_step, &batch, 0);
		return 0;
	}
	case CALL_SPLICE:
		return unseen_pair(fd, CALL_ARG2(regs), result);
	case CALL_TEE:
		return unseen_pair(-1, CALL_ARG1(regs), result);
	case CALL_SENDFILE:
		return unseen_pair(-1, fd, result);
	case CALL_VMSPLICE:
		/* Both ends take this call. */
		if (BPF_CORE_READ(file_of(fd), f_mode) & FMODE_WRITE)
			return unseen_pair(-1, fd, result);
		return unseen_pair(fd, -1, result);
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int sys_exit(u64 *ctx)
{
	return call_returns((void *)ctx[0], ctx[1]);
}

/* include/trace/events/syscalls.h, behind the fields that all events have */
struct sys_exit_event {
	u64 common;
	s64 id;
	s64 ret;
};

/*
 * The same where the kernel may put off a program in its middle (seen with 7.3): meanwhile it leaves the program out for
 * whoever else has that processor. It still does not put off what perf runs at a tracepoint, which costs more.
 */
SEC("tp/raw_syscalls/sys_exit")
int sys_exit_of_perf(struct sys_exit_event *event)
{
	return call_returns((void *)bpf_task_pt_regs(bpf_get_current_task_btf()), event->ret);
}
