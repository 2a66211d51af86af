/* SPDX-License-Identifier: GPL-2.0-only */
/* All programs in one object, so that they share their maps. */
#include "syscalls.bpf.c"
#include "uring.bpf.c"
#include "fentry.bpf.c"
#include "fentry-calls.bpf.c"
#include "sockets.bpf.c"
#include "processes.bpf.c"
#include "tls.bpf.c"
#include "iterators.bpf.c"

char LICENSE[] SEC("license") = "GPL";
