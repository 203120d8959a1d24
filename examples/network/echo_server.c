/*
 * Send back what comes, to any number of clients, a process for each: echo_server [ADDRESS [PORT]],
 * by default 0.0.0.0 (every address of the board) and 7000.
 *
 * An error names the address, the port and errno, because each of them says what is wrong: 98 the
 * port is taken, 99 the board does not have the address, 13 only root may open that port.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 7000, WAITING = 16 };

static int listen_at(const struct sockaddr_in *here)
{
	int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	/* Without it a restart fails with error 98 for a minute after the last connection. */
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
	    bind(listener, (const struct sockaddr *)here, sizeof *here) != 0 ||
	    listen(listener, WAITING) != 0) {
		fprintf(stderr, "bind to %s port %d: error %d: %s\n", inet_ntoa(here->sin_addr),
			ntohs(here->sin_port), errno, strerror(errno));
		return -1;
	}
	return listener;
}

static int echo(int connection)
{
	char buffer[4096];
	ssize_t got, sent;

	while ((got = read(connection, buffer, sizeof buffer)) > 0) {
		for (ssize_t at = 0; at < got; at += sent) {
			sent = write(connection, buffer + at, (size_t)(got - at));
			if (sent < 0)
				return 1;
		}
	}
	return got != 0;
}

int main(int count, char **words)
{
	const char *address = count > 1 ? words[1] : "0.0.0.0";
	int port = count > 2 ? atoi(words[2]) : PORT;
	struct sockaddr_in here = { .sin_family = AF_INET };
	int listener;

	if (count > 3 || port < 1 || port > 65535 ||
	    inet_pton(AF_INET, address, &here.sin_addr) != 1) {
		fputs("usage: echo_server [ADDRESS [PORT]]\n", stderr);
		return 2;
	}
	here.sin_port = htons((unsigned short)port);
	signal(SIGCHLD, SIG_IGN); /* clients that have gone leave nothing to wait for */
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	listener = listen_at(&here);
	if (listener < 0)
		return 1;
	printf("echo_server: listening at %s port %d\n", address, port);
	for (;;) {
		int connection = accept(listener, NULL, NULL);
		pid_t child;

		if (connection < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			perror("accept");
			return 1;
		}
		child = fork();
		if (child == 0) {
			close(listener);
			return echo(connection);
		}
		if (child < 0)
			perror("fork");
		close(connection);
	}
}
