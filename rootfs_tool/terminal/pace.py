"""Sending no faster than the board takes it: a UART without flow control drops what comes early.

What is sent is what the board has room for in its receive FIFO, 16 bytes in a 16550 and in a PL011
(their data sheets); the next piece goes out when the board has echoed this one, and the next line
when it has echoed the end of this one. A board that echoes nothing gets the same pieces at half of
the line's rate.
"""

from __future__ import annotations

from dataclasses import dataclass

FIFO = 16  # bytes
FIRST = 1.0  # seconds that the first echo may take
STALLED = 5.0  # seconds that a later one may: the board has stopped to think
_BITS = 10  # of a byte on the line: start, eight of data, stop
_AT_ONCE = 1024  # bytes that are sent together where nothing is waited for

_NEWLINES = b"\r\n"
_BRACKET = b"\x1b[200~"  # what a terminal puts before a paste (xterm's control sequences)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Seconds to wait after each character and after each line, in the place of the echo."""

    character: float = 0.0
    line: float = 0.0


class Pace:
    """What waits to be sent. ``now`` is in seconds, of any clock that never goes back."""

    def __init__(self, baudrate: int, delays: Delays) -> None:
        self.on = True
        self._byte = _BITS / baudrate
        self._delays = delays
        self._waiting = bytearray()
        self._awaited = bytearray()  # what was sent and has not come back
        self._progress = 0.0  # when the last of it came, or was sent
        self._not_before = 0.0
        self._echoes = False
        self.deaf = False  # it does not echo

    @property
    def waiting(self) -> int:
        """Bytes not sent yet."""
        return len(self._waiting)

    def add(self, data: bytes) -> None:
        self._waiting += data
        if _BRACKET in data:  # a shell that asked for that shows nothing before the end of it
            self.deaf = True

    def discard(self) -> int:
        """Forget what waits; returns how many bytes that was."""
        left = len(self._waiting)
        self._waiting.clear()
        self._awaited.clear()
        return left

    def sent(self, now: float) -> None:
        """What `due` gave is on its way only now: the line had no room for it before."""
        self._progress = max(self._progress, now)

    def heard(self, data: bytes, now: float) -> None:
        """The board said ``data``; the echo is in it, among prompts, wraps and kernel messages."""
        awaited = self._awaited
        if not awaited:
            return
        done = 0
        for byte in data:
            if byte == awaited[done] or (byte in _NEWLINES and awaited[done] in _NEWLINES):
                done += 1
                if done == len(awaited):
                    self._echoes, self.deaf = True, False
                    break
        if done:
            self._progress = now
            del awaited[:done]

    def due(self, now: float) -> bytes:
        """What may be sent now."""
        if now < self._not_before or not self._waiting:
            return b""
        if not self._by_echo:
            return self._unheeding(now)
        if self._awaited and not self.deaf:
            if now < self._progress + self._patience:
                return self._take(self._room(), now)
            self.deaf = True
        self._awaited.clear()
        piece = self._take(self._line(FIFO), now)
        if self.deaf or not self._awaited:
            self._not_before = now + 2 * len(piece) * self._byte
        return piece

    def wait(self, now: float) -> float | None:
        """Seconds until `due` is worth asking again if the board says nothing; None is never."""
        if not self._waiting:
            return None
        if now < self._not_before:
            return self._not_before - now
        if self._by_echo and self._awaited and not self.deaf:
            return max(0.0, self._progress + self._patience - now)
        return 0.0

    @property
    def _by_echo(self) -> bool:
        return self.on and not (self._delays.character or self._delays.line)

    @property
    def _patience(self) -> float:
        return STALLED if self._echoes else FIRST

    def _room(self) -> int:
        if any(byte in _NEWLINES for byte in self._awaited):
            return 0
        return self._line(FIFO - len(self._awaited))

    def _line(self, most: int) -> int:
        """The length of what waits up to and with the end of its first line."""
        ends = [self._waiting.find(one, 0, most) + 1 for one in (b"\r", b"\n")]
        return min((end for end in ends if end), default=most)

    def _unheeding(self, now: float) -> bytes:
        """Without a look at the echo: at once, or with the delays that were asked for."""
        if not self.on:
            return self._take(_AT_ONCE, now)
        piece = self._take(1 if self._delays.character else self._line(_AT_ONCE), now)
        at_end = piece[-1] in _NEWLINES
        self._not_before = now + self._delays.character + (self._delays.line if at_end else 0.0)
        return piece

    def _take(self, length: int, now: float) -> bytes:
        piece = bytes(self._waiting[:length])
        del self._waiting[:length]
        if piece:
            # Only these come back as they are: a terminal shows a control character as ^C.
            self._awaited += bytes(b for b in piece if 0x20 <= b < 0x7F or b in _NEWLINES)
            del self._awaited[:-_AT_ONCE]
            self._progress = now
        return piece
