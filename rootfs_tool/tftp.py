"""The TFTP server, started and stopped by a with statement."""

from __future__ import annotations

import errno
import logging
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rootfs_tool.errors import ConfigError

RESEND = 1  # seconds without an answer until a block is sent again
RETRIES = 15
_START = 5.0  # seconds for the thread to bind its socket

for _name in ("tftpy", "tftpy.TftpServer", "tftpy.TftpStates", "tftpy.TftpContext"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # its story is told by the checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """``address`` and ``port`` are where it listens on this host."""

    address: str
    port: int


@contextmanager
def serve(files: Mapping[str, Path | bytes], address: str, port: int = 0) -> Iterator[Server]:
    """Serve ``files`` by name, read-only, until the block ends (RFC 1350, 2347, 2348, 2349).

    Each is a file of this host or its content; a transfer sends what is there when it begins.
    ``port`` 0 is any free one. Raises ConfigError when the address is not ours or the port taken.
    """
    import tftpy  # not free to import, and only here

    with tempfile.TemporaryDirectory(prefix="rootfs-tool-tftp-") as nothing:
        # it wants a directory, once; gone, it can't be left behind, whatever becomes of us
        engine = tftpy.TftpServer(nothing, dyn_file_func=_opener(files))
    failure: list[OSError] = []
    thread = threading.Thread(target=_listen, args=(engine, address, port, failure))
    thread.start()
    try:
        while thread.is_alive() and not engine.is_running.wait(_START / 100):
            pass
        if failure:
            raise _explain(failure[0], address, port)
        yield Server(address=address, port=engine.listenport)
    finally:
        _stop(engine, thread)


def _opener(files: Mapping[str, Path | bytes]) -> Any:
    """A file of its own for each transfer; tftpy locks it, so that it must be a real one."""

    def open_by_name(name: str, **_peer: object) -> IO[bytes] | None:
        file = files.get(name.lstrip("/"))
        if isinstance(file, bytes):
            content = tempfile.TemporaryFile()  # noqa: SIM115 # the transfer closes it
            content.write(file)
            content.seek(0)
            return content
        return file.open("rb") if file is not None else None

    return open_by_name


def _listen(engine: Any, address: str, port: int, failure: list[OSError]) -> None:
    try:
        engine.listen(address, port, timeout=RESEND, retries=RETRIES)
    except OSError as error:
        failure.append(error)


def _stop(engine: Any, thread: threading.Thread) -> None:
    """End the select loop now rather than at its next time-out: a request for nothing wakes it."""
    engine.stop(now=True)
    if thread.is_alive():
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as bell:
            bell.sendto(b"\0\1\0octet\0", (engine.listenip or "127.0.0.1", engine.listenport))
    thread.join()
    if engine.sock is not None:
        engine.sock.close()  # tftpy leaves it open when bind() fails


def _explain(error: OSError, address: str, port: int) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"UDP port {port} of {address} is taken by another program",
            hint=f"--tftp-port 0 takes any free one; ss -lunp 'sport = {port}' tells who has it",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(
            f"this user may not open UDP port {port}",
            hint=f"take a port from 1024 on, or: sysctl net.ipv4.ip_unprivileged_port_start={port}",
        )
    return ConfigError(f"no TFTP server on {address} port {port}: {error.strerror}")
