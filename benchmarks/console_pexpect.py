"""pexpect on a serial port, the usual recipe: send a line, expect the prompt, ask for `$?`."""

from __future__ import annotations

import os
import sys
import tty

from pexpect import fdpexpect

from benchmarks.console_driver import serve

PROMPT = r"~ # "


class Pexpect:
    def __init__(self, port: str) -> None:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(descriptor)
        self._child = fdpexpect.fdspawn(descriptor, timeout=30)

    def attach(self, timeout: float) -> None:
        self._child.expect(PROMPT, timeout=timeout)

    def run(self, command: str, timeout: float) -> tuple[int, bytes]:
        output = self._line(command, timeout)
        status = self._line("echo $?", timeout)
        return int(status), output

    def _line(self, text: str, timeout: float) -> bytes:
        """What comes between the echo of a line and the next prompt."""
        self._child.sendline(text)
        self._child.expect(PROMPT, timeout=timeout)
        _, _, output = bytes(self._child.before).partition(b"\n")
        return output.replace(b"\x1b[6n", b"").replace(b"\r\n", b"\n")


if __name__ == "__main__":
    serve(Pexpect(sys.argv[1]))
