// SPDX-License-Identifier: Apache-2.0
/*
 * A server on GnuTLS that answers each POST with an MCP result holding the
 * request's text, escaped: at $PORT of 127.0.0.1, one connection at a time, kept
 * alive. Answers are sent corked, whole, in two records, and padded (send2), in turn;
 * requests are read without and with their sequence numbers (recv_seq), in turn.
 * Usage: http-gnutls-server CERTIFICATE KEY
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST (4 << 20)

static void check(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

/* Sends all of it. */
static int send_all(gnutls_session_t session, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t sent = gnutls_record_send(session, bytes, length);

		if (sent < 0)
			return -1;
		bytes += sent;
		length -= sent;
	}
	return 0;
}

static int send_answer(gnutls_session_t session, const char *answer, size_t length, int number)
{
	switch (number % 4) {
	case 0:
		gnutls_record_cork(session);
		if (send_all(session, answer, length / 3) || send_all(session, answer + length / 3, length - length / 3))
			return -1;
		return gnutls_record_uncork(session, GNUTLS_RECORD_WAIT) < 0 ? -1 : 0;
	case 1:
		return send_all(session, answer, length);
	case 2:
		for (ssize_t sent; length > 0; answer += sent, length -= sent)
			if ((sent = gnutls_record_send2(session, answer, length, 16, 0)) < 0)
				return -1;
		return 0;
	default:
		return send_all(session, answer, length / 2) || send_all(session, answer + length / 2, length - length / 2);
	}
}

/* Reads one request. Returns its body and cuts the rest off, or NULL when there is no more. */
static char *read_request(gnutls_session_t session, char *buffer, int number)
{
	size_t have = 0, need = 0;
	char *body = NULL;

	for (;;) {
		unsigned char sequence[8];
		ssize_t got = number % 2 ? gnutls_record_recv_seq(session, buffer + have, MOST - 1 - have, sequence)
					 : gnutls_record_recv(session, buffer + have, MOST - 1 - have);

		if (got <= 0)
			return NULL;
		have += got;
		buffer[have] = 0;
		if (!body && (body = strstr(buffer, "\r\n\r\n"))) {
			char *field = strcasestr(buffer, "\r\ncontent-length:");

			body += 4;
			need = body - buffer + (field ? strtoul(field + 17, NULL, 10) : 0);
		}
		if (body && have >= need)
			return body;
	}
}

static void serve(gnutls_session_t session, char *buffer, char *answer)
{
	char *body;

	for (int number = 0; (body = read_request(session, buffer, number)); number++) {
		char *id = strstr(body, "\"id\":");
		char *out = answer + 256;

		out += sprintf(out, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"",
			       id ? (int)strcspn(id + 5, ",}") : 4, id ? id + 5 : "null");
		for (; *body; *out++ = *body++)
			if (*body == '"' || *body == '\\')
				*out++ = '\\';
		out += sprintf(out, "\"}]}}");
		char head[256];
		int length = snprintf(head, sizeof(head),
				      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zd\r\n\r\n",
				      out - (answer + 256));

		memcpy(answer + 256 - length, head, length);
		if (send_answer(session, answer + 256 - length, out - (answer + 256 - length), number))
			return;
	}
}

int main(int argc, char **argv)
{
	gnutls_certificate_credentials_t credentials;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
	char *buffer = malloc(MOST), *answer = malloc(2 * MOST + 1024);

	signal(SIGPIPE, SIG_IGN);
	check(argc == 3 && buffer && answer, "usage");
	gnutls_certificate_allocate_credentials(&credentials);
	check(gnutls_certificate_set_x509_key_file(credentials, argv[1], argv[2], GNUTLS_X509_FMT_PEM) >= 0, "key");
	address.sin_port = htons(atoi(getenv("PORT")));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	check(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	check(listen(listener, 64) == 0, "listen");
	for (;;) {
		int connection = accept(listener, NULL, NULL), result;
		gnutls_session_t session;

		if (connection < 0)
			continue;
		gnutls_init(&session, GNUTLS_SERVER);
		gnutls_priority_set_direct(session, "NORMAL", NULL);
		gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
		gnutls_transport_set_int(session, connection);
		do
			result = gnutls_handshake(session);
		while (result < 0 && !gnutls_error_is_fatal(result));
		if (result == 0)
			serve(session, buffer, answer);
		gnutls_bye(session, GNUTLS_SHUT_WR);
		close(connection);
		gnutls_deinit(session);
	}
}
