/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * io_uring moves bytes without a call of their own. We cannot copy them from
 * here, but each completion says how many there were, so the hole is exact.
 */
#include "moved.h"

/* include/uapi/linux/io_uring.h */
enum {
	IORING_OP_READV = 1, IORING_OP_WRITEV = 2, IORING_OP_READ_FIXED = 4, IORING_OP_WRITE_FIXED = 5,
	IORING_OP_SENDMSG = 9, IORING_OP_RECVMSG = 10, IORING_OP_READ = 22, IORING_OP_WRITE = 23,
	IORING_OP_SEND = 26, IORING_OP_RECV = 27, IORING_OP_SPLICE = 30, IORING_OP_TEE = 33,
	IORING_OP_SEND_ZC = 47, IORING_OP_SENDMSG_ZC = 48, IORING_OP_READ_MULTISHOT = 49,
};

SEC("tp_btf/io_uring_complete")
int io_uring_complete(u64 *ctx)
{
	struct io_kiocb *request = (void *)ctx[1];
	int reading;
	s32 result;

	if (!request || !in_scope(bpf_get_current_pid_tgid() >> 32))
		return 0;
	switch (BPF_CORE_READ(request, opcode)) {
	case IORING_OP_READV:
	case IORING_OP_READ_FIXED:
	case IORING_OP_RECVMSG:
	case IORING_OP_READ:
	case IORING_OP_RECV:
	case IORING_OP_READ_MULTISHOT:
		reading = 1;
		break;
	case IORING_OP_WRITEV:
	case IORING_OP_WRITE_FIXED:
	case IORING_OP_SENDMSG:
	case IORING_OP_WRITE:
	case IORING_OP_SEND:
	case IORING_OP_SPLICE:
	case IORING_OP_TEE:
	case IORING_OP_SEND_ZC:
	case IORING_OP_SENDMSG_ZC:
		reading = 0;
		break;
	default:
		return 0;
	}
	result = BPF_CORE_READ(request, cqe.res);
	if (result > 0)
		moved_unseen(BPF_CORE_READ(request, file), -1, reading, result, LOSS_IO_URING);
	return 0;
}
