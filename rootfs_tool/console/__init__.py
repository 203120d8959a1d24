"""Console transports, chosen by the scheme of an address."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Literal

from rootfs_tool.console.base import Console, Line
from rootfs_tool.errors import ConfigError

Scheme = Literal["serial", "socket", "rfc2217", "process"]

EXAMPLES: dict[Scheme, str] = {
    "serial": "serial:/dev/ttyUSB0",
    "socket": "socket://192.168.0.2:4000",
    "rfc2217": "rfc2217://192.168.0.2:4000",
    "process": "process:sh -i",
}


def connect(url: str, line: Line) -> Console:
    """Open the console at ``url`` with the board's baudrate; a bare /dev/... is a serial device.

    Raises ConfigError for an address nobody understands, and ConsoleError when it does not open.
    """
    return _opener(url)(line)


def _opener(url: str) -> Callable[[Line], Console]:
    from rootfs_tool.console import process, serial  # pyserial is not free to import

    scheme, colon, rest = url.partition(":")
    if url.startswith("/"):
        return lambda line: serial.open_device(url, line)
    if not colon or not rest.strip("/"):
        raise ConfigError(f"{url!r} is not the address of a console", hint=_known(scheme))
    match scheme:
        case "serial":
            return lambda line: serial.open_device(rest, line)
        case "socket" | "rfc2217":
            return lambda line: serial.open_network(url, line)
        case "process":
            return lambda line: process.ProcessConsole(rest)
        case _:
            raise ConfigError(f"no console is called {scheme}: ({url})", hint=_known(scheme))


def _known(scheme: str) -> str:
    names: list[str] = list(EXAMPLES)
    close = difflib.get_close_matches(scheme, names, n=1)
    meant = f"did you mean {close[0]}:? " if close and close[0] != scheme else ""
    return f"{meant}known: {', '.join(EXAMPLES.values())}, or a bare /dev/ttyUSB0"
