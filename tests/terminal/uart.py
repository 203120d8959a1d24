"""A board behind a UART without flow control, which drops what its receive FIFO has no room for."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.console.process import ProcessConsole

FIFO = 16  # bytes, of a 16550 and a PL011
TAKES = 100_000  # bytes that the board reads from it in a second


@dataclass
class Uart:
    device: str
    size: int
    lost: int = 0


@contextmanager
def uart(command: str, fifo: int = FIFO) -> Iterator[Uart]:
    """``command`` on a terminal is the board; the device is our end of its line."""
    board = ProcessConsole(command)
    line, ours = os.openpty()
    tty.setraw(ours)
    made = Uart(os.ttyname(ours), fifo)
    over = threading.Event()
    threads = [
        threading.Thread(target=_to_board, args=(line, board, made, over)),
        threading.Thread(target=_from_board, args=(line, board, over)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        over.set()
        for thread in threads:
            thread.join()
        board.close()
        os.close(ours)
        os.close(line)


def _to_board(line: int, board: ProcessConsole, made: Uart, over: threading.Event) -> None:
    fifo = b""
    since = time.monotonic()
    while not over.is_set():
        if select.select([line], [], [], 1 / TAKES if fifo else 0.05)[0]:
            came = os.read(line, 65536)
            room = made.size - len(fifo)
            made.lost += len(came[room:])
            fifo += came[:room]
        now = time.monotonic()
        served = min(len(fifo), int((now - since) * TAKES)) if fifo else 0
        if served or not fifo:
            since = now
        if served:
            board.write(fifo[:served])
            fifo = fifo[served:]


def _from_board(line: int, board: ProcessConsole, over: threading.Event) -> None:
    while not over.is_set():
        said = board.read(0.05)
        if said:
            os.write(line, said)


def text(size: int) -> bytes:
    """Lines of many lengths, no two alike."""
    lines = (b"%06d %s\n" % (number, b"x" * (number * 7 % 90)) for number in range(size))
    whole = b""
    for one in lines:
        if len(whole) + len(one) > size:
            break
        whole += one
    return whole


def arrived(file: Path, size: int, seconds: float = 20) -> bytes:
    """What is in ``file`` once it has ``size`` bytes."""
    deadline = time.monotonic() + seconds
    while not file.exists() or file.stat().st_size < size:
        assert time.monotonic() < deadline, f"{file.stat().st_size} of {size} bytes"
        select.select([], [], [], 0.01)
    return file.read_bytes()
