/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lists for the sensor, at its request: a reader of an iterator has its program called for each process, or each of
 * its mappings (Documentation/bpf/bpf_iterators.rst). /proc says the same, in some files a process.
 */
#include "state.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct vm_area_struct {
	unsigned long vm_flags;
	struct file *vm_file;
};

#pragma clang attribute pop

#define VM_EXEC 4 /* include/linux/mm.h */

struct listed_process {
	u32 tgid;
	u32 parent;
};

/* Of a process in scope, a file that it has mapped executable. */
struct listed_mapping {
	u64 inode;
	u32 device; /* s_dev of the kernel */
	u32 tgid;
};

SEC("iter/task")
int each_process(u64 *ctx)
{
	struct bpf_iter_meta *meta = (void *)ctx[0];
	struct task_struct *task = (void *)ctx[1];
	struct listed_process process = {};

	if (!task)
		return 0;
	process.tgid = READ_KERNEL(task, tgid);
	if (READ_KERNEL(task, pid) != process.tgid)
		return 0; /* a thread */
	process.parent = READ_KERNEL(task, real_parent, tgid);
	bpf_seq_write(meta->seq, &process, sizeof(process));
	return 0;
}

SEC("iter/task_vma")
int each_mapping(u64 *ctx)
{
	struct bpf_iter_meta *meta = (void *)ctx[0];
	struct task_struct *task = (void *)ctx[1];
	struct vm_area_struct *area = (void *)ctx[2];
	struct listed_mapping mapping = {};
	struct inode *inode;
	struct file *file;

	if (!task || !area || !(READ_KERNEL(area, vm_flags) & VM_EXEC))
		return 0;
	mapping.tgid = READ_KERNEL(task, tgid);
	file = READ_KERNEL(area, vm_file);
	if (!file || !in_scope(mapping.tgid))
		return 0;
	inode = READ_KERNEL(file, f_inode);
	mapping.inode = READ_KERNEL(inode, i_ino);
	mapping.device = READ_KERNEL(inode, i_sb, s_dev);
	bpf_seq_write(meta->seq, &mapping, sizeof(mapping));
	return 0;
}
