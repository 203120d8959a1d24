"""What client and server agree on before the first block (RFC 2347, 2348, 2349, 7440)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rootfs_tool.tftpd.packet import Request, number, oack

DEFAULT_BLOCK = 512
LARGEST_BLOCK = 65464
# A window has to fit into the socket buffers at both ends, or its end is lost every time;
# Linux gives a socket 208 KiB unless told otherwise, and twice that when asked.
WINDOW_BYTES = 256 << 10

# What an option may be; one that is not counts as not sent. "rollover" is atftpd's and U-Boot's
# neighbour: in no RFC, and 0 or 1 wherever it is known.
RANGES = {
    b"blksize": range(8, 10**10),  # more than RFC 2348 has is answered with the most it has
    b"timeout": range(1, 256),
    b"tsize": range(1 << 63),
    b"windowsize": range(1, 65536),
    b"rollover": range(2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """``blksize`` is in bytes, ``windowsize`` in blocks, ``timeout`` in seconds.

    ``oack`` is the packet that says so, empty when the client asked for nothing that we know.
    """

    blksize: int = DEFAULT_BLOCK
    windowsize: int = 1
    timeout: int | None = None
    rollover: int = 0
    oack: bytes = b""


def announced(request: Request) -> int | None:
    """How large, in bytes, the client says that its upload is."""
    return _asked(request).get(b"tsize")


def agree(request: Request, *, size: int | None, window: int, carries: Callable[[], int]) -> Agreed:
    """Answer the options of a request.

    ``size`` is the file's, in bytes, where it is known; ``window`` the most blocks that we send
    without an ACK; ``carries`` says how many bytes of a block fit into one packet of the path.

    A client that asks for a window gets blocks that are not fragmented: one lost fragment would
    cost the window, and the window already hides the round trip. One in lock-step gets the block
    that it asked for, because nothing but its size makes it fast, and a fragment lost costs one
    block.
    """
    asked = _asked(request)
    windowsize = min(asked.get(b"windowsize", 1), window)
    blksize = min(asked.get(b"blksize", DEFAULT_BLOCK), LARGEST_BLOCK)
    if windowsize > 1:
        if blksize > DEFAULT_BLOCK:
            blksize = min(blksize, max(carries(), DEFAULT_BLOCK))
        windowsize = min(windowsize, max(1, WINDOW_BYTES // blksize))
    granted = asked | {b"blksize": blksize, b"windowsize": windowsize}
    if not request.write:
        # curl takes "tsize 0" for a mistake of ours and gives up; an empty file needs no size
        granted[b"tsize"] = size or -1
    answer = [(key, granted[key]) for key in asked if granted[key] >= 0]
    return Agreed(
        blksize=blksize,
        windowsize=windowsize,
        timeout=asked.get(b"timeout"),
        rollover=asked.get(b"rollover", 0),
        oack=oack(answer) if answer else b"",
    )


def _asked(request: Request) -> dict[bytes, int]:
    asked = {}
    for key, text in request.options:
        value = number(text)
        if value is not None and key in RANGES and value in RANGES[key]:
            asked[key] = value
    return asked
