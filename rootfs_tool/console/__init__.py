"""Console transports, chosen by the scheme of an address."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Literal

from rootfs_tool.console.base import Console, Line
from rootfs_tool.errors import ConfigError
from rootfs_tool.events import note

Scheme = Literal["serial", "socket", "rfc2217", "pty", "exec"]

EXAMPLES: dict[Scheme, str] = {
    "serial": "serial:/dev/ttyUSB0",
    "socket": "socket://192.168.0.2:4000",
    "rfc2217": "rfc2217://192.168.0.2:4000",
    "pty": "pty:/tmp/board",
    "exec": "exec:sh -i",
}


def connect(url: str, line: Line) -> Console:
    """Open the console at ``url`` with the board's baudrate; a bare /dev/... is a serial device.

    Raises ConfigError for an address nobody understands, and ConsoleError when it does not open.
    """
    return _opener(url)(line)


def _opener(url: str) -> Callable[[Line], Console]:
    scheme, colon, rest = url.partition(":")
    if url.startswith("/"):
        return lambda line: _device(url, line)
    if url != "pty" and (not colon or not rest.strip("/")):
        raise ConfigError(f"{url!r} is not the address of a console", hint=_known(scheme))
    match scheme:
        case "serial":
            return lambda line: _device(rest, line)
        case "socket" | "rfc2217":
            return lambda line: _network(url, line)
        case "pty" | "exec":
            return lambda line: _here(scheme, rest)
        case _:
            raise ConfigError(f"no console is called {scheme}: ({url})", hint=_known(scheme))


# What each needs is imported when it is opened: pyserial alone costs a tenth of `--help`'s time.


def _device(path: str, line: Line) -> Console:
    from rootfs_tool.console import ports, serial
    from rootfs_tool.console.reopen import Reopening

    if shared := _shared(path):
        return shared
    if not ports.comes_back(path):
        return serial.open_device(path, line)
    name = ports.lasting_name(path)
    return Reopening(lambda: serial.open_device(name, line), name)


def _network(url: str, line: Line) -> Console:
    from rootfs_tool.console import network
    from rootfs_tool.console.reopen import Reopening

    if shared := _shared(url):
        return shared
    scheme, _, rest = url.partition(":")
    if scheme == "rfc2217":
        return Reopening(lambda: network.open_rfc2217(url, line), url)
    if rest.startswith("//"):
        return Reopening(lambda: network.open_plain(url), url)
    return Reopening(lambda: network.open_unix(rest), url)


def _shared(url: str) -> Console | None:
    from rootfs_tool.console import guest

    if found := guest.visit(url):
        note(f"{url} is shared by {found.owner}")
    return found


def _here(scheme: str, rest: str) -> Console:
    from rootfs_tool.console import process, pty

    return pty.PtyConsole(rest) if scheme == "pty" else process.ProcessConsole(rest)


def _known(scheme: str) -> str:
    names: list[str] = list(EXAMPLES)
    close = difflib.get_close_matches(scheme, names, n=1)
    meant = f"did you mean {close[0]}:? " if close and close[0] != scheme else ""
    return f"{meant}known: {', '.join(EXAMPLES.values())}, or a bare /dev/ttyUSB0"
