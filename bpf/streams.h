/* SPDX-License-Identifier: GPL-2.0-only */
/* From a file to the stream it reads or writes, and who is at its ends. */
#pragma once

#include "tcp.h"

enum space {
	SPACE_PIPE = 1,
	SPACE_SOCKET = 2,
	SPACE_STDERR = 3,
};

/* What a file turned out to be, seen from one side. */
struct channel {
	struct stream_key key;
	struct stream_key reverse; /* opposite direction of a socket */
	u64 owner;
	u64 inode, peer_inode;
	u32 device;
	u32 kind;
	struct tcp_end tcp; /* KIND_TCP */
};

/*
 * Functions that are global, and not static, the verifier looks at once for a program and not at each call: nearly all
 * of the time that mcpspy needs to start is the verifier's. They take addresses as numbers, since a pointer would be
 * one to our own memory, and return numbers. Of memory that they are given, keys of maps are copied to the stack: where
 * else they may lie, kernels before 6.2 do not know.
 */

/* The address of the current process's struct file, or 0. */
__noinline u64 file_at(s32 fd)
{
	struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
	struct file **slots;
	u64 file = 0;

	if (fd < 0 || fd >= (s32)table->max_fds)
		return 0;
	slots = table->fd;
	bpf_probe_read_kernel(&file, sizeof(file), slots + fd);
	return file;
}

static __always_inline struct file *file_of(s32 fd)
{
	return (void *)file_at(fd);
}

static __always_inline u64 socket_inode(struct sock *sk)
{
	return READ_KERNEL(sk, sk_socket, file, f_inode, i_ino);
}

/* The TCP socket of the file at this address; 0 for the sockets of other families. */
__noinline int tcp_channel(u64 file, int reading, struct channel *out)
{
	struct inode *inode = READ_KERNEL((struct file *)file, f_inode);
	struct socket *socket = READ_KERNEL((struct file *)file, private_data);
	struct sock *sk = READ_KERNEL(socket, sk);
	u16 family;

	if (!out)
		return 0;
	family = READ_KERNEL(sk, __sk_common.skc_family);
	if ((family != AF_INET && family != AF_INET6) || !is_tcp(sk))
		return 0;
	out->kind = KIND_TCP;
	if (reading)
		out->peer_inode = READ_KERNEL(inode, i_ino);
	else
		out->inode = READ_KERNEL(inode, i_ino);
	end_of(sk, reading, &out->tcp);
	tcp_key(sk, &out->tcp.addresses, &out->key);
	/* The opposite direction: addresses and ports change places. */
	struct addresses back = {
		.source_port = out->tcp.addresses.destination_port,
		.destination_port = out->tcp.addresses.source_port,
		.family = out->tcp.addresses.family,
	};
	__builtin_memcpy(back.source, out->tcp.addresses.destination, 16);
	__builtin_memcpy(back.destination, out->tcp.addresses.source, 16);
	tcp_key(sk, &back, &out->reverse);
	return 1;
}

/* The stream this file is an end of; 0 when it is none that we follow. */
static __always_inline int channel_of(struct file *file, s32 fd, int reading, u32 tgid, struct channel *out)
{
	struct inode *inode = READ_KERNEL(file, f_inode);
	u32 format = READ_KERNEL(inode, i_mode) & S_IFMT;

	if (format == S_IFIFO) {
		out->inode = READ_KERNEL(inode, i_ino);
		out->device = READ_KERNEL(inode, i_sb, s_dev);
		out->owner = (u64)READ_KERNEL(inode, i_pipe);
		out->kind = KIND_PIPE;
		out->key.object = out->inode;
		out->key.space = (u64)out->device << 8 | SPACE_PIPE;
		return 1;
	}
	if (format == S_IFSOCK) {
		struct socket *socket = READ_KERNEL(file, private_data);
		struct sock *sk = READ_KERNEL(socket, sk);
		struct sock *peer;
		u32 type;

		if (READ_KERNEL(sk, __sk_common.skc_family) != AF_UNIX)
			return tcp_channel((u64)file, reading, out);
		type = READ_KERNEL(sk, sk_type);
		if (type == SOCK_STREAM)
			out->kind = KIND_UNIX_STREAM;
		else if (type == SOCK_SEQPACKET)
			out->kind = KIND_UNIX_SEQPACKET;
		else
			return 0;
		peer = READ_KERNEL((struct unix_sock *)sk, peer);
		if (!peer)
			return 0;
		out->inode = READ_KERNEL(inode, i_ino);
		out->peer_inode = socket_inode(peer);
		if (reading) {
			u64 own = out->inode;

			out->inode = out->peer_inode;
			out->peer_inode = own;
			out->key.object = (u64)peer;
			out->reverse.object = (u64)sk;
		} else {
			out->key.object = (u64)sk;
			out->reverse.object = (u64)peer;
		}
		out->key.space = out->reverse.space = SPACE_SOCKET;
		/* 0 once the writer closed its end: then nobody can have taken its place. */
		out->owner = out->inode;
		return 1;
	}
	if (fd == 2 && !reading) {
		out->inode = READ_KERNEL(inode, i_ino);
		out->device = READ_KERNEL(inode, i_sb, s_dev);
		out->owner = tgid;
		out->kind = KIND_STDERR;
		out->key.object = out->inode << 32 | tgid;
		out->key.space = (u64)out->device << 8 | SPACE_STDERR;
		return 1;
	}
	return 0;
}

static __always_inline void announce(struct stream *stream, struct channel *channel, u32 tgid)
{
	struct record_stream *record;
	struct stream *reverse = NULL;
	struct stream_key key;

	record = reserve_control(sizeof(*record));
	if (!record) {
		count_loss(LOSS_MAP_FULL, 0, 0);
		return;
	}
	fill_head(&record->head, RECORD_STREAM, 0, tgid, stream->id);
	record->inode = channel->inode;
	record->peer_inode = channel->peer_inode;
	record->device = channel->device;
	record->kind = channel->kind;
	record->joined = stream->joined;
	record->addresses = channel->tcp.addresses;
	record->library = 0;
	record->reserved = 0;
	key = channel->reverse;
	if (key.object)
		reverse = bpf_map_lookup_elem(&streams, &key);
	record->pair = reverse ? reverse->id : 0;
	bpf_ringbuf_submit(record, wake_flags());
}

__noinline int tell_losses(struct stream *stream);

/* A stream that is not known, or that was another object's: `before`. 0 when there is no room. */
__noinline int begin_stream(struct channel *channel, int before, u32 tgid, u32 joined, u64 moved)
{
	struct stream fresh = {}, *stream;
	struct stream_key key;

	if (!channel)
		return 0;
	if (channel->kind == KIND_TCP) {
		struct tcp_end *end = &channel->tcp;

		if (joined) {
			struct stream *reverse;

			key = channel->reverse;
			reverse = bpf_map_lookup_elem(&streams, &key);
			joined = reverse ? reverse->joined : 1;
		}
		fresh.first_seq = end->begun && !joined ? end->first : end->tail - (u32)moved;
	}
	/* A key in use for another object means that this object is younger than our watch. */
	fresh.joined = before && channel->kind != KIND_TCP ? 0 : joined;
	fresh.id = __sync_fetch_and_add(&last_stream_id, 1) + 1;
	fresh.owner = channel->owner;
	fresh.kind = channel->kind;
	/* The other end may be at it, too: then the stream is the one that it has begun. */
	key = channel->key;
	if (bpf_map_update_elem(&streams, &key, &fresh, before ? BPF_ANY : BPF_NOEXIST) && before)
		return 0;
	stream = bpf_map_lookup_elem(&streams, &key);
	if (stream && stream->id == fresh.id)
		announce(stream, channel, tgid);
	return stream != NULL;
}

static __always_inline struct stream *begun(struct channel *channel, int before, u32 tgid, u32 joined, u64 moved)
{
	return begin_stream(channel, before, tgid, joined, moved) ? bpf_map_lookup_elem(&streams, &channel->key) : NULL;
}

struct succession {
	struct stream_key key;
	u64 before;
};

static long is_replaced(u32 index, struct succession *of)
{
	struct stream *stream = bpf_map_lookup_elem(&streams, &of->key);

	return stream && stream->id != of->before;
}

/*
 * Both ends of a connection that uses addresses again may find the old stream at the same time. One of
 * them puts a new one in its place; this is the other one's, which waits for that, or NULL.
 */
static __always_inline struct stream *successor(struct channel *channel, struct stream *before)
{
	struct succession of = { .key = channel->key, .before = before->id };
	struct stream *stream;

	if (!__sync_val_compare_and_swap(&before->replaced, 0, 1))
		return NULL;
	bpf_loop(1000, is_replaced, &of, 0);
	stream = bpf_map_lookup_elem(&streams, &of.key);
	return stream && stream->id != of.before ? stream : NULL;
}

/* May it have carried bytes before? */
enum {
	FRESH = 0,
	JOINED = 1,
	JOINED_BY_WRITER = 2, /* a call has written: the pipe shows whether it is the first */
};

/* Was a pipe's first buffer, from which nothing goes away when it is read, filled by this call alone, and no other ever? */
static __noinline int is_first_write(u64 address, u64 length)
{
	struct pipe_inode_info *pipe = (void *)address;

	if (BPF_CORE_READ(pipe, head) != 1)
		return 0;
	return BPF_CORE_READ(pipe, bufs, offset) + BPF_CORE_READ(pipe, bufs, len) == length;
}

/* Finds the stream, or begins it. `moved`: bytes of the call that brought us here; 0 when its descriptor is new. */
static __always_inline struct stream *follow(struct channel *channel, u32 tgid, u32 joined, u64 moved)
{
	struct stream *stream = bpf_map_lookup_elem(&streams, &channel->key), *next;
	struct tcp_end *end = &channel->tcp;

	if (!stream) {
		if (joined == JOINED_BY_WRITER && channel->kind == KIND_PIPE && is_first_write(channel->owner, moved))
			joined = FRESH;
		return begun(channel, 0, tgid, joined != FRESH, moved);
	}
	if (channel->kind == KIND_TCP) {
		/* Addresses are used again for another connection: it begins with another sequence number. */
		if (moved || stream->first_seq == (end->begun ? end->first : end->tail))
			return stream;
	} else if (stream->owner == channel->owner || !channel->owner || !stream->owner) {
		if (!stream->owner)
			stream->owner = channel->owner;
		return stream;
	}
	next = successor(channel, stream);
	if (next)
		return next;
	/* Here and not in begin_stream(), which uses much of the stack itself. */
	tell_losses(stream);
	return begun(channel, 1, tgid, joined != FRESH, moved);
}

static __always_inline struct verdict *verdict_on(u64 id)
{
	u32 slot = id % VERDICT_SLOTS;
	struct verdict *verdict = bpf_map_lookup_elem(&verdicts, &slot);

	return verdict && verdict->id == (u32)id ? verdict : NULL;
}

static __always_inline int unwanted(u64 id)
{
	return verdict_on(id) != NULL;
}

/* Does a message of HTTP/1 begin like this? A status line, or a method and the blank behind it. */
static __always_inline int begins_http1(u8 *start)
{
	if (*(u32 *)start == 0x50545448) /* "HTTP" */
		return start[4] == '/' && start[5] == '1';
	for (int i = 0; i < 8; i++) {
		if (start[i] == ' ')
			return i >= 3;
		if (start[i] < 'A' || start[i] > 'Z')
			return 0;
	}
	return 0;
}

/* Is a verdict's term over with the call that has its bytes at `base`? Then it is lifted. */
static __noinline int term_is_over(u64 id, u64 base)
{
	struct verdict *verdict = verdict_on(id);
	u8 start[8] = {};

	if (!verdict || verdict->term != TERM_HTTP1_HEAD)
		return 0;
	if (bpf_probe_read_user(start, sizeof(start), (void *)base) || !begins_http1(start))
		return 0;
	/* Unless the slot has become another stream's meanwhile. */
	__sync_val_compare_and_swap(&verdict->id, (u32)id, 0);
	return 1;
}

/* 0 when there is no room. */
static __always_inline int tell_endpoint(u64 stream, u32 tgid, s32 fd, int reading)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct record_endpoint *record = reserve_control(sizeof(*record));

	if (!record)
		return 0;
	fill_head(&record->head, RECORD_ENDPOINT, reading ? FLAG_READ : 0, tgid, stream);
	record->fd = fd;
	record->reserved = 0;
	__builtin_memset(record->comm, 0, sizeof(record->comm));
	BPF_CORE_READ_STR_INTO(&record->comm, task, group_leader, comm);
	bpf_ringbuf_submit(record, wake_flags());
	return 1;
}
