"""Run a command of the board's own."""

from __future__ import annotations

from typing import Literal

from rootfs_tool.checks.base import Bench, Check, CheckFailed
from rootfs_tool.diagnosis.subject import Subject


class Command(Check):
    """A command exits with the status you expect, and prints what you expect."""

    type: Literal["command"] = "command"

    command: str
    """What the board's shell is told."""

    status: int = 0
    """The exit status that is right."""

    expect: str | None = None
    """Text that its output must contain."""

    timeout: float = 30.0
    """Seconds until it is killed."""

    @property
    def title(self) -> str:
        return f"command {self.command}"

    def subject(self, bench: Bench) -> Subject:
        return Subject(command=self.command)

    def run(self, bench: Bench) -> str:
        result = bench.shell.run(self.command, timeout=self.timeout)
        if result.status != self.status:
            raise CheckFailed(f"exited {result.status}, not {self.status}\n{result.text}".rstrip())
        if self.expect is not None and self.expect not in result.text:
            raise CheckFailed(f"its output has no {self.expect!r}\n{result.text}".rstrip())
        return f"exited {result.status}"
