/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known of TLS connections: their objects in user memory (SSL, gnutls_session_t), the calls
 * that threads are in, and the socket that carries a connection. The uprobes are in tls.bpf.c; the
 * system calls look in here to say which socket they have seen.
 *
 * A connection is tied to a socket only by what proves it: the descriptor that the program itself
 * gave to the library, or a record of ciphertext that the library wrote and that then went into the
 * socket. Where the library's writing cannot be seen, by the socket's calls from within its own.
 */
#pragma once

#include "streams.h"

#define SPACE_TLS 5

/* What a probed function does. The cookie of a probe says all that the programs know of its function. */
enum tls_action {
	TLS_READS = 1,
	TLS_WRITES = 2,
	TLS_SHAKES = 3,	     /* handshake: moves no clear text, but uses the socket */
	TLS_SHUTS = 4,	     /* tells the peer that no more will come */
	TLS_FREES = 5,	     /* the object is no connection any more */
	TLS_BORN = 6,	     /* returns a new object */
	TLS_SETS_SOCKET = 7, /* the second argument is the descriptor that carries it */
	TLS_CIPHERTEXT = 8,  /* BIO_write */
	TLS_CLEARS = 9,	     /* the object is to be used for another connection, or for its first */
	TLS_FLUSHES = 10,    /* writes what earlier calls have been given */
};

/* Where a function says how many bytes it has moved. */
enum tls_result {
	TLS_RESULT_INT = 0,
	TLS_RESULT_LONG = 1,
	TLS_RESULT_AT_ARG3 = 2, /* result > 0: a size_t where argument 3 (from 0) points to */
	TLS_RESULT_AT_ARG4 = 3,
	TLS_RESULT_UNSEEN = 4, /* as long; the bytes are not in memory */
};

/* The cookie. src/sensor/tls-functions.ts makes it. */
#define TLS_RANK(cookie) ((u32)(cookie) & 0xff)		   /* a function calls only those of lower rank */
#define TLS_ACTION(cookie) ((u32)((cookie) >> 8) & 0xff)   /* enum tls_action */
#define TLS_RESULT(cookie) ((u32)((cookie) >> 16) & 0xff)  /* enum tls_result */
#define TLS_LIBRARY(cookie) ((u32)((cookie) >> 24) & 0xff) /* enum tls_library */
#define TLS_NESTED_TIE(cookie) ((u32)((cookie) >> 32) & 1) /* its ciphertext is not seen, but its calls are */

/* A call that a thread is in. */
struct tls_call {
	u64 sp; /* the stack pointer at its first instruction: lower is deeper */
	u64 cookie;
	u64 object;
	u64 buffer, length;
	u64 moved_at; /* where the function writes how many bytes moved, or 0 */
	u32 inner;    /* called by another that moves the same bytes, which tells of them */
	u32 wrapped;  /* has called such a one */
};

/* What is left to be handed over of a call's bytes; in map memory, so that loops converge. */
struct tls_transfer {
	struct stream_key key;
	u64 id, time, offset, base, left;
	u32 tgid;
	u16 flags;
	u16 delivered;
};

#define TLS_DEPTH 4
struct tls_thread {
	struct tls_call calls[TLS_DEPTH];
	struct tls_transfer transfer;
	u32 depth;
	u32 reserved;
};

/* Least recently used: threads die without a word in the middle of a call. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64); /* pid_tgid */
	__type(value, struct tls_thread);
} tls_threads SEC(".maps");

struct tls_key {
	u64 object;
	u64 tgid;
};

enum tls_tie {
	TLS_UNTIED = 0,
	TLS_TIED = 1,
	TLS_AMBIGUOUS = 2, /* two sockets were seen: never again */
};

struct tls_object {
	u64 ids[2];		    /* its streams, that of writing first; 0: not begun */
	u64 carriers[2];	    /* the TCP streams, or 0 */
	struct addresses addresses; /* of what this process writes */
	u32 tie;
	u32 born;     /* it was seen before it could move a byte */
	u64 asked_at; /* when the sensor was told last that its socket is not known; 0: never told of it */
	u64 asked;    /* how often */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct tls_key);
	__type(value, struct tls_object);
} tls_objects SEC(".maps");

/* Beginnings of records of ciphertext on their way to a socket, by hash: written by which object? */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u64);
} tls_records SEC(".maps");

/* Has any of them ever been noted? Else no socket needs to look. */
u32 tls_records_noted = 0;

static __always_inline void swap_ends(struct addresses *of, struct addresses *out)
{
	__builtin_memcpy(out->source, of->destination, 16);
	__builtin_memcpy(out->destination, of->source, 16);
	out->source_port = of->destination_port;
	out->destination_port = of->source_port;
	out->family = of->family;
}

static __noinline int tell_tie(struct tls_object *object, u32 tgid, u32 reading)
{
	struct record_tie *record;
	u64 id, carrier;

	if (!object)
		return 0;
	id = reading ? object->ids[1] : object->ids[0];
	carrier = reading ? object->carriers[1] : object->carriers[0];
	if (!id)
		return 0;
	record = reserve_control(sizeof(*record));
	if (!record)
		return 0;
	fill_head(&record->head, RECORD_TIE, reading ? FLAG_READ : 0, tgid, id);
	record->carrier = carrier;
	if (reading)
		swap_ends(&object->addresses, &record->addresses);
	else
		record->addresses = object->addresses;
	bpf_ringbuf_submit(record, wake_flags());
	return 0;
}

static __always_inline int same_ends(struct addresses *a, struct addresses *b)
{
	u64 *left = (u64 *)a, *right = (u64 *)b;

	return left[0] == right[0] && left[1] == right[1] && left[2] == right[2] && left[3] == right[3] &&
	       left[4] == right[4];
}

/* This socket carries it. `written`: addresses as of what this process writes. */
static __noinline int tie(struct tls_object *object, u32 tgid, struct addresses *written, u64 carrier, int reading)
{
	if (!object || !written || !written->family || object->tie == TLS_AMBIGUOUS)
		return 0;
	if (object->tie == TLS_TIED) {
		if (!same_ends(&object->addresses, written))
			object->tie = TLS_AMBIGUOUS;
		return 0;
	}
	object->addresses = *written;
	if (reading)
		object->carriers[1] = carrier;
	else
		object->carriers[0] = carrier;
	object->tie = TLS_TIED;
	tell_tie(object, tgid, 0);
	tell_tie(object, tgid, 1);
	return 0;
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs___user {
	unsigned long di, si, dx, cx, r8, ax, sp;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs___user {
	u64 regs[31];
	u64 sp;
};
#endif
#pragma clang attribute pop

/* The innermost call that this thread is in, if it is in one: a longjmp() may have left it behind. */
static __always_inline struct tls_call *innermost(struct tls_thread *thread, u64 sp)
{
	u32 depth = thread->depth;

	if (!depth || depth > TLS_DEPTH)
		return NULL;
	struct tls_call *call = &thread->calls[(depth - 1) & (TLS_DEPTH - 1)];
	return call->sp > sp ? call : NULL;
}

/*
 * A system call of this thread has moved bytes at a TCP socket. `addresses` and `stream_id`: of that
 * direction. Within a call of a library whose ciphertext cannot be seen, this is its socket.
 */
static __attribute__((unused)) __noinline int inside_tls(u64 pid_tgid, struct addresses *addresses, u64 stream_id, int reading)
{
	struct tls_thread *thread = bpf_map_lookup_elem(&tls_threads, &pid_tgid);
	struct pt_regs___user *regs;
	struct tls_object *object;
	struct addresses written;
	struct tls_call *call;
	struct tls_key key;

	if (!thread || !thread->depth || !addresses)
		return 0;
	regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	call = innermost(thread, BPF_CORE_READ(regs, sp));
	if (!call || !TLS_NESTED_TIE(call->cookie))
		return 0;
	key.object = call->object;
	key.tgid = pid_tgid >> 32;
	object = bpf_map_lookup_elem(&tls_objects, &key);
	if (!object)
		return 0;
	if (reading)
		swap_ends(addresses, &written);
	else
		written = *addresses;
	return tie(object, key.tgid, &written, stream_id, reading);
}

#define TLS_PREFIX 32 /* header, and 27 bytes of a random number or of ciphertext */

/* Does a record of TLS begin here? Any version up to 1.3 (RFC 8446, 5.1). */
static __always_inline int begins_record(u8 *start)
{
	return start[0] >= 0x14 && start[0] <= 0x17 && start[1] == 3 && start[2] <= 4;
}

/* The hash by which the beginning of a record is known in a process. */
static __always_inline u64 record_hash(u32 tgid, u64 *prefix)
{
	return mix(mix(mix(mix(mix(1, tgid), prefix[0]), prefix[1]), prefix[2]), prefix[3]);
}

/*
 * A process has written bytes into a TCP socket: are they the record of a connection whose socket is
 * not known? `addresses` and `stream_id`: of that direction.
 */
static __attribute__((unused)) __noinline int maybe_ciphertext(u32 tgid, u64 user_bytes, u64 length, struct addresses *addresses,
				       u64 stream_id)
{
	u64 prefix[TLS_PREFIX / 8], hash, *written_by;
	struct tls_object *object;
	struct tls_key key;

	if (!tls_records_noted || length < TLS_PREFIX || !addresses)
		return 0;
	if (bpf_probe_read_user(prefix, sizeof(prefix), (void *)user_bytes) || !begins_record((u8 *)prefix))
		return 0;
	hash = record_hash(tgid, prefix);
	written_by = bpf_map_lookup_elem(&tls_records, &hash);
	if (!written_by)
		return 0;
	key.object = *written_by;
	key.tgid = tgid;
	bpf_map_delete_elem(&tls_records, &hash);
	object = bpf_map_lookup_elem(&tls_objects, &key);
	return object ? tie(object, tgid, addresses, stream_id, 0) : 0;
}
