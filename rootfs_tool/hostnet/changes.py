"""The single changes to this host's network, each with its way back."""

from __future__ import annotations

import fcntl
import shlex
import struct
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rootfs_tool import proc
from rootfs_tool.errors import CommandError, ConfigError
from rootfs_tool.hostnet.links import links

TUN = Path("/dev/net/tun")
# linux/if_tun.h
_TUNSETIFF, _TUNSETPERSIST, _TUNSETOWNER = 0x400454CA, 0x400454CB, 0x400454CC
_IFF_TAP, _IFF_NO_PI, _IFF_TUN_EXCL = 0x0002, 0x1000, 0x8000
_SYSCTLS = Path("/proc/sys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(ABC):
    """One thing that differs while the network is up. All it needs for the way back are its fields.

    Whatever happened in between, `undo` may be called: for what was never done, done by half, or
    undone already, it does nothing. So it is enough to write a change down before it is made.
    """

    kind: ClassVar[str]

    @abstractmethod
    def holds(self) -> bool:
        """Whether it is in effect now."""

    @abstractmethod
    def do(self) -> None:
        """Make it. Raises CommandError or ConfigError."""

    @abstractmethod
    def undo(self) -> str | None:
        """Put back what was; a sentence if somebody else has changed it since."""

    @abstractmethod
    def lines(self) -> list[str]:
        """The same as lines of a shell script."""

    @abstractmethod
    def back(self) -> list[str]:
        """The way back as lines of a shell script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap(Change):
    """``alias`` is a note that the interface carries, by which ours is known from all others."""

    kind: ClassVar[str] = "tap"
    name: str
    user: int
    alias: str

    def holds(self) -> bool:
        here = links().get(self.name)
        return here is not None and here.alias == self.alias

    def do(self) -> None:
        """It is made to stay last of all: one that does not carry its note goes with this process.

        The requests are of Documentation/networking/tuntap.rst.
        """
        request = struct.pack("16sH22x", self.name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_TUN_EXCL)
        try:
            with TUN.open("r+b", buffering=0) as tun:
                fcntl.ioctl(tun, _TUNSETIFF, request)
                fcntl.ioctl(tun, _TUNSETOWNER, self.user)
                proc.run("ip", "link", "set", "dev", self.name, "alias", self.alias)
                fcntl.ioctl(tun, _TUNSETPERSIST, 1)
        except FileNotFoundError:
            raise ConfigError(f"{TUN} is not there", hint="modprobe tun") from None
        except OSError as error:
            raise ConfigError(f"{self.name} can't be made: {error.strerror}") from None

    def undo(self) -> str | None:
        if self.holds():
            proc.run("ip", "link", "delete", "dev", self.name)
        return None

    def lines(self) -> list[str]:
        return [f"ip tuntap add dev {self.name} mode tap user {self.user}"]

    def back(self) -> list[str]:
        return [f"ip link delete dev {self.name}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address(Change):
    kind: ClassVar[str] = "address"
    device: str
    address: str

    def holds(self) -> bool:
        here = links().get(self.device)
        return here is not None and self.address in map(str, here.addresses)

    def do(self) -> None:
        proc.run("ip", "address", "add", self.address, "broadcast", "+", "dev", self.device)

    def undo(self) -> str | None:
        if self.holds():
            proc.run("ip", "address", "delete", self.address, "dev", self.device)
        return None

    def lines(self) -> list[str]:
        return [f"ip address add {self.address} broadcast + dev {self.device}"]

    def back(self) -> list[str]:
        return [f"ip address delete {self.address} dev {self.device}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Up(Change):
    """Only for an interface that was down."""

    kind: ClassVar[str] = "up"
    device: str

    def holds(self) -> bool:
        here = links().get(self.device)
        return here is not None and here.up

    def do(self) -> None:
        proc.run("ip", "link", "set", "dev", self.device, "up")

    def undo(self) -> str | None:
        if self.holds():
            proc.run("ip", "link", "set", "dev", self.device, "down")
        return None

    def lines(self) -> list[str]:
        return [f"ip link set dev {self.device} up"]

    def back(self) -> list[str]:
        return [f"ip link set dev {self.device} down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctl(Change):
    """``key`` is a path below /proc/sys; ``before`` is None where that came with an interface."""

    kind: ClassVar[str] = "sysctl"
    key: str
    before: str | None
    after: str

    def holds(self) -> bool:
        return value(self.key) == self.after

    def do(self) -> None:
        try:
            (_SYSCTLS / self.key).write_text(f"{self.after}\n")
        except OSError as error:
            raise ConfigError(f"{_SYSCTLS / self.key}: {error.strerror}") from None

    def undo(self) -> str | None:
        now = value(self.key)
        if self.before is None or now is None or now == self.before:
            return None
        if now != self.after:
            return (
                f"{self.key} is {now}, which somebody else has set: "
                f"left as it is (it was {self.before}, hostnet set {self.after})"
            )
        with suppress(FileNotFoundError):  # its interface is gone, and it with it
            (_SYSCTLS / self.key).write_text(f"{self.before}\n")
        return None

    def lines(self) -> list[str]:
        return [f"echo {self.after} >{shlex.quote(str(_SYSCTLS / self.key))}"]

    def back(self) -> list[str]:
        if self.before is None:
            return []
        return [f"echo {self.before} >{shlex.quote(str(_SYSCTLS / self.key))}"]


def value(key: str) -> str | None:
    """What a sysctl is now; None if there is no such one."""
    try:
        return (_SYSCTLS / key).read_text().strip()
    except OSError:
        return None


def succeeds(*argv: str) -> bool:
    """Whether a program that asks a question says yes."""
    try:
        proc.run(*argv)
    except CommandError:
        return False
    return True
