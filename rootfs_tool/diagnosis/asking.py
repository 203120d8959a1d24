"""Right after a failure: one command on the board, and a look at it from this host."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from shlex import quote

from rootfs_tool.diagnosis import board, drivers, host
from rootfs_tool.diagnosis.base import Diagnosis, Evidence, goes_out, of_network
from rootfs_tool.diagnosis.chains import diagnose
from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.errors import ConsoleError
from rootfs_tool.netstate import outside, scan, state
from rootfs_tool.netstate.scan import Door, Knock
from rootfs_tool.netstate.view import LOOPBACK
from rootfs_tool.network import Network
from rootfs_tool.shell import Shell

Reach = Callable[[int], tuple[str, int] | None]

_TIMEOUT = 30.0  # seconds that the board may take
_MOST_FILES = 6
_PATH = "/usr/bin"  # where all four of templates/init/profile.j2's PATH lead (initscripts.py)
_OF_FILES = ("not found", "no such file", "denied", "busy", "format", "syntax error", "elf")


def snapshot(shell: Shell, said: str, subject: Subject, network: Network) -> str:
    """What the board says of itself, in sections. Raises ConsoleError.

    Where the network failed, it also asks who else claims the profile's addresses.
    """
    about_files = any(word in said.lower() for word in _OF_FILES)
    paths = list(dict.fromkeys(_paths(said, subject)))[:_MOST_FILES] if about_files else []
    claims = (
        "\n".join(_addresses(network)) if goes_out(said, subject) and not subject.from_host else ""
    )
    scripts = [files(f"rootfs_tool.{one}").joinpath("ask.sh") for one in ("netstate", "diagnosis")]
    net, rest = (one.read_text() for one in scripts)
    values = f"files={quote(' '.join(paths))}\nclaims={quote(claims)}\n"
    return shell.run(f"(\n{net}\n)\n{values}{rest}", timeout=_TIMEOUT).text


def _addresses(network: Network) -> Iterator[str]:
    for one in network.interface:
        for address in one.ipv4:
            yield f"{one.name} {address.ip}"


def _paths(said: str, subject: Subject) -> Iterator[str]:
    """Files that may be meant: a name without directory may be in one of several."""
    if subject.program is not None:
        yield f"/tmp/{subject.program.name}"
    moved = re.search(r"\bcd\s+([\w./+-]+)", subject.command)
    places = [moved[1]] if moved else [".", "/tmp", "/", "/root"]
    sought = re.findall(r": ([\w+-][\w.+-]*): not found", said)
    yield from (f"{_PATH}/{name}" for name in sought)
    for word in re.findall(
        r"[\w./+-]*/[\w.+-]+|(?<!\S)[\w+-]+\.out\b", f"{subject.command}\n{said}"
    ):
        if word.startswith("/"):
            yield word
        elif word not in sought:  # a name alone is looked for on PATH, wherever else it is
            name = str(PurePosixPath(word))
            yield from (f"{place.rstrip('/')}/{name}" for place in places)


def read(
    text: str, said: str, subject: Subject, *, network: Network, seen_host: IPv4Address
) -> Evidence:
    """A snapshot, read; of this host's side there is nothing yet."""
    return Evidence(
        said=said,
        subject=subject,
        network=network,
        state=state.parse(text),
        board=board.parse(text),
        host=seen_host,
    )


def why(
    shell: Shell,
    said: str,
    subject: Subject,
    *,
    network: Network,
    seen_host: IPv4Address,
    reach: Reach,
) -> tuple[Diagnosis, ...]:
    """The causes of a failure, asked for right after it; none where nobody knows, or can ask."""
    try:
        found = ask(shell, said, subject, network=network, seen_host=seen_host, reach=reach)
    except ConsoleError:  # whoever asks the board next will say so
        return ()
    return diagnose(found)


def ask(
    shell: Shell,
    said: str,
    subject: Subject,
    *,
    network: Network,
    seen_host: IPv4Address,
    reach: Reach,
) -> Evidence:
    """Ask both ends. Raises ConsoleError."""
    text = snapshot(shell, said, subject, network)
    found = read(text, said, subject, network=network, seen_host=seen_host)
    if not of_network(said, subject):
        return found
    seen, knocked = _look(found.state, subject, reach)
    here = host.look(_tftp_port(said, subject), _address(found.state))
    return replace(found, here=here, outside=seen, knock=knocked, drivers=_drivers(found))


def _drivers(found: Evidence) -> tuple[drivers.Driver, ...]:
    """Of the devices without one, if an interface of the profile is missing."""
    there = {one.name for one in found.state.interfaces}
    if all(one.name in there for one in found.network.interface):
        return ()
    words = found.board.kernel.split()
    return drivers.look(found.board.undriven, words[1] if len(words) > 1 else "")


def _look(
    there: state.State, subject: Subject, reach: Reach
) -> tuple[outside.Outside | None, Knock | None]:
    """What this host sees of the board: QEMU's user network hides all but what is forwarded."""
    port = subject.port if subject.from_host else None
    where = reach(port) if port is not None else None
    knocked = None
    if port is not None and where is not None:
        forwarded = where[0] == LOOPBACK
        knocked = scan.knock(Door(port=port, where=where, forwarded=forwarded))
        if not forwarded:
            return outside.look(IPv4Address(where[0])), knocked
    if outside.of_user_network(there):
        return None, knocked
    nearest = outside.nearest(there)
    return (outside.look(nearest) if nearest else None), knocked


def _address(there: state.State) -> IPv4Address | None:
    return next((one.ip for one in there.addresses), None)


def _tftp_port(said: str, subject: Subject) -> int | None:
    if "tftp" not in said.lower() and "tftp" not in subject.command:
        return None
    asked = re.search(r"\btftp\s[^\n;|&>]*?\d+\.\d+\.\d+\.\d+\s+(\d+)", subject.command)
    return int(asked[1]) if asked else subject.served or 69
