/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The end of TCP connections. A close() is not followed by a call that would tell: whoever closes an
 * event stream never hears of it again, and a reset ends both directions at once.
 */
#include "losses.h"

/* include/net/tcp_states.h */
enum { TCP_FIN_WAIT1 = 4, TCP_CLOSE = 7, TCP_LAST_ACK = 9 };

static __noinline int direction_over(struct sock *sk, int reading)
{
	struct record_head record = {};
	struct tcp_end end = {};
	struct stream_key key;
	struct stream *stream;

	if (!sk)
		return 0;
	addresses_of(sk, reading, &end.addresses);
	tcp_key(sk, &end.addresses, &key);
	stream = bpf_map_lookup_elem(&streams, &key);
	if (!stream)
		return 0;
	/* Of a writer out of scope nothing is seen but what is read, and that may be still to come: the reader will tell. */
	if (!reading && !stream->writer)
		return 0;
	tell_losses(stream);
	fill_head(&record, RECORD_EOF, reading ? FLAG_READ : 0, 0, stream->id);
	output_control(&record, sizeof(record));
	return 0;
}

/* Often in the context of an interrupt: whose socket it is only the stream knows. */
SEC("tp_btf/inet_sock_set_state")
int socket_state(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int before = ctx[1], state = ctx[2];

	if (state != TCP_FIN_WAIT1 && state != TCP_LAST_ACK && state != TCP_CLOSE)
		return 0;
	if (!is_tcp(sk) || before == TCP_SYN_SENT)
		return 0;
	direction_over(sk, 0);
	/* What has come may still be read when both sides have hung up; the call that finds no more will tell. */
	if (state == TCP_CLOSE && !BPF_CORE_READ(sk, sk_receive_queue.qlen))
		direction_over(sk, 1);
	return 0;
}
