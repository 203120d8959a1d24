"""A program of this host on a terminal of its own, in the place of a board."""

from __future__ import annotations

import os
import shlex
import signal
from contextlib import suppress
from pathlib import Path

from rootfs_tool import proc
from rootfs_tool.console import descriptor
from rootfs_tool.errors import ConsoleClosed, ConsoleError


class ProcessConsole:
    def __init__(self, command: str) -> None:
        """Start ``command``, split as a shell would. Raises MissingToolError."""
        argv = shlex.split(command)
        proc.which(argv[0])
        self._name = f"process:{command}"
        self._descriptor, terminal = os.openpty()
        try:
            self._child = proc.start_on_terminal(argv, terminal=terminal)
        except BaseException:
            os.close(self._descriptor)
            raise
        finally:
            os.close(terminal)
        os.set_blocking(self._descriptor, False)

    def read(self, timeout: float) -> bytes:
        self._check_open()
        return descriptor.read(self._descriptor, timeout, self._name)

    def write(self, data: bytes) -> None:
        self._check_open()
        descriptor.write(self._descriptor, data, self._name)

    def send_break(self) -> None:
        raise ConsoleError(f"{self._name} takes no break", hint="a serial line would")

    def set_baudrate(self, baudrate: int) -> bool:
        return False

    def close(self) -> None:
        """End the program and everything that it started on the terminal."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        with suppress(proc.TimeoutExpired):
            self._child.wait(0.2)  # a shell ends when its terminal does
        for process in _session(self._child.pid):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._child.wait()

    def _check_open(self) -> None:
        if self._descriptor < 0:
            raise ConsoleClosed(f"{self._name} is closed")


def _session(leader: int) -> list[int]:
    """The processes of the session that ``leader`` began (field 6 of /proc/PID/stat, proc(5))."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after_name = entry.read_text(errors="replace").rpartition(")")[2].split()
            if int(after_name[3]) == leader:
                found.append(int(entry.parent.name))
    return found
