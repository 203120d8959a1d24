/*
 * aesdsocket: collect lines over TCP, and send all that was collected back after each.
 *
 * What a client sends up to a newline is a packet. It is appended to the data file whole, and the
 * client gets the file as it is then. Packets of any length, of many clients at once, never mix;
 * what has no newline when its client leaves is dropped.
 *
 * One thread waits for everybody with poll(). Each client either owes us a packet or is owed an
 * answer, never both: nothing is read from one that does not read, so it costs a descriptor and
 * stalls nobody. An answer is a length: the file only grows, so its first bytes stay what they
 * were when the packet came, and sendfile() takes them from there.
 *
 * SIGTERM and SIGINT come out of a descriptor too, the signalfd(): none is missed between a look and
 * the wait for the next event, as with a handler, and none has to wait until nobody else wants
 * anything, as with ppoll().
 */
#define _GNU_SOURCE /* accept4() */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum {
	CLIENTS = 1000,     /* at once; more wait in the kernel's backlog */
	ROOM = 16 * 1024,   /* bytes: a client's buffer at first */
	CHUNK = 256 * 1024, /* bytes of an answer, then the others have their turn */
	GRACE = 2000,       /* ms for answers under way once a signal has come */
	PAUSE = 1000,       /* ms without accept() when the system can take no more */
};

struct options {
	const char *data, *pidfile; /* absolute: a daemon's working directory is / */
	long port;                  /* 0 takes any that is free */
	bool daemon;
};

struct client {
	int socket;
	char peer[INET_ADDRSTRLEN];
	char *bytes; /* room of them; those in [from, to) have come and are no packet yet, */
	size_t room, from, to, searched; /* and there is no newline before searched */
	off_t sent, owed; /* of its answer, the file's bytes [sent, owed) are still to go */
};

static struct client clients[CLIENTS];
static struct pollfd polled[CLIENTS + 2]; /* behind the clients the listener, and the signals */
static nfds_t connected;
static bool stopping;

/* Say what went wrong, with errno's reason. Always false, for `return complain(…)`. */
static bool complain(const char *what, const char *which)
{
	syslog(LOG_ERR, "%s %s: %s", what, which, strerror(errno));
	return false;
}

static bool answering(const struct client *client)
{
	return client->sent < client->owed;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static bool write_all(int file, const char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t written = write(file, bytes, count);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		bytes += written;
		count -= (size_t)written;
	}
	return true;
}

/* A file that was not there before: what a killed run left, or a link that somebody laid, goes. */
static int fresh(const char *path)
{
	if (unlink(path) != 0 && errno != ENOENT)
		return -1;
	return open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
}

/* Append a packet and owe the client the file. A full disk keeps no half of it. */
static bool append(struct client *client, int data, size_t count)
{
	off_t before = lseek(data, 0, SEEK_END);

	if (before < 0)
		return complain("cannot append for", client->peer);
	if (!write_all(data, client->bytes + client->from, count)) {
		complain("cannot append for", client->peer);
		if (ftruncate(data, before) != 0)
			complain("cannot take back what was written for", client->peer);
		return false;
	}
	client->sent = 0;
	client->owed = before + (off_t)count;
	return true;
}

/* The next packet, if all of it is here. False if it could not be kept. */
static bool take_packet(struct client *client, int data)
{
	const char *end = NULL;
	bool kept = true;

	if (client->searched < client->to)
		end = memchr(client->bytes + client->searched, '\n', client->to - client->searched);
	client->searched = client->to;
	if (end != NULL) {
		size_t next = (size_t)(end - client->bytes) + 1;

		kept = append(client, data, next - client->from);
		client->from = client->searched = next;
	}
	if (client->from == client->to) { /* a long packet's memory goes with it */
		free(client->bytes);
		client->bytes = NULL;
		client->room = client->from = client->to = client->searched = 0;
	}
	return kept;
}

/* Room for at least one more byte. False if there is no memory for it. */
static bool make_room(struct client *client)
{
	size_t room = client->room > 0 ? client->room * 2 : ROOM;
	char *bytes;

	if (client->from > 0) {
		client->to -= client->from;
		client->searched -= client->from;
		memmove(client->bytes, client->bytes + client->from, client->to);
		client->from = 0;
	}
	if (client->to < client->room)
		return true;
	bytes = realloc(client->bytes, room);
	if (bytes == NULL)
		return complain("no memory for the packet of", client->peer);
	client->bytes = bytes;
	client->room = room;
	return true;
}

/* Read what is there. False at its end, and when this client is lost. */
static bool receive(struct client *client)
{
	ssize_t got;

	if (!make_room(client))
		return false;
	got = recv(client->socket, client->bytes + client->to, client->room - client->to, 0);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	client->to += (size_t)got;
	return got > 0;
}

/* Send as much of the answer as goes now. False when this client is lost. */
static bool answer(struct client *client, int data)
{
	off_t left = client->owed - client->sent;
	size_t count = left < CHUNK ? (size_t)left : CHUNK;
	ssize_t went = sendfile(client->socket, data, &client->sent, count);

	if (went < 0)
		return errno == EAGAIN || errno == EINTR;
	if (went == 0) /* or we would wait for these bytes for ever */
		syslog(LOG_ERR, "somebody has cut the data file while %s was reading", client->peer);
	return went > 0;
}

/* One turn of a client that poll() named. False when it is to be closed. */
static bool serve(struct client *client, int data)
{
	if (answering(client) ? !answer(client, data) : !receive(client))
		return false;
	return answering(client) || (!stopping && take_packet(client, data));
}

static void dismiss(nfds_t which)
{
	struct client *client = &clients[which];

	syslog(LOG_INFO, "Closed connection from %s", client->peer);
	close(client->socket);
	free(client->bytes);
	*client = clients[--connected];
}

/* Take one more client. False when the system has no room for any. */
static bool greet(int listener)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof peer;
	int yes = 1, accepted;
	struct client client = { 0 };

	accepted =
		accept4(listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (accepted < 0) { /* most often a client that has left again */
		bool full = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;

		return !full || complain("cannot accept", "more clients");
	}
	/* Both are a help, not a need: no delay for an answer's end, and an end for who vanished. */
	(void)setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	(void)setsockopt(accepted, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
	client.socket = accepted;
	inet_ntop(AF_INET, &peer.sin_addr, client.peer, sizeof client.peer);
	clients[connected++] = client;
	syslog(LOG_INFO, "Accepted connection from %s", client.peer);
	return true;
}

/* Wait for all clients, and two more descriptors or -1; `patience` is in ms, -1 for ever. */
static bool wait_for_all(int listener, int signals, long long patience)
{
	for (nfds_t each = 0; each < connected; each++) {
		bool sending = answering(&clients[each]);

		polled[each].fd = stopping && !sending ? -1 : clients[each].socket;
		polled[each].events = sending ? POLLOUT : POLLIN;
	}
	polled[connected] = (struct pollfd){ .fd = listener, .events = POLLIN };
	polled[connected + 1] = (struct pollfd){ .fd = signals, .events = POLLIN };
	return poll(polled, connected + 2, (int)patience) > 0;
}

/* One event of each that has any. From the last to the first: dismiss() moves the last one. */
static void serve_all(int data)
{
	for (nfds_t each = connected; each-- > 0;) {
		if (polled[each].revents != 0 && !serve(&clients[each], data))
			dismiss(each);
	}
}

static void serve_until_stopped(int listener, int signals, int data)
{
	long long paused_until = 0;

	while (!stopping) {
		long long pause = paused_until - now();
		bool open = pause <= 0 && connected < CLIENTS, knocked;

		if (!wait_for_all(open ? listener : -1, signals, pause > 0 ? pause : -1))
			continue;
		knocked = polled[connected].revents != 0;
		stopping = polled[connected + 1].revents != 0;
		serve_all(data);
		if (knocked && !greet(listener))
			paused_until = now() + PAUSE;
	}
}

/* Let answers under way come to their end, as far as somebody reads them. */
static void finish(int data)
{
	long long deadline = now() + GRACE, left;
	nfds_t each;

	while ((left = deadline - now()) > 0) {
		for (each = 0; each < connected && !answering(&clients[each]); each++)
			;
		if (each == connected)
			break;
		if (wait_for_all(-1, -1, left))
			serve_all(data);
	}
	while (connected > 0)
		dismiss(connected - 1);
}

static int listen_on(long port)
{
	struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_ANY),
	};
	socklen_t length = sizeof here;
	int yes = 1;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* Connections of the last run may linger for a minute; they are no reason to stay away. */
	if (listener < 0 ||
	    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
	    bind(listener, (struct sockaddr *)&here, sizeof here) != 0 ||
	    listen(listener, SOMAXCONN) != 0 ||
	    getsockname(listener, (struct sockaddr *)&here, &length) != 0) {
		syslog(LOG_ERR, "cannot listen on port %ld: %s", port, strerror(errno));
		return -1; /* the program ends, and the descriptor with it */
	}
	syslog(LOG_INFO, "Listening on port %d", ntohs(here.sin_port));
	return listener;
}

/*
 * Go on in a child without a terminal; the parent ends with status 0 once the pidfile is written.
 * All that can fail comes before the fork, where there is still somebody to tell.
 */
static bool become_daemon(const char *pidfile)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC), file = fresh(pidfile);
	pid_t child;

	if (nothing < 0 || file < 0 || chdir("/") != 0 || (child = fork()) < 0) {
		complain("cannot become a daemon with", pidfile);
		if (file >= 0)
			unlink(pidfile);
		return false;
	}
	if (child > 0) {
		if (dprintf(file, "%d\n", (int)child) > 0)
			_exit(0);
		complain("cannot write", pidfile);
		kill(child, SIGTERM); /* it takes its files with it */
		_exit(1);
	}
	setsid();
	for (int standard = 0; standard <= 2; standard++)
		dup2(nothing, standard);
	close(file);
	return true;
}

/* A descriptor for SIGTERM and SIGINT, or -1. */
static int take_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* A client that has left, and a limit on the file's size, are errors of one client. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int run(const struct options *options)
{
	int signals = take_signals(), listener = listen_on(options->port), data;

	if (signals < 0 || listener < 0)
		return 1;
	/* Only now: as long as another one has the port, the file is that one's. */
	data = fresh(options->data);
	if (data < 0) {
		complain("cannot create", options->data);
		return 1;
	}
	if (options->daemon && !become_daemon(options->pidfile)) {
		unlink(options->data);
		return 1;
	}
	serve_until_stopped(listener, signals, data);
	close(listener);
	finish(data);
	close(data);
	unlink(options->data);
	if (options->daemon)
		unlink(options->pidfile);
	syslog(LOG_INFO, "Caught signal, exiting");
	return 0;
}

static bool understood(int argc, char **argv, struct options *options)
{
	char *end = NULL;
	int letter;

	while ((letter = getopt(argc, argv, "df:p:P:")) != -1) {
		if (letter == 'd')
			options->daemon = true;
		else if (letter == 'f')
			options->data = optarg;
		else if (letter == 'P')
			options->pidfile = optarg;
		else if (letter != 'p' || *optarg == '\0')
			return false;
		else if ((options->port = strtol(optarg, &end, 10), *end != '\0'))
			return false;
	}
	return optind == argc && options->port >= 0 && options->port <= 65535 &&
	       options->data[0] == '/' && options->pidfile[0] == '/';
}

int main(int argc, char **argv)
{
	struct options options = {
		.data = "/var/tmp/aesdsocketdata",
		.pidfile = "/tmp/aesdsocket.pid",
		.port = 9000,
	};

	if (!understood(argc, argv, &options)) {
		fprintf(stderr, "usage: %s [-d] [-p PORT] [-f /DATA/FILE] [-P /PID/FILE]\n", argv[0]);
		return 2;
	}
	openlog("aesdsocket", LOG_PID | LOG_PERROR, LOG_DAEMON);
	return run(&options);
}
