// SPDX-License-Identifier: Apache-2.0
/*
 * What one system call costs: prints one JSON object with nanoseconds a call for
 * getppid, write(/dev/null) and a 300-byte write and read through a pipe.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 300000

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(void)
{
	const char *head = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\"";
	char text[300], buffer[300];
	double start, getppid_ns, write_ns, pipe_ns;
	int null = open("/dev/null", O_WRONLY), ends[2];

	memset(text, 'x', sizeof(text));
	memcpy(text, head, strlen(head));
	memcpy(text + sizeof(text) - 4, "\"}}\n", 4);
	if (pipe(ends))
		return 1;
	start = now();
	for (int i = 0; i < ROUNDS; i++)
		syscall(SYS_getppid);
	getppid_ns = (now() - start) / ROUNDS;
	start = now();
	for (int i = 0; i < ROUNDS; i++)
		if (write(null, text, sizeof(text)) < 0)
			return 1;
	write_ns = (now() - start) / ROUNDS;
	start = now();
	for (int i = 0; i < ROUNDS / 3; i++)
		if (write(ends[1], text, sizeof(text)) < 0 || read(ends[0], buffer, sizeof(buffer)) < 0)
			return 1;
	pipe_ns = (now() - start) / (ROUNDS / 3);
	printf("{\"getppid\":%.0f,\"write\":%.0f,\"pipe\":%.0f}\n", getppid_ns, write_ns, pipe_ns);
	return 0;
}
