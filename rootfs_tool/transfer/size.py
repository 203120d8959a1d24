"""How large a block may be: as large as comes through whole, and no longer on its way than this."""

from __future__ import annotations

import time

LONG = 0.4  # seconds that a block may take: what is damaged takes as long once more
SMALLEST = 64  # bytes; every size is a power of two
_DAMAGED = 25  # blocks in a row
_NONE = 10  # blocks, where not one has come whole: bytes of some value may never pass
_TRUSTED = 8  # blocks in a row that have to be whole before a line that damaged one gets larger


class BlockSize:
    def __init__(self, first: int, largest: int) -> None:
        self.bytes = first
        self._damaged = 0
        self._most = _NONE
        self._largest = largest
        self._needed = 1
        self._whole = 0
        self._heard = time.monotonic()

    def good(self) -> float:
        """A block has come whole, now; returns the seconds that it took."""
        now = time.monotonic()
        took, self._heard = now - self._heard, now
        self._damaged, self._most = 0, _DAMAGED
        self._whole += 1
        if took < LONG / 2 and self._whole >= self._needed:
            self.bytes = min(self._largest, 2 * self.bytes)
            self._whole = 0
        return took

    def bad(self) -> bool:
        """One has not; returns whether there is hope left."""
        self._damaged += 1
        self._whole = 0
        self._needed = _TRUSTED
        self.bytes = max(SMALLEST, self.bytes // 4)
        return self._damaged <= self._most

    def begin(self) -> None:
        """What comes next is asked for now."""
        self._heard = time.monotonic()
