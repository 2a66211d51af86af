// SPDX-License-Identifier: Apache-2.0
/*
 * A client and a server of HTTPS on OpenSSL or BoringSSL, the server in a child that was forked without exec.
 * Each message goes through the functions that WAY names. Says on standard output between which ports.
 *
 *   tls-calls CERTIFICATE KEY WAY SIZE…     one tools/call with so many bytes of text for each SIZE
 *
 * WAY: plain (SSL_read, SSL_write), ex (SSL_read_ex, SSL_write_ex), memory (plain over memory BIOs),
 *      jump (plain, but the first read of each side is left by longjmp), twice (the same SSL is cleared and
 *      used again for the second half), wait (plain, but a byte on standard input is awaited in the middle),
 *      idle (memory; a byte on standard input is awaited before the first message; the second half goes over
 *      another connection, which was there from the start, 2 s later),
 *      hasty (plain, but the server closes as soon as it has answered, before the client's SSL_write has returned),
 *      and not with BoringSSL: ex2 (SSL_read_ex, SSL_write_ex2), early (the second half on a connection that is
 *      resumed: its first request is early data), renegotiate (TLS 1.2, a new handshake before each request),
 *      sendfile (SSL_sendfile is tried first, and works where the kernel has TLS).
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef OPENSSL_IS_BORINGSSL
/* Not in every OpenSSL. */
extern __attribute__((weak)) int SSL_write_ex2(SSL *ssl, const void *bytes, size_t length, uint64_t flags, size_t *written);
extern __attribute__((weak)) ssize_t SSL_sendfile(SSL *ssl, int fd, off_t offset, size_t length, int flags);
#ifndef SSL_OP_ENABLE_KTLS
#define SSL_OP_ENABLE_KTLS 0
#endif
#ifndef SSL_OP_ALLOW_CLIENT_RENEGOTIATION
#define SSL_OP_ALLOW_CLIENT_RENEGOTIATION 0
#endif
#endif

static const char *way;
static int descriptor;
static jmp_buf before_read;
static int jumps;
static int slow;
/* The handshake is still to be finished: data before it is early. */
static int early;

static void fail(const char *what)
{
	perror(what);
	/* This may be a part of another program. */
	_exit(1);
}

static int is(const char *name)
{
	return !strcmp(way, name);
}

/* A BIO of our own on the socket, which leaves the first read after a handshake by a jump. */
static int jumping_read(BIO *bio, char *bytes, int length)
{
	if (jumps == 1 && is("jump")) {
		jumps = 2;
		longjmp(before_read, 1);
	}
	int moved = read(descriptor, bytes, length);
	BIO_clear_retry_flags(bio);
	return moved;
}

static int plain_write(BIO *bio, const char *bytes, int length)
{
	int moved = write(descriptor, bytes, length);

	BIO_clear_retry_flags(bio);
	/* What is sent has been answered before the call that sends it returns. */
	if (slow)
		usleep(20 * 1000);
	return moved;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static int created(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static int in_memory(void)
{
	return is("memory") || is("idle");
}

static void give_socket(SSL *ssl)
{
	if (in_memory()) {
		SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	} else if (is("jump") || is("hasty")) {
		BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "jumping");

		BIO_meth_set_read(method, jumping_read);
		BIO_meth_set_write(method, plain_write);
		BIO_meth_set_ctrl(method, control);
		BIO_meth_set_create(method, created);
		BIO *bio = BIO_new(method);
		SSL_set_bio(ssl, bio, bio);
	} else {
		SSL_set_fd(ssl, descriptor);
	}
}

/* What memory BIOs hold goes into the socket; if `wait`, what comes out of it goes into them. */
static int pump(SSL *ssl, int wait)
{
	static char bytes[65536];
	int length;

	while ((length = BIO_read(SSL_get_wbio(ssl), bytes, sizeof(bytes))) > 0)
		for (int sent = 0, moved; sent < length; sent += moved)
			if ((moved = write(descriptor, bytes + sent, length - sent)) < 0)
				fail("write");
	if (!wait)
		return 1;
	if ((length = read(descriptor, bytes, sizeof(bytes))) <= 0)
		return 0;
	return BIO_write(SSL_get_rbio(ssl), bytes, length) == length;
}

static int again(SSL *ssl, int result)
{
	return in_memory() && SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ && pump(ssl, 1);
}

static void shake(SSL *ssl, int server)
{
	int result;

	do
		result = server ? SSL_accept(ssl) : SSL_connect(ssl);
	while (again(ssl, result));
	if (result != 1)
		fail("handshake");
	if (in_memory())
		pump(ssl, 0);
	if (!jumps)
		jumps = 1;
}

#ifndef OPENSSL_IS_BORINGSSL
/* Where the kernel has no TLS it refuses, and has moved nothing. */
static int send_file(SSL *ssl, const char *bytes, size_t length)
{
	FILE *file = tmpfile();
	size_t sent = 0;
	ssize_t moved;

	if (!SSL_sendfile || !file || fwrite(bytes, 1, length, file) != length || fflush(file))
		fail("SSL_sendfile");
	while (sent < length && (moved = SSL_sendfile(ssl, fileno(file), sent, length - sent, 0)) > 0)
		sent += moved;
	fclose(file);
	if (sent && sent < length)
		fail("SSL_sendfile");
	printf("sendfile %zu\n", sent);
	fflush(stdout);
	return sent > 0;
}

static int put_otherwise(SSL *ssl, const char *bytes, size_t length)
{
	size_t written = 0;

	if (is("ex"))
		return SSL_write_ex(ssl, bytes, length, &written) && written == length;
	if (is("ex2"))
		return SSL_write_ex2 && SSL_write_ex2(ssl, bytes, length, 0, &written) && written == length;
	if (early)
		return SSL_write_early_data(ssl, bytes, length, &written) && written == length;
	return is("sendfile") && send_file(ssl, bytes, length);
}

static int get_early(SSL *ssl, char *bytes, size_t room, size_t *moved)
{
	switch (SSL_read_early_data(ssl, bytes, room, moved)) {
	case SSL_READ_EARLY_DATA_SUCCESS:
		return 1;
	case SSL_READ_EARLY_DATA_FINISH:
		if (SSL_get_early_data_status(ssl) != SSL_EARLY_DATA_ACCEPTED)
			fail("early data");
		early = 0;
		shake(ssl, 1);
		return *moved > 0;
	}
	fail("SSL_read_early_data");
	return 0;
}
#else
static int put_otherwise(SSL *ssl, const char *bytes, size_t length)
{
	return 0;
}
#endif

static void put(SSL *ssl, const char *bytes, size_t length)
{
	if (!put_otherwise(ssl, bytes, length) && SSL_write(ssl, bytes, length) != (int)length)
		fail("SSL_write");
	if (early) {
		early = 0;
		shake(ssl, 0);
	}
	if (in_memory())
		pump(ssl, 0);
}

/* 0 at the end. */
static size_t get(SSL *ssl, char *bytes, size_t room)
{
	int result;

	setjmp(before_read);
#ifndef OPENSSL_IS_BORINGSSL
	size_t moved = 0;

	if (is("ex") || is("ex2"))
		return SSL_read_ex(ssl, bytes, room, &moved) ? moved : 0;
	if (early && get_early(ssl, bytes, room, &moved))
		return moved;
#endif
	do
		result = SSL_read(ssl, bytes, room);
	while (result <= 0 && again(ssl, result));
	return result > 0 ? result : 0;
}

/* One HTTP message; its head ends with an empty line and has a Content-Length. 0 at the end. */
static int receive(SSL *ssl)
{
	size_t room = 4 << 20, filled = 0, moved;
	char *bytes = malloc(room), *body = NULL;
	int whole = 0;

	while (!whole && (moved = get(ssl, bytes + filled, room - filled - 1))) {
		filled += moved;
		bytes[filled] = 0;
		if (!body && (body = strstr(bytes, "\r\n\r\n")))
			body += 4;
		whole = body && filled >= body - bytes + strtoul(strstr(bytes, "Content-Length:") + 15, NULL, 10);
	}
	free(bytes);
	return whole;
}

/* Head and body go by one call. */
static void send_message(SSL *ssl, const char *first, const char *before, size_t text, const char *behind)
{
	size_t length = strlen(before) + text + strlen(behind);
	char *bytes = malloc(length + 512);
	int head = sprintf(bytes, "%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", first, length);

	memcpy(bytes + head, before, strlen(before));
	memset(bytes + head + strlen(before), 'x', text);
	strcpy(bytes + head + strlen(before) + text, behind);
	put(ssl, bytes, head + length);
	free(bytes);
}

static void ask(SSL *ssl, int id, size_t size)
{
	char before[256];

	sprintf(before,
		"{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"text\":\"",
		id);
	send_message(ssl, "POST /mcp HTTP/1.1\r\nHost: localhost\r\n", before, size, "\"}}}");
}

static void answer(SSL *ssl, int id, size_t size)
{
	char before[256];

	sprintf(before, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"", id);
	send_message(ssl, "HTTP/1.1 200 OK\r\n", before, size, "\"}]}}");
}

static void await_byte(void)
{
	puts("waiting");
	fflush(stdout);
	getchar();
}

static void converse(SSL *ssl, int server, char **sizes, int from, int to)
{
	for (int id = from; id < to; id++) {
		if (!server && is("wait") && id == 2)
			await_byte();
#ifndef OPENSSL_IS_BORINGSSL
		if (!server && is("renegotiate") && (!SSL_renegotiate(ssl) || SSL_do_handshake(ssl) != 1))
			fail("SSL_renegotiate");
#endif
		if (!server)
			ask(ssl, id, atol(sizes[id]));
		if (!receive(ssl))
			fail("receive");
		if (server)
			answer(ssl, id, atol(sizes[id]));
	}
}

static int open_socket(int server, int listener, struct sockaddr_in *address)
{
	struct sockaddr_in own;
	socklen_t length = sizeof(own);
	int fd;

	if (server)
		return accept(listener, NULL, NULL);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (void *)address, sizeof(*address)))
		fail("connect");
	getsockname(fd, (void *)&own, &length);
	printf("ports %d %d\n", ntohs(own.sin_port), ntohs(address->sin_port));
	fflush(stdout);
	return fd;
}

/* The client ends it; the server has then nothing more to hear. */
static void end(SSL *ssl, int server)
{
	if (server && !is("hasty"))
		receive(ssl);
	SSL_shutdown(ssl);
	if (in_memory())
		pump(ssl, 0);
	close(descriptor);
}

/* Two connections from the start, the second one idle until the first has done its half. */
static void idle(int server, int listener, struct sockaddr_in *address, SSL_CTX *context, char **sizes, int count)
{
	int sockets[2];
	SSL *both[2];

	for (int n = 0; n < 2; n++) {
		descriptor = sockets[n] = open_socket(server, listener, address);
		both[n] = SSL_new(context);
		give_socket(both[n]);
		shake(both[n], server);
	}
	if (!server)
		await_byte();
	for (int n = 0; n < 2; n++) {
		descriptor = sockets[n];
		if (n && !server)
			sleep(2);
		converse(both[n], server, sizes, n * count / 2, (n + 1) * count / 2);
	}
	for (int n = 0; n < 2; n++) {
		descriptor = sockets[n];
		end(both[n], server);
		SSL_free(both[n]);
	}
}

/* The second connection of `twice` and `early`. */
static SSL *prepare_again(SSL *ssl, int server)
{
	if (is("twice")) {
		if (!SSL_clear(ssl))
			fail("SSL_clear");
		return ssl;
	}
	SSL *next = SSL_new(SSL_get_SSL_CTX(ssl));
	SSL_SESSION *session = server ? NULL : SSL_get1_session(ssl);

	if (session && (!SSL_SESSION_is_resumable(session) || !SSL_set_session(next, session)))
		fail("SSL_set_session");
	SSL_free(ssl);
	early = 1;
	return next;
}

/* One connection for all, or one for each half. */
static void peer(int server, int listener, struct sockaddr_in *address, SSL_CTX *context, char **sizes, int count)
{
	int connections = is("twice") || is("early") ? 2 : 1;
	SSL *ssl = SSL_new(context);

	slow = !server && is("hasty");
	for (int n = 0; n < connections; n++) {
		if (n)
			ssl = prepare_again(ssl, server);
		descriptor = open_socket(server, listener, address);
		give_socket(ssl);
		if (!early)
			shake(ssl, server);
		converse(ssl, server, sizes, n * count / connections, (n + 1) * count / connections);
		end(ssl, server);
	}
	SSL_free(ssl);
}

static SSL_CTX *make_context(int server, char **files)
{
	SSL_CTX *context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	if (server && (SSL_CTX_use_certificate_file(context, files[0], SSL_FILETYPE_PEM) != 1 ||
		       SSL_CTX_use_PrivateKey_file(context, files[1], SSL_FILETYPE_PEM) != 1))
		fail("certificate");
#ifndef OPENSSL_IS_BORINGSSL
	if (is("early"))
		SSL_CTX_set_max_early_data(context, 16384);
	if (is("renegotiate")) {
		SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
		SSL_CTX_set_options(context, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
	}
	if (is("sendfile"))
		SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
#endif
	return context;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), status;
	SSL_CTX *context;
	pid_t child;

	if (argc < 5)
		return 2;
	way = argv[3];
	bind(listener, (void *)&address, sizeof(address));
	listen(listener, 2);
	getsockname(listener, (void *)&address, &length);
	child = fork();
	/* Whether mcpspy finds the library before it is used is not what is tested with this program. */
	usleep(500 * 1000);
	context = make_context(!child, argv + 1);
	(is("idle") ? idle : peer)(!child, listener, &address, context, argv + 4, argc - 4);
	SSL_CTX_free(context);
	/* Not what comes after this in a program that has this as a part. */
	if (!child)
		_exit(0);
	return waitpid(child, &status, 0) == child && !status ? 0 : 1;
}
