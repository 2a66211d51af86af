/* SPDX-License-Identifier: GPL-2.0-only */
/* What a call did to the streams behind its descriptors. */
#pragma once

#include "strangers.h"
#include "tls.h"
#include "transfer.h"

/* Where a call's bytes lie in user memory. */
struct memory {
	u64 base;     /* one buffer … */
	u64 iov;      /* … or an array of iovec, … */
	u64 segments; /* … of so many: beside each other, as in user_msghdr */
	u32 skip;     /* the call begins so far behind the beginning of the first of them */
	u32 iov_in_kernel; /* `iov` is the kernel's copy */
	u32 batch; /* one of several that the call has moved */
	u32 reserved;
};

/*
 * Makes the bytes up to `to` this call's to answer for, as far as they are nobody's yet.
 * Returns where its own begin: `to` or more when there are none.
 */
static __always_inline u64 take(struct stream *stream, u64 from, u64 to)
{
	u64 before = stream->owned;

#pragma unroll
	for (int attempt = 0; attempt < 8 && before < to; attempt++) {
		u64 seen = __sync_val_compare_and_swap(&stream->owned, before, to);

		if (seen == before)
			break;
		before = seen;
	}
	return before > from ? before : from;
}

static long writer_is_done(u32 index, struct stream_key *key)
{
	struct stream *stream = bpf_map_lookup_elem(&streams, key);

	return !stream || stream->committed >= stream->awaited;
}

/*
 * The writer on another processor is between its count and the ring, which takes it a
 * microsecond. Until its record is there, whatever this process does next would come
 * before it: an answer before its question. Gives up after about 50 microseconds, and returns 0: the
 * writer's processor may have been taken away, as a virtual one can be for milliseconds.
 * `key` has to be on the stack, for bpf_loop().
 */
static __always_inline int wait_for_writer(struct stream *stream, struct stream_key *key, u64 position)
{
	if (stream->committed >= position)
		return 1;
	stream->awaited = position;
	bpf_loop(1000, writer_is_done, key, 0);
	return stream->committed >= position;
}

/*
 * Has the reader handed over what it answers for, or will it? Where its chunk had no room the writer's small record may
 * have some, and the same bytes would be lost and not lost.
 */
static __always_inline int reader_delivers(struct stream *stream, u64 from, u64 owned)
{
	if (stream->lost_by_reader > from)
		return 0;
	return stream->delivered >= owned ||
	       bpf_ringbuf_query(&data, BPF_RB_AVAIL_DATA) * 2 < bpf_ringbuf_query(&data, BPF_RB_RING_SIZE);
}

/* The address of a call's first byte. */
static __always_inline u64 first_byte(struct memory *memory)
{
	void *at = (void *)(memory->iov + __builtin_offsetof(struct iovec, iov_base));
	u64 base = 0;

	if (!memory->segments)
		return memory->base;
	if (memory->iov_in_kernel)
		bpf_probe_read_kernel(&base, sizeof(base), at);
	else
		bpf_probe_read_user(&base, sizeof(base), at);
	return base + memory->skip;
}

/* Ciphertext says which connection carries which clear text. */
static __noinline int carries_tls(u64 stream, struct addresses *addresses, int reading, struct memory *memory, u64 length)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();

	if (!memory || !addresses)
		return 0;
	inside_tls(pid_tgid, addresses, stream, reading);
	if (!reading && tls_records_noted)
		maybe_ciphertext(pid_tgid >> 32, first_byte(memory), length, addresses, stream);
	return 0;
}

struct descriptor {
	u64 file;
	struct file **slots;
	s64 fd;
};

static long compare_descriptor(u32 index, struct descriptor *wanted)
{
	u64 file = 0;

	bpf_probe_read_kernel(&file, sizeof(file), wanted->slots + index);
	if (file != wanted->file)
		return 0;
	wanted->fd = index;
	return 1;
}

#define DESCRIPTORS_SEARCHED 4096

/*
 * The current process's descriptor of a file: the one that its system call names first, or the lowest.
 * -1 when it has none, or only one beyond those that are searched.
 */
static __noinline s32 fd_of(struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	struct fdtable *table = task->files->fdt;
	struct descriptor wanted = { .file = (u64)file, .slots = table->fd, .fd = -1 };
	s32 named = CALL_ARG0(regs);
	u32 count = table->max_fds;

	if (file_of(named) == file)
		return named;
	bpf_loop(count < DESCRIPTORS_SEARCHED ? count : DESCRIPTORS_SEARCHED, compare_descriptor, &wanted, 0);
	return wanted.fd;
}

/* 0 when there is no room. Not inlined: those who call it have little of the stack left. */
static __noinline int tell_end(struct stream *stream, u32 tgid, struct file *file, s32 fd, int reading)
{
	return stream ? tell_endpoint(stream->id, tgid, fd < 0 ? fd_of(file) : fd, reading) : 0;
}

/* Has the reader had all that went in? */
static __always_inline int is_drained(struct channel *channel)
{
	struct pipe_inode_info *pipe = (void *)channel->owner;
	struct sock *sk = (void *)channel->reverse.object;

	if (channel->kind == KIND_PIPE)
		return READ_KERNEL(pipe, head) == READ_KERNEL(pipe, tail);
	return READ_KERNEL(sk, sk_receive_queue.qlen) == 0;
}

/*
 * A reader that leaves its bytes to the writer: a record without bytes, at the position up to which it has read. The
 * writer's call may not have returned, and what the reader does next would come before what it has read.
 */
static __noinline int tell_drained(struct scratch *scratch, u64 stream, u64 position)
{
	struct record_data *record;

	if (!scratch)
		return 0;
	record = &scratch->record;
	fill_head(&record->head, RECORD_DATA, FLAG_READ, bpf_get_current_pid_tgid() >> 32, stream);
	record->offset = position;
	record->length = 0;
	record->fd = -1;
	bpf_ringbuf_output(&data, record, sizeof(*record), wake_flags());
	return 0;
}

/*
 * `length` bytes moved between the current process and the stream behind `file`. `fd` is -1 where the
 * call does not name it.
 *
 * Each byte is copied once, by whichever of the two calls returns first: a
 * reader that has bytes whose write() has not returned yet supplies them, so
 * an answer can never be seen before its question, and a write of 64 MiB that
 * returns once is captured while it is being read.
 */
static __always_inline int moved_with(struct scratch *scratch, struct file *file, s32 fd, int reading, u64 length,
				      struct memory *memory)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct transfer *transfer;
	struct channel *channel;
	struct stream *stream;
	u64 from, to, owned, skip = 0, before = 0;
	u16 resumed = 0;

	channel = &scratch->channel;
	__builtin_memset(channel, 0, sizeof(*channel));
	if (!channel_of(file, fd, reading, tgid, channel))
		return 0;
	stream = follow(channel, tgid, reading ? JOINED : JOINED_BY_WRITER, length);
	if (!stream) {
		count_loss(LOSS_MAP_FULL, length, 0);
		return 0;
	}
	if (channel->kind == KIND_TCP) {
		before = place(stream, &channel->tcp, reading, length);
		carries_tls(stream->id, &channel->tcp.addresses, reading, memory, length);
	}
	length -= before;
	if (reading) {
		/* Asked before it counts: a writer that is seen from now on leaves to us what we count. */
		int leaves_it = stream->joined && stream->writer_seen && !channel->tcp.numbered;
		u64 start = __sync_fetch_and_add(&stream->read, length);

		if (stream->reader != tgid) {
			/* What found no room is told by the next call. */
			stream->reader = tell_end(stream, tgid, file, fd, 1) ? tgid : 0;
			if (channel->kind == KIND_TCP)
				tell_far_end(stream->id, &channel->key, 0);
		}
		if (leaves_it) {
			if (is_drained(channel))
				tell_drained(scratch, stream->id, start + length);
			return 0;
		}
		to = start + length;
		owned = take(stream, start, to);
		from = start < stream->blind_end || stream->shared ? start : owned;
		skip = from - start;
		if (owned > start) {
			struct stream_key key = channel->key;

			/* Where that does not help, it is handed over twice, and compared. */
			if (!wait_for_writer(stream, &key, owned < to ? owned : to)) {
				from = start;
				skip = 0;
			}
		}
	} else {
		if (stream->joined && !stream->writer_seen && !channel->tcp.numbered) {
			/* What the reader had before was queued before we looked. Atomic: first this, then how much. */
			__sync_lock_test_and_set(&stream->writer_seen, 1);
			if (stream->written < stream->read) {
				stream->written = stream->read;
				stream->committed = stream->read;
			}
		}
		from = __sync_fetch_and_add(&stream->written, length);
		to = from + length;
		if (stream->writer != tgid) {
			/* Their calls may return in another order than their bytes went in. */
			if (stream->writer && (channel->kind == KIND_PIPE || channel->kind == KIND_UNIX_STREAM))
				stream->shared = 1;
			stream->writer = tgid;
			tell_end(stream, tgid, file, fd, 0);
			if (channel->kind == KIND_TCP)
				tell_far_end(stream->id, &channel->reverse, 1);
		}
		owned = take(stream, from, to);
		/* What the reader has supplied is handed over again to be compared, unless it is long or may be lost. */
		if (length > PAYLOAD_CHUNK || (owned > from && !reader_delivers(stream, from, owned))) {
			skip = (owned < to ? owned : to) - from;
			from += skip;
		}
	}
	if (from >= to)
		goto out;
	if (verdict_on(stream->id)) {
		if (!term_is_over(stream->id, first_byte(memory)))
			goto out;
		resumed = FLAG_RESUMED;
	}
	skip += before + memory->skip;
	transfer = &scratch->transfer;
	transfer->key = channel->key;
	transfer->id = stream->id;
	transfer->time = bpf_ktime_get_ns();
	transfer->offset = from;
	transfer->left = to - from;
	transfer->skip = skip;
	transfer->owned = owned;
	transfer->tgid = tgid;
	transfer->fd = fd;
	transfer->flags = (reading ? FLAG_READ : 0) | (stream->shared ? FLAG_SHARED : 0) |
			  (memory->batch ? FLAG_BATCH : 0) | resumed;
	transfer->last_flags = channel->kind == KIND_UNIX_SEQPACKET ? FLAG_PACKET_END : 0;
	transfer->iov = memory->iov;
	transfer->segments = memory->segments;
	transfer->iov_in_kernel = memory->iov_in_kernel;
	transfer->base = memory->base;
	transfer->length = memory->segments ? 0 : length + before;
	transfer->filled = 0;
	transfer->failed = 0;
	transfer->delivered = 0;
	if (skip && !memory->segments) {
		transfer->base += skip;
		transfer->length -= skip;
		transfer->skip = 0;
	}
	run_transfer(scratch);
	if (transfer->delivered) {
		/* Atomic, because the other end looks at it after it has kept a hole. */
		if (to > stream->delivered)
			__sync_lock_test_and_set(&stream->delivered, to);
		if (stream->held_bytes || stream->lost_bytes)
			tell_losses(stream);
	}
out:
	/* Only now may a reader rely on the writer's record to be before its own next one. */
	if (!reading)
		__sync_fetch_and_add(&stream->committed, length);
	return 0;
}

/* `at`: the struct file. */
__noinline int moved_at(u64 at, s32 fd, int reading, u64 length, struct memory *memory)
{
	struct file *file = (void *)at;
	struct scratch *scratch;

	if (!file || !memory)
		return 0;
	scratch = take_scratch();
	if (!scratch) {
		count_loss(LOSS_MAP_FULL, length, 0);
		return 0;
	}
	moved_with(scratch, file, fd, reading, length, memory);
	give_back(scratch);
	return 0;
}

static __always_inline int moved(s32 fd, int reading, u64 length, struct memory *memory)
{
	return moved_at((u64)file_of(fd), fd, reading, length, memory);
}

static __noinline int lose_unseen(struct stream *stream, u64 from, u64 to, u32 flags, u32 cause)
{
	struct hole hole = { .offset = from, .bytes = to - from, .flags = flags, .cause = cause };

	return stream && from < to ? note_loss(stream, &hole) : 0;
}

/* A call that moved bytes where we cannot see them. */
__noinline int moved_unseen_at(u64 at, s32 fd, int reading, u64 length, u32 cause)
{
	struct file *file = (void *)at;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct channel channel = {};
	struct stream *stream;
	u64 from, end, gone;
	int leaves_it;

	if (!file || !channel_of(file, fd, reading, tgid, &channel) || channel.kind == KIND_STDERR)
		return 0;
	stream = follow(&channel, tgid, JOINED, length);
	if (!stream) {
		count_loss(LOSS_MAP_FULL, length, 0);
		return 0;
	}
	if (channel.kind == KIND_TCP)
		length -= place(stream, &channel.tcp, reading, length);
	if (reading) {
		leaves_it = stream->joined && stream->writer_seen && !channel.tcp.numbered;
		from = __sync_fetch_and_add(&stream->read, length);
		end = from + length;
		/* Atomic here and below: each end sets its own and then looks at the other's. */
		__sync_lock_test_and_set(&stream->blind_read_end, end);
		if (stream->reader != tgid)
			stream->reader = tell_end(stream, tgid, file, fd, 1) ? tgid : 0;
		if (leaves_it)
			return 0;
		/* What went in unseen has now come out unseen. */
		gone = stream->blind_end;
		if (gone > from)
			wait_for_writer(stream, &channel.key, gone < end ? gone : end);
		else
			gone = from;
	} else {
		from = __sync_fetch_and_add(&stream->written, length);
		end = from + length;
		/* What the reader has supplied already is no loss. */
		from = take(stream, from, end);
		__sync_fetch_and_add(&stream->committed, length);
		if (from < end)
			__sync_lock_test_and_set(&stream->blind_end, end);
		stream->writer_seen = 1;
		if (stream->writer != tgid) {
			stream->writer = tgid;
			tell_end(stream, tgid, file, fd, 0);
		}
		gone = stream->joined && !channel.tcp.numbered ? from : stream->blind_read_end;
	}
	if (gone > end)
		gone = end;
	if (unwanted(stream->id))
		return 0;
	lose_unseen(stream, from, gone, 0, cause);
	if (from < gone)
		from = gone;
	/* The rest the other end's call may still supply: the reader's, or the writer's that has not returned. */
	if (reading && from < stream->owned)
		from = stream->owned;
	lose_unseen(stream, from, end, FLAG_MAY_ARRIVE | (reading ? FLAG_READ : 0), cause);
	return 0;
}

static __always_inline int moved_unseen(struct file *file, s32 fd, int reading, u64 length, u32 cause)
{
	return moved_unseen_at((u64)file, fd, reading, length, cause);
}

/* The reader was told that no more will come. */
__noinline int ended_at(u64 at, s32 fd)
{
	struct file *file = (void *)at;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct record_head record = {};
	struct channel channel = {};
	struct stream *stream;

	if (!file || !channel_of(file, fd, 1, tgid, &channel))
		return 0;
	stream = bpf_map_lookup_elem(&streams, &channel.key);
	if (!stream)
		return 0;
	tell_losses(stream);
	fill_head(&record, RECORD_EOF, FLAG_READ, tgid, stream->id);
	output_control(&record, sizeof(record));
	return 0;
}

static __always_inline int ended(struct file *file, s32 fd)
{
	return ended_at((u64)file, fd);
}

/* A file has just come into being: its streams are followed from their first byte. */
__noinline int born_at(u64 at, s32 fd)
{
	struct file *file = (void *)at;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct channel channel = {};
	struct pipe_inode_info *pipe;

	if (!file || !channel_of(file, fd, 0, tgid, &channel))
		return 0;
	if (channel.kind == KIND_STDERR)
		return 0;
	if (channel.kind == KIND_PIPE) {
		/* A FIFO opened by name may have been in use before. */
		pipe = (void *)channel.owner;
		follow(&channel, tgid, BPF_CORE_READ(pipe, head) ? JOINED : FRESH, 0);
		return 0;
	}
	follow(&channel, tgid, FRESH, 0);
	/* The other direction of the same socket. */
	__builtin_memset(&channel, 0, sizeof(channel));
	if (!channel_of(file, fd, 1, tgid, &channel))
		return 0;
	if (channel.kind == KIND_TCP && !channel.tcp.begun)
		/* Not connected yet: nobody can have written. What is there is of an older connection. */
		bpf_map_delete_elem(&streams, &channel.key);
	else
		follow(&channel, tgid, FRESH, 0);
	return 0;
}

static __always_inline int born(struct file *file, s32 fd)
{
	return born_at((u64)file, fd);
}
