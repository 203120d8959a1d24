/*
 * A card that is bad on purpose: a file system with two files, for a loop device to lie on.
 *
 *   fault_device DIRECTORY BACKING SIZE
 *
 * It goes to the background once it is mounted, and ends when it is unmounted.
 *
 * "card" has SIZE bytes, kept in the file BACKING. "control" takes lines of a fault and a number,
 * and forgets the faults before; read, it tells how many bytes were written and read since then.
 *
 *   write-error N   writing byte N fails with EIO
 *   read-error N    reading byte N fails with EIO
 *   sync-error 1    fsync fails with EIO
 *   flip N          a bit of byte N is kept wrong
 *   wrap N          only N bytes are real: what lies behind is the same bytes again
 *   drop N          what is written after the first N bytes is lost
 *   write-rate N    at most N bytes a second are written, one request after the other
 *   read-rate N     the same for reading
 *   victim PID      the process that kill is about
 *   kill N          the victim gets SIGKILL when N bytes have been written
 *   interrupt N     the victim gets SIGINT when N bytes have been written
 */
#define FUSE_USE_VERSION 35
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WRITE_ERROR, READ_ERROR, SYNC_ERROR, FLIP, WRAP, DROP, WRITE_RATE, READ_RATE, VICTIM, KILL,
	INTERRUPT, FAULTS };

static const char *const names[FAULTS] = { "write-error", "read-error", "sync-error", "flip",
	"wrap", "drop", "write-rate", "read-rate", "victim", "kill", "interrupt" };

static long long faults[FAULTS]; /* -1: not now */
static long long written, was_read;
static double busy_until;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* a card does one thing at a time */
static int backing;
static off_t size;

static void forget(void)
{
	for (int i = 0; i < FAULTS; i++)
		faults[i] = -1;
	written = was_read = 0;
}

static int inside(int fault, off_t start, size_t length)
{
	return faults[fault] >= start && faults[fault] < start + (off_t)length;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

#define BUFFERED 0.005 /* seconds of work that a card has in memory of its own */

/* When the card is done with LENGTH more bytes; time for which it had nothing to do is lost. */
static double done_at(int rate, size_t length)
{
	double start = now();

	if (faults[rate] <= 0)
		return start;
	if (busy_until < start - BUFFERED)
		busy_until = start;
	return busy_until += (double)length / faults[rate];
}

static void wait_until(double when)
{
	double rest = when - now();

	if (rest > 0) {
		struct timespec time = { (time_t)rest, (long)((rest - (time_t)rest) * 1e9) };
		nanosleep(&time, NULL);
	}
}

/* Move the bytes, each to where the card keeps it. */
static int move(int writing, char *data, size_t length, off_t start)
{
	while (length) {
		off_t at = faults[WRAP] > 0 ? start % faults[WRAP] : start;
		size_t part = length;
		if (faults[WRAP] > 0 && at + (off_t)part > faults[WRAP])
			part = faults[WRAP] - at;
		ssize_t done = writing ? pwrite(backing, data, part, at)
				       : pread(backing, data, part, at);
		if (done <= 0)
			return -EIO;
		data += done;
		start += done;
		length -= done;
	}
	return 0;
}

static int write_card(const char *data, size_t length, off_t start)
{
	if (inside(WRITE_ERROR, start, length))
		return -EIO;
	double done = done_at(WRITE_RATE, length);
	long long before = written;
	written += length;
	for (int fault = KILL; fault <= INTERRUPT; fault++)
		if (faults[fault] >= before && faults[fault] < written && faults[VICTIM] > 0)
			kill(faults[VICTIM], fault == KILL ? SIGKILL : SIGINT);
	int error = 0;
	if (faults[DROP] < 0 || written <= faults[DROP])
		error = move(1, (char *)data, length, start);
	if (!error && inside(FLIP, start, length)) {
		char wrong = data[faults[FLIP] - start] ^ 0x40;
		error = move(1, &wrong, 1, faults[FLIP]);
	}
	wait_until(done);
	return error ? error : (int)length;
}

static int read_card(char *data, size_t length, off_t start)
{
	if (start >= size)
		return 0;
	if (start + (off_t)length > size)
		length = size - start;
	if (inside(READ_ERROR, start, length))
		return -EIO;
	double done = done_at(READ_RATE, length);
	was_read += length;
	int error = move(0, data, length, start);
	wait_until(done);
	return error ? error : (int)length;
}

static int write_control(const char *data, size_t length)
{
	char text[512], name[32];
	long long number;
	int used;

	if (length >= sizeof text)
		return -EINVAL;
	memcpy(text, data, length);
	text[length] = 0;
	forget();
	for (char *at = text; sscanf(at, " %31s %lld%n", name, &number, &used) == 2; at += used) {
		int i = 0;
		while (i < FAULTS && strcmp(name, names[i]))
			i++;
		if (i == FAULTS)
			return -EINVAL;
		faults[i] = number;
	}
	return length;
}

static int read_control(char *data, size_t length, off_t start)
{
	char text[64];
	int all = snprintf(text, sizeof text, "%lld %lld\n", written, was_read);

	if (start >= all)
		return 0;
	if ((off_t)length > all - start)
		length = all - start;
	memcpy(data, text + start, length);
	return length;
}

static int is_card(const char *path)
{
	return !strcmp(path, "/card");
}

static int on_getattr(const char *path, struct stat *status, struct fuse_file_info *file)
{
	(void)file;
	memset(status, 0, sizeof *status);
	status->st_nlink = 1;
	if (!strcmp(path, "/")) {
		status->st_mode = S_IFDIR | 0700;
	} else if (is_card(path) || !strcmp(path, "/control")) {
		status->st_mode = S_IFREG | 0600;
		status->st_size = is_card(path) ? size : 64;
	} else {
		return -ENOENT;
	}
	return 0;
}

static int on_open(const char *path, struct fuse_file_info *file)
{
	(void)path;
	file->direct_io = 1; /* or the page cache would hide what the card does */
	return 0;
}

static int on_read(const char *path, char *data, size_t length, off_t start,
		   struct fuse_file_info *file)
{
	(void)file;
	pthread_mutex_lock(&lock);
	int result = is_card(path) ? read_card(data, length, start)
				   : read_control(data, length, start);
	pthread_mutex_unlock(&lock);
	return result;
}

static int on_write(const char *path, const char *data, size_t length, off_t start,
		    struct fuse_file_info *file)
{
	(void)file;
	pthread_mutex_lock(&lock);
	int result = is_card(path) ? write_card(data, length, start)
				   : write_control(data, length);
	pthread_mutex_unlock(&lock);
	return result;
}

static int on_fsync(const char *path, int data_only, struct fuse_file_info *file)
{
	(void)path, (void)data_only, (void)file;
	return faults[SYNC_ERROR] > 0 ? -EIO : 0;
}

static int on_truncate(const char *path, off_t length, struct fuse_file_info *file)
{
	(void)path, (void)length, (void)file;
	return 0; /* a shell's > and open(..., "w") ask for it */
}

static void *on_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	(void)config;
	connection->max_write = 1 << 20;
	return NULL;
}

static const struct fuse_operations operations = {
	.getattr = on_getattr,
	.open = on_open,
	.read = on_read,
	.write = on_write,
	.fsync = on_fsync,
	.truncate = on_truncate,
	.init = on_init,
};

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: fault_device DIRECTORY BACKING SIZE\n");
		return 2;
	}
	size = atoll(argv[3]);
	backing = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (backing < 0 || ftruncate(backing, size) < 0) {
		perror(argv[2]);
		return 1;
	}
	forget();
	char *arguments[] = { argv[0], argv[1], NULL };
	return fuse_main(2, arguments, &operations, NULL); /* the parent ends once it is mounted */
}
