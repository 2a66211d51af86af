/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clear text, from user memory into the ring.
 *
 * The programs may sleep, where the kernel lets them: pages that are not in memory are fetched. That
 * is done before there is a record, never while one is held: the monitor waits for the oldest record,
 * and a page may take as long as the program that is watched likes (userfaultfd(2)).
 */
#pragma once

#include "losses.h"
#include "tls.h"

/* Set by the sensor before loading: these programs are sleepable. */
const volatile u32 tls_may_sleep SEC(".rodata.tls") = 0;

static long fetch_page(u32 index, u64 *base)
{
	u64 at = index ? (*base & ~4095ULL) + index * 4096ULL : *base;
	u8 byte;

	bpf_copy_from_user(&byte, 1, (void *)at);
	return 0;
}

/* Has the pages of these bytes brought into memory, as reading them would. */
static __noinline int fetch(u64 base, u32 length)
{
	if (length > PAYLOAD_CHUNK)
		return 0;
	bpf_loop(((base & 4095) + length + 4095) / 4096, fetch_page, &base, 0);
	return 0;
}

enum { PUT = 0, PUT_NO_ROOM = 1, PUT_NOT_IN_MEMORY = 2 };

static __always_inline void fill_clear_text(struct record_data *record, struct tls_transfer *transfer, u32 length)
{
	record->head.type = RECORD_DATA;
	record->head.flags = transfer->flags;
	record->head.tgid = transfer->tgid;
	record->head.time = transfer->time;
	record->head.stream = transfer->id;
	record->offset = transfer->offset;
	record->length = length;
	record->fd = -1;
}

/* A record with room for SIZE bytes: how large it is has to be a constant. Nothing in between may sleep. */
#define PUT_FUNCTION(SIZE)                                                                      \
	struct record_##SIZE {                                                                  \
		struct record_data record;                                                      \
		u8 payload[SIZE];                                                               \
	};                                                                                      \
	__noinline int put_##SIZE(struct tls_transfer *transfer, u32 length)                    \
	{                                                                                       \
		struct record_##SIZE *slot;                                                     \
												\
		if (!transfer || length > SIZE)                                                 \
			return PUT_NOT_IN_MEMORY;                                               \
		slot = bpf_ringbuf_reserve(&data, sizeof(*slot), 0);                            \
		if (!slot)                                                                      \
			return PUT_NO_ROOM;                                                     \
		fill_clear_text(&slot->record, transfer, length);                               \
		if (bpf_probe_read_user(slot->payload, length, (void *)transfer->base)) {       \
			bpf_ringbuf_discard(slot, BPF_RB_NO_WAKEUP);                            \
			return PUT_NOT_IN_MEMORY;                                               \
		}                                                                               \
		bpf_ringbuf_submit(slot, wake_flags());                                         \
		return PUT;                                                                     \
	}

PUT_FUNCTION(128)
PUT_FUNCTION(256)
PUT_FUNCTION(512)
PUT_FUNCTION(1024)
PUT_FUNCTION(2048)
PUT_FUNCTION(4096)
PUT_FUNCTION(8192)
PUT_FUNCTION(16384)
PUT_FUNCTION(32768)
PUT_FUNCTION(65536)

static __always_inline int put(struct tls_transfer *transfer, u32 length)
{
	if (length <= 1024) {
		if (length <= 128)
			return put_128(transfer, length);
		if (length <= 256)
			return put_256(transfer, length);
		if (length <= 512)
			return put_512(transfer, length);
		return put_1024(transfer, length);
	}
	if (length <= 2048)
		return put_2048(transfer, length);
	if (length <= 4096)
		return put_4096(transfer, length);
	if (length <= 8192)
		return put_8192(transfer, length);
	if (length <= 16384)
		return put_16384(transfer, length);
	if (length <= 32768)
		return put_32768(transfer, length);
	return put_65536(transfer, length);
}

__noinline int lose_clear_text(struct tls_transfer *transfer, u64 length, u32 cause)
{
	struct hole hole = {};
	struct stream *stream;
	struct stream_key key;

	if (!transfer)
		return 0;
	key = transfer->key;
	stream = bpf_map_lookup_elem(&streams, &key);
	if (!stream)
		return 0;
	hole.offset = transfer->offset;
	hole.bytes = length;
	hole.cause = cause;
	return note_loss(stream, &hole);
}

/* Hands over what is left, as much as one record holds. */
__noinline int put_piece(struct tls_transfer *transfer)
{
	u32 length;
	int result;

	if (!transfer)
		return 0;
	length = transfer->left < PAYLOAD_CHUNK ? transfer->left : PAYLOAD_CHUNK;
	if (tls_may_sleep)
		fetch(transfer->base, length);
	result = put(transfer, length);
	if (result == PUT_NOT_IN_MEMORY && tls_may_sleep) {
		/* A page went in between. */
		fetch(transfer->base, length);
		result = put(transfer, length);
	}
	if (result == PUT)
		transfer->delivered = 1;
	else
		lose_clear_text(transfer, length, result == PUT_NO_ROOM ? LOSS_RING_FULL : LOSS_UNREADABLE);
	transfer->offset += length;
	transfer->base += length;
	transfer->left -= length;
	return 0;
}

static long piece_step(u32 index, u64 *thread_id)
{
	struct tls_thread *thread = bpf_map_lookup_elem(&tls_threads, thread_id);

	if (!thread || !thread->transfer.left)
		return 1;
	put_piece(&thread->transfer);
	return 0;
}
