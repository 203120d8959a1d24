"""Consoles at the other end of a socket: a serial server's, or a simulator's."""

from __future__ import annotations

import socket
from contextlib import suppress
from urllib.parse import urlsplit

from rootfs_tool.console.base import Line
from rootfs_tool.console.descriptor import DescriptorConsole
from rootfs_tool.console.rfc2217 import Rfc2217Console
from rootfs_tool.errors import ConfigError, ConsoleClosed, ConsoleError

_ANSWER = 5.0  # seconds that a server has to take a connection
_KEPT_ALIVE = {  # a server that vanished is missed after 25 s of silence (tcp(7))
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
}


def address(url: str) -> tuple[str, int]:
    """The host and port that socket:// or rfc2217:// names. Raises ConfigError."""
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise ConfigError(f"{url} names no host and port", hint="socket://192.168.0.2:4000 does")
    return host, port


def open_plain(url: str) -> DescriptorConsole:
    """A socket:// line, where every byte is the board's. Raises ConsoleError with the reason."""
    connection = _connected(url)
    return DescriptorConsole(connection.fileno(), url, connection.close)


def open_rfc2217(url: str, line: Line) -> DescriptorConsole:
    """A rfc2217:// line. Raises ConsoleError with the reason."""
    connection = _connected(url)
    try:
        return Rfc2217Console(connection, url, line)
    except ConsoleClosed:
        connection.close()
        raise ConsoleError(
            f"{url} hung up at once", hint="is its serial port away, or somebody else's just now?"
        ) from None
    except BaseException:
        connection.close()
        raise


def open_unix(path: str) -> DescriptorConsole:
    """The Unix socket ``path``, such as a simulator's. Raises ConsoleError with the reason."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise ConsoleError(f"cannot open socket:{path}: {error.strerror or error}") from None
    connection.setblocking(False)
    return DescriptorConsole(connection.fileno(), f"socket:{path}", connection.close)


def _connected(url: str) -> socket.socket:
    try:
        connection = socket.create_connection(address(url), timeout=_ANSWER)
    except OSError as error:
        raise ConsoleError(
            f"cannot open {url}: {error.strerror or error}",
            hint="is the serial server there, and its port free?",
        ) from None
    connection.setblocking(False)
    with suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEPT_ALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection
