"""VERB: write an image to a device and read it back; until all is right it has no partition table.

The first MiB is cleared before anything else is written, and written after everything else has
been read back. So a device that was pulled out, killed or worn out in between boots nothing, and
nobody takes it for whole.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from rootfs_tool import events
from rootfs_tool.blockmap import Kind
from rootfs_tool.errors import DeviceError, RootfsToolError
from rootfs_tool.flash import device
from rootfs_tool.flash.device import IN_FLIGHT, Device
from rootfs_tool.flash.reading import Filled, reading
from rootfs_tool.flash.source import PIECE, Piece, Source
from rootfs_tool.flash.verify import held, read_back

HEAD = PIECE  # bytes that are written last
FIRST = 4096  # of them: the MBR, the GPT's header behind it, and the start of its entries
BACKUP = 33  # sectors at the end of a device that a GPT's copy takes (UEFI 2.10, 5.3.1)
FEW = 4  # a change is small where this many times as much is the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Flashed:
    """What was done, in bytes: ``same`` was there already, ``read`` was read back and compared."""

    written: int
    same: int
    read: int


def flash(
    source: Source,
    path: Path,
    *,
    rdev: int,
    name: str,
    changed_only: bool = False,
    resume: bool = False,
    eject: bool = False,
    direct: bool = True,
) -> Flashed:
    """Write ``source`` to the device at ``path`` and read all of it back.

    ``rdev`` is the number that the device had when it was inspected (stat(2)); ``name`` is how
    errors call it: "/dev/sdb (SanDisk Ultra, 31.9 GB)". ``changed_only`` writes only what differs
    from what is there; ``resume`` only from where it first differs, which is where a flash of the
    same image was ended. Neither trusts anything but the device. ``direct`` is off for a device
    that can't be read past the page cache.

    Raises DeviceError if the device fails or does not hold what was written, ConfigError if the
    image is damaged; both say in which state the device is left.
    """
    with device.opened(path, rdev=rdev, name=name, direct=direct) as card:
        if source.size > card.size:
            raise DeviceError(
                f"{name} is too small: it has {card.size:,} bytes, "
                f"{source.path.name} {source.size:,}"
            )
        work = _Work(source, card, changed_only=changed_only, resume=resume)
        with _said(work):
            with events.step(f"write {source.path.name}"):
                work.write()
            with events.step("read back"):
                work.verify()
            with events.step("write the partition table"):
                work.finish()
        if work.state is not State.UNTOUCHED and not card.reread_table():
            events.note(f"{name}: pull it out and put it in again to see its new partitions")
        if eject and not card.eject():
            events.note(f"{name} can be pulled out: all is written")
        return Flashed(written=work.written, same=work.same, read=work.read)


class State(StrEnum):
    """What is at the front of the device."""

    UNTOUCHED = "nothing was written to {}"
    CLEARING = "whether {} still has its old partition table is not sure"
    CLEARED = "{} has no partition table now, so nothing boots from it"


@dataclass(slots=True)
class _Work:
    """A flash that is being done."""

    source: Source
    card: Device
    changed_only: bool
    resume: bool
    state: State = State.UNTOUCHED
    written: int = 0
    same: int = 0
    read: int = 0
    _sums: dict[int, bytes] = field(default_factory=dict)  # sha256 of each piece, by its start
    _changed: set[int] = field(default_factory=set)
    _writing: deque[Future[None] | None] = field(default_factory=deque)
    _head: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, HEAD))
    _there: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, PIECE))

    def write(self) -> None:
        """Everything but the head, which is kept for ``finish``."""
        comparing = self.changed_only or self.resume
        done, total = 0, self.source.data
        above = (piece for piece in self.source.pieces() if piece.start >= HEAD)
        with (
            ThreadPoolExecutor(IN_FLIGHT) as pool,
            held(self.card, above if comparing else ()) as there,
            reading(self.source) as filled,
        ):
            for one in filled:
                start, end = one.piece.start, one.piece.end
                if start < HEAD:
                    self._head[start:end] = one.buffer[: end - start]
                else:
                    self._sums[start] = one.sha256
                    same, comparing = self._compared(one, there) if comparing else (False, False)
                    self._wait(IN_FLIGHT - 1)
                    self._writing.append(None if same else self._put(one, pool))
                    self.same += end - start if same else 0
                done += end - start
                events.progress(done, total)
            self._wait(0)
        if self._changed:
            self.card.flush()

    def _compared(
        self, one: Filled, there: Iterator[tuple[Piece, memoryview]]
    ) -> tuple[bool, bool]:
        """Whether the device has the piece already, and whether to compare the next one too."""
        try:
            _, held = next(there)
        except DeviceError:  # writing may mend a sector that can't be read
            return False, False
        same = bytes(held) == one.buffer[: len(held)]
        return same, same or self.changed_only

    def _wait(self, most: int) -> None:
        """Until at most so many of the last pieces are still being written."""
        while len(self._writing) > most:
            if (oldest := self._writing.popleft()) is not None:
                oldest.result()

    def _put(self, one: Filled, pool: Executor) -> Future[None]:
        start, end = one.piece.start, one.piece.end
        if self.state is State.UNTOUCHED:
            self._clear()
        self._changed.add(start)
        self.written += end - start
        if one.piece.range.kind is Kind.ZERO:
            return pool.submit(self.card.zero, start, end)
        return pool.submit(self.card.write, one.buffer, start, end)

    def _clear(self) -> None:
        """Leave no partition table, the one first that decides whether there are others."""
        self.state = State.CLEARING
        end, sector = self._head_end, self.card.sector
        self.card.zero(0, min(FIRST, end))
        self.card.flush()
        self.card.zero(0, end)
        last = self.card.size - sector
        self.card.read(self._there, last, self.card.size)
        if self._there[:8] == b"EFI PART":
            self.card.zero(max(end, self.card.size - BACKUP * sector), self.card.size)
        self.card.flush()
        self.state = State.CLEARED

    @property
    def _head_end(self) -> int:
        return min(HEAD, self.card.size)

    def verify(self) -> None:
        """Compare what is on the device now that everything has been written.

        What was the same was read from the device itself, and only writes to other places could
        have changed it since: a card that is smaller than it says keeps two places in one. Such a
        card has most of an image wrong, so a small change is read back alone.
        """
        if not self._changed:
            return
        few = self.changed_only and self.written * FEW < self.same
        pieces = [
            piece
            for piece in self.source.pieces()
            if piece.start in (self._changed if few else self._sums)
        ]
        self.read = read_back(self.source, self.card, pieces, self._sums)

    def finish(self) -> None:
        """Write the head, its first bytes last, and read it back."""
        end = self._head_end
        if not self._changed and (self.changed_only or self.resume) and self._head_is_there():
            self.same += end
            return
        if self.state is State.UNTOUCHED:
            self._clear()
        try:
            self.card.write(memoryview(self._head)[FIRST:], FIRST, end)
            self.card.flush()
            self.card.write(self._head, 0, min(FIRST, end))
            self.card.flush()
            if not self._head_is_there():
                raise DeviceError(
                    f"{self.card.name} does not hold what was written to its first {end:,} bytes",
                    hint="try another card, and another reader",
                )
        except BaseException:
            self.state = State.CLEARING
            with suppress(DeviceError):
                self._clear()
            raise
        self.written += end
        self.read += end

    def _head_is_there(self) -> bool:
        self.card.read(self._there, 0, self._head_end)
        return self._there[: self._head_end] == self._head[: self._head_end]


@contextmanager
def _said(work: _Work) -> Iterator[None]:
    """Say in which state the device is left when the work does not come to its end."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        events.note(f"{_left(work)}; --resume goes on")
        raise
    except RootfsToolError as error:
        error.args = (f"{error}; {_left(work)}",)
        if work.state is not State.UNTOUCHED:
            error.hint = f"{error.hint}; --resume goes on where it differs"
        raise


def _left(work: _Work) -> str:
    return work.state.format(work.card.name)
