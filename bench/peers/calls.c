// SPDX-License-Identifier: Apache-2.0
/*
 * What one system call costs: `calls [TIMES]` prints, each time, one JSON object with nanoseconds a call for getppid,
 * lseek, read(/dev/zero), write(/dev/null), and a 300-byte write and read through a pipe.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 300000

static char text[300], buffer[300];
static int null, zero, ends[2];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int ask(void)
{
	return syscall(SYS_getppid);
}

static int seek(void)
{
	return lseek(zero, 0, SEEK_SET);
}

static int read_zero(void)
{
	return read(zero, buffer, sizeof(buffer));
}

static int write_null(void)
{
	return write(null, text, sizeof(text));
}

static int through_pipe(void)
{
	return write(ends[1], text, sizeof(text)) < 0 ? -1 : read(ends[0], buffer, sizeof(buffer));
}

static double cost(int (*call)(void), int rounds)
{
	double start = now();

	for (int i = 0; i < rounds; i++)
		if (call() < 0) {
			perror("calls");
			exit(1);
		}
	return (now() - start) / rounds;
}

int main(int argc, char **argv)
{
	const char *head = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\"";
	int times = argc > 1 ? atoi(argv[1]) : 1;

	null = open("/dev/null", O_WRONLY);
	zero = open("/dev/zero", O_RDONLY);
	memset(text, 'x', sizeof(text));
	memcpy(text, head, strlen(head));
	memcpy(text + sizeof(text) - 4, "\"}}\n", 4);
	if (pipe(ends))
		return 1;
	while (times-- > 0) {
		double getppid_ns = cost(ask, ROUNDS), lseek_ns = cost(seek, ROUNDS), zero_ns = cost(read_zero, ROUNDS);
		double write_ns = cost(write_null, ROUNDS), pipe_ns = cost(through_pipe, ROUNDS / 3);

		printf("{\"getppid\":%.0f,\"lseek\":%.0f,\"zero\":%.0f,\"write\":%.0f,\"pipe\":%.0f}\n", getppid_ns, lseek_ns,
		       zero_ns, write_ns, pipe_ns);
	}
	return 0;
}
