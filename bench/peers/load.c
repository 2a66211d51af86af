// SPDX-License-Identifier: Apache-2.0
/*
 * A client and a server that exchange MCP messages of one size as fast as asked.
 *
 *   load client SIZE RATE SECONDS SERVER…    starts SERVER, a command, on two pipes
 *   load serve SIZE
 *
 * SIZE: bytes of each message; RATE: messages a second in both directions
 * together, 0 for as many as go; each message is one write(2). Prints one JSON
 * object: messages and bytes sent, seconds taken.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static size_t size;
static double rate, seconds;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void write_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t n = write(fd, bytes, length);

		if (n <= 0)
			exit(1);
		bytes += n;
		length -= n;
	}
}

/* `head`, the id in ten digits, `tail`, padded to `size` with a newline at the end. */
static char *message(const char *head, const char *middle, const char *tail)
{
	size_t fixed = strlen(head) + 10 + strlen(middle) + strlen(tail) + 1;
	char *text = malloc(size + 1);
	char *at = text;

	if (fixed > size) {
		fprintf(stderr, "load: a message needs %zu bytes at least\n", fixed);
		exit(2);
	}
	at = stpcpy(at, head);
	at = stpcpy(at, "1000000000");
	at = stpcpy(at, middle);
	memset(at, 'x', size - fixed);
	at += size - fixed;
	at = stpcpy(at, tail);
	*at = '\n';
	return text;
}

static void number(char *text, size_t at, long id)
{
	for (int i = 9; i >= 0; i--, id /= 10)
		text[at + i] = '0' + id % 10;
}

static void serve(int in, int out)
{
	const char *head = "{\"jsonrpc\":\"2.0\",\"id\":";
	char *answer = message(head, ",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"", "\"}]}}");
	char *buffer = malloc(1 << 20);
	long id = 1000000000;
	ssize_t n;

	while ((n = read(in, buffer, 1 << 20)) > 0)
		for (char *at = buffer; (at = memchr(at, '\n', buffer + n - at)); at++) {
			number(answer, strlen(head), id++);
			write_all(out, answer, size);
		}
	exit(0);
}

static void *drain(void *fd)
{
	char *buffer = malloc(1 << 20);

	while (read(*(int *)fd, buffer, 1 << 20) > 0)
		;
	return NULL;
}

int main(int argc, char **argv)
{
	const char *head = "{\"jsonrpc\":\"2.0\",\"id\":";
	int to[2], from[2];
	pthread_t reader;
	long sent = 0;
	double start, end;
	char *request;

	if (argc < 3)
		return 2;
	size = atol(argv[2]);
	if (!strcmp(argv[1], "serve"))
		serve(0, 1);
	if (argc < 6)
		return 2;
	rate = atof(argv[3]) / 2;
	seconds = atof(argv[4]);
	if (pipe(to) || pipe(from))
		return 1;
	if (!fork()) {
		close(to[1]);
		close(from[0]);
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[0]);
		close(from[1]);
		execvp(argv[5], argv + 5);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	request = message(head, ",\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"text\":\"", "\"}}}");
	pthread_create(&reader, NULL, drain, &from[0]);
	start = now();
	while ((end = now()) - start < seconds) {
		/* At a high rate every 100 messages, else each, wait until they are due. */
		if (rate && sent / rate > end - start) {
			usleep(500);
			continue;
		}
		for (int i = 0; i < (size > 4096 || (rate && rate < 5000) ? 1 : 100); i++) {
			number(request, strlen(head), 1000000000 + sent++);
			write_all(to[1], request, size);
		}
	}
	close(to[1]);
	pthread_join(reader, NULL);
	wait(NULL);
	end = now();
	printf("{\"messages\":%ld,\"bytes\":%ld,\"seconds\":%.3f}\n", 2 * sent, 2 * sent * size, end - start);
	return 0;
}
