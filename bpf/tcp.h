/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP sockets as ends of streams. Both ends of a connection see the same addresses and the same
 * sequence numbers, so two processes on this machine are put together without asking anybody,
 * and a connection that was open before is counted from the same byte at either end.
 */
#pragma once

#include "state.h"

#define SPACE_TCP 4

/* A TCP socket, seen from one side. */
struct tcp_end {
	struct addresses addresses;
	u32 tail;  /* sequence number behind the last byte read or written by calls */
	u32 first; /* of the first byte of this direction, when `begun` */
	u32 begun;
	u32 numbered; /* `tail` and `first` count */
};

static __always_inline int is_tcp(struct sock *sk)
{
	u16 protocol = READ_KERNEL(sk, sk_protocol);

	return READ_KERNEL(sk, sk_type) == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

/* A server that listens on :: sees IPv4 clients as ::ffff:a.b.c.d, the client itself does not. */
static __always_inline void as_ipv4(struct addresses *out)
{
	u32 *source = (u32 *)out->source, *destination = (u32 *)out->destination;

	if (source[0] || source[1] || source[2] != 0xffff0000 || destination[2] != 0xffff0000)
		return;
	source[0] = source[3];
	destination[0] = destination[3];
	source[2] = source[3] = destination[2] = destination[3] = 0;
	out->family = AF_INET;
}

/* Where the bytes come from and go to, for the one who reads or writes them at `sk`. */
static __always_inline void addresses_of(struct sock *sk, int reading, struct addresses *out)
{
	u8 *local = reading ? out->destination : out->source;
	u8 *remote = reading ? out->source : out->destination;
	/* Not skc_num: that is given back when both sides have hung up, and what has come may still be read. */
	u16 local_port = __builtin_bswap16(READ_KERNEL((struct inet_sock *)sk, inet_sport));
	u16 remote_port = __builtin_bswap16(READ_KERNEL(sk, __sk_common.skc_dport));

	out->family = READ_KERNEL(sk, __sk_common.skc_family);
	out->source_port = reading ? remote_port : local_port;
	out->destination_port = reading ? local_port : remote_port;
	if (out->family == AF_INET) {
		*(u32 *)local = READ_KERNEL(sk, __sk_common.skc_rcv_saddr);
		*(u32 *)remote = READ_KERNEL(sk, __sk_common.skc_daddr);
		return;
	}
	bpf_probe_read_kernel(local, 16, __builtin_preserve_access_index(&sk->__sk_common.skc_v6_rcv_saddr));
	bpf_probe_read_kernel(remote, 16, __builtin_preserve_access_index(&sk->__sk_common.skc_v6_daddr));
	as_ipv4(out);
}

static __always_inline u64 mix(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

/* The same at both ends. Network namespaces may have the same addresses each. */
static __always_inline void tcp_key(struct sock *sk, struct addresses *of, struct stream_key *key)
{
	u64 *source = (u64 *)of->source, *destination = (u64 *)of->destination;
	u64 space = READ_KERNEL(sk, __sk_common.skc_net.net, ns.inum) & 0xffffff;

	key->object = of->family == AF_INET
			      ? source[0] << 32 | destination[0]
			      : mix(mix(mix(mix(1, source[0]), source[1]), destination[0]), destination[1]);
	key->space = (u64)of->source_port << 48 | (u64)of->destination_port << 32 | space << 8 | SPACE_TCP;
}

/*
 * Where this direction stands. tcp_rcv_nxt_update() counts bytes_received before rcv_nxt, without a
 * lock that we could take: a pair that did not change while we looked is a true one.
 */
static __always_inline void sequence_of(struct sock *sk, int reading, struct tcp_end *out)
{
	struct tcp_sock *tcp = (void *)sk;
	u32 received, next;

	if (READ_KERNEL(sk, sk_protocol) != IPPROTO_TCP)
		return;
	out->numbered = 1;
	if (!reading) {
		out->tail = READ_KERNEL(tcp, write_seq);
		return;
	}
	out->tail = READ_KERNEL(tcp, copied_seq);
	out->begun = READ_KERNEL(sk, __sk_common.skc_state) != TCP_SYN_SENT;
	/* The peer's FIN is counted like a byte, by the call that has read the last one. */
	if (READ_KERNEL(sk, __sk_common.skc_flags) & SOCK_DONE && out->tail == READ_KERNEL(tcp, rcv_nxt))
		out->tail--;
#pragma unroll
	for (int attempt = 0; attempt < 3; attempt++) {
		received = BPF_CORE_READ(tcp, bytes_received);
		next = BPF_CORE_READ(tcp, rcv_nxt);
		out->first = next - received;
		if (next - (u32)BPF_CORE_READ(tcp, bytes_received) == out->first)
			break;
	}
}

static __always_inline void end_of(struct sock *sk, int reading, struct tcp_end *out)
{
	addresses_of(sk, reading, &out->addresses);
	sequence_of(sk, reading, out);
}

/*
 * Puts this end's count where its sequence number says, at the first call seen there. `length` bytes
 * have just moved. Returns how many of them lie before position 0: passed before we looked.
 */
static __always_inline u64 place(struct stream *stream, struct tcp_end *end, int reading, u64 length)
{
	u32 *placed = reading ? &stream->reader_placed : &stream->writer_placed;
	s32 position = end->tail - (u32)length - stream->first_seq;

	if (!end->numbered || *placed)
		return 0;
	*placed = 1;
	/* The last read may have counted the FIN, too. */
	if (position == 0 || (reading && position == 1 && stream->writer_placed && stream->written == length))
		return 0;
	if (position < 0)
		return (u64)-position < length ? -position : length;
	if (reading) {
		stream->read = position;
	} else if (!stream->written) {
		stream->written = position;
		stream->committed = position;
	}
	return 0;
}
