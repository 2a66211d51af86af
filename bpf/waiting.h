/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that are there while the hooks of fentry.bpf.c are put in place: a call that was entered before returns past
 * them. The exit of system calls tells what these threads do, until they are seen to enter a hook (`waits` in iter.h).
 */
#pragma once

#include "iter.h"

/* Set by the sensor before loading: the hooks tell of all other threads. */
const volatile u32 only_waiting SEC(".rodata.waiting") = 0;

/* Set by the sensor when all hooks are in place, and who is watched is known. */
u32 hooks_complete SEC(".data.hooks") = 0;

/* Is it for the exit of system calls to tell of this one? The thread's next one is entered by way of the hooks. */
static __always_inline int waited(void)
{
	u32 thread = bpf_get_current_pid_tgid();
	int told_here = waits();

	if (hooks_complete)
		bpf_map_delete_elem(&waiting, &thread);
	return told_here;
}
