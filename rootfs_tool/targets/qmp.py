"""QEMU's machine protocol over its stdin and stdout (docs/interop/qmp-spec)."""

from __future__ import annotations

import json
import os
import select
import time
from typing import IO, Any

from rootfs_tool.errors import CommandError

DEADLINE = 20.0  # seconds for an answer: QEMU loads the kernel and the initramfs before the first


class Qmp:
    """One command at a time. Raises CommandError when QEMU ends or does not answer."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._lines = bytearray()
        self._next("QMP")
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: str | bool) -> Any:
        """What QEMU returns to ``command``.

        A request goes past the buffer of ``stdin``, whole as it is below PIPE_BUF (pipe(7)): what
        stayed there would be sent again, and fail again, when ``stdin`` is closed.
        """
        request = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        try:
            os.write(self._stdin.fileno(), request)
        except BrokenPipeError:
            raise CommandError("QEMU ended", argv=[], output="") from None
        return self._next("return")

    def _next(self, key: str) -> Any:
        """The first message with ``key``; events and plain text on the way are passed over."""
        deadline = time.monotonic() + DEADLINE
        while True:
            line = self._line(deadline)
            message = json.loads(line) if line.startswith(b"{") else {}
            if "error" in message:
                raise CommandError(f"QEMU: {message['error']['desc']}", argv=[], output="")
            if key in message:
                return message[key]

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._lines:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._stdout], [], [], left)[0]:
                raise CommandError(f"QEMU did not answer in {DEADLINE:g} s", argv=[], output="")
            some = self._stdout.read1(65536)  # type: ignore[attr-defined]  # a BufferedReader has it
            if not some:
                raise CommandError("QEMU ended before it started", argv=[], output="")
            self._lines += some
        line, _, rest = bytes(self._lines).partition(b"\n")
        self._lines = bytearray(rest)
        return line
