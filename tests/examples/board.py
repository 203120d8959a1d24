"""The example's recipe on ports that are free here, and the first who talks to its board."""

from __future__ import annotations

import itertools
import shutil
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import CHECKOUT
from tests.examples.lines import PATIENCE, ask

FORWARD = '"9000:9000", "10022:22"'
SSH = '# [ssh]\n# authorized-key-files = ["~/.ssh/id_ed25519.pub"]\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A copy of its directory; ``port`` of this host will lead to the board's 9000."""

    directory: Path
    port: int

    @property
    def recipe(self) -> Path:
        return self.directory / "recipe.toml"

    @property
    def program(self) -> Path:
        return self.directory / "aesdsocket.c"

    @property
    def out(self) -> Path:
        return self.directory / "out"


def copied(directory: Path, key: Path | None = None, more: str = "") -> Example:
    """The recipe as it is shipped, but for the ports; with SSH for ``key``, and ``more`` lines."""
    shutil.copytree(CHECKOUT / "examples" / "aesdsocket", directory)
    port, ssh = _free_ports()
    example = Example(directory=directory, port=port)
    written = example.recipe.read_text()
    assert written.count(FORWARD) == written.count(SSH) == 1
    written = written.replace(FORWARD, f'"{port}:9000", "{ssh}:22"')
    if key is not None:
        written = written.replace(SSH, f'[ssh]\nauthorized-key-files = ["{key}"]\n')
    example.recipe.write_text(written + more)
    return example


def _free_ports() -> tuple[int, int]:
    with closing(socket.socket()) as one, closing(socket.socket()) as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def first_answer(port: int) -> tuple[socket.socket, bytes]:
    """A connection that was answered once, and with what.

    QEMU takes connections before the board has anybody for them, and these wait in vain.
    """
    deadline = time.monotonic() + 60
    for attempt in itertools.count():
        connection = socket.socket()
        try:
            connection.settimeout(0.3)
            connection.connect(("127.0.0.1", port))
            answer = ask(connection, f"attempt {attempt}\n".encode())
        except (OSError, AssertionError):
            connection.close()
            assert time.monotonic() < deadline, "no answer from the board"
            time.sleep(0.05)
        else:
            connection.settimeout(PATIENCE)
            return connection, answer
    raise AssertionError("never")
