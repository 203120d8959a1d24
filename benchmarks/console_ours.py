"""Our shell behind the benchmark's requests: ``python -m benchmarks.console_ours PORT``."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.console_driver import serve
from rootfs_tool import manifest, recipe
from rootfs_tool.cli.subject import machine
from rootfs_tool.console import connect
from rootfs_tool.console.base import Line
from rootfs_tool.shell import Shell


class Ours:
    def __init__(self, port: str, stack: ExitStack) -> None:
        """``port`` may be a build's directory too: then the machine is one of our own."""
        if Path(port).is_dir():
            booted = machine(recipe.find(port)[0]).boot(manifest.load(Path(port)), Line())
            self._console = stack.enter_context(booted)
        else:
            self._console = connect(port, Line())

    def attach(self, timeout: float) -> None:
        self._shell = Shell.attach(self._console, Line(), timeout=timeout)

    def run(self, command: str, timeout: float) -> tuple[int, bytes]:
        result = self._shell.run(command, timeout=timeout)
        return result.status, result.output


if __name__ == "__main__":
    with ExitStack() as stack:
        serve(Ours(sys.argv[1], stack))
