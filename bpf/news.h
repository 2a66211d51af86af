/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the sensor has to look at: files newly mapped executable, and processes that come, change
 * and go. A ring of its own, without payload, read by the sensor only. Each record wakes it: it has
 * to put its probes into a library before the library is used.
 */
#pragma once

#include "streams.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} news SEC(".maps");

#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20

#if defined(__TARGET_ARCH_x86)
#define NR_mmap 9
#define CALL_ARG4(regs) ((regs)->r8)
#elif defined(__TARGET_ARCH_arm64)
#define NR_mmap 222
#define CALL_ARG4(regs) ((regs)->regs[4])
#endif

/*
 * RECORD_MAPPED, or with an inode of 0: RECORD_FORK, RECORD_EXIT; and RECORD_STREAM: a TLS connection
 * is used, with a `device` of 1 while its socket is not known. A record that finds no room is no loss
 * for good: the sensor looks at all processes again when it sees that the ring was full.
 */
static __always_inline void tell_news(u16 type, u32 tgid, u64 inode, u32 device, u32 parent)
{
	struct record_mapped record = {};

	fill_head(&record.head, type, 0, tgid, 0);
	record.inode = inode;
	record.device = device;
	record.parent = parent;
	bpf_ringbuf_output(&news, &record, sizeof(record), BPF_RB_FORCE_WAKEUP);
}

/* A call of mmap() has succeeded: code of a file? */
static __noinline int mapped(s32 fd, u64 protection, u64 flags)
{
	struct file *file;
	struct inode *inode;

	if (!(protection & PROT_EXEC) || flags & MAP_ANONYMOUS)
		return 0;
	file = file_of(fd);
	if (!file)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	tell_news(RECORD_MAPPED, bpf_get_current_pid_tgid() >> 32, BPF_CORE_READ(inode, i_ino),
		  BPF_CORE_READ(inode, i_sb, s_dev), 0);
	return 0;
}
