"""The examples' programs, compiled for this host, and started."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.examples.lines import PATIENCE

SOURCE = CHECKOUT / "examples" / "aesdsocket" / "aesdsocket.c"
STRICT = ("-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic")
KINDS = {
    "plain": ("-O2",),
    "address": ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "thread": ("-O1", "-g", "-fsanitize=thread"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One that runs in the foreground: its log comes on stderr."""

    process: subprocess.Popen[bytes]
    port: int
    data: Path
    log: Path

    def said(self, words: str) -> str:
        """Its log, once ``words`` are in it."""
        deadline = time.monotonic() + PATIENCE
        while words not in (log := self.log.read_text()):
            assert time.monotonic() < deadline, f"no {words!r} in: {log}"
            time.sleep(0.01)
        return log

    def busy(self) -> float:
        """Seconds of CPU that it has taken (proc(5), utime and stime)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status; with a sanitizer, 0 says that this found nothing either."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What compiles aesdsocket for this host, as one of KINDS."""
    directory = tmp_path_factory.mktemp("native")

    def compiled(kind: str) -> Path:
        program = directory / kind
        if not program.exists():
            argv: list[str | Path] = ["gcc", *STRICT, *KINDS[kind], "-o", program, SOURCE]
            subprocess.run(argv, check=True, timeout=60)
        return program

    return compiled


Serve = Callable[..., Server]


@pytest.fixture
def serve(compiled: Callable[[str], Path], tmp_path: Path) -> Iterator[Serve]:
    """Start one on a free port. With the address sanitizer, unless it is told another kind."""
    with ExitStack() as stack:

        def started(kind: str = "address") -> Server:
            return stack.enter_context(_running(compiled(kind), tmp_path))

        yield started


@contextmanager
def _running(program: Path, directory: Path) -> Iterator[Server]:
    data, log = directory / "data", directory / "log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen([program, "-p", "0", "-f", data], stderr=stderr) as process,
    ):
        try:
            port = listening(log, lambda: process.poll() is None)
            yield Server(process=process, port=port, data=data, log=log)
        finally:
            process.kill()


def listening(log: Path, alive: Callable[[], bool] = lambda: True) -> int:
    """The port that a server says it listens on, as long as it is ``alive``."""
    deadline = time.monotonic() + PATIENCE
    while (found := re.search(r"Listening on port (\d+)\n", log.read_text())) is None:
        assert alive(), log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.005)
    return int(found[1])


def gone(pid: int) -> bool:
    """Whether a process that is no child of ours has ended, within PATIENCE."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE)[0])
    finally:
        os.close(descriptor)
