"""Serial devices, and serial lines over the network; the only home of pyserial."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import serial

from rootfs_tool.console import descriptor
from rootfs_tool.console.base import Console, Line
from rootfs_tool.errors import ConfigError, ConsoleClosed, ConsoleError

BREAK = 0.25  # seconds: a character of 50 baud takes 0.2
_STEP = 0.02  # seconds; changing it on an open RFC 2217 port sets the whole line up again
_PORTS = ("serial/by-id/*", "ttyUSB*", "ttyACM*")


class DescriptorConsole:
    """A port with a file descriptor: read as soon as a byte is there, at any speed."""

    def __init__(self, port: serial.SerialBase, name: str) -> None:
        self._port = port
        self._name = name
        self._descriptor: int = port.fileno()

    def read(self, timeout: float) -> bytes:
        self._check_open()
        return descriptor.read(self._descriptor, timeout, self._name)

    def write(self, data: bytes) -> None:
        self._check_open()
        descriptor.write(self._descriptor, data, self._name)

    def send_break(self) -> None:
        self._check_open()
        self._port.send_break(BREAK)

    def set_baudrate(self, baudrate: int) -> bool:
        self._check_open()
        self._port.baudrate = baudrate
        return True

    def close(self) -> None:
        self._port.close()

    def _check_open(self) -> None:
        if not self._port.is_open:
            raise ConsoleClosed(f"{self._name} is closed")


class BufferedConsole:
    """A port that pyserial reads in a thread of its own, and so has no descriptor (RFC 2217)."""

    def __init__(self, port: serial.Serial, name: str) -> None:
        self._port = port
        self._name = name

    def read(self, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        try:
            while not (first := self._port.read(1)) and time.monotonic() < deadline:
                pass
            return first + self._port.read(min(self._port.in_waiting, descriptor.CHUNK - 1))
        except (serial.SerialException, OSError) as error:
            raise ConsoleClosed(f"{self._name} has closed ({error})") from None

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except (serial.SerialException, OSError) as error:
            raise ConsoleClosed(f"{self._name} has closed ({error})") from None

    def send_break(self) -> None:
        self._port.send_break(BREAK)

    def set_baudrate(self, baudrate: int) -> bool:
        self._port.baudrate = baudrate
        return True

    def close(self) -> None:
        self._port.close()


def open_device(path: str, line: Line) -> Console:
    """Open a serial device of this host. Raises ConsoleError saying what to do about it."""
    try:
        port = serial.Serial(path, line.baudrate, timeout=0, exclusive=True)
    except serial.SerialException as error:
        raise _refused(path, error) from None
    except (OSError, ValueError) as error:
        raise ConsoleError(f"cannot open {path}: {error}") from None
    return DescriptorConsole(port, path)


def open_network(url: str, line: Line) -> Console:
    """Open a socket:// or rfc2217:// line. Raises ConsoleError with the reason."""
    try:
        number = urlsplit(url).port
    except ValueError:
        number = None
    if number is None:
        raise ConfigError(f"{url} names no port", hint="socket://192.168.0.2:4000 does")
    try:
        port = serial.serial_for_url(url, baudrate=line.baudrate, timeout=_STEP)
    except (serial.SerialException, OSError, ValueError) as error:
        raise ConsoleError(
            f"cannot open {url}: {error}", hint="is the serial server there, and its port free?"
        ) from None
    if url.startswith("socket:"):
        return DescriptorConsole(port, url)
    return BufferedConsole(port, url)


def _refused(path: str, error: serial.SerialException) -> ConsoleError:
    match error.errno:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return ConsoleError(f"there is no {path}", hint=_ports())
        case errno.EACCES | errno.EPERM:
            return ConsoleError(
                f"you may not open {path}",
                hint="sudo usermod -aG dialout $USER, then log in again",
            )
        case errno.EAGAIN | errno.EBUSY:
            holder = _holder(path)
            return ConsoleError(
                f"{path} is in use by {holder or 'another program'}",
                hint="close it there first: two readers would share the board's answers",
            )
        case _:
            return ConsoleError(f"cannot open {path}: {error}", hint=_ports())


def _ports() -> str:
    """The serial devices that this host has, for the hint of an error."""
    there = [str(port) for pattern in _PORTS for port in sorted(Path("/dev").glob(pattern))]
    if not there:
        return "this host has no USB serial device: is the adapter plugged in?"
    return f"this host has {', '.join(there)}"


def _holder(path: str) -> str | None:
    """The name and process id of the program that has ``path`` open, where /proc tells us."""
    wanted = os.path.realpath(path)
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(str(entry.readlink()) == wanted for entry in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:  # it has ended, or is another user's
            continue
    return None
