"""Did somebody on the board say something in a log?"""

from __future__ import annotations

from shlex import quote
from typing import Literal

from rootfs_tool.checks import logs
from rootfs_tool.checks.base import Bench, Check, CheckFailed, patiently
from rootfs_tool.model import Field
from rootfs_tool.service import BoardPath


class Log(Check):
    """A log has a line with a text in it: the system's, unless you name another."""

    type: Literal["log"] = "log"

    contains: str = Field(min_length=1)
    """What must be in the line, letter by letter."""

    file: BoardPath = logs.SYSTEM
    """The log."""

    absent: bool = False
    """There must be no such line."""

    wait: float = Field(default=5.0, ge=0)
    """Seconds that the line may still take to be written."""

    @property
    def title(self) -> str:
        return f"log {'without' if self.absent else 'with'} {self.contains}"

    def run(self, bench: Bench) -> str:
        return patiently(bench, 0 if self.absent else self.wait, lambda: self._look(bench))

    def _look(self, bench: Bench) -> str:
        file = quote(self.file)
        # What syslogd has put aside is the older part of the log.
        found = bench.shell.run(
            f"[ -e {file} ] || exit 99\n"
            f"cat {file}.0 {file} 2>/dev/null | grep -F -e {quote(self.contains)} | tail -n 1"
        )
        line = found.text.strip()
        if found.status == 99:
            raise CheckFailed(
                f"the board has no {self.file}",
                hint="syslog = true in the recipe puts a system log there"
                if self.file == logs.SYSTEM
                else None,
            )
        if bool(line) == self.absent:
            what = f"it says: {line}" if line else f"it has no {self.contains!r}"
            rest = "" if line else logs.of_system(bench.shell, self.file)
            raise CheckFailed(f"{what}\n{rest}".rstrip())
        return line or "no such line"
