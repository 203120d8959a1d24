/*
 * Wait on TCP port 8000 of every address (INADDR_ANY) for one connection, print what comes, and
 * end when the other side has closed.
 *
 * Binding to INADDR_ANY succeeds even on a board whose lo is down, so a receiver that started well
 * proves nothing about the loopback: only a connect() does (see tcp_sender.c).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 8000 };

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(void)
{
	struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_ANY),
	};
	struct sockaddr_in peer;
	socklen_t length = sizeof peer;
	char buffer[4096];
	int listener, connection, yes = 1;
	ssize_t got;

	setvbuf(stdout, NULL, _IOLBF, 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0)
		return fail("socket");
	if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0)
		return fail("setsockopt");
	if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0)
		return fail("bind");
	if (listen(listener, 1) != 0)
		return fail("listen");
	printf("tcp_receiver: listening on port %d\n", PORT);

	connection = accept(listener, (struct sockaddr *)&peer, &length);
	if (connection < 0)
		return fail("accept");
	printf("tcp_receiver: connection from %s\n", inet_ntoa(peer.sin_addr));
	while ((got = read(connection, buffer, sizeof buffer)) > 0) {
		if (fwrite(buffer, 1, (size_t)got, stdout) != (size_t)got)
			return fail("write");
	}
	if (got < 0)
		return fail("read");
	close(connection);
	close(listener);
	puts("tcp_receiver: done");
	return 0;
}
