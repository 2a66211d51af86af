/* SPDX-License-Identifier: GPL-2.0-only */
/* Configuration, maps, scope and accounting: what every program shares. */
#pragma once

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "record.h"

/* Set by the sensor before loading. */
const volatile u32 whole_machine SEC(".rodata.config") = 0;

/* Set by the sensor before loading: the kernel has bpf_rdonly_cast() (6.2). */
const volatile u32 casts_pointers SEC(".rodata.casts") = 0;

extern void *bpf_rdonly_cast(const void *object, u32 btf_id) __ksym __weak;

/*
 * BPF_CORE_READ, for the calls that are made all the time. With the pointer's type known to the verifier
 * each step is a load; without, a call that costs tens of nanoseconds where returns are guarded.
 */
#define READ_KERNEL(pointer, ...)                                                                       \
	(casts_pointers ? ___arrow(((typeof(pointer))bpf_rdonly_cast(pointer,                           \
					bpf_core_type_id_kernel(typeof(*(pointer))))), __VA_ARGS__)    \
			: BPF_CORE_READ(pointer, __VA_ARGS__))

enum scope_flags {
	SCOPE_WATCHED = 1,
	SCOPE_SPAWNER = 2, /* not watched itself; what it forks is */
	SCOPE_IGNORED = 4, /* never watched: mcpspy's own processes */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u32); /* tgid */
	__type(value, u32);
} scope SEC(".maps");

/* A stream is known by what carries it: (inode, device) or the address of the writing socket. */
struct stream_key {
	u64 object;
	u64 space;
};

struct stream {
	u64 id;
	u64 owner;     /* changes when the key is used again for another object */
	u64 written;   /* bytes that went in by calls in scope */
	u64 read;      /* bytes that came out by calls in scope */
	u64 committed; /* of those written, how many have been handed over */
	u64 owned;     /* up to here somebody answers for each byte: hands it over or counts it lost */
	u64 awaited;   /* the reader waits until this much is committed */
	u64 blind_end; /* up to here only a reader's call can supply them */
	u64 blind_read_end; /* up to here a reader's call took them out unseen */
	u64 lost_bytes; /* lost, and not even that could be told */
	u32 lost_lines, lost_cause;
	u64 held_offset, held_bytes; /* a hole that waits to be told */
	u32 held_lines, held_flags, held_cause;
	u32 held_busy; /* one end is at it */
	u64 delivered; /* up to here bytes are in the ring, beside holes */
	u32 joined, writer_seen;
	u32 writer, reader; /* tgid seen last at each end */
	u32 kind;
	u32 first_seq; /* TCP: sequence number of the byte at position 0 */
	u32 writer_placed, reader_placed; /* TCP: this end's count stands where the sequence numbers say */
	u32 replaced; /* one end is putting another stream in its place */
	u32 shared;   /* several processes have written: see FLAG_SHARED */
	u64 lost_by_reader; /* up to here its calls have lost bytes */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct stream_key);
	__type(value, struct stream);
} streams SEC(".maps");

/*
 * User space's word on a stream: slot id % size holds the low half of the id
 * of a stream whose payload is not wanted, and for how long. Mapped by the monitor.
 */
enum verdict_term {
	TERM_ALWAYS = 0,
	TERM_HTTP1_HEAD = 1,  /* until a call begins with the head of an HTTP/1 message */
};
struct verdict {
	u32 id, term;
};
#define VERDICT_SLOTS 65536
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, VERDICT_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct verdict);
} verdicts SEC(".maps");

/* Set by the monitor when it goes to sleep; the next record wakes it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, u32);
} asleep SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} data SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 << 20);
} control SEC(".maps");

/* What is missing, so that neither payload nor processes can push it out. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} gaps SEC(".maps");

/* Per cause: bytes, records, newlines lost; then the calls that were blind. */
struct loss {
	u64 bytes, records, lines;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_CAUSES);
	__type(key, u32);
	__type(value, struct loss);
} losses SEC(".maps");

u64 last_stream_id = 0;

/* Is this thread group watched? */
static __always_inline int in_scope(u32 tgid)
{
	u32 *flags = bpf_map_lookup_elem(&scope, &tgid);

	if (flags)
		return *flags & SCOPE_WATCHED;
	return whole_machine;
}

static __always_inline void count_loss(u32 cause, u64 bytes, u32 lines)
{
	struct loss *loss = bpf_map_lookup_elem(&losses, &cause);

	if (!loss)
		return;
	/* Atomic: a program behind a uprobe may be put off, or moved to another processor, at any instruction. */
	__sync_fetch_and_add(&loss->bytes, bytes);
	__sync_fetch_and_add(&loss->records, 1);
	__sync_fetch_and_add(&loss->lines, lines);
}

/*
 * Wake the monitor only when it sleeps: while it is awake it polls the ring,
 * and the watched process does not pay for an interrupt per record.
 */
static __always_inline u64 wake_flags(void)
{
	u32 zero = 0;
	u32 *sleeping = bpf_map_lookup_elem(&asleep, &zero);

	if (sleeping && *sleeping) {
		*sleeping = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	return BPF_RB_NO_WAKEUP;
}

/*
 * Room for a record of the control ring. When that is full it lies among the payload, which it describes: who reads
 * both does so in the order of their times. NULL when there is none either.
 */
static __always_inline void *reserve_control(const u64 size)
{
	void *record = bpf_ringbuf_reserve(&control, size, 0);

	return record ? record : bpf_ringbuf_reserve(&data, size, 0);
}

/* The same for a record that is made elsewhere; 0 when there was room. */
static __always_inline long output_control(void *record, u64 size)
{
	if (!bpf_ringbuf_output(&control, record, size, wake_flags()))
		return 0;
	return bpf_ringbuf_output(&data, record, size, wake_flags());
}

static __always_inline void fill_head(struct record_head *head, u16 type, u16 flags, u32 tgid, u64 stream)
{
	head->type = type;
	head->flags = flags;
	head->tgid = tgid;
	head->time = bpf_ktime_get_ns();
	head->stream = stream;
}
