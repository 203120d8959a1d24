"""Files as packets: laid out once, many in a row, and shared by all transfers of a file."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from rootfs_tool.tftpd import netascii, packet
from rootfs_tool.tftpd.base import MIB, Code, Opened, Refused

KEPT = 4 * MIB  # bytes of packets, over all files: what stays in a processor's cache
SEGMENTS = 64  # the most packets that Linux cuts from one send (UDP_MAX_SEGMENTS)
ROW_BYTES = 65000  # and the most bytes, a datagram being no longer than 65,507
OVERHEAD = 150  # bytes that the objects of one packet take beside its content

# A DATA packet, and the ACK that answers it.
Pair = tuple[bytes, bytes]
Key = tuple[object, ...]
Row = TypeVar("Row", Sequence[Pair], memoryview)


def in_a_row(blksize: int, windowsize: int) -> int:
    """How many blocks are laid out together: whole windows, so that each leaves in one send."""
    most = max(1, min(SEGMENTS, ROW_BYTES // (blksize + 4)))
    return most - most % windowsize if 1 < windowsize <= most else most


class Content(ABC):
    """What is sent, in rows of ``row`` packets; the one that is not full is the last."""

    def __init__(self, blksize: int, row: int, rollover: int) -> None:
        self.blksize = blksize
        self.row = row
        self.rollover = rollover

    @abstractmethod
    def pairs(self, index: int) -> Sequence[Pair]:
        """The packets of a row one by one. Raises Refused, as ``joined`` does."""

    @abstractmethod
    def joined(self, index: int) -> memoryview:
        """The packets of a row without a gap between them."""

    def _pairs(self, index: int, content: bytes) -> list[Pair]:
        headers, data = self._cut(index, content)
        return [
            (header + piece, packet.ACK + header[2:])
            for header, piece in zip(headers, data, strict=True)
        ]

    def _joined(self, index: int, content: bytes) -> memoryview:
        headers, data = self._cut(index, content)
        parts: list[bytes | memoryview] = [b""] * (2 * len(headers))
        parts[::2] = headers
        parts[1::2] = data
        return memoryview(b"".join(parts))

    def _cut(self, index: int, content: bytes) -> tuple[list[bytes], list[memoryview]]:
        size, view = self.blksize, memoryview(content)
        count = min(self.row, len(content) // size + 1)
        headers = packet.headers(index * self.row + 1, count, self.rollover)
        return headers, [view[at : at + size] for at in range(0, count * size, size)]


class Image:
    """One open file, as it was when it was opened."""

    def __init__(self, fd: int, status: os.stat_result, size: int) -> None:
        self.fd = fd
        self.size = size
        self.changed = status.st_mtime_ns
        self.users = 0

    def read(self, offset: int, length: int) -> bytes:
        """Never a mapping: reading one that was cut short kills the process.

        Raises Refused when the file is not what it was, so that no client gets half of each.
        """
        length = min(length, self.size - offset)
        try:
            data = os.pread(self.fd, length, offset)
            changed = os.fstat(self.fd).st_mtime_ns != self.changed
        except OSError as error:
            raise Refused(Code.UNDEFINED, f"cannot read the file: {error.strerror}") from None
        if changed or len(data) != length:
            raise Refused(Code.UNDEFINED, "the file changed while it was being sent")
        return data


class Images:
    """The open files, and the packets made from them, never more than ``kept`` bytes."""

    def __init__(self, kept: int = KEPT) -> None:
        self._room = kept
        self._open: dict[tuple[int, int, int, int], Image] = {}
        self._rows: OrderedDict[Key, tuple[object, int]] = OrderedDict()

    def open(self, opened: Opened) -> Image:
        """The file, which is now ours to close; all who read the same one share it."""
        status = os.fstat(opened.fd)
        key = (status.st_dev, status.st_ino, opened.size, status.st_mtime_ns)
        image = self._open.get(key)
        if image is None:
            image = self._open[key] = Image(opened.fd, status, opened.size)
        else:
            os.close(opened.fd)
        image.users += 1
        return image

    def close(self, image: Image) -> None:
        image.users -= 1
        if image.users:
            return
        self._open = {key: one for key, one in self._open.items() if one is not image}
        for key in [key for key in self._rows if key[0] is image]:
            self._room += self._rows.pop(key)[1]
        os.close(image.fd)

    def row(self, key: Key, make: Callable[[], Row], size: Callable[[Row], int]) -> Row:
        """The row of this key, which begins with its Image, made now unless it is there."""
        found = self._rows.get(key)
        if found is not None:
            self._rows.move_to_end(key)
            return cast(Row, found[0])
        row = make()
        self._rows[key] = (row, size(row))
        self._room -= size(row)
        while self._room < 0:
            self._room += self._rows.popitem(last=False)[1][1]
        return row


class Octet(Content):
    """The bytes of a file."""

    def __init__(
        self, images: Images, image: Image, blksize: int, windowsize: int, rollover: int
    ) -> None:
        super().__init__(blksize, in_a_row(blksize, windowsize), rollover)
        self._images = images
        self._image = image
        self._layout = (image, blksize, self.row, rollover, windowsize > 1)

    def pairs(self, index: int) -> Sequence[Pair]:
        return self._images.row(
            (*self._layout, index),
            lambda: self._pairs(index, self._read(index)),
            lambda row: sum(len(packet) + OVERHEAD for packet, _ in row),
        )

    def joined(self, index: int) -> memoryview:
        return self._images.row(
            (*self._layout, index), lambda: self._joined(index, self._read(index)), len
        )

    def _read(self, index: int) -> bytes:
        length = self.row * self.blksize
        return self._image.read(index * length, length)


class Netascii(Content):
    """A file as text, to be had only from front to back: little more than a window is kept."""

    def __init__(self, image: Image, blksize: int, windowsize: int, rollover: int) -> None:
        super().__init__(blksize, min(windowsize, in_a_row(blksize, windowsize)), rollover)
        self._image = image
        self._offset = 0
        self._ready = bytearray()
        self._kept: dict[int, bytes] = {}
        self._back = windowsize // self.row + 2

    def pairs(self, index: int) -> Sequence[Pair]:
        return self._pairs(index, self._text(index))

    def joined(self, index: int) -> memoryview:
        return self._joined(index, self._text(index))

    def _text(self, index: int) -> bytes:
        if index not in self._kept:
            length = self.row * self.blksize
            while len(self._ready) < length and self._offset < self._image.size:
                piece = self._image.read(self._offset, length)
                self._offset += len(piece)
                self._ready += netascii.encode(piece)
            self._kept[index] = bytes(self._ready[:length])
            del self._ready[:length]
            self._kept.pop(index - self._back, None)
        return self._kept[index]
