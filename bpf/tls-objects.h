/* SPDX-License-Identifier: GPL-2.0-only */
/* TLS connections as streams: how they begin and end. */
#pragma once

#include "losses.h"
#include "news.h"
#include "tls.h"

static const struct tls_object new_object;

static __always_inline void tls_key(u64 object, u32 tgid, int reading, struct stream_key *key)
{
	key->object = object;
	key->space = (u64)tgid << 32 | (reading ? 1 << 8 : 0) | SPACE_TLS;
}

static __noinline struct tls_object *object_of(u64 object, u32 tgid, u32 born)
{
	struct tls_key key = { .object = object, .tgid = tgid };
	struct tls_object *found = bpf_map_lookup_elem(&tls_objects, &key);

	if (found)
		return found;
	bpf_map_update_elem(&tls_objects, &key, &new_object, BPF_NOEXIST);
	found = bpf_map_lookup_elem(&tls_objects, &key);
	if (found)
		found->born = born;
	return found;
}

#define ASK_AGAIN_NS 2000000000ULL
#define ASK_AT_MOST 8

/*
 * A connection is used: does the sensor have to see to it that its ciphertext is seen? That probe is hit
 * for every record, so it is in place only while there are connections that are not tied yet.
 */
static __noinline int ask_for_tie(struct tls_object *object, u32 tgid)
{
	u64 now;

	if (!object || (object->asked_at && object->tie != TLS_UNTIED) || object->asked >= ASK_AT_MOST)
		return 0;
	now = bpf_ktime_get_ns();
	if (object->asked_at && now - object->asked_at < ASK_AGAIN_NS)
		return 0;
	object->asked_at = now;
	object->asked++;
	tell_news(RECORD_STREAM, tgid, 0, object->tie == TLS_UNTIED, 0);
	return 0;
}

/* One direction of a connection begins to be followed. Returns its id, or 0. */
static __noinline u64 begin_direction(struct stream_key *key, u64 pair, u32 joined, u32 library)
{
	struct record_stream *record;
	struct stream fresh = {};

	if (!key)
		return 0;
	fresh.id = __sync_fetch_and_add(&last_stream_id, 1) + 1;
	fresh.joined = joined;
	fresh.kind = KIND_TLS;
	fresh.owner = key->object;
	if (bpf_map_update_elem(&streams, key, &fresh, BPF_ANY))
		return 0;
	record = reserve_control(sizeof(*record));
	if (!record) {
		count_loss(LOSS_MAP_FULL, 0, 0);
		return fresh.id;
	}
	__builtin_memset(record, 0, sizeof(*record));
	fill_head(&record->head, RECORD_STREAM, 0, key->space >> 32, fresh.id);
	record->kind = KIND_TLS;
	record->pair = pair;
	record->joined = joined;
	record->library = library;
	bpf_ringbuf_submit(record, wake_flags());
	return fresh.id;
}

/* Both begin at once, so that each has its pair. */
static __noinline int begin_both(struct tls_call *call, u32 tgid)
{
	struct tls_object *state;
	struct stream_key key;
	u32 joined;

	if (!call)
		return 0;
	state = object_of(call->object, tgid, 0);
	if (!state)
		return 0;
	/* Begun before: the kernel has forgotten a stream that was idle for long. */
	joined = !state->born || state->ids[0];
	tls_key(call->object, tgid, 0, &key);
	state->ids[0] = begin_direction(&key, 0, joined, TLS_LIBRARY(call->cookie));
	tls_key(call->object, tgid, 1, &key);
	state->ids[1] = begin_direction(&key, state->ids[0], joined, TLS_LIBRARY(call->cookie));
	if (state->tie == TLS_TIED) {
		tell_tie(state, tgid, 0);
		tell_tie(state, tgid, 1);
	}
	return 0;
}

__noinline int direction_ended(u64 object, u32 tgid, int reading)
{
	struct record_head record = {};
	struct stream *stream;
	struct stream_key key;

	tls_key(object, tgid, reading, &key);
	stream = bpf_map_lookup_elem(&streams, &key);
	if (!stream)
		return 0;
	tell_losses(stream);
	fill_head(&record, RECORD_EOF, reading ? FLAG_READ : 0, tgid, stream->id);
	output_control(&record, sizeof(record));
	return 0;
}

/* The object is none any more: the next one may have the same address. */
static __noinline int forget(u64 object, u32 tgid)
{
	struct tls_key key = { .object = object, .tgid = tgid };
	struct stream_key stream;

	if (!bpf_map_lookup_elem(&tls_objects, &key))
		return 0;
	direction_ended(object, tgid, 0);
	direction_ended(object, tgid, 1);
	tls_key(object, tgid, 0, &stream);
	bpf_map_delete_elem(&streams, &stream);
	tls_key(object, tgid, 1, &stream);
	bpf_map_delete_elem(&streams, &stream);
	bpf_map_delete_elem(&tls_objects, &key);
	return 0;
}

/* Called at the beginning of a first handshake, too, when the socket may be known already. */
static __noinline int begin_anew(u64 object, u32 tgid)
{
	struct tls_key key = { .object = object, .tgid = tgid };
	struct tls_object *state = bpf_map_lookup_elem(&tls_objects, &key);

	if (state && !state->ids[0]) {
		state->born = 1;
		return 0;
	}
	forget(object, tgid);
	object_of(object, tgid, 1);
	return 0;
}
