"""What a bad serial line does to the bytes that pass, drawn from a seed and counted in bytes."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

HALT = 0.15  # seconds that a halt lasts
_BURST = 0.01  # seconds' worth of bytes that pass at once on a line with a rate

Fault = Literal["lost", "flipped", "inserted", "message", "halted", "restarted"]

# What a kernel may say at any moment. The last is of one that has no clock (printk.time=0).
_MESSAGES = (
    b"[%12.6f] usb 1-1: new high-speed USB device number 7 using xhci_hcd\r\n",
    b"[%12.6f] mmc0: error -110 whilst initialising SD card\r\n",
    b"[%12.6f] virtio_net virtio0 eth0: link becomes ready and this is a rather long line\r\n",
    b"[%12.6f][ T1234] cfg80211: failed to load regulatory.db\r\n",
    b"[%12.6f] \r\n",
    b"random: crng init done %.0f\r\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The odds, from 0 to 1, that something happens at a byte."""

    lost: float = 0.0
    flipped: float = 0.0
    """One bit of it."""
    inserted: float = 0.0
    """Another byte before it, of any value."""
    message: float = 0.0
    """A kernel message before it."""
    halted: float = 0.0
    """Nothing passes for HALT seconds."""
    restarted: float = 0.0
    """The board's power goes, and comes again."""


QUIET = Noise()


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """A line. ``rate`` is in bytes a second each way (115200 baud: 11520), 0 for any.

    ``fifo`` is what the board's UART holds in bytes, and ``service`` how many of them a second the
    board takes: what comes meanwhile is lost.
    """

    seed: int = 0
    to_board: Noise = QUIET
    from_board: Noise = QUIET
    rate: int = 0
    fifo: int = 0
    service: int = 0


@dataclass(slots=True)
class Way:
    """One direction: what waits to be sent, what has been and is not taken yet, and its luck."""

    noise: Noise
    luck: random.Random
    rate: int
    fifo: int
    drain: float
    waiting: bytearray = field(default_factory=bytearray)
    passed: bytearray = field(default_factory=bytearray)
    counts: Counter[Fault] = field(default_factory=Counter)
    _kinds: dict[Fault, float] = field(default_factory=dict)
    _budget: float = 0.0
    _at: float = 0.0
    _halted: float = 0.0
    _fill: float = 0.0
    _quiet: int = 0
    """Bytes until the next fault."""

    def __post_init__(self) -> None:
        self._kinds = {
            kind: odds
            for kind in ("lost", "flipped", "inserted", "message", "halted", "restarted")
            if (odds := getattr(self.noise, kind))
        }
        self._draw()

    def _draw(self) -> None:
        odds = sum(self._kinds.values())
        self._quiet = (
            int(math.log(1 - self.luck.random()) / math.log(1 - odds)) if odds else 1 << 62
        )

    def pause(self) -> float | None:
        """Milliseconds until more may pass; None where nothing waits."""
        if not self.waiting or self.passed:
            return None
        return 1.0 if self.rate or self._halted > time.monotonic() else 0.0

    def step(self) -> bool:
        """Let through what may pass now; True when the board's power goes at that byte."""
        now = time.monotonic()
        since, self._at = now - self._at, now
        if self.fifo:
            self._fill = max(0.0, self._fill - since * self.drain * self.rate)
        if self.rate:
            most = max(1.0, self.rate * _BURST)
            self._budget = min(most, self._budget + since * self.rate)
        while self.waiting and now >= self._halted:
            count = min(len(self.waiting), self._quiet + 1)
            if self.rate:
                count = min(count, int(self._budget))
                self._budget -= count
            if not count:
                return False
            piece = bytes(self.waiting[:count])
            del self.waiting[:count]
            hit, self._quiet = count > self._quiet, self._quiet - count
            if not hit:
                self._pass(piece)
                continue
            self._pass(piece[:-1])
            kind = self._happens(piece[-1])
            self._draw()
            if kind == "halted":
                self._halted = now + HALT
            if kind == "restarted":
                return True
        return False

    def _happens(self, byte: int) -> Fault:
        (kind,) = self.luck.choices(list(self._kinds), list(self._kinds.values()))
        self.counts[kind] += 1
        match kind:
            case "lost":
                return kind
            case "flipped":
                byte ^= 1 << self.luck.randrange(8)
            case "inserted":
                self._pass(bytes((self.luck.randrange(256),)))
            case "message":
                self.passed += self.luck.choice(_MESSAGES) % (self.luck.random() * 9999)
            case "halted" | "restarted":
                pass
        self._pass(bytes((byte,)))
        return kind

    def _pass(self, data: bytes) -> None:
        if not self.fifo:
            self.passed += data
            return
        for byte in data:
            self._fill = max(0.0, self._fill - self.drain)
            if self._fill + 1 > self.fifo:
                self.counts["lost"] += 1
            else:
                self._fill += 1
                self.passed.append(byte)
