/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Source of bytes: the clear text that programs give to a TLS library and get from it.
 *
 * Two programs serve all functions; the cookie of a probe says what its function does. At its entry
 * a call is noted for the thread, at its return the library has said how many bytes really moved,
 * and they are copied then, from the caller's own buffer.
 */
#include "tls-calls.h"
#include "tls-objects.h"
#include "tls-payload.h"

/* Set by the sensor when the capture ends: taking the probes out takes longer. */
u32 tls_stopped SEC(".data.tls") = 0;

#if defined(__TARGET_ARCH_x86)
#define FUNC_ARG0(regs) ((regs)->di)
#define FUNC_ARG1(regs) ((regs)->si)
#define FUNC_ARG2(regs) ((regs)->dx)
#define FUNC_ARG3(regs) ((regs)->cx)
#define FUNC_ARG4(regs) ((regs)->r8)
#define FUNC_RESULT(regs) ((regs)->ax)
#define RETURN_SLOT 8 /* ret has taken the return address off the stack */
#elif defined(__TARGET_ARCH_arm64)
#define FUNC_ARG0(regs) ((regs)->regs[0])
#define FUNC_ARG1(regs) ((regs)->regs[1])
#define FUNC_ARG2(regs) ((regs)->regs[2])
#define FUNC_ARG3(regs) ((regs)->regs[3])
#define FUNC_ARG4(regs) ((regs)->regs[4])
#define FUNC_RESULT(regs) ((regs)->regs[0])
#define RETURN_SLOT 0
#endif

/* Hands over more than one record holds. The loop's state is in the map, where the verifier does not follow it. */
static __noinline int put_pieces(struct tls_transfer *transfer)
{
	u64 thread_id = bpf_get_current_pid_tgid();
	struct tls_thread *thread = bpf_map_lookup_elem(&tls_threads, &thread_id);

	if (!transfer)
		return 0;
	if (thread) {
		thread->transfer = *transfer;
		bpf_loop(1 << 20, piece_step, &thread_id, 0);
		/* Looked up again: of those used least recently, it may be gone. */
		thread = bpf_map_lookup_elem(&tls_threads, &thread_id);
		if (thread && thread->transfer.id == transfer->id)
			*transfer = thread->transfer;
	}
	return transfer->left ? lose_clear_text(transfer, transfer->left, LOSS_MAP_FULL) : 0;
}

/* `length` bytes of clear text have moved in this call. */
static __noinline int clear_text_moved(struct tls_call *call, u64 length)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct tls_transfer transfer = {};
	struct stream *stream;
	struct stream_key key;
	u32 *seen;
	int reading;
	u64 from;

	if (!call)
		return 0;
	reading = TLS_ACTION(call->cookie) == TLS_READS;
	tls_key(call->object, tgid, reading, &key);
	stream = bpf_map_lookup_elem(&streams, &key);
	if (!stream) {
		begin_both(call, tgid);
		stream = bpf_map_lookup_elem(&streams, &key);
	}
	if (!stream) {
		count_loss(LOSS_MAP_FULL, length, 0);
		return 0;
	}
	seen = reading ? &stream->reader : &stream->writer;
	if (*seen != tgid && tell_endpoint(stream->id, tgid, -1, reading))
		*seen = tgid;
	from = __sync_fetch_and_add(&stream->written, length);
	transfer.key = key;
	transfer.id = stream->id;
	transfer.time = bpf_ktime_get_ns();
	transfer.offset = from;
	transfer.base = call->buffer;
	transfer.left = length;
	transfer.tgid = tgid;
	transfer.flags = reading ? FLAG_READ : 0;
	if (verdict_on(stream->id)) {
		if (tls_may_sleep)
			fetch(call->buffer, 8);
		if (!term_is_over(transfer.id, call->buffer))
			return 0;
		transfer.flags |= FLAG_RESUMED;
	}
	if (TLS_RESULT(call->cookie) == TLS_RESULT_UNSEEN)
		return lose_clear_text(&transfer, length, LOSS_SPLICE);
	/* GnuTLS goes on with bytes it was given before, and does not say where they were. */
	if (!call->buffer)
		return lose_clear_text(&transfer, length, LOSS_UNREADABLE);
	if (length <= PAYLOAD_CHUNK)
		put_piece(&transfer);
	else
		put_pieces(&transfer);
	/* Looked up again: while we slept, the place in the map may have become another stream's. */
	stream = bpf_map_lookup_elem(&streams, &key);
	if (transfer.delivered && stream && stream->id == transfer.id) {
		stream->delivered = from + length;
		if (stream->held_bytes || stream->lost_bytes)
			tell_losses(stream);
	}
	return 0;
}

/* How many bytes a call has moved; 0 or less: none. */
static __always_inline s64 moved_by(struct tls_call *call, u64 result)
{
	u64 length = 0;

	switch (TLS_RESULT(call->cookie)) {
	case TLS_RESULT_INT:
		return (s32)result;
	case TLS_RESULT_LONG:
	case TLS_RESULT_UNSEEN:
		return (s64)result;
	}
	if ((s32)result <= 0 || !call->moved_at)
		return 0;
	if (tls_may_sleep)
		bpf_copy_from_user(&length, sizeof(length), (void *)call->moved_at);
	else
		bpf_probe_read_user(&length, sizeof(length), (void *)call->moved_at);
	return length;
}

/* The program itself says which socket the connection uses. */
static __noinline int socket_given(u64 object, u32 tgid, s32 fd)
{
	struct tls_object *state = object_of(object, tgid, 0);
	struct addresses addresses = {};
	struct file *file = file_of(fd);
	struct socket *socket;
	struct inode *inode;
	struct sock *sk;
	u16 family;

	if (!state || !file)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if ((family != AF_INET && family != AF_INET6) || !is_tcp(sk))
		return 0;
	addresses_of(sk, 0, &addresses);
	/* Not connected yet: a later call will tell. */
	if (!addresses.destination_port)
		return 0;
	return tie(state, tgid, &addresses, 0, 0);
}

/* The library hands over bytes on their way to the socket: whose, if they begin a record? */
static __noinline int ciphertext_written(u64 thread_id, u64 sp, u64 buffer, u64 length)
{
	struct tls_thread *thread = bpf_map_lookup_elem(&tls_threads, &thread_id);
	u64 prefix[TLS_PREFIX / 8], hash, object;
	struct tls_object *state;
	struct tls_call *call;
	struct tls_key key;

	if (!thread || (s32)length < TLS_PREFIX)
		return 0;
	call = innermost(thread, sp);
	if (!call)
		return 0;
	key.object = object = call->object;
	key.tgid = thread_id >> 32;
	state = bpf_map_lookup_elem(&tls_objects, &key);
	if (!state || state->tie != TLS_UNTIED)
		return 0;
	if (bpf_probe_read_user(prefix, sizeof(prefix), (void *)buffer) || !begins_record((u8 *)prefix))
		return 0;
	hash = record_hash(key.tgid, prefix);
	bpf_map_update_elem(&tls_records, &hash, &object, BPF_ANY);
	tls_records_noted = 1;
	return 0;
}

SEC("uprobe")
int tls_entry(struct pt_regs___user *regs)
{
	u64 cookie = bpf_get_attach_cookie(regs);
	u64 thread_id = bpf_get_current_pid_tgid();
	u32 tgid = thread_id >> 32;
	struct tls_call call = {};
	u64 object = FUNC_ARG0(regs), arg1 = FUNC_ARG1(regs), arg3 = FUNC_ARG3(regs), arg4 = FUNC_ARG4(regs);

	/* Read each for itself: the verifier refuses to have the place chosen first. */
	asm volatile("" : "+r"(arg1), "+r"(arg3), "+r"(arg4));
	if (!in_scope(tgid) || tls_stopped)
		return 0;
	switch (TLS_ACTION(cookie)) {
	case TLS_FREES:
		return forget(object, tgid);
	case TLS_CLEARS:
		return begin_anew(object, tgid);
	case TLS_SETS_SOCKET:
		return socket_given(object, tgid, arg1);
	case TLS_CIPHERTEXT:
		return ciphertext_written(thread_id, regs->sp, arg1, FUNC_ARG2(regs));
	case TLS_SHAKES:
		/* No clear text can have moved before. */
		ask_for_tie(object_of(object, tgid, 1), tgid);
		break;
	case TLS_READS:
	case TLS_WRITES:
		ask_for_tie(object_of(object, tgid, 0), tgid);
		call.buffer = arg1;
		call.length = FUNC_ARG2(regs);
		break;
	case TLS_SHUTS:
		/* GnuTLS: which directions. */
		call.length = arg1;
		break;
	case TLS_FLUSHES:
		break;
	default:
		return 0;
	}
	call.sp = regs->sp;
	call.cookie = cookie;
	call.object = object;
	if (TLS_RESULT(cookie) == TLS_RESULT_AT_ARG3)
		call.moved_at = arg3;
	else if (TLS_RESULT(cookie) == TLS_RESULT_AT_ARG4)
		call.moved_at = arg4;
	return call_begins(&call);
}

#define GNUTLS_SHUT_RDWR 0

static __always_inline void shut(struct tls_call *call, u32 tgid, s32 result)
{
	if (result < 0)
		return;
	direction_ended(call->object, tgid, 0);
	/* SSL_shutdown(3ssl): 0: told the peer; 1: and heard from it. gnutls_bye(): 0 when done. */
	if (TLS_LIBRARY(call->cookie) == TLS_GNUTLS ? (u32)call->length == GNUTLS_SHUT_RDWR : result > 0)
		direction_ended(call->object, tgid, 1);
}

SEC("uprobe")
int tls_return(struct pt_regs___user *regs)
{
	u64 cookie = bpf_get_attach_cookie(regs);
	u64 thread_id = bpf_get_current_pid_tgid();
	u64 result = FUNC_RESULT(regs);
	u32 tgid = thread_id >> 32;
	struct tls_thread *thread;
	struct tls_call *noted, call;
	s64 length;

	if (!in_scope(tgid) || tls_stopped)
		return 0;
	if (TLS_ACTION(cookie) == TLS_BORN) {
		if (result) {
			forget(result, tgid);
			object_of(result, tgid, 1);
		}
		return 0;
	}
	thread = bpf_map_lookup_elem(&tls_threads, &thread_id);
	if (!thread)
		return 0;
	noted = call_ends(thread, regs->sp - RETURN_SLOT, cookie);
	if (!noted || noted->inner)
		return 0;
	/* What follows may sleep, and the place in the map become another thread's meanwhile. */
	call = *noted;
	switch (TLS_ACTION(cookie)) {
	case TLS_SHUTS:
		shut(&call, tgid, result);
		return 0;
	case TLS_READS:
	case TLS_WRITES:
		break;
	default:
		return 0;
	}
	length = moved_by(&call, result);
	if (length > 0)
		return clear_text_moved(&call, length);
	/* The peer's end of data, where the result tells it from an error. */
	if (!length && call.length && TLS_ACTION(cookie) == TLS_READS && TLS_RESULT(cookie) <= TLS_RESULT_LONG)
		direction_ended(call.object, tgid, 1);
	return 0;
}
