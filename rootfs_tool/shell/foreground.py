"""A script of ours that has the board's terminal to itself, for what a line is used raw for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rootfs_tool.errors import ConsoleTimeout
from rootfs_tool.shell import digest
from rootfs_tool.shell.encoding import encode
from rootfs_tool.shell.job import hopeless, send_long
from rootfs_tool.shell.wire import Wire

_COPIES = 30  # times that the script may come damaged
_END = 10.0  # seconds in which a script ends that is not spoken to any more


class Foreground:
    """The line to the script; what it ends with is in ``status`` when the block has ended."""

    def __init__(self, wire: Wire) -> None:
        self.status = -1
        self._wire = wire

    def read(self, timeout: float) -> bytes:
        """What has come within ``timeout`` seconds, kernel messages and all.

        Raises what Stream.read raises, and when the board goes down.
        """
        stream = self._wire.stream
        came = bytes(stream.held) or stream.read(timeout)
        stream.watch()
        if stream.suspicion is not None and stream.suspicion.certain:
            stream.give_up()
        stream.forget()
        return came

    def write(self, data: bytes) -> None:
        self._wire.stream.write(data)


@contextmanager
def foreground(wire: Wire, script: str) -> Iterator[Foreground]:
    """Run ``script`` and hand over the line; see Shell.foreground."""
    text = encode(script.encode())
    request = f"front {digest.of(text.encode(), wire.tool)}"
    for _ in range(_COPIES):
        send_long(wire, text)
        # F: it has ended already, unheard, because the answer that it began was lost
        if (answer := wire.ask(request)).letter == "A":
            break
        wire.forget()
    else:
        raise hopeless(wire, "a script")
    number = answer.fields[0]
    front = Foreground(wire)
    try:
        yield front
    finally:
        if not wire.stream.lost:
            front.status = _ended(wire, int(number), request)


def _ended(wire: Wire, number: int, request: str) -> int:
    """Its exit status; asked for again, it is not run again."""
    deadline = time.monotonic() + _END
    while time.monotonic() < deadline:
        answer = wire.wait(number, 1.0)
        if answer and answer.letter == "F":
            wire.write(b"g\n")
            return int(answer.fields[1])
        wire.write(b"\n")
        wire.send(number, request)
    wire.stream.lost = True
    raise ConsoleTimeout(
        "a script in the foreground does not end",
        tail=wire.stream.tail,
        hint="the next command attaches to the board anew",
    )
