"""Serial devices of this host; the only home of pyserial."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
import time
from contextlib import suppress
from pathlib import Path

import serial

from rootfs_tool.console import ports
from rootfs_tool.console.base import BREAK, Line
from rootfs_tool.console.descriptor import DescriptorConsole, closed
from rootfs_tool.errors import ConsoleError
from rootfs_tool.events import note

_COUNTERS = struct.Struct("20i")  # struct serial_icounter_struct, linux/serial.h


class SerialConsole(DescriptorConsole):
    def __init__(self, port: serial.Serial, name: str) -> None:
        super().__init__(port.fileno(), name, port.close)
        self._port = port
        self._lost_before = self._lost()

    def send_break(self) -> None:
        self._check_open()
        try:
            self._port.break_condition = True
            try:
                time.sleep(BREAK)
            finally:
                self._port.break_condition = False
        except OSError as error:
            raise closed(self.name, str(error)) from None

    def set_baudrate(self, baudrate: int) -> bool:
        self._check_open()
        try:
            self._port.baudrate = baudrate
        except ValueError as error:
            raise ConsoleError(f"{self.name} can't do {baudrate} baud: {error}") from None
        except (OSError, termios.error) as error:
            raise closed(self.name, str(error)) from None
        return True

    def close(self) -> None:
        if self._descriptor < 0:
            return
        if (lost := self._lost() - self._lost_before) > 0:
            note(
                f"{self.name} came too fast for this host {lost} times: bytes are lost; "
                "flow control or a lower baudrate helps"
            )
        with suppress(OSError):
            fcntl.ioctl(self._descriptor, termios.TIOCNXCL)
        super().close()

    def _lost(self) -> int:
        """Overruns of the UART and of the kernel's buffer, where the driver counts them."""
        try:
            counted = fcntl.ioctl(self._descriptor, termios.TIOCGICOUNT, bytes(_COUNTERS.size))
        except OSError:
            return 0
        counters = _COUNTERS.unpack(counted)
        return int(counters[7] + counters[10])


def open_device(path: str, line: Line) -> SerialConsole:
    """Open a serial device of this host. Raises ConsoleError saying what to do about it."""
    if who := ports.holder(path):
        raise _in_use(path, who)
    try:
        port = serial.Serial(
            path,
            line.baudrate,
            timeout=0,
            exclusive=True,
            xonxoff=line.flow_control == "xonxoff",
            rtscts=line.flow_control == "rtscts",
        )
    except serial.SerialException as error:
        raise _refused(path, error) from None
    except (OSError, ValueError) as error:
        raise ConsoleError(f"cannot open {path}: {error}") from None
    _keep_to_ourselves(port.fileno(), os.path.realpath(path))
    return SerialConsole(port, path)


def _keep_to_ourselves(descriptor: int, device: str) -> None:
    """Let no other program open the port, and let DTR stand when we leave.

    Where DTR is wired to reset, a drop at the end would make the next opening one reset more. A
    pseudo-terminal that its maker keeps open would stay ours after we were killed.
    """
    if not device.startswith(ports.PSEUDO):
        fcntl.ioctl(descriptor, termios.TIOCEXCL)
    settings = termios.tcgetattr(descriptor)
    settings[2] &= ~termios.HUPCL
    termios.tcsetattr(descriptor, termios.TCSANOW, settings)


def _refused(path: str, error: serial.SerialException) -> ConsoleError:
    match error.errno:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return ConsoleError(f"there is no {path}", hint=ports.there())
        case errno.EACCES | errno.EPERM:
            return ConsoleError(
                f"you may not open {path}",
                hint="sudo usermod -aG dialout $USER, then log in again",
            )
        case errno.EAGAIN | errno.EBUSY:
            return _in_use(path, ports.holder(path))
        case _:
            return ConsoleError(f"cannot open {path}: {error}", hint=ports.there())


def _in_use(path: str, who: str | None) -> ConsoleError:
    if who is None:
        return ConsoleError(
            f"{path} is in use by another user's program",
            hint=f"sudo fuser --verbose {path} tells whose",
        )
    hint = "close it there first: two readers would share the board's answers"
    if "getty" in who:
        port = Path(os.path.realpath(path)).name
        hint = f"this host offers a login there: sudo systemctl stop serial-getty@{port}"
    return ConsoleError(f"{path} is in use by {who}", hint=hint)
