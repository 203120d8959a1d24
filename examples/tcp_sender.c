/*
 * Connect to port 8000 of 127.0.0.1 and send one line: the classic test of a board's loopback.
 *
 * With lo down, connect() fails with error 101 (ENETUNREACH, "Network is unreachable"); where there
 * is a default route the kernel sends it there, nobody answers, and the time runs out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PORT = 8000 };

static const char line[] = "tcp_sender says: the loopback works\n";

int main(void)
{
	struct sockaddr_in there = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval patience = { .tv_sec = 5 };
	size_t sent = 0;
	int connection = socket(AF_INET, SOCK_STREAM, 0);

	if (connection < 0) {
		perror("socket");
		return 1;
	}
	if (setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) {
		perror("setsockopt");
		return 1;
	}
	if (connect(connection, (struct sockaddr *)&there, sizeof there) != 0) {
		fprintf(stderr, "connect to 127.0.0.1:%d: error %d: %s\n", PORT, errno,
			errno == EINPROGRESS ? "no answer" : strerror(errno));
		return 1;
	}
	while (sent < sizeof line - 1) {
		ssize_t some = write(connection, line + sent, sizeof line - 1 - sent);

		if (some < 0) {
			perror("write");
			return 1;
		}
		sent += (size_t)some;
	}
	close(connection);
	printf("sent %zu bytes to 127.0.0.1:%d\n", sent, PORT);
	return 0;
}
