/* SPDX-License-Identifier: GPL-2.0-only */
/* Who is in scope, and who they are: fork, exec and exit. */
#include "news.h"

struct exec_record {
	struct record_executed news;
	struct record_process process;
	u8 argv[2 * ARGV_MAX];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct exec_record);
} exec_scratch SEC(".maps");

static __always_inline void tell_process(u16 type, u32 tgid, u32 other, struct task_struct *task)
{
	struct record_process record = {};

	fill_head(&record.head, type, 0, tgid, 0);
	record.other = other;
	BPF_CORE_READ_STR_INTO(&record.comm, task, group_leader, comm);
	if (output_control(&record, sizeof(record)))
		count_loss(LOSS_MAP_FULL, 0, 0);
}

SEC("tp_btf/sched_process_fork")
int process_fork(u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	u32 parent_tgid = BPF_CORE_READ(parent, tgid), tgid = BPF_CORE_READ(child, tgid);
	u32 watched = SCOPE_WATCHED;
	u32 *flags;

	if (tgid == parent_tgid)
		return 0; /* a thread */
	flags = bpf_map_lookup_elem(&scope, &parent_tgid);
	if (flags ? !(*flags & (SCOPE_WATCHED | SCOPE_SPAWNER)) : !whole_machine)
		return 0;
	if (!whole_machine && bpf_map_update_elem(&scope, &tgid, &watched, BPF_ANY)) {
		count_loss(LOSS_MAP_FULL, 0, 0);
		return 0;
	}
	tell_process(RECORD_FORK, tgid, parent_tgid, parent);
	tell_news(RECORD_FORK, tgid, 0, BPF_CORE_READ(parent, mm) == BPF_CORE_READ(child, mm), parent_tgid);
	return 0;
}

/* What the sensor needs to know of an exec: what to look at, even if the process is gone before it can. */
static __always_inline void tell_executed(struct exec_record *record, u32 tgid, struct linux_binprm *program)
{
	struct inode *inode = BPF_CORE_READ(program, file, f_inode);

	fill_head(&record->news.mapped.head, RECORD_EXEC, 0, tgid, 0);
	record->news.mapped.inode = BPF_CORE_READ(inode, i_ino);
	record->news.mapped.device = BPF_CORE_READ(inode, i_sb, s_dev);
	record->news.mapped.parent = 0;
	bpf_probe_read_kernel_str(record->news.path, PATH_LEN, BPF_CORE_READ(program, interp));
	bpf_ringbuf_output(&news, &record->news, sizeof(record->news), BPF_RB_FORCE_WAKEUP);
}

SEC("tp_btf/sched_process_exec")
int process_exec(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct linux_binprm *program = (void *)ctx[2];
	u32 tgid = BPF_CORE_READ(task, tgid);
	u32 zero = 0;
	struct exec_record *record;
	u64 start, length;

	if (!in_scope(tgid))
		return 0;
	record = bpf_map_lookup_elem(&exec_scratch, &zero);
	if (!record)
		return 0;
	/* First: from here on the sensor runs a race with the program's first connection. */
	tell_executed(record, tgid, program);
	fill_head(&record->process.head, RECORD_EXEC, 0, tgid, 0);
	record->process.other = 0;
	BPF_CORE_READ_STR_INTO(&record->process.comm, task, comm);
	__builtin_memcpy(record->process.exe, record->news.path, PATH_LEN);
	start = BPF_CORE_READ(task, mm, arg_start);
	length = BPF_CORE_READ(task, mm, arg_end) - start;
	if (length > ARGV_MAX)
		length = ARGV_MAX;
	asm volatile("" : "+r"(length));
	if (length > ARGV_MAX || bpf_probe_read_user(record->argv, length, (void *)start))
		length = 0;
	record->process.argv_length = length;
	if (output_control(&record->process, sizeof(record->process) + length))
		count_loss(LOSS_MAP_FULL, 0, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int process_exit(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	u32 tgid = BPF_CORE_READ(task, tgid);

	if (BPF_CORE_READ(task, signal, live.counter) || !in_scope(tgid))
		return 0;
	tell_process(RECORD_EXIT, tgid, BPF_CORE_READ(task, exit_code), task);
	tell_news(RECORD_EXIT, tgid, 0, 0, 0);
	bpf_map_delete_elem(&scope, &tgid);
	return 0;
}
