/*
 * Many TFTP clients at once, which read one file and compare every byte of it (RFC 1350, 2347,
 * 2348, 7440).
 *
 *	tftp_load [-a ADDRESS] [-p PORT] [-s SOURCE] [-c CLIENTS] [-b BLKSIZE] [-w WINDOWSIZE]
 *		  [-t MILLISECONDS] [-r RETRIES] [-d SECONDS] NAME FILE
 *
 * NAME is what they ask for and FILE what they must get. One that hears nothing for MILLISECONDS
 * says its last word again, RETRIES times; all give up after SECONDS. A JSON object on stdout tells
 * what became of them. Exit status: 0 all of them have it all, 1 some do not, 2 could not be tried.
 *
 * One thread: a single client waits in recvmmsg(2), several share an epoll(7). They answer a
 * duplicate of the newest block as tftp-hpa, curl and atftp do, and a gap in a window once.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RRQ = 1, DATA = 3, ACK = 4, ERROR = 5, OACK = 6 };
enum { BATCH = 64, LARGEST = 65536, RECEIVE_BUFFER = 4 << 20 };

enum state { ASKING, READING, DONE };

struct client {
	int fd;
	enum state state;
	uint64_t wanted; /* number of the next block, from 1, never rolled over */
	uint64_t offset; /* of its first byte in the file */
	unsigned blksize, windowsize;
	unsigned in_window; /* blocks since the last ACK */
	int resynced;	    /* this gap, or this duplicate, has its ACK */
	unsigned tries;
	double begun, heard; /* seconds */
};

static struct {
	const char *name;
	struct sockaddr_in server, source;
	const unsigned char *file;
	uint64_t size;
	unsigned clients, blksize, windowsize, retries;
	double patience, deadline; /* seconds */
} opt = {.clients = 1, .blksize = 512, .windowsize = 1, .retries = 30, .patience = 1, .deadline = 120};

static struct {
	unsigned ok, failed, bad, blksize, windowsize;
	unsigned long packets, resent, duplicates, gaps;
	double slowest, sum; /* seconds */
	char error[128];
} found;

static unsigned char packets[BATCH][LARGEST];
static struct sockaddr_in from[BATCH];
static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void end(struct client *c, unsigned *counted)
{
	double took = now() - c->begun;

	++*counted;
	found.sum += took;
	if (took > found.slowest)
		found.slowest = took;
	close(c->fd);
	c->state = DONE;
}

static void fail(struct client *c, const char *why, size_t length)
{
	size_t i;

	snprintf(found.error, sizeof(found.error), "%.*s", (int)length, why);
	for (i = 0; found.error[i]; i++)
		if (found.error[i] < ' ' || found.error[i] > '~' || strchr("\"\\", found.error[i]))
			found.error[i] = '?';
	end(c, &found.failed);
}

static void ask(struct client *c)
{
	char request[1024];
	int n = 2;

	request[0] = 0;
	request[1] = RRQ;
	n += snprintf(request + n, 512, "%s", opt.name) + 1;
	n += sprintf(request + n, "octet") + 1;
	n += sprintf(request + n, "tsize") + 1;
	n += sprintf(request + n, "0") + 1;
	if (opt.blksize != 512) {
		n += sprintf(request + n, "blksize") + 1;
		n += sprintf(request + n, "%u", opt.blksize) + 1;
	}
	if (opt.windowsize > 1) {
		n += sprintf(request + n, "windowsize") + 1;
		n += sprintf(request + n, "%u", opt.windowsize) + 1;
	}
	sendto(c->fd, request, (size_t)n, 0, (struct sockaddr *)&opt.server, sizeof(opt.server));
}

static void acknowledge(struct client *c)
{
	uint16_t block = (uint16_t)(c->wanted - 1);
	unsigned char ack[4] = {0, ACK, (unsigned char)(block >> 8), (unsigned char)block};

	send(c->fd, ack, sizeof(ack), 0);
	c->in_window = 0;
}

static void begin(struct client *c, int blocking)
{
	struct timeval wait = {(time_t)opt.patience, (suseconds_t)(opt.patience * 1e6) % 1000000};
	int size = RECEIVE_BUFFER;

	memset(c, 0, sizeof(*c));
	c->fd = socket(AF_INET, SOCK_DGRAM | (blocking ? 0 : SOCK_NONBLOCK), 0);
	if (c->fd < 0)
		err(2, "socket");
	if (bind(c->fd, (struct sockaddr *)&opt.source, sizeof(opt.source)))
		err(2, "bind");
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	c->wanted = 1;
	c->blksize = 512;
	c->windowsize = 1;
	c->begun = c->heard = now();
	ask(c);
}

static void agree(struct client *c, const char *option, const char *stop)
{
	while (option < stop) {
		const char *value = option + strnlen(option, (size_t)(stop - option)) + 1;

		if (value >= stop)
			return;
		if (!strcasecmp(option, "blksize"))
			c->blksize = (unsigned)atoi(value);
		if (!strcasecmp(option, "windowsize"))
			c->windowsize = (unsigned)atoi(value);
		option = value + strnlen(value, (size_t)(stop - value)) + 1;
	}
}

/* The block that comes next: compare it, and say so when the window or the file is whole. */
static void take(struct client *c, const unsigned char *data, size_t length)
{
	if (length > c->blksize || c->offset + length > opt.size ||
	    memcmp(opt.file + c->offset, data, length)) {
		end(c, &found.bad);
		return;
	}
	c->offset += length;
	c->wanted++;
	c->resynced = 0;
	c->tries = 0;
	if (++c->in_window >= c->windowsize || length < c->blksize)
		acknowledge(c);
	if (length < c->blksize)
		end(c, c->offset == opt.size ? &found.ok : &found.bad);
}

static void hear(struct client *c, const unsigned char *packet, size_t length,
		 const struct sockaddr_in *peer)
{
	int op, ahead;

	if (length < 4 || packet[0])
		return;
	op = packet[1];
	if (op == ERROR) {
		fail(c, (const char *)packet + 4, length - 4);
		return;
	}
	if (op != OACK && op != DATA)
		return;
	if (c->state == ASKING) {
		connect(c->fd, (const struct sockaddr *)peer, sizeof(*peer));
		c->state = READING;
		if (op == OACK)
			agree(c, (const char *)packet + 2, (const char *)packet + length);
		found.blksize = c->blksize;
		found.windowsize = c->windowsize;
		if (op == OACK) {
			acknowledge(c);
			return;
		}
	}
	if (op == OACK) {
		found.duplicates++;
		if (c->wanted == 1)
			acknowledge(c);
		return;
	}
	found.packets++;
	ahead = (int16_t)(uint16_t)((packet[2] << 8 | packet[3]) - (int)(c->wanted & 0xffff));
	if (ahead == 0) {
		take(c, packet + 4, length - 4);
		return;
	}
	if (ahead < 0)
		found.duplicates++;
	else
		found.gaps++;
	if (ahead >= -1 && (c->windowsize == 1 || !c->resynced)) {
		acknowledge(c);
		c->resynced = 1;
	}
}

/* What has arrived for one client; returns 0 when nothing had. */
static int receive(struct client *c, int flags)
{
	unsigned i, most = c->windowsize > 1 ? BATCH : 1;
	int n;

	for (i = 0; i < most; i++)
		messages[i].msg_hdr.msg_namelen = sizeof(from[i]);
	n = recvmmsg(c->fd, messages, most, flags, NULL);
	if (n < 0 && errno == ECONNREFUSED) {
		fail(c, "refused", 7);
		return 1;
	}
	if (n <= 0)
		return 0;
	c->heard = now();
	for (i = 0; i < (unsigned)n && c->state != DONE; i++)
		hear(c, packets[i], messages[i].msg_len, &from[i]);
	return 1;
}

static void say_it_again(struct client *c)
{
	c->heard = now();
	if (++c->tries > opt.retries) {
		fail(c, "no answer", 9);
		return;
	}
	found.resent++;
	c->resynced = 0;
	if (c->state == ASKING)
		ask(c);
	else
		acknowledge(c);
}

static void alone(double start)
{
	struct client c;

	begin(&c, 1);
	while (c.state != DONE) {
		if (now() - start > opt.deadline)
			fail(&c, "deadline", 8);
		else if (!receive(&c, MSG_WAITFORONE))
			say_it_again(&c);
	}
}

static void look_round(struct client *all, double start, double t)
{
	struct client *c;

	for (c = all; c < all + opt.clients; c++) {
		if (c->state == DONE)
			continue;
		if (t - start > opt.deadline)
			fail(c, "deadline", 8);
		else if (t - c->heard > opt.patience)
			say_it_again(c);
	}
}

static void together(double start)
{
	struct client *all = calloc(opt.clients, sizeof(*all)), *c;
	struct epoll_event events[256];
	int epoll = epoll_create1(0), n, i;
	double looked = start;

	if (!all || epoll < 0)
		err(2, "clients");
	for (c = all; c < all + opt.clients; c++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

		begin(c, 0);
		epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
	}
	while (found.ok + found.failed + found.bad < opt.clients) {
		double t;

		n = epoll_wait(epoll, events, 256, 20);
		for (i = 0; i < n; i++) {
			c = events[i].data.ptr;
			if (c->state != DONE)
				receive(c, MSG_DONTWAIT);
		}
		t = now();
		if (t - looked > 0.02) {
			looked = t;
			look_round(all, start, t);
		}
	}
	free(all);
}

static void map(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat info;

	if (fd < 0 || fstat(fd, &info))
		err(2, "%s", path);
	opt.size = (uint64_t)info.st_size;
	opt.file = (const unsigned char *)"";
	if (opt.size)
		opt.file = mmap(NULL, opt.size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (opt.file == MAP_FAILED)
		err(2, "%s", path);
	close(fd);
}

static void parse(int argc, char **argv)
{
	const char *address = "127.0.0.1", *source = "0.0.0.0";
	int c, port = 69;

	while ((c = getopt(argc, argv, "a:p:s:c:b:w:t:r:d:")) != -1)
		switch (c) {
		case 'a': address = optarg; break;
		case 'p': port = atoi(optarg); break;
		case 's': source = optarg; break;
		case 'c': opt.clients = (unsigned)atoi(optarg); break;
		case 'b': opt.blksize = (unsigned)atoi(optarg); break;
		case 'w': opt.windowsize = (unsigned)atoi(optarg); break;
		case 't': opt.patience = atof(optarg) / 1000; break;
		case 'r': opt.retries = (unsigned)atoi(optarg); break;
		case 'd': opt.deadline = atof(optarg); break;
		default: exit(2);
		}
	if (argc - optind != 2 || strlen(argv[optind]) > 500)
		errx(2, "usage: tftp_load [OPTION]... NAME FILE");
	opt.name = argv[optind];
	map(argv[optind + 1]);
	opt.server.sin_family = opt.source.sin_family = AF_INET;
	opt.server.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, address, &opt.server.sin_addr) != 1 ||
	    inet_pton(AF_INET, source, &opt.source.sin_addr) != 1)
		errx(2, "an address is four numbers with dots");
}

int main(int argc, char **argv)
{
	struct rlimit files;
	double start;
	int i;

	parse(argc, argv);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){packets[i], LARGEST};
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
		messages[i].msg_hdr.msg_name = &from[i];
	}
	start = now();
	if (opt.clients == 1)
		alone(start);
	else
		together(start);
	printf("{\"seconds\": %.6f, \"ok\": %u, \"failed\": %u, \"bad\": %u, \"packets\": %lu, "
	       "\"resent\": %lu, \"duplicates\": %lu, \"gaps\": %lu, \"slowest\": %.6f, \"sum\": %.6f, "
	       "\"blksize\": %u, \"windowsize\": %u, \"error\": \"%s\"}\n",
	       now() - start, found.ok, found.failed, found.bad, found.packets, found.resent,
	       found.duplicates, found.gaps, found.slowest, found.sum, found.blksize, found.windowsize,
	       found.error);
	return found.ok != opt.clients;
}
