/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory for the call that a processor has at hand. All functions that call each other have 512 bytes
 * of stack together, on kernels before 6.13.
 */
#pragma once

#include "streams.h"

/*
 * One call's payload on its way into the ring. In map memory, not on the
 * stack: the verifier does not track its values, so its loops converge.
 */
struct transfer {
	struct stream_key key;
	u64 id, time, offset;
	u64 left;          /* bytes still to hand over */
	u64 skip;          /* bytes at the start that are known already */
	u64 owned;         /* from this position on they are this call's to answer for */
	u64 iov, segments; /* array of iovec, and how many are left in it */
	u64 base, length;  /* what is left of the current segment */
	u32 tgid;
	s32 fd;
	u16 flags;
	u16 last_flags; /* for its last record */
	u32 filled;     /* bytes gathered in the payload */
	u32 failed;     /* the payload holds bytes that could not be read */
	u32 lines;      /* newlines counted in lost bytes */
	u32 delivered;  /* some of them are in the ring */
	u32 iov_in_kernel; /* the array is the kernel's copy */
};

/*
 * What a call is about, and where its bytes are gathered. One a processor and some to spare: the sensor
 * sets max_entries (a per-CPU map's values are limited to 32 KiB). Twice the chunk,
 * because the verifier bounds offset and length apart.
 */
struct scratch {
	u32 busy;
	u32 slot; /* its place in the map */
	struct channel channel; /* where the bytes of the call go or come from */
	struct transfer transfer;
	struct record_data record;
	u8 payload[2 * PAYLOAD_CHUNK];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

#define SPARE_SCRATCHES 3 /* as in src/sensor/programs.ts */

/*
 * The processor's own; or one of those behind it, where a program that was put off in the middle of its call holds
 * that. NULL, when they hold all of them.
 */
static __always_inline struct scratch *take_scratch(void)
{
	u32 processor = bpf_get_smp_processor_id();

#pragma unroll
	for (u32 spare = 0; spare <= SPARE_SCRATCHES; spare++) {
		u32 slot = processor + spare;
		struct scratch *scratch = bpf_map_lookup_elem(&scratches, &slot);

		if (!scratch)
			return NULL;
		if (!__sync_val_compare_and_swap(&scratch->busy, 0, 1)) {
			scratch->slot = slot;
			return scratch;
		}
	}
	return NULL;
}

static __always_inline void give_back(struct scratch *scratch)
{
	__sync_lock_test_and_set(&scratch->busy, 0);
}
