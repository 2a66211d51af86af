/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the back end of fentry.bpf.c needs beside the bytes: files that come into being, bytes that are moved from
 * file to file, code that is mapped, and standard error where it is no pipe and no socket.
 */
#include "iter.h"
#include "news.h"
#include "waiting.h"

/* ---- birth ------------------------------------------------------------------ */

static __always_inline int watched(void)
{
	return in_scope(bpf_get_current_pid_tgid() >> 32);
}

static __always_inline struct file *file_behind(struct socket *socket)
{
	return BPF_CORE_READ(socket, file);
}

/* int create_pipe_files(struct file **res, int flags): both ends are one stream. */
SEC("fexit")
int pipe_born(void *ctx)
{
	struct file *file = NULL;
	u64 files = 0, result = 0;

	bpf_get_func_ret(ctx, &result);
	if ((s32)result || !watched())
		return 0;
	bpf_get_func_arg(ctx, 0, &files);
	bpf_probe_read_kernel(&file, sizeof(file), (void *)files);
	return born(file, -1);
}

/* int fifo_open(struct inode *, struct file *) */
SEC("fexit")
int fifo_opened(void *ctx)
{
	u64 file = 0, result = 0;

	bpf_get_func_ret(ctx, &result);
	if ((s32)result || !watched())
		return 0;
	bpf_get_func_arg(ctx, 1, &file);
	return born((void *)file, -1);
}

/* struct file *do_accept(…): of the connection */
SEC("fexit")
int accepted(void *ctx)
{
	u64 file = 0;

	bpf_get_func_ret(ctx, &file);
	if (file >= (u64)-4095)
		return 0;
	return watched() ? born((void *)file, -1) : stranger_connected((void *)file);
}

/* int f(struct socket *, …): a connection that is on its way has its addresses already. */
static __always_inline int connected(void *ctx)
{
	u64 socket = 0, result = 0;

	bpf_get_func_ret(ctx, &result);
	if ((s32)result && (s32)result != -EINPROGRESS)
		return 0;
	bpf_get_func_arg(ctx, 0, &socket);
	return watched() ? born(file_behind((void *)socket), -1) : stranger_connected(file_behind((void *)socket));
}

SEC("fexit")
int unix_connected(void *ctx)
{
	return connected(ctx);
}

SEC("fexit")
int tcp_connected(void *ctx)
{
	return connected(ctx);
}

/* The system calls below have one argument, the registers with those of the program. */

SEC("fexit")
int socketpair_born(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	s32 pair[2] = { -1, -1 };

	if (ctx[1] || !watched())
		return 0;
	bpf_probe_read_user(pair, sizeof(pair), (void *)CALL_ARG3(regs));
	born(file_of(pair[0]), pair[0]);
	born(file_of(pair[1]), pair[1]);
	return 0;
}

/* ---- from file to file ------------------------------------------------------- */

static __always_inline int splice_begins(void)
{
	struct thread_call *call = watched() ? this_call(BPF_LOCAL_STORAGE_GET_F_CREATE) : NULL;

	if (call)
		call->splicing = 1;
	return 0;
}

static __always_inline void splice_is_over(void)
{
	struct thread_call *call = this_call(0);

	if (call)
		call->splicing = 0;
}

static __noinline int spliced(struct file *in, struct file *out, s64 length)
{
	splice_is_over();
	if (length <= 0 || !watched())
		return 0;
	if (in)
		moved_unseen(in, -1, 1, length, LOSS_SPLICE);
	if (out)
		moved_unseen(out, -1, 0, length, LOSS_SPLICE);
	return 0;
}

/* do_splice(struct file *in, loff_t *, struct file *out, …) */
SEC("fentry")
int splice_entry(void *ctx)
{
	return splice_begins();
}

SEC("fexit")
int splice_exit(void *ctx)
{
	u64 in = 0, out = 0, length = 0;

	bpf_get_func_arg(ctx, 0, &in);
	bpf_get_func_arg(ctx, 2, &out);
	bpf_get_func_ret(ctx, &length);
	return spliced((void *)in, (void *)out, length);
}

/* do_tee(struct file *in, struct file *out, …): nothing is taken out of `in`. */
SEC("fentry")
int tee_entry(void *ctx)
{
	return splice_begins();
}

SEC("fexit")
int tee_exit(void *ctx)
{
	u64 out = 0, length = 0;

	bpf_get_func_arg(ctx, 1, &out);
	bpf_get_func_ret(ctx, &length);
	return spliced(NULL, (void *)out, length);
}

SEC("fentry")
int sendfile_entry(u64 *ctx)
{
	return splice_begins();
}

SEC("fexit")
int sendfile_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];

	return spliced(NULL, file_of(CALL_ARG0(regs)), ctx[1]);
}

SEC("fentry")
int vmsplice_entry(u64 *ctx)
{
	return splice_begins();
}

/* Both ends of a pipe take this call. */
SEC("fexit")
int vmsplice_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	struct file *file = file_of(CALL_ARG0(regs));

	if (BPF_CORE_READ(file, f_mode) & FMODE_WRITE)
		return spliced(NULL, file, ctx[1]);
	return spliced(file, NULL, ctx[1]);
}

/* ---- code, and standard error ------------------------------------------------ */

SEC("fexit")
int mmap_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];

	if ((s64)ctx[1] < 0 || !watched())
		return 0;
	return mapped(CALL_ARG4(regs), CALL_ARG2(regs), CALL_ARG3(regs));
}

/* A terminal, a file or a device as standard error; pipes and sockets are seen by themselves. */
static __always_inline int error_written(struct pt_regs *regs, s64 length, struct memory *memory)
{
	struct file *file;
	u32 format;

	if (length <= 0 || !watched() || waits())
		return 0;
	file = file_of(2);
	format = BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;
	if (format == S_IFIFO || format == S_IFSOCK)
		return 0;
	return moved(2, 0, length, memory);
}

SEC("fexit")
int write_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	struct memory memory = {};

	if ((u32)CALL_ARG0(regs) != 2)
		return 0;
	memory.base = CALL_ARG1(regs);
	return error_written(regs, ctx[1], &memory);
}

SEC("fexit")
int writev_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	struct memory memory = {};

	if ((u32)CALL_ARG0(regs) != 2)
		return 0;
	memory.iov = CALL_ARG1(regs);
	memory.segments = CALL_ARG2(regs);
	return error_written(regs, ctx[1], &memory);
}
