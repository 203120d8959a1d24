"""A board under QEMU with the programs of the examples in /tmp, on which things go wrong."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from rootfs_tool import tftp
from rootfs_tool.checks.base import Bench
from rootfs_tool.checks.fetch import fetch
from rootfs_tool.diagnosis import asking
from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.shell import Shell
from rootfs_tool.shell.login import Allowed
from tests.command import rootfs_tool
from tests.conftest import CHECKOUT
from tests.diagnosis.fault import HOST, NETWORK, Fault
from tests.qemu import LINE, Machine, powered

LOOKUP = """
#include <netdb.h>
#include <stdio.h>
int main(int count, char **words)
{
    struct addrinfo *found;
    int error = getaddrinfo(words[count - 1], "80", NULL, &found);
    if (error != 0)
        fprintf(stderr, "getaddrinfo: %s: %s\\n", words[count - 1], gai_strerror(error));
    return error != 0;
}
"""
# It ends its only connection itself, and has not asked for SO_REUSEADDR.
ONCE = """
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **words)
{
    struct sockaddr_in here = { .sin_family = AF_INET };
    int port = atoi(words[count - 1]), listener = socket(AF_INET, SOCK_STREAM, 0), connection;
    here.sin_port = htons((unsigned short)port);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 1) != 0) {
        fprintf(stderr, "bind to port %d: error %d: %s\\n", port, errno, strerror(errno));
        return 1;
    }
    connection = accept(listener, NULL, NULL);
    close(connection);
    return connection < 0;
}
"""
GREETS = """
void greet(void);
int main(void)
{
    greet();
    return 0;
}
"""
QUIET = "quiet loglevel=1"


class FaultyBoard:
    """One board, made faulty and whole again."""

    def __init__(self, machine: Machine, bench: Bench) -> None:
        self.bench, self._machine = bench, machine

    def fail(self, fault: Fault) -> tuple[str, Subject]:
        """Make it so; what the command says then, as a check says it."""
        shell = self.bench.shell
        if not fault.link:
            self._machine.qmp.execute("set_link", name="net0", up=False)
        shell.run(fault.setup)
        result = shell.run(fault.command)
        assert result.status != 0, result.text
        said = f"exited {result.status}, not 0\n{result.text}"
        return said, replace(fault.subject, command=fault.command)

    def snapshot(self, said: str, subject: Subject, fault: Fault) -> str:
        return asking.snapshot(self.bench.shell, said, subject, fault.network)

    def undo(self, fault: Fault) -> None:
        if not fault.link:
            self._machine.qmp.execute("set_link", name="net0", up=True)
        self.bench.shell.run(fault.undo)


def compiled(directory: Path, only: tuple[str, ...]) -> dict[str, Path]:
    """The programs that the faults run, or ``only`` some of them."""
    network, cross = CHECKOUT / "examples" / "network", "aarch64-linux-gnu-gcc"
    hello = CHECKOUT / "examples" / "hello.c"
    sources = {"lookup": LOOKUP, "once": ONCE, "greets": GREETS, "greet": "void greet(void) {}"}
    for name, text in sources.items():
        (directory / f"{name}.c").write_text(text)
    lookup, once, greets, greet = (directory / f"{name}.c" for name in sources)
    library = directory / "libgreet.so.1"
    soname = f"-Wl,-soname,{library.name}"
    lines = {
        "echo_server": (cross, "-static", network / "echo_server.c"),
        "echo_client": (cross, "-static", network / "echo_client.c"),
        "lookup": (cross, "-static", lookup),
        "once": (cross, "-static", once),
        "hello": (cross, "-static", hello),
        "dynamic.out": (cross, hello),
        library.name: (cross, "-shared", "-fPIC", soname, greet),
        "greets.out": (cross, greets, library),
        "foreign": ("gcc", hello),
    }
    wanted = only or tuple(lines)  # a library before what is linked with it
    for name, words in ((name, lines[name]) for name in wanted):
        argv = [*words, "-O2", "-s", "-o", directory / name]
        subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)  # the linker warns of lookup
    return {name: directory / name for name in wanted if name != library.name}


@contextmanager
def booted(
    place: Path, packages: tuple[str, ...] = (), only: tuple[str, ...] = ()
) -> Iterator[FaultyBoard]:
    """A board with ``packages`` of Debian's, and in /tmp the programs, or ``only`` some of them."""
    programs = place / "programs"
    programs.mkdir()
    recipe, out = place / "recipe.toml", place / "out"
    wanted = f"packages = {json.dumps(packages)}\n" if packages else ""
    recipe.write_text(f'board = "qemu-aarch64"\nmodules = ["dummy"]\n{wanted}')
    ran = rootfs_tool("build", recipe, "-o", out, timeout=600)
    assert ran.status == 0, ran.said
    files = compiled(programs, only)
    with ExitStack() as stack:
        server = stack.enter_context(tftp.serve(files, "127.0.0.1"))
        machine = stack.enter_context(powered(out, QUIET))
        console = stack.enter_context(machine.console())
        machine.start()
        shell = Shell.attach(console, LINE, timeout=60, allowed=Allowed(boot=True))
        stack.callback(shell.leave)
        bench = Bench(
            shell=shell, network=NETWORK, server=server, host=HOST, reach=lambda port: None
        )
        for file in files.values():
            fetch(bench, file)
        shell.run("/tmp/echo_server >/dev/null 2>&1 &")
        yield FaultyBoard(machine, bench)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyBoard]:
    only = ("echo_server", "echo_client")
    with booted(tmp_path_factory.mktemp("faulty"), only=only) as board:
        yield board
