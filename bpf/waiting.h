/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that wait in a system call while the hooks of fentry.bpf.c are put in place: a call that was entered before
 * returns past them. The exit of system calls tells what these threads do, until they are seen to enter a hook.
 */
#pragma once

#include "iter.h"

/* Set by the sensor before loading: the hooks tell of all other threads. */
const volatile u32 only_waiting SEC(".rodata.waiting") = 0;

/* Set by the sensor when all hooks are in place, and who is watched is known. */
u32 hooks_complete SEC(".data.hooks") = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32); /* tid */
	__type(value, u32);
} waiting SEC(".maps");

/* Is it for the exit of system calls to tell what this thread does? */
static __always_inline int waits(u32 thread)
{
	return bpf_map_lookup_elem(&waiting, &thread) && !this_call(0);
}

/* The same at the exit of a system call: the next one is entered by way of the hooks. */
static __always_inline int waited(void)
{
	u32 thread = bpf_get_current_pid_tgid();
	int told_here = waits(thread);

	if (hooks_complete)
		bpf_map_delete_elem(&waiting, &thread);
	return told_here;
}
