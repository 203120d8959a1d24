"""VERB: have a board that is alive write an image to its own disk, and read it back there.

The board fetches the image by TFTP, a few MiB at a time, and never holds more of it. The order is
that of a card in a reader: the first MiB is cleared before anything else is written, and written
when everything else has been read back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from rootfs_tool import events, tftp
from rootfs_tool.blockmap import Kind
from rootfs_tool.checks.fetch import BLOCK_SIZES, PATIENCE, SLOWEST
from rootfs_tool.errors import DeviceError, RootfsToolError
from rootfs_tool.flash import loads
from rootfs_tool.flash.block import SECTOR
from rootfs_tool.flash.disk import Disk
from rootfs_tool.flash.loads import Load, Run
from rootfs_tool.flash.reading import reading
from rootfs_tool.flash.source import Source
from rootfs_tool.flash.write import BACKUP, FIRST, HEAD, Flashed, State
from rootfs_tool.shell import Result, Shell
from rootfs_tool.targets.base import HostAddress

DISK = 60.0  # seconds that a disk may take for what it has been given
AT_ONCE = 8  # loads that are read back by one command
PART = "part"  # the name under which the server has what is fetched
OTHER = "try another card"
NARROWED = (64 << 10, 512)  # bytes; the place of a difference is found in these steps

# The shell's functions that every command begins with: write, read, and flush the disk. What dd
# does not say by its status it says in a line of its own.
_FUNCTIONS = """\
set -o pipefail
how='bs=64k status=none iflag=fullblock,count_bytes'
w() {{ dd of={0} $how seek=$1 count=$2 oflag=seek_bytes conv=notrunc; }}
r() {{ dd if={0} $how,skip_bytes skip=$1 count=$2; }}
f() {{ dd if=/dev/null of={0} count=0 conv=notrunc,fsync status=none; }}
"""


@dataclass(slots=True)
class Board:
    """A board that is alive, its disk, and how it reaches a TFTP server that has ``parts``."""

    shell: Shell
    disk: Disk
    host: HostAddress
    port: int
    parts: dict[str, bytes]
    sizes: tuple[int, ...] = BLOCK_SIZES  # of TFTP blocks, the one that works first

    @property
    def name(self) -> str:
        """How errors call the disk."""
        return f"the board's {self.disk}"

    def reach(self) -> None:
        """Find the largest TFTP block that arrives. Raises DeviceError if none does."""
        load = loads.data(0, bytes(self.sizes[0] + 1))
        self._fetch(load, "cat >/dev/null", self.sizes, "be written")

    def write(self, load: Load) -> None:
        """Have the board fetch a load and write it; its last bytes may not be on the disk yet."""
        doing = f"write its bytes up to {load.runs[-1].end:,}"
        data = [f"w {_place(run)}" for run in load.runs if run.kind is Kind.DATA]
        zeros = [f"w {_place(run)} </dev/zero" for run in load.runs if run.kind is not Kind.DATA]
        if data:
            self._fetch(load, " && ".join(data), (self.sizes[0], *self.sizes), doing)
        if zeros:
            self.run(" && ".join(["f", *zeros]), doing)

    def _fetch(self, load: Load, to: str, sizes: Sequence[int], doing: str) -> None:
        """Pipe the data of a load into ``to``, with one size of blocks after the other.

        Meanwhile what was written before gets to the disk.
        """
        self.parts[PART] = load.data
        seconds = PATIENCE + len(load.data) / SLOWEST
        said = ""
        for size in sizes:
            get = f"timeout {seconds:.0f} tftp -g -b {size} -l - -r {PART}"
            line = f"{get} {self.host.seen} {self.port} | {{ {to}; }}"
            result = self._run(f"f & {line}; s=$?; wait $! && exit $s", doing, seconds + DISK)
            if result.status == 0:
                self.sizes = self.sizes[self.sizes.index(size) :]
                return
            said = next(iter(_complaints("tftp", result)), "")
        raise DeviceError(
            f"the board can't fetch what it is to write: {said or 'TFTP did not answer in time'}",
            hint=f"can it reach UDP port {self.port} of {self.host.seen}? "
            "A firewall on this host must let it in",
        )

    def flush(self) -> None:
        """Wait until all is on the disk, and have the next read come from there."""
        self.run(f"f && blockdev --flushbufs {self.disk.device}", "write what it was given")

    def sums(self, groups: Sequence[Sequence[Run]]) -> list[str]:
        """The sha256 of what the disk holds, one of each group of runs."""
        size = sum(run.size for runs in groups for run in runs)
        parts = ["{ " + " && ".join(f"r {_place(run)}" for run in runs) for runs in groups]
        doing = f"read its bytes {groups[0][0].start:,} to {groups[-1][-1].end:,}"
        command = " && ".join(f"{part}; }} | sha256sum" for part in parts)
        result = self.run(command, doing, DISK + size / SLOWEST)
        return re.findall(r"^[0-9a-f]{64}\b", result.text, re.MULTILINE)

    def run(self, command: str, doing: str, timeout: float = DISK) -> Result:
        """Raises DeviceError if the disk can't do it, which ``doing`` names."""
        result = self._run(command, doing, timeout)
        if result.status:
            said = result.text.strip() or f"status {result.status}"
            raise DeviceError(f"{self.name} can't {doing}: {said}", hint=OTHER)
        return result

    def _run(self, command: str, doing: str, timeout: float) -> Result:
        functions = _FUNCTIONS.format(self.disk.device)
        result = self.shell.run(functions + command, timeout=timeout)
        for said in _complaints("dd", result):
            raise DeviceError(f"{self.name} can't {doing}: {said}", hint=OTHER)
        return result


def _place(run: Run) -> str:
    return f"{run.start} {run.size}"


def _complaints(program: str, result: Result) -> list[str]:
    """What a program of the command wrote to stderr, without the progress of tftp."""
    return re.findall(rf"^{program}: (.*)", result.text.replace("\r", "\n"), re.MULTILINE)


def flash(
    source: Source, shell: Shell, disk: Disk, host: HostAddress, *, tftp_port: int = 0
) -> Flashed:
    """Have the board at ``shell`` write ``source`` to its ``disk`` and read all of it back.

    ``disk`` is as boarddisk.inspect found it, ``host`` is where the board finds this host, and
    ``tftp_port`` 0 is any free one. Raises DeviceError if the disk fails, does not hold what was
    written, or nothing arrives; ConfigError if the image is damaged; ConsoleError if the board is
    lost. Each says in which state the disk is left.
    """
    parts: dict[str, bytes] = {}
    with tftp.serve(parts, host.bind, tftp_port) as server:
        board = Board(shell, disk, host, server.port, parts)
        work = _Work(source, board)
        with _said(work):
            board.reach()
            with events.step(f"write {source.path.name}"):
                work.write()
            with events.step("read back"):
                work.verify()
            with events.step("write the partition table"):
                work.finish()
    return Flashed(written=work.written, same=0, read=work.written)


@dataclass(slots=True)
class _Work:
    """A flash that is being done."""

    source: Source
    board: Board
    state: State = State.UNTOUCHED
    written: int = 0
    _done: list[tuple[tuple[Run, ...], str]] = field(default_factory=list)
    _head: bytearray = field(default_factory=bytearray)

    def write(self) -> None:
        """Everything but the head, which is kept for ``finish``."""
        self._head = bytearray(min(HEAD, self.board.disk.size))
        self.clear()
        with reading(self.source) as filled:
            for load in loads.loads(filled, self._head):
                self.board.write(load)
                self._done.append((load.runs, load.sha256))
                self.written += load.size
                events.progress(self.written, self.source.data)
        self.board.flush()

    def clear(self) -> None:
        """Leave no partition table, the one first that decides whether there are others."""
        self.state = State.CLEARING
        end, size = len(self._head), self.board.disk.size
        backup = max(end, size - BACKUP * SECTOR)
        self.board.run(
            f"w 0 {min(FIRST, end)} </dev/zero && f && w 0 {end} </dev/zero && "
            f'if [ "$(r {size - SECTOR} 8)" = "EFI PART" ]; then '
            f"w {backup} {size - backup} </dev/zero; fi && f",
            "clear its partition table",
        )
        self.state = State.CLEARED

    def verify(self) -> None:
        """Compare what the disk holds now that everything has been written."""
        done = 0
        for at in range(0, len(self._done), AT_ONCE):
            some = self._done[at : at + AT_ONCE]
            found = self.board.sums([runs for runs, _ in some])
            for (runs, wanted), got in zip(some, found, strict=True):
                if got != wanted:
                    raise self._differs(runs)
                done += sum(run.size for run in runs)
            events.progress(done, self.written)

    def finish(self) -> None:
        """Write the head, its first bytes last, and read it back."""
        head = bytes(self._head)
        whole = loads.data(0, head)
        try:
            if len(head) > FIRST:
                self.board.write(loads.data(FIRST, head[FIRST:]))
                self.board.flush()
            self.state = State.CLEARING
            self.board.write(loads.data(0, head[:FIRST]))
            self.board.flush()
            if self.board.sums([whole.runs]) != [whole.sha256]:
                raise _other_bytes(self.board, 0)
        except BaseException:
            self.state = State.CLEARING
            with suppress(RootfsToolError):
                self.clear()
            raise
        self.written += len(head)
        if self.board.shell.run(f"blockdev --rereadpt {self.board.disk.device}").status:
            events.note(f"{self.board.name} shows its new partitions after a restart")

    def _differs(self, runs: Sequence[Run]) -> DeviceError:
        """Find the place in smaller and smaller parts of what differs.

        The image is read once more: only the sums of what was written have been kept.
        """
        with reading(self.source) as filled:
            content = b"".join(
                one.buffer[: one.piece.end - one.piece.start]
                for one in filled
                if runs[0].start <= one.piece.start < runs[-1].end
            )
        for size in NARROWED:
            parts = [part for run in runs for part in run.parts(size)]
            at = 0
            for part, got in zip(parts, self.board.sums([[part] for part in parts]), strict=True):
                wanted = content[at : at + part.size]
                if hashlib.sha256(wanted).hexdigest() != got:
                    runs, content = [part], wanted
                    break
                at += part.size
        return _other_bytes(self.board, runs[0].start)


def _other_bytes(board: Board, at: int) -> DeviceError:
    return DeviceError(
        f"{board.name} does not hold what was written to it, first at byte {at:,}",
        hint=f"it is worn out, or smaller than it says: {OTHER}",
    )


@contextmanager
def _said(work: _Work) -> Iterator[None]:
    """Say in which state the disk is left when the work does not come to its end."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        events.note(work.state.format(work.board.name))
        raise
    except RootfsToolError as error:
        error.args = (f"{error}; {work.state.format(work.board.name)}",)
        raise
