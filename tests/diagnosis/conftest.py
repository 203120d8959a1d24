"""A board under QEMU with the programs of the examples in /tmp, on which things go wrong."""

from __future__ import annotations

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
from tests.diagnosis.faults import HOST, NETWORK, Fault
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
        said = fault.said or f"exited {result.status}, not 0\n{result.text}"
        return said, replace(fault.subject, command=fault.command)

    def snapshot(self, said: str, subject: Subject, fault: Fault) -> str:
        return asking.snapshot(self.bench.shell, said, subject, fault.network)

    def undo(self, fault: Fault) -> None:
        if not fault.link:
            self._machine.qmp.execute("set_link", name="net0", up=True)
        self.bench.shell.run(fault.undo)


def compiled(directory: Path) -> dict[str, Path]:
    """The programs that the faults run."""
    network, cross = CHECKOUT / "examples" / "network", "aarch64-linux-gnu-gcc"
    hello = CHECKOUT / "examples" / "hello.c"
    lookup = directory / "lookup.c"
    lookup.write_text(LOOKUP)
    lines = {
        "echo_server": (cross, "-static", network / "echo_server.c"),
        "echo_client": (cross, "-static", network / "echo_client.c"),
        "lookup": (cross, "-static", lookup),
        "hello": (cross, "-static", hello),
        "dynamic.out": (cross, hello),
        "foreign": ("gcc", hello),
    }
    for name, words in lines.items():
        argv = [*words, "-O2", "-s", "-o", directory / name]
        subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)  # the linker warns of lookup
    return {name: directory / name for name in lines}


@contextmanager
def booted(place: Path) -> Iterator[FaultyBoard]:
    programs = place / "programs"
    programs.mkdir()
    recipe, out = place / "recipe.toml", place / "out"
    recipe.write_text('board = "qemu-aarch64"\nmodules = ["dummy"]\n')
    ran = rootfs_tool("build", recipe, "-o", out, timeout=600)
    assert ran.status == 0, ran.said
    files = compiled(programs)
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
    with booted(tmp_path_factory.mktemp("faulty")) as board:
        yield board
