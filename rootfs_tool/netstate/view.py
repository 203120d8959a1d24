"""A board's network from both ends: what listens there, and what of it this host gets to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Literal

from rootfs_tool.events import step
from rootfs_tool.netstate import outside
from rootfs_tool.netstate.listening import Listening, listening
from rootfs_tool.netstate.outside import Outside
from rootfs_tool.netstate.programs import Program
from rootfs_tool.netstate.scan import Door, Knock, scan
from rootfs_tool.netstate.state import State, of_board
from rootfs_tool.shell import Shell
from rootfs_tool.sockets import Socket

Reach = Callable[[int], tuple[str, int] | None]

LOOPBACK = "127.0.0.1"  # of this host's, where QEMU's forwards begin
_USER_NETWORK = "QEMU's user network: only the ports that a recipe forwards lead to the board"
_BY_NAME = "name the recipe that says so, and it is asked through a gateway too"


def nowhere(port: int) -> None:
    """No port of this host's leads to one of the board's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where this host finds a TCP port of the board's.

    ``reach`` has the address that a profile gives it, ``forwards`` the ports that lead to it on
    QEMU's ``user_network``: None is to find out whether it is there.
    """

    reach: Reach = nowhere
    forwards: Reach = nowhere
    user_network: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Ports to look at beside those that listen, and those that must be ``open`` or ``closed``.

    Without ``scan`` nothing is connected to: there are programs that serve one client and end.
    """

    ports: frozenset[int] = frozenset()
    open: frozenset[int] = frozenset()
    closed: frozenset[int] = frozenset()
    scan: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A TCP port as this host sees it.

    ``expected`` is what the board's own tables make one expect, or, ``demanded``, what the caller
    said that it must be.
    """

    knock: Knock
    expected: Literal["open", "closed"] | None
    demanded: bool

    @property
    def port(self) -> int:
        return self.knock.door.port

    @property
    def as_expected(self) -> bool:
        """Closed is all that is not open; what nobody could ask about is as expected."""
        answer = self.knock.answer
        if self.expected is None or (answer == "no way" and not self.demanded):
            return True
        return (answer == "open") == (self.expected == "open")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A socket with another end, and whose it is."""

    socket: Socket
    programs: tuple[Program, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """``seen`` has the ports in their order, each once."""

    board: State
    outside: Outside
    listening: tuple[Listening, ...]
    connections: tuple[Connection, ...]
    seen: tuple[Seen, ...]

    @property
    def as_demanded(self) -> bool:
        """Whether every port is what the caller said that it must be."""
        return all(one.as_expected for one in self.seen if one.demanded)


def look(shell: Shell, way: Way, asked: Asked) -> View:
    """Ask the board, then look at it from here. Raises ConsoleError."""
    with step("ask the board"):
        state = of_board(shell)
    heard = listening(state)
    with step("look at it from here"):
        board, reach, why = _way(state, way)
        ports = asked.ports | asked.open | asked.closed
        ports |= {one.port for one in heard if one.protocol == "tcp"}
        knocks, there = _from_here(ports if asked.scan else frozenset(), reach, board)
    return View(
        board=state,
        outside=there or Outside(why=why),
        listening=heard,
        connections=_connections(state),
        seen=tuple(_seen(one, heard, board, asked) for one in knocks),
    )


def _way(state: State, way: Way) -> tuple[IPv4Address | None, Reach, str]:
    """The board's address, if this host reaches that itself; where its ports are; why nowhere."""
    own = [one.ip for one in state.addresses]
    if not own:
        return None, nowhere, "the board has no address but loopback's"
    alone = outside.of_user_network(state) if way.user_network is None else way.user_network
    if alone:
        return None, way.forwards, _USER_NETWORK
    place = way.reach(1)  # an address has all ports
    if place is not None and (address := IPv4Address(place[0])) in own:
        return address, way.reach, ""
    if nearest := outside.nearest(state):
        return nearest, lambda port: (str(nearest), port), ""
    listed = " or ".join(map(str, own))
    return None, nowhere, f"this host is on no network with {listed}; {_BY_NAME}"


def _from_here(
    ports: frozenset[int], reach: Reach, board: IPv4Address | None
) -> tuple[tuple[Knock, ...], Outside | None]:
    """Both at once, for both wait for answers that may not come."""
    from concurrent.futures import ThreadPoolExecutor  # which other verbs have no use for

    with ThreadPoolExecutor(max_workers=1) as pool:
        looking = pool.submit(outside.look, board) if board else None
        knocks = scan(_door(port, reach) for port in ports)
        there = looking.result() if looking else None
    return tuple(_judged(one, there) for one in knocks), there


def _judged(knock: Knock, there: Outside | None) -> Knock:
    """No firewall is to blame where nobody has the address, and one is where somebody has it."""
    if there is not None and there.nobody and knock.answer == "filtered":
        return replace(knock, answer="unreachable", reason="nobody answers ARP")
    if there is not None and there.somebody and knock.answer == "unreachable":
        return replace(knock, answer="filtered")
    return knock


def _door(port: int, reach: Reach) -> Door:
    where = reach(port)
    return Door(port=port, where=where, forwarded=where is not None and where[0] == LOOPBACK)


def _seen(
    knock: Knock, heard: Sequence[Listening], board: IPv4Address | None, asked: Asked
) -> Seen:
    port = knock.door.port
    if port in asked.open | asked.closed:
        wanted: Literal["open", "closed"] = "open" if port in asked.open else "closed"
        return Seen(knock=knock, expected=wanted, demanded=True)
    there = {one.covers(board) for one in heard if one.protocol == "tcp" and one.port == port}
    expected: Literal["open", "closed"] | None = None
    if True in there:
        expected = "open"
    elif there == {False}:
        expected = "closed"
    return Seen(knock=knock, expected=expected, demanded=False)


def _connections(state: State) -> tuple[Connection, ...]:
    """Those that are established first."""
    found = [one for one in state.sockets if not one.listens]
    found.sort(key=lambda one: (one.state != "ESTABLISHED", one.protocol, one.port, one.peer_port))
    return tuple(Connection(socket=one, programs=state.holders.get(one.inode, ())) for one in found)
