"""Leases and names for boards that ask: dnsmasq, bound to their interface alone."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rootfs_tool import proc
from rootfs_tool.errors import CommandError, ConfigError
from rootfs_tool.hostnet.changes import Change

PATIENCE = 5.0  # seconds until it must have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Dnsmasq(Change):
    """``stem`` is the path that its files begin with; ``router`` whether there is a way out."""

    kind: ClassVar[str] = "dnsmasq"
    device: str
    address: str
    netmask: str
    first: str
    last: str
    router: bool
    stem: str

    @property
    def config(self) -> Path:
        return Path(f"{self.stem}.dnsmasq")

    @property
    def leases(self) -> Path:
        """Whom it gave which address, for as long as it runs."""
        return Path(f"{self.stem}.leases")

    def holds(self) -> bool:
        return next(self._ours(), None) is not None

    def do(self) -> None:
        self.config.write_text(self.text())
        try:
            proc.run(*self._argv(), timeout=20)
        except CommandError as error:
            if "in use" not in error.output:
                raise
            raise ConfigError(
                f"dnsmasq can't answer at {self.address}: port 53 or 67 is taken",
                hint="ss -lunp 'sport = 67 or sport = 53' tells by whom; or leave --dhcp out",
            ) from None

    def undo(self) -> str | None:
        for process in self._ours():
            _end(process, self._argv()[1])
        for file in (self.config, self.leases):
            file.unlink(missing_ok=True)
        return None

    def lines(self) -> list[str]:
        write = f"cat >{shlex.quote(str(self.config))} <<'END'"
        directory = shlex.quote(str(self.config.parent))
        start = shlex.join(self._argv())
        return [f"mkdir -p {directory}", write, *self.text().splitlines(), "END", start]

    def back(self) -> list[str]:
        files = shlex.join([str(self.config), str(self.leases)])
        return [f"pkill -f -- {shlex.quote(self._argv()[1])}", f"rm -f {files}"]

    def text(self) -> str:
        """Its configuration (dnsmasq(8)): other servers of this host are left alone.

        There is one board at a TAP or a cable, so nobody is asked whether they have an address.
        """
        return f"""\
interface={self.device}
except-interface=lo
bind-interfaces
no-hosts
domain-needed
bogus-priv
dhcp-authoritative
no-ping
dhcp-range={self.first},{self.last},{self.netmask},1h
{"" if self.router else "dhcp-option=option:router"}
dhcp-leasefile={self.leases}
pid-file=
"""

    def _argv(self) -> list[str]:
        return ["dnsmasq", f"--conf-file={self.config}"]

    def _ours(self) -> Iterator[int]:
        """The process that reads our configuration, in this network namespace."""
        for process in Path("/proc").glob("[0-9]*"):
            if _is(int(process.name), self._argv()[1]):
                yield int(process.name)


def _is(process: int, option: str) -> bool:
    """Whether that process was started with ``option``, and sees the network that we see."""
    place = Path(f"/proc/{process}")
    with suppress(OSError):
        words = (place / "cmdline").read_bytes().split(b"\0")
        here = os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116  # a link that leads nowhere
        there = (place / "ns" / "net").stat().st_ino
        return option.encode() in words[1:] and here == there
    return False


def _end(process: int, option: str) -> None:
    """End it, and no other that has its number by then (pidfd_open(2)). Raises CommandError."""
    with suppress(ProcessLookupError), _handle(process) as handle:
        if not _is(process, option):
            return
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while _is(process, option):
            if time.monotonic() > deadline:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                raise CommandError(f"dnsmasq ({process}) had to be killed", argv=[], output="")
            time.sleep(0.01)


@contextmanager
def _handle(process: int) -> Iterator[int]:
    handle = os.pidfd_open(process)
    with closing(os.fdopen(handle, "rb", buffering=0)):
        yield handle
