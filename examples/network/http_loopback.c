/*
 * A small HTTP server, a thread for each client: http_loopback [ADDRESS [PORT]], by default 127.0.0.1
 * and 8080.
 *
 * Bound to 127.0.0.1 it is for programs on the board alone: on the board it works, from anywhere else
 * the connection is refused. http_loopback 0.0.0.0 is open to all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PORT = 8080, WAITING = 16, LONGEST = 4096 };

static void answer(int client, const char *status, const char *body, int head)
{
	char text[512];
	int size = snprintf(text, sizeof text,
			    "HTTP/1.0 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
			    "Connection: close\r\n\r\n%s",
			    status, strlen(body), head ? "" : body);

	for (int at = 0; at < size;) {
		ssize_t sent = send(client, text + at, (size_t)(size - at), MSG_NOSIGNAL);

		if (sent < 0)
			return;
		at += (int)sent;
	}
}

static void *serve(void *argument)
{
	int client = (int)(intptr_t)argument;
	struct timeval patience = { .tv_sec = 10 };
	char request[LONGEST + 1] = "";
	size_t have = 0;

	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	while (have < LONGEST && strstr(request, "\r\n\r\n") == NULL) {
		ssize_t got = recv(client, request + have, LONGEST - have, 0);

		if (got <= 0)
			break;
		have += (size_t)got;
		request[have] = '\0';
	}
	if (strstr(request, "\r\n\r\n") == NULL)
		answer(client, "400 Bad Request", "no whole request came\n", 0);
	else if (strncmp(request, "GET / ", 6) == 0)
		answer(client, "200 OK", "hello from the board\n", 0);
	else if (strncmp(request, "HEAD / ", 7) == 0)
		answer(client, "200 OK", "hello from the board\n", 1);
	else if (strncmp(request, "GET ", 4) == 0)
		answer(client, "404 Not Found", "there is only /\n", 0);
	else
		answer(client, "405 Method Not Allowed", "only GET and HEAD\n", 0);
	close(client);
	return NULL;
}

static int listen_at(const struct sockaddr_in *here)
{
	int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
	    bind(listener, (const struct sockaddr *)here, sizeof *here) != 0 ||
	    listen(listener, WAITING) != 0) {
		fprintf(stderr, "bind to %s port %d: error %d: %s\n", inet_ntoa(here->sin_addr),
			ntohs(here->sin_port), errno, strerror(errno));
		return -1;
	}
	return listener;
}

int main(int count, char **words)
{
	const char *address = count > 1 ? words[1] : "127.0.0.1";
	int port = count > 2 ? atoi(words[2]) : PORT;
	struct sockaddr_in here = { .sin_family = AF_INET };
	pthread_attr_t alone;
	int listener;

	if (count > 3 || port < 1 || port > 65535 ||
	    inet_pton(AF_INET, address, &here.sin_addr) != 1) {
		fputs("usage: http_loopback [ADDRESS [PORT]]\n", stderr);
		return 2;
	}
	here.sin_port = htons((unsigned short)port);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	listener = listen_at(&here);
	if (listener < 0)
		return 1;
	printf("http_loopback: listening at %s port %d\n", address, port);
	pthread_attr_init(&alone);
	pthread_attr_setdetachstate(&alone, PTHREAD_CREATE_DETACHED);
	for (;;) {
		int client = accept(listener, NULL, NULL);
		pthread_t thread;

		if (client < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			perror("accept");
			return 1;
		}
		if (pthread_create(&thread, &alone, serve, (void *)(intptr_t)client) != 0)
			close(client);
	}
}
