"""A serial line that lies, and the boards behind it: a relay to a real shell, or to a machine."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import threading
import tty
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from rootfs_tool import proc
from tests.shell.noise import Fault, Faults, Way

_HELD = 4096  # bytes that wait on this side before the other has to

_BANNER = (
    b"\r\n[   99.%06d] reboot: Restarting system\r\n",
    b"\r\nU-Boot SPL 2025.01 (Jan 06 2025 - 12:00:00 +0000)\r\nTrying to boot from MMC%d\r\n",
    b"\r\n[    0.000000] Booting Linux on physical CPU 0x%010d [0x410fd034]\r\n",
)
_BOOT = b"".join(b"[    %d.000000] a driver has come up\r\n" % second for second in range(1, 8))


class Board(Protocol):
    """What is at the other end."""

    descriptor: int

    def restart(self) -> None:
        """Power off and on; ``descriptor`` may be another one afterwards."""
        ...

    def close(self) -> None: ...


class PtyBoard:
    """A shell of this host on a terminal, with a /tmp that does not outlive a restart.

    What a bad line makes of a command may be any other: it is run by a user who may do nothing,
    in a directory of its own.
    """

    def __init__(self, directory: Path, program: str = "busybox sh") -> None:
        """``program`` is an interactive shell; its binary is what `sh` is, too."""
        for place in (directory, *directory.parents[:-1]):
            if place.owner() == "root" and place.stat().st_mode & 0o077 == 0:
                place.chmod(0o711)
        directory.chmod(0o777)
        self._tmp = directory / "tmp"
        self._bin = directory / "bin"
        self._argv = program.split()
        self._bin.mkdir()
        (self._bin / "sh").symlink_to(proc.which(self._argv[0]))
        self._start()

    def _start(self) -> None:
        self._tmp.mkdir()
        self._tmp.chmod(0o777)
        self.descriptor, terminal = os.openpty()
        self._device = os.fstat(terminal).st_rdev
        path = f"PATH={self._bin}:/usr/bin:/bin:/usr/sbin:/sbin"
        # a program that was started in the background hands on that it ignores Ctrl-C
        environment = ["env", "--default-signal=INT,QUIT", "-C", str(self._tmp)]
        environment += [path, f"TMPDIR={self._tmp}", "PS1=# "]
        if os.geteuid() == 0:
            nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
            environment += ["setpriv", *nobody]
        try:
            self._child = proc.start_on_terminal([*environment, *self._argv], terminal=terminal)
        finally:
            os.close(terminal)
        os.set_blocking(self.descriptor, False)

    def restart(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        """End all that runs on the terminal: the leader last, who keeps it the others' terminal."""
        while others := [one for one in self._processes() if one != self._child.pid]:
            for process in others:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        self._child.kill()
        self._child.wait()
        os.close(self.descriptor)
        shutil.rmtree(self._tmp, ignore_errors=True)

    def _processes(self) -> list[int]:
        """Those with our terminal that are no zombies (/proc/PID/stat, proc(5))."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = entry.read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[4]) == self._device and fields[0] not in "ZX":
                    found.append(int(entry.parent.name))
        return found


class OpenBoard:
    """A board that somebody else runs, such as QEMU: its terminal or socket."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)

    def restart(self) -> None:
        raise AssertionError("it has no power switch")

    def close(self) -> None: ...


class Relay:
    """The line between a board and ``path``, a terminal for one who thinks it a serial port."""

    def __init__(self, board: Board, faults: Faults) -> None:
        self._board = board
        self._near, terminal = os.openpty()
        tty.setraw(terminal)
        self.path = os.ttyname(terminal)
        os.close(terminal)  # who finds it open elsewhere may not want it
        os.set_blocking(self._near, False)
        self._bell, self._rope = os.pipe()
        seeds = random.Random(faults.seed)
        self._luck = random.Random(seeds.random())
        self._up = Way(
            faults.from_board, random.Random(seeds.random()), faults.rate, fifo=0, drain=0.0
        )
        drain = faults.service / faults.rate if faults.rate else 0.0
        self._down = Way(
            faults.to_board, random.Random(seeds.random()), faults.rate, faults.fifo, drain
        )
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def counts(self) -> Counter[Fault]:
        """How often each thing has happened."""
        return self._up.counts + self._down.counts

    def restart(self) -> None:
        """Cut the board's power for a moment, now."""
        os.write(self._rope, b"r")

    def close(self) -> None:
        os.close(self._rope)
        self._thread.join()
        os.close(self._near)
        os.close(self._bell)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            self._failure = error

    def _turn(self) -> bool:
        """Wait for one thing to happen and do what follows; False when it is time to end."""
        board, near = self._board.descriptor, self._near
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        pauses = [20.0]
        if self._connected():
            poll.register(board, _wanted(self._up, self._down))
            poll.register(near, _wanted(self._down, self._up))
            pauses = [pause for way in (self._up, self._down) if (pause := way.pause()) is not None]
        happened = dict(poll.poll(min(pauses, default=None)))
        if self._bell in happened:
            if not os.read(self._bell, 1):
                return False
            self._restarts()
            return True
        if board in happened:
            self._up.waiting += _read(board)
        if near in happened:
            self._down.waiting += _read(near)
        if self._up.step() or self._down.step():
            self._restarts()
            return True
        _write(near, self._up.passed)
        _write(board, self._down.passed)
        return True

    def _connected(self) -> bool:
        poll = select.poll()
        poll.register(self._near, 0)
        return not any(flags & select.POLLHUP for _, flags in poll.poll(0))

    def _restarts(self) -> None:
        """What was under way is gone; a watchdog's reset says less than a clean one."""
        self._down.waiting.clear()
        self._down.passed.clear()
        self._up.waiting.clear()
        self._board.restart()
        first = self._luck.randrange(len(_BANNER))
        said = b"".join(words % self._luck.randrange(4) for words in _BANNER[first:])
        self._up.waiting += said + _BOOT


def _wanted(read: Way, write: Way) -> int:
    """What to wait for at the end that is read into one way, and written out of the other."""
    reads = select.POLLIN if len(read.waiting) < _HELD else 0
    return reads | (select.POLLOUT if write.passed else 0)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _HELD)
    except OSError:  # nothing there after all, or the other end of a terminal is closed
        return b""


def _write(descriptor: int, data: bytearray) -> None:
    """As much of ``data`` as the other end takes now."""
    if data:
        with suppress(OSError):
            del data[: os.write(descriptor, data)]


@contextmanager
def pty_board(directory: Path, faults: Faults, program: str = "busybox sh") -> Iterator[Relay]:
    """A shell of this host behind a line with ``faults``; ``directory`` is its own."""
    board = PtyBoard(directory, program)
    try:
        relay = Relay(board, faults)
        try:
            yield relay
        finally:
            relay.close()
    finally:
        board.close()
