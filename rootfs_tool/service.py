"""The services of a board: what runs from its start to its end, each from its own S-script."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from rootfs_tool.errors import ConfigError
from rootfs_tool.model import AtOnce, Field, Matching, Model, field_validator

FIRST, LAST = 50, 99  # the orders of services that name none

# One word of a file's name, after the S?? of the script and before the .pid of its pidfile.
ServiceName = Annotated[
    str,
    Matching(
        "[A-Za-z0-9_][A-Za-z0-9_-]{0,31}",
        "a service's name: up to 32 letters, digits, _ and -, no hyphen first",
    ),
]
# What BusyBox' adduser takes by default; a colon or a blank would end a field of /etc/passwd.
UserName = Annotated[
    str,
    Matching(
        "[a-z_][a-z0-9_-]{0,31}",
        "a user's name: a small letter or _, then up to 31 small letters, digits, _ and -",
    ),
]
BoardPath = Annotated[
    str,
    Matching(r"(/[^/\x00-\x1f\x7f]+)+|/", "an absolute path on the board, without a slash behind"),
]

_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")  # the names of XBD, 8.1, that a shell can export
_OF_ROOT = ("/run", "/var/run")  # who alone may make a file there
# Words that mean something to a shell alone, so that the program would get them as arguments.
_OF_A_SHELL = {*("&", "&&", "|", "||", ";", "<", ">", ">>", "2>", "2>>", "&>", "2>&1", ">&2")}


class Service(Model):
    """A program that runs as long as the board does: `/etc/init.d/SNNname start` starts it.

    It is started at boot in the order of the services and stopped in reverse on halt and reboot.
    """

    name: ServiceName
    """What its S-script, its log and its pidfile are called."""

    command: str
    """The program by its absolute path on the board, and its arguments; quotes as in a shell."""

    order: int | None = Field(default=None, ge=0, le=99)
    """When it starts, from 0 to 99; without it 50, 51 and so on in the order written."""

    user: UserName | None = None
    """Who it runs as: root unless said otherwise, nobody, or a [[user]]."""

    pidfile: BoardPath | None = None
    """The daemon goes to the background itself and writes its process ID here.

    A directory that is not there is made, and is the user's: /run/web/web.pid.
    """

    background: bool = False
    """It stays in the foreground, so start-stop-daemon puts it into the background.

    What it leaves behind when it stops, in its process group, is ended as well.
    """

    environment: dict[str, str] = Field(default_factory=dict)
    """Variables that it gets beside PATH."""

    directory: BoardPath | None = None
    """Where it starts, / unless said otherwise; that of its pidfile need not be there before."""

    respawn: bool = False
    """Start it again when it ends by itself, after 1 s and then ever longer up to 30 s."""

    stop_timeout: int = Field(default=10, ge=1, le=600)
    """Seconds that it gets to end after SIGTERM, before SIGKILL."""

    @field_validator("command")
    @classmethod
    def _runs(cls, value: str) -> str:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"is not what a shell could split: {str(error).lower()}") from None
        if not words:
            raise ValueError("is empty")
        if not re.fullmatch(r"(/[^/]+)+", words[0]):
            raise ValueError(f'must begin with an absolute path on the board, not "{words[0]}"')
        if found := [word for word in words if word in _OF_A_SHELL]:
            raise ValueError(
                f"no shell reads it, so {found[0]} would be an argument; put it in /bin/sh -c '…'"
            )
        return value

    @field_validator("environment")
    @classmethod
    def _exported(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f'"{name}" is no name of a variable: letters, digits and _')
        return value

    @property
    def argv(self) -> tuple[str, ...]:
        """The command's words, the program first."""
        return tuple(shlex.split(self.command))

    @property
    def pid_path(self) -> str:
        """The file that has its process ID while it runs."""
        return self.pidfile or f"/run/{self.name}.pid"


def ordered(services: Sequence[Service]) -> list[tuple[int, Service]]:
    """The services as they start, each with its order.

    Raises ConfigError if there are more than the orders from FIRST to LAST.
    """
    taken = {one.order for one in services}
    free = (number for number in range(FIRST, LAST + 1) if number not in taken)
    found = []
    for one in services:
        number = one.order if one.order is not None else next(free, None)
        if number is None:
            raise ConfigError(f"service {one.name}: orders {FIRST} to {LAST} are all taken")
        found.append((number, one))
    return sorted(found, key=lambda pair: (pair[0], pair[1].name))


def script(order: int, service: Service) -> str:
    """The path of its S-script on the board."""
    return f"/etc/init.d/S{order:02}{service.name}"


def together(rows: Sequence[Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """No name, order or pidfile twice, one way into the background, and who starts it again."""
    names: dict[object, str] = {}
    orders: dict[object, str] = {}
    given = {said(row, "order") for row in rows}
    for index, row in enumerate(rows):
        name, order = said(row, "name"), said(row, "order")
        here = f'service[{index}] "{name}"'
        if name in names:
            yield (index, "name"), f'{names[name]} is called "{name}" already'
        elif name is not None:
            names[name] = f"service[{index}]"
        if order in orders:
            free = next((one for one in range(FIRST, LAST + 1) if one not in given), None)
            hint = "" if free is None else f"; {free} is free"
            yield (index, "order"), f"{orders[order]} has order {order} already{hint}"
        elif order is not None:
            orders[order] = here
        for key, why in _alone(row):
            yield (index, *key), why
    yield from _pidfiles(rows)
    room = sum(order not in given for order in range(FIRST, LAST + 1))
    if sum(said(row, "order") is None for row in rows) > room:
        yield (len(rows) - 1,), f"only {room} services can be without an order"


def _pidfiles(rows: Sequence[Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """No pidfile of two: the second would be taken for running already, and never start."""
    owners: dict[str, tuple[int, object]] = {}
    for index, row in enumerate(rows):
        name = said(row, "name")
        path = str(said(row, "pidfile") or f"/run/{name}.pid").replace("/var/run/", "/run/")
        first, owner = owners.setdefault(path, (index, name))
        if owner != name:
            yield (index, "pidfile"), f'service[{first}] "{owner}" has {path} already'


def _alone(row: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """What the keys of one service must not say together."""
    if not isinstance(row, dict | Service):
        return
    pidfile, background = said(row, "pidfile"), said(row, "background") is True
    if pidfile is not None and background:
        yield ("background",), "a daemon with a pidfile goes to the background itself: say one"
    elif str(pidfile).rpartition("/")[0] in _OF_ROOT and said(row, "user") not in (None, "root"):
        mend = f"/run/{said(row, 'name')}/… is, as that directory is made for it"
        yield ("pidfile",), f"{pidfile} is not for {said(row, 'user')} to write; {mend}"
    elif pidfile is None and not background:
        neither = "must say pidfile, the file that a daemon writes, or background = true,"
        yield (), f"{neither} for a program that stays in the foreground"
    if said(row, "respawn") is True and not background:
        yield ("respawn",), "needs background = true: a daemon that forks leaves nobody to wait"


def said(row: Any, key: str) -> Any:
    """What an element of an array says under ``key``, as yet a table or already a model.

    None if nothing, or something that is no text, number or truth.
    """
    value = row.get(key) if isinstance(row, dict) else getattr(row, key, None)
    return value if isinstance(value, str | int) else None


Services = Annotated[tuple[Service, ...], AtOnce(together)]
