/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes out of scope at the other end of a connection on this machine: remembered when they connect or accept.
 * Of them nothing is read but who they are; later, in /proc, they may be gone.
 */
#pragma once

#include "scratch.h"

struct stranger {
	u32 tgid;
	char comm[COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct stream_key); /* of the direction that it writes */
	__type(value, struct stranger);
} strangers SEC(".maps");

static __noinline int tell_stranger(u64 stream, struct stranger *who, int reading)
{
	struct record_endpoint *record;

	if (!who)
		return 0;
	record = reserve_control(sizeof(*record));
	if (!record)
		return 0;
	fill_head(&record->head, RECORD_ENDPOINT, FLAG_STRANGER | (reading ? FLAG_READ : 0), who->tgid, stream);
	record->fd = -1;
	record->reserved = 0;
	__builtin_memcpy(record->comm, who->comm, COMM_LEN);
	bpf_ringbuf_submit(record, wake_flags());
	return 0;
}

/* A process in scope is seen at this stream for the first time: who is at the other end? */
static __noinline int tell_far_end(u64 stream, struct stream_key *writes, int reading)
{
	struct stranger *who;

	if (!writes)
		return 0;
	who = bpf_map_lookup_elem(&strangers, writes);
	if (who)
		tell_stranger(stream, who, reading);
	return 0;
}

static __always_inline void note_stranger(struct file *file, struct channel *channel)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct stranger who = { .tgid = bpf_get_current_pid_tgid() >> 32 };
	struct stream *stream;

	__builtin_memset(channel, 0, sizeof(*channel));
	if (!channel_of(file, -1, 0, who.tgid, channel) || channel->kind != KIND_TCP)
		return;
	BPF_CORE_READ_STR_INTO(&who.comm, task, group_leader, comm);
	/* First remembered, then told: the other end does it the other way. */
	bpf_map_update_elem(&strangers, &channel->key, &who, BPF_ANY);
	stream = bpf_map_lookup_elem(&streams, &channel->key);
	if (stream)
		tell_stranger(stream->id, &who, 0);
	stream = bpf_map_lookup_elem(&streams, &channel->reverse);
	if (stream)
		tell_stranger(stream->id, &who, 1);
}

/* A process that is not in scope has connected or accepted. Of the whole machine all are. */
static __noinline int stranger_connected(struct file *file)
{
	struct scratch *scratch;

	if (!file || whole_machine)
		return 0;
	scratch = take_scratch();
	if (!scratch)
		return 0;
	note_stranger(file, &scratch->channel);
	give_back(scratch);
	return 0;
}
