// SPDX-License-Identifier: Apache-2.0
/*
 * What there is much of on a large machine, and does nothing.
 *
 *   streams COUNT              so many pipes; one MCP message has passed through each
 *   streams processes COUNT    so many processes
 *
 * Says a line when all is there, and ends, with everything, when its input does.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char message[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n";

static void fail(const char *what)
{
	perror(what);
	kill(0, SIGKILL);
}

/* As many as one process may have open. */
#define PIPES_EACH 2000

static void hold_pipes(int count)
{
	char buffer[256];

	for (int i = 0; i < count; i++) {
		int ends[2];

		if (pipe(ends) || write(ends[1], message, sizeof(message) - 1) < 0 || read(ends[0], buffer, sizeof(buffer)) < 0)
			fail("pipe");
	}
}

int main(int argc, char **argv)
{
	int processes = argc == 3 && !strcmp(argv[1], "processes");
	int count = atoi(argv[argc - 1]), each = processes ? 1 : PIPES_EACH;
	struct rlimit files = { .rlim_cur = 2 * PIPES_EACH + 64, .rlim_max = 2 * PIPES_EACH + 64 };
	int told[2];
	char byte;

	/* So that all of them, and nobody else, can be ended together. */
	setpgid(0, 0);
	if (setrlimit(RLIMIT_NOFILE, &files) || pipe(told))
		fail("setrlimit");
	for (int done = 0; done < count; done += each) {
		int child = fork();

		if (child < 0)
			fail("fork");
		if (child)
			continue;
		if (!processes)
			hold_pipes(count - done < each ? count - done : each);
		if (write(told[1], "", 1) != 1)
			fail("write");
		for (;;)
			pause();
	}
	for (int done = 0; done < count; done += each)
		if (read(told[0], &byte, 1) != 1)
			fail("read");
	puts("there");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	kill(0, SIGKILL);
}
