/* The first program on a new board: says where it runs and ends with status 0. */
#include <stdio.h>
#include <sys/utsname.h>

int main(void)
{
	struct utsname name;

	if (uname(&name) != 0) {
		perror("uname");
		return 1;
	}
	printf("hello from %s: %s %s on %s\n", name.nodename, name.sysname, name.release,
	       name.machine);
	return 0;
}
