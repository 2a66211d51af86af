/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The records the kernel programs hand to user space: the one place where
 * their layout is said. `src/source/layout.ts` reads the same bytes.
 *
 * Three rings. `data` carries payload; `gaps` says what of it is missing;
 * `control` carries what happens to streams and processes. So a flood of payload
 * can push out neither who said it nor that some is lost; and what `control` has no room for goes into `data`.
 * All times are CLOCK_MONOTONIC in nanoseconds. All integers are in the machine's order (little endian on both
 * architectures we build for).
 */
#pragma once

#define PAYLOAD_CHUNK 65536 /* largest payload of one record, bytes */
#define ARGV_MAX 4096       /* command line kept of an exec, bytes */
#define PATH_LEN 256
#define COMM_LEN 16

enum record_type {
	/* data ring */
	RECORD_DATA = 1,
	/* gaps ring */
	RECORD_GAP = 2,
	/* control ring, or data ring */
	RECORD_STREAM = 16,
	RECORD_ENDPOINT = 17,
	RECORD_EOF = 18,
	RECORD_FORK = 19,
	RECORD_EXEC = 20,
	RECORD_EXIT = 21,
	RECORD_TIE = 22,
	/* news ring: what the sensor has to look at; read by the sensor */
	RECORD_MAPPED = 32,
};

enum record_flags {
	FLAG_READ = 1,        /* the bytes come from the reader's call, not from the writer's */
	FLAG_PACKET_END = 2,  /* the transport keeps message boundaries and one is here */
	FLAG_ENDS_LINE = 4,   /* gap: the last lost byte was a newline */
	FLAG_LINES_KNOWN = 8, /* gap: `lines` is exact */
	FLAG_PLACED = 16,     /* gap: `offset` counts; without it, losses that have added up */
	FLAG_MAY_ARRIVE = 32, /* gap: the other end's calls may still supply the bytes */
	FLAG_RESUMED = 64,    /* the first bytes of a stream whose verdict's term is over */
	FLAG_STRANGER = 128,  /* endpoint: out of scope; told by its connect() or accept() */
	FLAG_SHARED = 256,    /* several processes have written: both ends hand over all that they move */
	FLAG_BATCH = 512,     /* the call moved more than this: sendmmsg, recvmmsg */
};

enum stream_kind {
	KIND_PIPE = 1,
	KIND_UNIX_STREAM = 2,
	KIND_UNIX_SEQPACKET = 3,
	KIND_STDERR = 4, /* descriptor 2 on something that is not a channel: terminal, file, device */
	KIND_TCP = 5,
	KIND_TLS = 6, /* clear text inside TLS, seen at one end */
};

/* Where a connection runs; `family` is AF_INET or AF_INET6, or 0 when it is not known. */
struct addresses {
	u8 source[16], destination[16]; /* of the writing and of the reading end; IPv4 in the first four bytes */
	u16 source_port, destination_port;
	u32 family;
};

/* The TLS library behind a KIND_TLS stream: the function's cookie says it. */
enum tls_library {
	TLS_OPENSSL = 1,
	TLS_GNUTLS = 2,
	TLS_BORINGSSL = 3, /* the same functions as OpenSSL */
};

/* Why bytes are missing. The order is the order of `counters` in user space. */
enum loss_cause {
	LOSS_RING_FULL = 0,
	LOSS_UNREADABLE = 1, /* user memory could not be read */
	LOSS_MAP_FULL = 2,   /* no room to follow, or to describe, a process or stream */
	LOSS_SPLICE = 3,     /* splice, tee, vmsplice or sendfile moved them */
	LOSS_IO_URING = 4,
	LOSS_COMPAT = 5, /* a 32-bit system call */
	LOSS_SKIPPED = 6, /* the kernel left a program out, by its own count: told by the sensor */
	LOSS_CAUSES = 7,
};

struct record_head {
	u16 type;
	u16 flags;
	u32 tgid;
	u64 time;
	u64 stream; /* or 0 */
};

struct record_data {
	struct record_head head;
	u64 offset; /* position in the stream of the first byte */
	u32 length; /* payload bytes that follow; none: the reader has had all up to `offset`, by its own count */
	s32 fd;
};

struct record_gap {
	struct record_head head;
	u64 offset; /* first lost byte, with FLAG_PLACED */
	u64 bytes;  /* how many were lost */
	u32 lines;  /* newlines among them, when FLAG_LINES_KNOWN */
	u32 cause;
};

struct record_stream {
	struct record_head head;
	u64 inode;      /* of the pipe, or of the writing socket (0: not known) */
	u64 peer_inode; /* of the reading socket (0: not known, or a pipe) */
	u64 pair;       /* id of the opposite direction of the same socket, or 0 */
	u32 device;
	u32 kind;
	u64 joined; /* 1: bytes may have passed before the stream was followed */
	struct addresses addresses; /* KIND_TCP */
	u32 library; /* KIND_TLS: enum tls_library */
	u32 reserved;
};

/* The clear text of `head.stream` (KIND_TLS) travels encrypted over these addresses. */
struct record_tie {
	struct record_head head;
	u64 carrier; /* id of the KIND_TCP stream of the same direction, or 0 */
	struct addresses addresses;
};

/* A process in scope has mapped a file executable, or forked, or ended (inode 0). */
struct record_mapped {
	struct record_head head;
	u64 inode;
	u32 device; /* s_dev of the kernel; fork: 1, where the child still runs in its parent's memory */
	u32 parent; /* fork: the parent's tgid, else 0 */
};

/* It has become another program, whose file this is. */
struct record_executed {
	struct record_mapped mapped;
	char path[PATH_LEN]; /* as it was given, after #! */
};

struct record_endpoint {
	struct record_head head;
	s32 fd;
	u32 reserved;
	char comm[COMM_LEN]; /* of the thread-group leader */
};

struct record_process {
	struct record_head head;
	u32 other; /* fork: the parent's tgid; exit: the wait status */
	u32 argv_length;
	char comm[COMM_LEN];
	char exe[PATH_LEN]; /* exec: the path given, after #! */
	/* exec: argv, separated by NUL, follows */
};
