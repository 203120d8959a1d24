"""Steps on a terminal: one row that is written over, however narrow."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import termios
from contextlib import suppress
from pathlib import Path

from tests.command import PROGRAM

CLEAR = "\r\x1b[K"


def test_a_running_step_is_no_wider_than_the_terminal(tmp_path: Path) -> None:
    name = "a_program_whose_name_is_wider_than_the_terminal.c"
    (tmp_path / name).write_text("int main(void) { return x; }\n")
    said = on_a_terminal("cc", name, "-o", "program", columns=30, cwd=tmp_path)
    running = [one for one in said.split(CLEAR) if one.startswith("…")]
    assert running == ["… compile a_program_whose_nam"]
    assert f"✗\x1b[0m compile {name}" in said  # what stays may take two rows


def on_a_terminal(*argv: str, columns: int, cwd: Path) -> str:
    """Run the program with its stderr on a terminal of that width; what it wrote there."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    with subprocess.Popen([PROGRAM, *argv], cwd=cwd, stdout=theirs, stderr=theirs) as ran:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # EIO once the last of them has closed it
            while piece := os.read(ours, 4096):
                said += piece
        assert ran.wait(60) == 5
    os.close(ours)
    return said.decode()
