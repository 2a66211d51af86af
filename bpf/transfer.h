/* SPDX-License-Identifier: GPL-2.0-only */
/* One call's bytes, from user memory into the ring. */
#pragma once

#include "losses.h"

/* Not inlined anywhere hot: something went wrong. */
__noinline int lose(struct scratch *scratch, u64 length, u32 cause)
{
	struct hole hole = {};
	struct stream *stream;
	struct stream_key key;

	if (!scratch)
		return 0;
	key = scratch->transfer.key;
	stream = bpf_map_lookup_elem(&streams, &key);
	if (!stream)
		return 0;
	hole.offset = scratch->transfer.offset;
	hole.bytes = length;
	hole.cause = cause;
	/* What the other end answers for is not lost, or is counted there. */
	if (scratch->transfer.owned > hole.offset) {
		u64 others = scratch->transfer.owned - hole.offset;

		if (others >= length)
			return 0;
		hole.offset += others;
		hole.bytes -= others;
	}
	if (scratch->transfer.flags & FLAG_READ)
		stream->lost_by_reader = hole.offset + hole.bytes;
	if (cause == LOSS_RING_FULL)
		count_lines(scratch, length, &hole);
	return note_loss(stream, &hole);
}

static __always_inline void fill_data(struct record_data *record, struct transfer *transfer, u32 length)
{
	record->head.type = RECORD_DATA;
	record->head.flags = transfer->flags | (transfer->left ? 0 : transfer->last_flags);
	record->head.tgid = transfer->tgid;
	record->head.time = transfer->time;
	record->head.stream = transfer->id;
	record->offset = transfer->offset;
	record->length = length;
	record->fd = transfer->fd;
}

/* Hands the gathered bytes to the ring. */
__noinline int flush(struct scratch *scratch)
{
	struct transfer *transfer;
	u32 length;

	if (!scratch)
		return 0;
	transfer = &scratch->transfer;
	length = transfer->filled;
	if (!length || length > PAYLOAD_CHUNK)
		return 0;
	fill_data(&scratch->record, transfer, length);
	if (transfer->failed)
		lose(scratch, length, LOSS_UNREADABLE);
	else if (bpf_ringbuf_output(&data, &scratch->record, sizeof(scratch->record) + length, wake_flags()))
		lose(scratch, length, LOSS_RING_FULL);
	else
		transfer->delivered = 1;
	transfer->offset += length;
	transfer->filled = 0;
	transfer->failed = 0;
	return 0;
}

struct chunk_record {
	struct record_data record;
	u8 payload[PAYLOAD_CHUNK];
};

/* A whole chunk goes from user memory into the ring without a copy in between. */
__noinline int send_chunk(struct scratch *scratch)
{
	struct chunk_record *chunk;
	struct transfer *transfer;
	u32 cause = LOSS_RING_FULL;

	if (!scratch)
		return 0;
	transfer = &scratch->transfer;
	chunk = bpf_ringbuf_reserve(&data, sizeof(*chunk), 0);
	if (chunk) {
		fill_data(&chunk->record, transfer, PAYLOAD_CHUNK);
		if (bpf_probe_read_user(chunk->payload, PAYLOAD_CHUNK, (void *)transfer->base)) {
			bpf_ringbuf_discard(chunk, BPF_RB_NO_WAKEUP);
			lose(scratch, PAYLOAD_CHUNK, LOSS_UNREADABLE);
		} else {
			bpf_ringbuf_submit(chunk, wake_flags());
			transfer->delivered = 1;
		}
	} else {
		if (bpf_probe_read_user(scratch->payload, PAYLOAD_CHUNK, (void *)transfer->base))
			cause = LOSS_UNREADABLE;
		lose(scratch, PAYLOAD_CHUNK, cause);
	}
	transfer->offset += PAYLOAD_CHUNK;
	return 0;
}

/* One step: fetch a segment, or move one piece of it. Ends with 1. */
static long transfer_step(u32 index, u32 *slot)
{
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, slot);
	struct transfer *transfer;
	u64 piece, room;
	u32 at, amount;

	if (!scratch)
		return 1;
	transfer = &scratch->transfer;
	if (!transfer->left)
		return 1;
	if (!transfer->length) {
		struct iovec segment = {};

		if (!transfer->segments)
			return 1;
		if (transfer->iov_in_kernel)
			bpf_probe_read_kernel(&segment, sizeof(segment), (void *)transfer->iov);
		else
			bpf_probe_read_user(&segment, sizeof(segment), (void *)transfer->iov);
		transfer->iov += sizeof(segment);
		transfer->segments--;
		transfer->base = segment.iov_base;
		transfer->length = segment.iov_len;
		return 0;
	}
	if (transfer->skip) {
		piece = transfer->skip < transfer->length ? transfer->skip : transfer->length;
		transfer->skip -= piece;
		transfer->base += piece;
		transfer->length -= piece;
		return 0;
	}
	piece = transfer->length < transfer->left ? transfer->length : transfer->left;
	if (!transfer->filled && piece >= PAYLOAD_CHUNK) {
		transfer->left -= PAYLOAD_CHUNK;
		send_chunk(scratch);
		transfer->base += PAYLOAD_CHUNK;
		transfer->length -= PAYLOAD_CHUNK;
		return 0;
	}
	at = transfer->filled & (PAYLOAD_CHUNK - 1);
	room = PAYLOAD_CHUNK - at;
	if (piece > room)
		piece = room;
	amount = piece;
	/* An empty asm keeps the compiler from undoing the bound the verifier needs. */
	asm volatile("" : "+r"(amount));
	if (amount > PAYLOAD_CHUNK)
		return 1;
	if (bpf_probe_read_user(scratch->payload + at, amount, (void *)transfer->base))
		transfer->failed = 1;
	transfer->filled = at + amount;
	transfer->left -= amount;
	transfer->base += amount;
	transfer->length -= amount;
	if (transfer->filled >= PAYLOAD_CHUNK || !transfer->left)
		flush(scratch);
	return 0;
}

static __always_inline int run_transfer(struct scratch *scratch)
{
	struct transfer *transfer;
	u32 amount, slot;

	if (!scratch)
		return 0;
	transfer = &scratch->transfer;
	/* One small buffer, all of it wanted: what nearly every call is. */
	if (!transfer->segments && !transfer->skip && transfer->left <= PAYLOAD_CHUNK) {
		amount = transfer->left;
		asm volatile("" : "+r"(amount));
		if (amount > PAYLOAD_CHUNK)
			return 0;
		if (bpf_probe_read_user(scratch->payload, amount, (void *)transfer->base))
			transfer->failed = 1;
		transfer->filled = amount;
		transfer->left = 0;
		return flush(scratch);
	}
	/* Each segment costs at most two steps beside its whole chunks. */
	slot = scratch->slot;
	bpf_loop(3 * 1024 + 65536, transfer_step, &slot, 0);
	if (transfer->left) {
		flush(scratch);
		lose(scratch, transfer->left, LOSS_UNREADABLE);
	}
	return 0;
}
