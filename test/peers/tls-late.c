// SPDX-License-Identifier: Apache-2.0
/*
 * Runs tls_calls() of one or more libraries, each of which it loads only then, one after the other. With $WAIT it
 * says "waiting" first, and awaits a byte on standard input.
 *
 *   tls-late LIBRARY[,LIBRARY…] CERTIFICATE KEY WAY SIZE…     see tls-calls.c
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (getenv("WAIT")) {
		puts("waiting");
		fflush(stdout);
		getchar();
	}
	for (char *path = strtok(argv[1], ","); path; path = strtok(NULL, ",")) {
		void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		int (*tls_calls)(int, char **) = library ? dlsym(library, "tls_calls") : NULL;
		int status = tls_calls ? tls_calls(argc - 1, argv + 1) : 2;

		if (!tls_calls)
			fprintf(stderr, "%s\n", dlerror());
		if (status)
			return status;
	}
	return 0;
}
