"""How fast a line may be written, and how much at once: it shows what it can take.

A UART without flow control loses what its FIFO cannot hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_FIFO = 16  # bytes that the smallest usual UART holds (16550A)
_WHOLE = 256  # bytes in one piece when nothing is known; more than that goes unpaced too
_GAP = 0.002  # seconds on top, in which the board's interrupt handler empties the FIFO
_LONGEST_GAP = 0.01
_MORE, _LESS = 1.3, 0.5  # what a damaged piece makes of the gap, and what one that arrived does


class Pace:
    """Whole lines at first; after a damaged one smaller pieces, which grow again slowly.

    Additive increase, multiplicative decrease, as TCP does (RFC 5681, section 3.1).
    """

    def __init__(self, baudrate: int) -> None:
        self._byte = 10 / baudrate  # seconds: start bit, eight data bits, stop bit
        self._piece: int | None = None
        self._gap = _GAP

    def seconds(self, size: int) -> float:
        """How long ``size`` bytes take on the line."""
        return size * self._byte

    def write(self, data: bytes, write: Callable[[bytes], None]) -> None:
        if self._piece is None:
            write(data)
            return
        for start in range(0, len(data), self._piece):
            if start:
                time.sleep(self.seconds(self._piece) + self._gap)
            write(data[start : start + self._piece])

    def damaged(self) -> None:
        """What was written did not arrive whole."""
        if self._piece == _FIFO:
            self._gap = min(_LONGEST_GAP, _MORE * self._gap)
        self._piece = max(_FIFO, (self._piece or _WHOLE) // 2)

    def arrived(self) -> None:
        self._gap = max(_GAP, _LESS * self._gap)
        if self._piece is not None:
            self._piece = self._piece + 1 if self._piece < _WHOLE else None


class Size:
    """How large a piece may be that is to come whole: a power of two times ``smallest``."""

    def __init__(self, smallest: int, largest: int) -> None:
        self.now = self._largest = largest
        self._smallest = smallest

    def damaged(self) -> None:
        self.now = max(self._smallest, self.now // 4)

    def arrived(self) -> None:
        self.now = min(self._largest, 2 * self.now)
