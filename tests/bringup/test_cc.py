"""Programs that `cc` has made, on the board."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import outcomes, rootfs_tool, the_report

# What glibc of 2.34 and later does without its shared libraries too: /etc is enough for it.
LOOKUP = """\
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <arpa/inet.h>
#include <linux/if_tun.h>

int main(void)
{
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found;
    char text[INET_ADDRSTRLEN];
    if (getaddrinfo("localhost", "80", &hints, &found) != 0)
        return 1;
    struct sockaddr_in *address = (struct sockaddr_in *)found->ai_addr;
    inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
    struct passwd *root = getpwnam("root");
    printf("localhost is %s, root's home is %s\\n", text, root ? root->pw_dir : "nowhere");
    return 0;
}
"""


@pytest.mark.qemu
@pytest.mark.network
def test_names_are_looked_up_by_static_programs(out: Path, tmp_path: Path) -> None:
    (tmp_path / "lookup.c").write_text(LOOKUP)
    for libc in ("musl", "glibc"):
        program = tmp_path / f"lookup-{libc}"
        ran = rootfs_tool(
            "cc", tmp_path / "lookup.c", "-o", program, "--libc", libc, "--", "-Werror"
        )
        assert ran.status == 0, ran.said
        assert ("lookup.c calls getaddrinfo(), getpwnam()" in ran.stderr) == (libc == "glibc")
    musl, glibc = (str(tmp_path / f"lookup-{libc}") for libc in ("musl", "glibc"))
    ran = rootfs_tool("bringup", out, "--run", musl, "--run", glibc)
    assert ran.status == 0, ran.said
    assert ran.stdout.count("localhost is 127.0.0.1, root's home is /root") >= 2
    found = outcomes(the_report(out))
    assert found["run lookup-musl"] == found["run lookup-glibc"] == "passed"
