"""A few files by TFTP, served and taken until a with statement ends."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.errors import ConfigError
from rootfs_tool.tftpd.base import Code, Files, Opened, Refused, Upload
from rootfs_tool.tftpd.serving import serving
from rootfs_tool.tftpd.uploads import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """``address`` and ``port`` are where it listens on this host."""

    address: str
    port: int


@contextmanager
def serve(
    files: Mapping[str, Path | bytes],
    address: str,
    port: int = 0,
    *,
    accepts: Mapping[str, Path] | None = None,
) -> Iterator[Server]:
    """Serve ``files`` by name, and take those that it ``accepts``, until the block ends.

    Each is a file of this host or its content; a transfer sends what is there when it begins. What
    is taken replaces the file of that path once it is whole. ``port`` 0 is any free one. Raises
    ConfigError when the address is not ours, the port taken or a place not to be written.
    """
    with ExitStack() as stack:
        places = {
            name: (stack.enter_context(closing(Uploads(path.parent, overwrite=True))), path.name)
            for name, path in (accepts or {}).items()
        }
        try:
            bound, taken = stack.enter_context(serving(_Named(files, places), address, port))
        except OSError as error:
            raise _explain(error, address, port) from None
        yield Server(address=bound, port=taken)


class _Named(Files):
    """The mapping, which may change while it is served; and where each file goes that is taken."""

    def __init__(
        self, files: Mapping[str, Path | bytes], places: Mapping[str, tuple[Uploads, str]]
    ) -> None:
        self._files = files
        self._places = places

    def open(self, name: bytes, peer: str) -> Opened:
        known = name.decode(errors="surrogateescape").lstrip("/")
        file = self._files.get(known)
        if file is None:
            raise Refused(Code.NOT_FOUND, "file not found")
        if isinstance(file, bytes):
            return Opened(fd=_in_memory(file), size=len(file), name=known)
        try:
            fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise Refused(Code.ACCESS_VIOLATION, f"cannot open it: {error.strerror}") from None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise Refused(Code.ACCESS_VIOLATION, "not a regular file")
        return Opened(fd=fd, size=found.st_size, name=known)

    def create(self, name: bytes, peer: str, size: int | None) -> Upload:
        known = name.decode(errors="surrogateescape").lstrip("/")
        if known not in self._places:
            raise Refused(Code.ACCESS_VIOLATION, "this server takes no such file")
        uploads, file = self._places[known]
        return uploads.create(os.fsencode(file), size)


def _in_memory(content: bytes) -> int:
    fd = os.memfd_create("tftp")
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    return fd


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
