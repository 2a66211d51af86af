// SPDX-License-Identifier: Apache-2.0
/*
 * Moves the bytes of a file through one channel by the system calls a test
 * asks for, and records what really went in and came out.
 *
 *   mover key=value…
 *
 *   name=TEXT      only there to be found in argv
 *   carrier=       pipe, fifo, socketpair, named (unix socket by path), seqpacket
 *   role=          both (default), writer, reader: the latter two for a fifo or named socket at path=
 *   path=FILE      of the fifo or named socket
 *   in=FILE        the bytes to send
 *   dir=DIR        gets `sent` and `received` (raw bytes), each written when its side is through
 *   write=, read=  the calls used where the plan says nothing else
 *   plan=FILE      for the writer, a line for each call: SIZE [CALL]; CALL may be `sleep` (SIZE milliseconds)
 *                  or `kill` (SIGKILL to itself); what the plan leaves over goes by each=
 *   rplan=FILE     the same for the reader: exactly SIZE bytes by that call
 *   each=N         bytes handed to one call; 0: all that is left
 *   iov=N          iovec per vectored call; every third one is empty
 *   buffer=N       the reader's buffer
 *   nonblock=1     the writer's descriptor does not block: EAGAIN and partial writes
 *   peek=1         the reader looks with MSG_PEEK before it takes
 *   wait=FILE      begin when this file exists
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_IOV 1024
#define BATCH 3

static char **options;

static const char *option(const char *key, const char *otherwise)
{
	size_t length = strlen(key);

	for (char **each = options; *each; each++)
		if (!strncmp(*each, key, length) && (*each)[length] == '=')
			return *each + length + 1;
	return otherwise;
}

static void fail(const char *what)
{
	fprintf(stderr, "mover: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- a file in memory, and the records ----------------------------------- */

struct bytes {
	char *data;
	size_t length, room;
};

static struct bytes load(const char *path)
{
	struct bytes bytes = {};
	struct stat stat;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &stat))
		fail(path);
	bytes.length = stat.st_size;
	bytes.data = malloc(bytes.length + 1);
	for (size_t at = 0; at < bytes.length;) {
		ssize_t got = read(fd, bytes.data + at, bytes.length - at);

		if (got <= 0)
			fail(path);
		at += got;
	}
	bytes.data[bytes.length] = 0;
	close(fd);
	return bytes;
}

static void append(struct bytes *to, const char *data, size_t length)
{
	if (to->length + length > to->room) {
		to->room = (to->length + length) * 2;
		to->data = realloc(to->data, to->room);
	}
	memcpy(to->data + to->length, data, length);
	to->length += length;
}

static void save(const char *name, const char *data, size_t length)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", option("dir", "."), name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		fail(path);
	for (size_t at = 0; at < length;) {
		ssize_t put = write(fd, data + at, length - at);

		if (put <= 0)
			fail(path);
		at += put;
	}
	close(fd);
}

/* ---- io_uring without a library ------------------------------------------- */

static struct {
	int fd;
	struct io_uring_params params;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
} ring;

static ssize_t by_uring_as(int opcode, int flags, int fd, void *data, size_t length)
{
	if (!ring.sqes) {
		ring.fd = syscall(SYS_io_uring_setup, 4, &ring.params);
		if (ring.fd < 0)
			fail("io_uring_setup");
		ring.sq = mmap(NULL, ring.params.sq_off.array + 4 * sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
		ring.cq = mmap(NULL, ring.params.cq_off.cqes + 8 * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
		ring.sqes = mmap(NULL, 4 * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQES);
		if (ring.sq == MAP_FAILED || ring.cq == MAP_FAILED || ring.sqes == MAP_FAILED)
			fail("mapping the io_uring");
	}
	uint32_t *tail = (uint32_t *)(ring.sq + ring.params.sq_off.tail);
	uint32_t mask = *(uint32_t *)(ring.sq + ring.params.sq_off.ring_mask);
	uint32_t index = *tail & mask;
	struct io_uring_sqe *sqe = &ring.sqes[index];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = opcode;
	sqe->flags = flags;
	sqe->fd = fd;
	sqe->addr = (uint64_t)data;
	sqe->len = length;
	sqe->off = opcode == IORING_OP_SEND || opcode == IORING_OP_RECV ? 0 : (uint64_t)-1;
	((uint32_t *)(ring.sq + ring.params.sq_off.array))[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	while (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		if (errno != EINTR)
			fail("io_uring_enter");
	uint32_t *head = (uint32_t *)(ring.cq + ring.params.cq_off.head);
	uint32_t cq_mask = *(uint32_t *)(ring.cq + ring.params.cq_off.ring_mask);
	struct io_uring_cqe *cqe = (struct io_uring_cqe *)(ring.cq + ring.params.cq_off.cqes) + (*head & cq_mask);
	ssize_t result = cqe->res;

	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	if (result < 0) {
		errno = -result;
		return -1;
	}
	return result;
}

static ssize_t by_uring(int opcode, int fd, void *data, size_t length)
{
	return by_uring_as(opcode, 0, fd, data, length);
}

/* By a buffer that the kernel has taken the pages of, and moves as such. */
static ssize_t by_fixed_buffer(int opcode, int fd, void *data, size_t length)
{
	static char buffer[1 << 16] __attribute__((aligned(4096)));
	static int registered;
	struct iovec iov = { buffer, sizeof(buffer) };
	ssize_t moved;

	if (length > sizeof(buffer))
		length = sizeof(buffer);
	if (!registered) {
		/* One that moves nothing makes the ring. */
		by_uring(IORING_OP_NOP, -1, NULL, 0);
		if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &iov, 1))
			fail("io_uring_register");
		registered = 1;
	}
	if (opcode == IORING_OP_WRITE_FIXED)
		memcpy(buffer, data, length);
	moved = by_uring(opcode, fd, buffer, length);
	if (opcode == IORING_OP_READ_FIXED && moved > 0)
		memcpy(data, buffer, moved);
	return moved;
}

/* ---- vectors ------------------------------------------------------------------ */

/* Uneven segments, every third one empty. */
static int cut(struct iovec *iov, char *data, size_t length)
{
	int count = atoi(option("iov", "5"));
	size_t share = length / count + 1;
	int used = 0;

	for (int i = 0; i < count; i++) {
		size_t part = i % 3 == 2 ? 0 : i % 3 ? share + share / 2 : share * 3 / 2 + 1;

		if (part > length || i == count - 1)
			part = length;
		iov[used].iov_base = part ? data : NULL;
		iov[used++].iov_len = part;
		data += part;
		length -= part;
	}
	return used;
}

/* ---- one call of the writer ------------------------------------------------- */

static struct bytes input;
static int source = -1;

/* Filled unseen itself, so that its own stream shows nothing. */
static ssize_t fill(int between[2], size_t at, size_t length)
{
	loff_t offset = at;
	ssize_t filled;

	if (between[0] < 0 && pipe(between))
		fail("pipe");
	filled = splice(source, &offset, between[1], NULL, length, 0);
	if (filled <= 0)
		fail("splice");
	return filled;
}

static ssize_t through_pipe(int out, size_t at, size_t length)
{
	static int between[2] = { -1, -1 };
	ssize_t filled = fill(between, at, length), moved;

	for (ssize_t done = 0; done < filled; done += moved)
		if ((moved = splice(between[0], NULL, out, NULL, filled - done, 0)) <= 0)
			fail("splice");
	return filled;
}

static ssize_t tee_through_pipe(int out, size_t at, size_t length)
{
	int between[2] = { -1, -1 };
	ssize_t filled = fill(between, at, length), result = tee(between[0], out, filled, 0);

	close(between[0]);
	close(between[1]);
	return result;
}

static ssize_t put(const char *call, int fd, int is_pipe, size_t at, size_t length)
{
	static struct iovec iov[MAX_IOV];
	char *data = input.data + at;
	loff_t offset = at;

	if (!strcmp(call, "write"))
		return write(fd, data, length);
	if (!strcmp(call, "sendto"))
		return sendto(fd, data, length, 0, NULL, 0);
	if (!strcmp(call, "splice"))
		return is_pipe ? splice(source, &offset, fd, NULL, length, 0) : through_pipe(fd, at, length);
	if (!strcmp(call, "tee"))
		return tee_through_pipe(fd, at, length);
	if (!strcmp(call, "sendfile"))
		return sendfile(fd, source, &offset, length);
	if (!strcmp(call, "uring"))
		return by_uring(IORING_OP_WRITE, fd, data, length);
	if (!strcmp(call, "uring-async"))
		return by_uring_as(IORING_OP_WRITE, IOSQE_ASYNC, fd, data, length);
	if (!strcmp(call, "uring-fixed"))
		return by_fixed_buffer(IORING_OP_WRITE_FIXED, fd, data, length);
	if (!strcmp(call, "uring-send"))
		return by_uring(IORING_OP_SEND, fd, data, length);
	int count = cut(iov, data, length);
	if (!strcmp(call, "writev"))
		return writev(fd, iov, count);
	if (!strcmp(call, "pwritev2"))
		return pwritev2(fd, iov, count, -1, 0);
	if (!strcmp(call, "vmsplice"))
		return vmsplice(fd, iov, count, 0);
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = count };
	if (!strcmp(call, "sendmsg"))
		return sendmsg(fd, &message, 0);
	errno = EINVAL;
	fail(call);
	return -1;
}

/* The sizes of up to BATCH further pieces in one call. */
static ssize_t put_many(int fd, size_t at, const size_t *sizes, int count)
{
	static struct iovec iov[BATCH][MAX_IOV];
	struct mmsghdr messages[BATCH] = {};
	ssize_t total = 0;
	int sent;

	for (int i = 0; i < count; i++) {
		messages[i].msg_hdr.msg_iov = iov[i];
		messages[i].msg_hdr.msg_iovlen = cut(iov[i], input.data + at, sizes[i]);
		at += sizes[i];
	}
	sent = sendmmsg(fd, messages, count, 0);
	if (sent < 0)
		return -1;
	for (int i = 0; i < sent; i++) {
		total += messages[i].msg_len;
		if (messages[i].msg_len < sizes[i])
			break;
	}
	return total;
}

/* ---- plans ------------------------------------------------------------------------ */

struct step {
	size_t size;
	char call[16];
};

static const char *plan_at;

/* The next step of the plan; after it, `each` bytes by `call`. */
static struct step next_step(const char *call, size_t each, size_t left)
{
	struct step step = {};

	snprintf(step.call, sizeof(step.call), "%s", call);
	while (plan_at && *plan_at == '\n')
		plan_at++;
	if (plan_at && *plan_at) {
		char line[64] = {};
		size_t length = strcspn(plan_at, "\n");

		memcpy(line, plan_at, length < 63 ? length : 63);
		plan_at += length;
		sscanf(line, "%zu %15s", &step.size, step.call);
		return step;
	}
	step.size = each && each < left ? each : left;
	return step;
}

static void pause_for(size_t milliseconds)
{
	usleep(milliseconds * 1000);
}

static void writer(int fd, int is_pipe)
{
	const char *call = option("write", "write"), *plan = option("plan", NULL);
	size_t each = strtoull(option("each", "0"), NULL, 10);
	size_t at = 0;

	if (plan)
		plan_at = load(plan).data;
	if (atoi(option("nonblock", "0")))
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	for (;;) {
		struct step step = next_step(call, each, input.length - at);
		size_t end = at + step.size;

		if (!strcmp(step.call, "sleep")) {
			pause_for(step.size);
			continue;
		}
		if (!strcmp(step.call, "kill")) {
			save("sent", input.data, at);
			kill(getpid(), SIGKILL);
		}
		if (!step.size)
			break;
		while (at < end) {
			ssize_t moved;

			if (!strcmp(step.call, "sendmmsg")) {
				size_t sizes[BATCH] = { end - at };
				int count = 1;

				while (count < BATCH && end < input.length) {
					struct step more = next_step(call, each, input.length - end);

					sizes[count++] = more.size;
					end += more.size;
				}
				moved = put_many(fd, at, sizes, count);
			} else
				moved = put(step.call, fd, is_pipe, at, end - at);
			if (moved < 0 && errno == EAGAIN) {
				struct pollfd wait = { fd, POLLOUT, 0 };

				poll(&wait, 1, -1);
				continue;
			}
			if (moved < 0 && errno == EINTR)
				continue;
			if (moved <= 0)
				fail(step.call);
			at += moved;
		}
		if (at == input.length && !(plan_at && *plan_at))
			break;
	}
	save("sent", input.data, at);
	close(fd);
}

/* ---- the reader -------------------------------------------------------------------- */

static ssize_t take(const char *call, int fd, char *data, size_t length, int flags)
{
	static struct iovec iov[MAX_IOV];

	if (!strcmp(call, "read"))
		return read(fd, data, length);
	if (!strcmp(call, "recvfrom"))
		return recvfrom(fd, data, length, flags, NULL, NULL);
	if (!strcmp(call, "uring"))
		return by_uring(IORING_OP_READ, fd, data, length);
	if (!strcmp(call, "uring-async"))
		return by_uring_as(IORING_OP_READ, IOSQE_ASYNC, fd, data, length);
	if (!strcmp(call, "uring-fixed"))
		return by_fixed_buffer(IORING_OP_READ_FIXED, fd, data, length);
	if (!strcmp(call, "uring-recv"))
		return by_uring(IORING_OP_RECV, fd, data, length);
	if (!strcmp(call, "splice")) {
		/* By way of a pipe, as a socket wants it, into a file: all of it without a call that shows the bytes. */
		static int file = -1, between[2] = { -1, -1 };
		loff_t offset = 0;
		ssize_t moved, done = 0;

		if (file < 0 && ((file = memfd_create("received", 0)) < 0 || pipe(between)))
			fail("pipe");
		moved = splice(fd, NULL, between[1], NULL, length, 0);
		while (done < moved)
			if (splice(between[0], NULL, file, &offset, moved - done, 0) <= 0)
				fail("splice");
			else
				done = offset;
		if (moved > 0 && pread(file, data, moved, 0) != moved)
			fail("pread");
		return moved;
	}
	int count = cut(iov, data, length);
	if (!strcmp(call, "readv"))
		return readv(fd, iov, count);
	if (!strcmp(call, "preadv2"))
		return preadv2(fd, iov, count, -1, 0);
	if (!strcmp(call, "vmsplice"))
		return vmsplice(fd, iov, count, 0);
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = count };
	if (!strcmp(call, "recvmsg"))
		return recvmsg(fd, &message, flags);
	errno = EINVAL;
	fail(call);
	return -1;
}

static ssize_t take_many(int fd, struct bytes *received, size_t length, int flags)
{
	static struct iovec iov[BATCH][MAX_IOV];
	static char *data[BATCH];
	struct mmsghdr messages[BATCH] = {};
	ssize_t total = 0;
	int got;

	for (int i = 0; i < BATCH; i++) {
		if (!data[i])
			data[i] = malloc(length);
		messages[i].msg_hdr.msg_iov = iov[i];
		messages[i].msg_hdr.msg_iovlen = cut(iov[i], data[i], length);
	}
	got = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE | flags, NULL);
	if (got < 0)
		return -1;
	for (int i = 0; i < got; i++) {
		if (!(flags & MSG_PEEK))
			append(received, data[i], messages[i].msg_len);
		total += messages[i].msg_len;
	}
	return total;
}

static void reader(int fd)
{
	const char *call = option("read", "read"), *plan = option("rplan", NULL);
	size_t buffer = strtoull(option("buffer", "65536"), NULL, 10);
	int peek = atoi(option("peek", "0"));
	struct bytes received = {};
	char *data = malloc(buffer);

	plan_at = plan ? load(plan).data : NULL;
	for (;;) {
		struct step step = next_step(call, 0, buffer);
		int planned = plan_at != NULL && step.size != buffer;
		ssize_t moved;

		if (!strcmp(step.call, "sleep")) {
			pause_for(step.size);
			continue;
		}
		if (!strcmp(step.call, "kill"))
			break;
		if (step.size > buffer)
			data = realloc(data, buffer = step.size);
		do {
			if (!strcmp(step.call, "recvmmsg")) {
				if (peek)
					take_many(fd, &received, step.size, MSG_PEEK);
				moved = take_many(fd, &received, step.size, 0);
			} else {
				if (peek)
					take(step.call, fd, data, step.size / 2 + 1, MSG_PEEK);
				moved = take(step.call, fd, data, step.size, 0);
				if (moved > 0)
					append(&received, data, moved);
			}
			if (moved < 0 && errno == EINTR)
				continue;
			if (moved < 0)
				fail(step.call);
			step.size -= moved;
		} while (planned && moved && step.size);
		if (!moved)
			break;
	}
	save("received", received.data, received.length);
}

/* ---- the channel ----------------------------------------------------------------------- */

static int named_socket(int reading)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", option("path", ""));
	if (reading) {
		if (bind(fd, (void *)&address, sizeof(address)) || listen(fd, 1))
			fail("listen");
		return accept(fd, NULL, NULL);
	}
	while (connect(fd, (void *)&address, sizeof(address)))
		pause_for(2);
	return fd;
}

static int open_end(const char *carrier, int reading)
{
	int fd;

	if (!strcmp(carrier, "named"))
		fd = named_socket(reading);
	else
		fd = open(option("path", ""), reading ? O_RDONLY : O_WRONLY);
	if (fd < 0)
		fail(carrier);
	return fd;
}

int main(int argc, char **argv)
{
	const char *carrier = option((options = argv + 1, "carrier"), "pipe");
	const char *role = option("role", "both"), *wait_for = option("wait", NULL);
	int is_pipe = !strcmp(carrier, "pipe") || !strcmp(carrier, "fifo");
	int by_name = !strcmp(carrier, "fifo") || !strcmp(carrier, "named");
	int ends[2] = { -1, -1 };
	int status = 0;

	(void)argc;
	signal(SIGPIPE, SIG_IGN);
	if (option("in", NULL)) {
		input = load(option("in", ""));
		source = open(option("in", ""), O_RDONLY);
	}
	if (!strcmp(role, "writer")) {
		int fd = open_end(carrier, 0);

		while (wait_for && access(wait_for, F_OK))
			pause_for(5);
		writer(fd, is_pipe);
		return 0;
	}
	if (!strcmp(role, "reader")) {
		int fd = open_end(carrier, 1);

		while (wait_for && access(wait_for, F_OK))
			pause_for(5);
		reader(fd);
		return 0;
	}
	if (!strcmp(carrier, "fifo") && mkfifo(option("path", ""), 0600))
		fail("mkfifo");
	if (!strcmp(carrier, "pipe") && pipe(ends))
		fail("pipe");
	if (!by_name && !is_pipe) {
		int type = !strcmp(carrier, "seqpacket") ? SOCK_SEQPACKET : SOCK_STREAM;

		if (socketpair(AF_UNIX, type, 0, ends))
			fail("socketpair");
	}
	pid_t child = fork();
	if (!child) {
		if (!by_name)
			close(ends[1]);
		reader(by_name ? open_end(carrier, 1) : ends[0]);
		exit(0);
	}
	if (!by_name)
		close(ends[0]);
	writer(by_name ? open_end(carrier, 0) : ends[1], is_pipe);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
