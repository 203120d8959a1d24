"""Fetch a program, run it, and take its exit status."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Literal

from rootfs_tool.checks.base import Bench, Check, CheckFailed
from rootfs_tool.checks.fetch import TO, fetch
from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.errors import ConsoleTimeout
from rootfs_tool.events import output


class Program(Check):
    """A program of yours runs on the board and ends with status 0."""

    type: Literal["program"] = "program"

    file: Path
    """A static program for the board, or a script, on this host."""

    arguments: tuple[str, ...] = ()

    status: int = 0
    """The exit status that is right."""

    timeout: float = 60.0
    """Seconds until it is killed."""

    @property
    def title(self) -> str:
        return " ".join(["run", self.file.name, *self.arguments])

    def subject(self, bench: Bench) -> Subject:
        return Subject(program=self.file, served=bench.server.port)

    def run(self, bench: Bench) -> str:
        path = fetch(bench, self.file)
        command = " ".join(map(quote, (path, *self.arguments)))
        try:
            result = bench.shell.run(
                f"cd {TO} && {command}",
                timeout=self.timeout,
                on_output=lambda some: output(some.decode(errors="replace")),
            )
        except ConsoleTimeout as error:
            raise CheckFailed(
                f"did not end within {self.timeout:g} s and was killed",
                hint="--timeout SECONDS gives it longer; --spawn leaves it in the background",
            ) from error
        if result.status != self.status:
            raise CheckFailed(f"exited {result.status}{meaning(result.status)}")
        return f"exited {result.status} after {result.seconds:.2f} s"


def meaning(status: int) -> str:
    """What a shell's exit status says beyond its number (POSIX, 2.8.2)."""
    words = {
        126: ": it can't be executed",
        127: ": something it needs is not found",
        132: ": illegal instruction (SIGILL)",
        134: ": aborted (SIGABRT)",
        135: ": bus error (SIGBUS)",
        136: ": arithmetic error (SIGFPE)",
        137: ": killed (SIGKILL), perhaps for want of memory",
        139: ": segmentation fault (SIGSEGV)",
        141: ": broken pipe (SIGPIPE)",
        143: ": terminated (SIGTERM)",
    }
    return words.get(status, "")
