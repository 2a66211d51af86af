/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few kernel types these programs look at, and only the fields they read.
 * `preserve_access_index` makes every access a CO-RE relocation, so the order
 * and the size of the real structures do not matter.
 */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;

/* include/uapi/linux/bpf.h */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_F_MMAPABLE = 1 << 10,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
	BPF_RB_RING_SIZE = 1,
};

#define FMODE_WRITE 2
#define PF_IO_WORKER 0x10
#define S_IFMT 0170000
#define S_IFIFO 0010000
#define S_IFSOCK 0140000
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262
#define TCP_SYN_SENT 2
#define SOCK_DONE (1 << 1) /* of sk_flags: the peer's FIN has come */
#define EINPROGRESS 115
#define SOCK_STREAM 1
#define SOCK_SEQPACKET 5
#define MSG_OOB 1
#define MSG_PEEK 2
#define MSG_ERRQUEUE 0x2000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long bx, di, si, dx, r10, r8, orig_ax, cs;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 pstate;
	u64 orig_x0;
	s32 syscallno;
};
#endif

struct super_block {
	u32 s_dev;
};

struct pipe_buffer {
	u32 offset, len;
};

struct pipe_inode_info {
	/* unsigned int before 6.14, then a union of the pair; 32 bits in both */
	u32 head, tail;
	struct pipe_buffer *bufs;
};

struct inode {
	u16 i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	struct pipe_inode_info *i_pipe;
};

struct file {
	u32 f_mode;
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	u32 max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

struct ns_common {
	u32 inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	u8 s6_addr[16]; /* a union of arrays in the kernel: its first byte is where it begins */
};

struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	u16 skc_family;
	volatile unsigned char skc_state;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};

struct sk_buff_head {
	u32 qlen;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_type, sk_protocol;
	struct socket *sk_socket;
	struct sk_buff_head sk_receive_queue;
};

struct inet_sock {
	__be16 inet_sport;
};

struct unix_sock {
	struct sock *peer;
};

struct tcp_sock {
	u32 write_seq, copied_seq, rcv_nxt;
	u64 bytes_received;
};

struct mm_struct {
	unsigned long arg_start, arg_end;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
};

struct task_struct {
	unsigned int flags;
	int pid, tgid, exit_code;
	struct task_struct *group_leader, *real_parent;
	struct files_struct *files;
	struct mm_struct *mm;
	struct signal_struct *signal;
	char comm[16];
};

struct linux_binprm {
	const char *interp;
	struct file *file;
};

struct io_cqe {
	s32 res;
};

struct io_kiocb {
	struct file *file;
	u8 opcode;
	struct io_cqe cqe;
};

#pragma clang attribute pop

/* What user space passes to the calls; plain ABI, no relocation. */
struct iovec {
	u64 iov_base;
	u64 iov_len;
};
struct user_msghdr {
	u64 msg_name;
	s32 msg_namelen;
	u64 msg_iov;
	u64 msg_iovlen;
	u64 msg_control;
	u64 msg_controllen;
	u32 msg_flags;
};
struct mmsghdr {
	struct user_msghdr msg_hdr;
	u32 msg_len;
};

#if defined(__TARGET_ARCH_x86)
/* arch/x86/entry/syscalls/syscall_64.tbl */
enum {
	NR_read = 0, NR_write = 1, NR_open = 2, NR_readv = 19, NR_writev = 20, NR_pipe = 22,
	NR_sendfile = 40, NR_connect = 42, NR_accept = 43, NR_sendto = 44, NR_recvfrom = 45,
	NR_sendmsg = 46, NR_recvmsg = 47, NR_socketpair = 53, NR_openat = 257, NR_splice = 275,
	NR_tee = 276, NR_vmsplice = 278, NR_accept4 = 288, NR_pipe2 = 293, NR_recvmmsg = 299,
	NR_sendmmsg = 307, NR_preadv2 = 327, NR_pwritev2 = 328, NR_io_uring_enter = 426, NR_openat2 = 437,
};
#define USER32_CS 0x23
#define CALL_NR(regs) ((regs)->orig_ax)
#define CALL_COMPAT(regs) ((regs)->cs == USER32_CS)
#define COMPAT_ARG0(regs) ((regs)->bx)
#define CALL_ARG0(regs) ((regs)->di)
#define CALL_ARG1(regs) ((regs)->si)
#define CALL_ARG2(regs) ((regs)->dx)
#define CALL_ARG3(regs) ((regs)->r10)
#elif defined(__TARGET_ARCH_arm64)
/* include/uapi/asm-generic/unistd.h */
enum {
	NR_openat = 56, NR_pipe2 = 59, NR_read = 63, NR_write = 64, NR_readv = 65, NR_writev = 66,
	NR_sendfile = 71, NR_vmsplice = 75, NR_splice = 76, NR_tee = 77, NR_socketpair = 199,
	NR_accept = 202, NR_connect = 203, NR_sendto = 206, NR_recvfrom = 207, NR_sendmsg = 211,
	NR_recvmsg = 212, NR_accept4 = 242, NR_recvmmsg = 243, NR_sendmmsg = 269, NR_preadv2 = 286,
	NR_pwritev2 = 287, NR_io_uring_enter = 426, NR_openat2 = 437,
};
#define CALL_NR(regs) ((u64)(u32)(regs)->syscallno)
#define PSR_MODE32_BIT 0x10
#define CALL_COMPAT(regs) ((regs)->pstate & PSR_MODE32_BIT)
#define COMPAT_ARG0(regs) ((regs)->orig_x0)
#define CALL_ARG0(regs) ((regs)->orig_x0)
#define CALL_ARG1(regs) ((regs)->regs[1])
#define CALL_ARG2(regs) ((regs)->regs[2])
#define CALL_ARG3(regs) ((regs)->regs[3])
#endif

/* The same in the 32-bit tables of both (arch/x86/entry/syscalls/syscall_32.tbl, arch/arm/tools/syscall.tbl). */
enum { COMPAT_read = 3, COMPAT_write = 4, COMPAT_readv = 145, COMPAT_writev = 146 };
