"""What a check asked about: light to import, because every check has one to tell."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a check asked about, as far as it knows.

    ``network`` is whether the way to somebody was part of it. ``interface`` is one of the board's,
    ``peer`` whom the board spoke to, ``port`` where: the board's own if ``from_host``. ``program``
    is a file of this host's that was to run there as ``/tmp`` has it, ``command`` what the board's
    shell was told. ``served`` is the UDP port of the TFTP server that the board was sent to.
    """

    network: bool = False
    interface: str | None = None
    peer: IPv4Address | None = None
    port: int | None = None
    from_host: bool = False
    program: Path | None = None
    command: str = ""
    served: int | None = None
