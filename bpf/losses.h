/* SPDX-License-Identifier: GPL-2.0-only */
/* What could not be handed over: told by its place, once, with the newlines in it. */
#pragma once

#include "scratch.h"

struct hole {
	u64 offset, bytes;
	u32 lines; /* newlines in it, with FLAG_LINES_KNOWN */
	u32 flags;
	u32 cause;
};

/*
 * A record that lacks its place and size, or NULL when there is no room. Made in the ring and not on
 * the stack, of which those who call have used most.
 */
static __always_inline struct record_gap *begin_gap(struct stream *stream, u16 flags, u32 cause)
{
	struct record_gap *gap = bpf_ringbuf_reserve(&gaps, sizeof(*gap), 0);

	if (!gap)
		return NULL;
	fill_head(&gap->head, RECORD_GAP, flags, bpf_get_current_pid_tgid() >> 32, stream->id);
	gap->cause = cause;
	return gap;
}

/* 0 when it found room. */
static __always_inline int tell_hole(struct stream *stream, struct hole *hole)
{
	struct record_gap *gap = begin_gap(stream, hole->flags | FLAG_PLACED, hole->cause);

	if (!gap)
		return -1;
	gap->offset = hole->offset;
	gap->bytes = hole->bytes;
	gap->lines = hole->lines;
	bpf_ringbuf_submit(gap, wake_flags());
	return 0;
}

/* 0 when it found room, or there was none to tell. The caller holds `held_busy`. */
static __always_inline int tell_held(struct stream *stream)
{
	struct record_gap *gap;

	if (!stream->held_bytes)
		return 0;
	gap = begin_gap(stream, stream->held_flags | FLAG_PLACED, stream->held_cause);
	if (!gap)
		return -1;
	gap->offset = stream->held_offset;
	gap->bytes = stream->held_bytes;
	gap->lines = stream->held_lines;
	bpf_ringbuf_submit(gap, wake_flags());
	stream->held_bytes = 0;
	return 0;
}

/* Keeps a hole to be told later, with those that adjoin it; 0 when it cannot. */
static __always_inline int hold(struct stream *stream, struct hole *hole)
{
	int adjoins, kept = 1;

	if (__sync_val_compare_and_swap(&stream->held_busy, 0, 1))
		return 0;
	adjoins = stream->held_bytes && stream->held_offset + stream->held_bytes == hole->offset &&
		  stream->held_cause == hole->cause &&
		  !((stream->held_flags ^ hole->flags) & ~FLAG_ENDS_LINE);
	if (adjoins) {
		stream->held_bytes += hole->bytes;
		stream->held_lines += hole->lines;
		stream->held_flags = hole->flags;
	} else if (tell_held(stream)) {
		kept = 0;
	} else {
		stream->held_offset = hole->offset;
		stream->held_bytes = hole->bytes;
		stream->held_lines = hole->lines;
		stream->held_flags = hole->flags;
		stream->held_cause = hole->cause;
	}
	__sync_lock_test_and_set(&stream->held_busy, 0);
	return kept;
}

/*
 * Tells a loss by its place: at once while there is much room for that, else later and
 * together with those that adjoin it. What cannot even be kept is added up.
 */
__noinline int note_loss(struct stream *stream, struct hole *hole)
{
	if (!stream || !hole)
		return 0;
	count_loss(hole->cause, hole->bytes, hole->lines);
	if (hold(stream, hole)) {
		/* The other end's bytes beyond it may be in the ring already, and wait for it. */
		if (stream->delivered > stream->held_offset ||
		    bpf_ringbuf_query(&gaps, BPF_RB_AVAIL_DATA) * 4 < bpf_ringbuf_query(&gaps, BPF_RB_RING_SIZE))
			tell_losses(stream);
		return 0;
	}
	if (!tell_hole(stream, hole))
		return 0;
	stream->lost_cause = hole->cause;
	__sync_fetch_and_add(&stream->lost_lines, hole->lines);
	__sync_fetch_and_add(&stream->lost_bytes, hole->bytes);
	return 0;
}

/* Tells what was kept and what has added up, as far as there is room. */
__noinline int tell_losses(struct stream *stream)
{
	struct record_gap *gap;

	if (!stream)
		return 0;
	/* While the other end is at it, it will see for itself that it has to be told. */
	if (stream->held_bytes && !__sync_val_compare_and_swap(&stream->held_busy, 0, 1)) {
		tell_held(stream);
		__sync_lock_test_and_set(&stream->held_busy, 0);
	}
	if (!stream->lost_bytes)
		return 0;
	gap = begin_gap(stream, FLAG_LINES_KNOWN, stream->lost_cause);
	if (!gap)
		return 0;
	gap->offset = 0;
	/* Taken at once: the other end may be adding to them. */
	gap->bytes = __sync_lock_test_and_set(&stream->lost_bytes, 0);
	gap->lines = __sync_lock_test_and_set(&stream->lost_lines, 0);
	bpf_ringbuf_submit(gap, wake_flags());
	return 0;
}

static __always_inline u32 newlines_in(u64 word)
{
	/* Exact zero-byte count of word ^ "\n\n\n\n\n\n\n\n". */
	u64 x = word ^ 0x0a0a0a0a0a0a0a0aULL;
	u64 low = 0x7f7f7f7f7f7f7f7fULL;
	u64 zeros = ~(((x & low) + low) | x | low);

	return ((zeros >> 7) * 0x0101010101010101ULL) >> 56;
}

static long count_lines_step(u32 index, u32 *slot)
{
	u32 at = index * 64;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, slot);

	if (!scratch || at > PAYLOAD_CHUNK - 64)
		return 1;
	u64 *words = (u64 *)(scratch->payload + at);
	u32 lines = 0;
#pragma unroll
	for (int i = 0; i < 8; i++)
		lines += newlines_in(words[i]);
	scratch->transfer.lines += lines;
	return 0;
}

static long discount_line_step(u32 index, u32 *slot)
{
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, slot);

	if (!scratch || index >= PAYLOAD_CHUNK)
		return 1;
	if (scratch->payload[index] == '\n')
		scratch->transfer.lines--;
	return 0;
}

/* Counts the newlines among the first `length` bytes of the payload, for the hole at their end. */
static __noinline int count_lines(struct scratch *scratch, u32 length, struct hole *hole)
{
	u32 slot;

	if (!scratch || !hole || !length || length > PAYLOAD_CHUNK)
		return 0;
	hole->flags = FLAG_LINES_KNOWN;
	if (scratch->payload[(length - 1) & (PAYLOAD_CHUNK - 1)] == '\n')
		hole->flags |= FLAG_ENDS_LINE;
	/* Clear what an earlier, longer use left behind in the last block of 64. */
	for (u32 i = 0; i < 64; i++)
		scratch->payload[(length + i) & (2 * PAYLOAD_CHUNK - 1)] = 0;
	scratch->transfer.lines = 0;
	slot = scratch->slot;
	bpf_loop((length + 63) / 64, count_lines_step, &slot, 0);
	/* The reader supplied the first of them: rare, so byte by byte. */
	if (hole->bytes < length)
		bpf_loop(length - hole->bytes, discount_line_step, &slot, 0);
	hole->lines = scratch->transfer.lines;
	return 0;
}
