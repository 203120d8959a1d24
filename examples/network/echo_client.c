/*
 * Send a line to an echo server and see that it comes back: echo_client [ADDRESS [PORT]], by default
 * 127.0.0.1 and 7000. Ends with status 0 if it did, within five seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PORT = 7000 };

static const char line[] = "echo_client says: there and back\n";

static int fail(const char *what, const char *address, int port)
{
	int late = errno == EINPROGRESS || errno == EAGAIN;

	fprintf(stderr, "%s %s port %d: error %d: %s\n", what, address, port, errno,
		late ? "no answer" : strerror(errno));
	return 1;
}

int main(int count, char **words)
{
	const char *address = count > 1 ? words[1] : "127.0.0.1";
	int port = count > 2 ? atoi(words[2]) : PORT;
	struct sockaddr_in there = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = 5 };
	char answer[sizeof line - 1];
	int connection;
	ssize_t got;

	if (count > 3 || port < 1 || port > 65535 ||
	    inet_pton(AF_INET, address, &there.sin_addr) != 1) {
		fputs("usage: echo_client [ADDRESS [PORT]]\n", stderr);
		return 2;
	}
	there.sin_port = htons((unsigned short)port);
	connection = socket(AF_INET, SOCK_STREAM, 0);
	if (connection < 0 ||
	    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
	    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) {
		perror("socket");
		return 1;
	}
	if (connect(connection, (struct sockaddr *)&there, sizeof there) != 0)
		return fail("connect to", address, port);
	if (send(connection, line, sizeof line - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof line - 1))
		return fail("send to", address, port);
	got = recv(connection, answer, sizeof answer, MSG_WAITALL);
	if (got < 0)
		return fail("receive from", address, port);
	close(connection);
	if (got != (ssize_t)sizeof answer || memcmp(answer, line, sizeof answer) != 0) {
		fprintf(stderr, "%zd of %zu bytes came back\n", got, sizeof answer);
		return 1;
	}
	printf("%zd bytes went to %s port %d and came back\n", got, address, port);
	return 0;
}
