"""This host's side of a failure: its TFTP servers, and whether its firewall lets boards in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from rootfs_tool import sockets
from rootfs_tool.errors import RootfsToolError
from rootfs_tool.hostnet import obstacles
from rootfs_tool.hostnet.firewall import Packet, obstacle

_MOST = 2000  # names of a TFTP server's directory that are looked at
# What of a program's command line names the directory that it serves: after an option, or alone.
_ROOT_OPTIONS = ("--tftp-root=", "--tftp-root", "-s", "--secure", "--directory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serves:
    """A program that waits at a UDP port of this host; ``root`` is a directory in its words."""

    address: IPv4Address | IPv6Address
    port: int
    words: tuple[str, ...]
    root: Path | None

    @property
    def name(self) -> str:
        return Path(self.words[0]).name if self.words else "a program"

    @property
    def tftp(self) -> bool:
        """Whether it serves files by TFTP, by what it is called."""
        return "tftp" in " ".join(self.words) or self.name in ("atftpd", "dnsmasq")

    def __str__(self) -> str:
        return f"this host: {' '.join(self.words)[:100] or 'a program'} has UDP port {self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """``stopped`` is what of this host's firewall would stop what a board sends to its port."""

    servers: tuple[Serves, ...] = ()
    stopped: str | None = None
    stopped_for_sure: bool = False


def look(port: int | None, board: IPv4Address | None) -> Here:
    """Who waits at UDP ports, and would ``board`` get through to ``port``? Reads only."""
    servers = tuple(_servers())
    if port is None:
        return Here(servers=servers)
    packet = Packet(
        hook="input",
        told=f"what the board sends to UDP port {port}",
        facts={
            "state": "new",
            "family": "ipv4",
            "protocol": "udp",
            "dport": str(port),
            **({"saddr": f"{board}/32"} if board else {}),
        },
    )
    try:
        found = obstacle(packet, obstacles.chains())
    except RootfsToolError:  # not for this user: then nobody knows
        found = None
    stopped = str(found) if found else None
    return Here(servers=servers, stopped=stopped, stopped_for_sure=bool(found and found.known))


def _servers() -> Iterator[Serves]:
    tables = [path for path in (Path("/proc/net/udp"), Path("/proc/net/udp6")) if path.exists()]
    text = "".join(path.read_text() for path in tables)
    waiting = {one.inode: one for one in sockets.parse(text, "udp")}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is not ours
            links = {str(entry.readlink()) for entry in (process / "fd").iterdir()}
            for inode in waiting.keys() & {_inode(link) for link in links}:
                words = (process / "cmdline").read_text().rstrip("\0").split("\0")
                one = waiting[inode]
                yield Serves(
                    address=one.address, port=one.port, words=tuple(words), root=_root(words)
                )


def _inode(link: str) -> int:
    return int(link[8:-1]) if link.startswith("socket:[") else -1


def _root(words: list[str]) -> Path | None:
    for option, word in zip(["", *words], words, strict=False):
        for known in _ROOT_OPTIONS:
            value = word.removeprefix(known) if known.endswith("=") else word
            if (value != word if known.endswith("=") else option == known) and value[:1] == "/":
                return Path(value)
    found = [Path(word) for word in words[1:] if word.startswith("/") and Path(word).is_dir()]
    return found[-1] if found else None


def below(root: Path, name: str) -> str | None:
    """Where ``name``'s last part is below ``root``, as a TFTP client would ask for it."""
    wanted = name.rpartition("/")[2]
    for number, path in enumerate(root.rglob("*")):
        if number >= _MOST:
            return None
        if path.name == wanted and path.is_file():
            return str(path.relative_to(root))
    return None
