"""A program of this host on a terminal of its own, in the place of a board."""

from __future__ import annotations

import os
import shlex
import signal
from contextlib import suppress
from pathlib import Path

from rootfs_tool import proc
from rootfs_tool.console.descriptor import DescriptorConsole
from rootfs_tool.errors import ConfigError


class ProcessConsole(DescriptorConsole):
    def __init__(self, command: str) -> None:
        """Start ``command``, split as a shell would. Raises ConfigError and MissingToolError."""
        try:
            argv = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"exec:{command}: {error}", hint="close the quotes") from None
        proc.which(argv[0])
        ours, terminal = os.openpty()
        super().__init__(ours, f"exec:{command}", lambda: os.close(ours))
        try:
            self._child = proc.start_on_terminal(argv, terminal=terminal)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(terminal)
        os.set_blocking(ours, False)

    def close(self) -> None:
        """End the program and everything that it started on the terminal."""
        if self._descriptor < 0:
            return
        super().close()
        with suppress(proc.TimeoutExpired):
            self._child.wait(0.2)  # a shell ends when its terminal does
        for process in _session(self._child.pid):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._child.wait()


def _session(leader: int) -> list[int]:
    """The processes of the session that ``leader`` began (field 6 of /proc/PID/stat, proc(5))."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after_name = entry.read_text(errors="replace").rpartition(")")[2].split()
            if int(after_name[3]) == leader:
                found.append(int(entry.parent.name))
    return found
