/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client and a server in plain C that say one line after the other, as fast as
 * they can. `pingpong client COUNT` starts `pingpong server` on two pipes. Both
 * keep account in the form of truth.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static FILE *account;
static const char *role;

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void quoted(const char *text, size_t length)
{
	fputc('"', account);
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '"' || text[i] == '\\')
			fputc('\\', account);
		fputc(text[i], account);
	}
	fputc('"', account);
}

static void begin(const char *event)
{
	fprintf(account, "{\"role\":\"%s\",\"link\":\"link\",\"time\":%lld,\"event\":\"%s\"", role, now(), event);
}

static void note(const char *event, const char *line, size_t length)
{
	begin(event);
	fputs(",\"text\":", account);
	quoted(line, length);
	fputs("}\n", account);
}

static void open_account(char **argv)
{
	char path[4096], exe[4096];
	ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe));
	const char *name = strrchr(argv[0], '/') + 1;

	snprintf(path, sizeof(path), "%s/%020lld-%d-%s.jsonl", getenv("MCPSPY_TRUTH"), now(), getpid(), role);
	account = fopen(path, "we");
	if (!account || length < 0)
		exit(2);
	begin("start");
	fprintf(account, ",\"pid\":%d,\"comm\":", getpid());
	quoted(name, strlen(name));
	fputs(",\"exe\":", account);
	quoted(exe, length);
	fputs(",\"argv\":[", account);
	for (char **each = argv; *each; each++) {
		if (each != argv)
			fputc(',', account);
		quoted(*each, strlen(*each));
	}
	fputs("]}\n", account);
}

/* The peers take turns, so a line is all there is to be read. */
static size_t read_line(int fd, char *line, size_t size)
{
	size_t length = 0;

	while (!length || line[length - 1] != '\n') {
		ssize_t got = read(fd, line + length, size - length);

		if (got <= 0)
			return 0;
		length += got;
	}
	note("received", line, length - 1);
	return length;
}

static void say(int fd, const char *line)
{
	size_t length = strlen(line);

	note("sent", line, length - 1);
	if (write(fd, line, length) != (ssize_t)length)
		exit(3);
}

static int serve(void)
{
	char line[1024], reply[1024];

	while (read_line(0, line, sizeof(line))) {
		int id = atoi(strstr(line, "\"id\":") + 5);

		snprintf(reply, sizeof(reply), "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[]}}\n", id);
		say(1, reply);
	}
	return fclose(account);
}

int main(int argc, char **argv)
{
	char line[1024];
	int to[2], from[2];
	pid_t server;

	role = argc > 1 ? argv[1] : "server";
	open_account(argv);
	if (!strcmp(role, "server"))
		return serve();
	if (pipe(to) || pipe(from))
		return 2;
	server = fork();
	if (server == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[0]), close(to[1]), close(from[0]), close(from[1]);
		execl(argv[0], argv[0], "server", NULL);
		_exit(2);
	}
	close(to[0]), close(from[1]);
	for (int id = 1; id <= atoi(argv[2]); id++) {
		snprintf(line, sizeof(line),
			 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\"}}\n", id);
		say(to[1], line);
		if (!read_line(from[0], line, sizeof(line)))
			return 4;
	}
	close(to[1]);
	waitpid(server, NULL, 0);
	return fclose(account);
}
