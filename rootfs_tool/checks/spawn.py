"""Fetch a program and leave it running in the background."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Literal

from rootfs_tool.checks.base import Bench, Check, CheckFailed
from rootfs_tool.checks.fetch import TO, fetch
from rootfs_tool.checks.program import meaning
from rootfs_tool.diagnosis.subject import Subject

# Wait until the program sleeps in the kernel (accept, read, …) or has ended, for a second at most:
# whoever is run next may count on it. The third field of /proc/PID/stat is its state (proc(5)).
_SETTLE = """\
i=0
while [ $i -lt 20 ]; do
  [ -e {status} ] && break
  read -r _ _ state _ 2>/dev/null </proc/$pid/stat && [ "$state" = S ] && break
  i=$((i + 1)); sleep 0.05 2>/dev/null || sleep 1
done
"""


class Spawn(Check):
    """A program of yours starts and keeps running while the other checks are made."""

    type: Literal["spawn"] = "spawn"

    file: Path
    """A static program for the board, or a script, on this host."""

    arguments: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return " ".join(["spawn", self.file.name, *self.arguments])

    def subject(self, bench: Bench) -> Subject:
        return Subject(program=self.file, served=bench.server.port)

    def run(self, bench: Bench) -> str:
        path = fetch(bench, self.file)
        result = bench.shell.run(self._start(path))
        lines = result.text.split()
        pid, status = lines[0] if lines else "?", lines[1] if len(lines) > 1 else ""
        if status not in ("", "0"):
            ended = f"ended at once with status {status}{meaning(int(status))}"
            raise CheckFailed(f"{ended}\n{self.log(bench)}".rstrip())
        return f"ended at once with status 0 (pid {pid})" if status else f"running, pid {pid}"

    def log(self, bench: Bench) -> str:
        """All that the program has written so far."""
        return bench.shell.run(f"cat {quote(self._file('log'))} 2>/dev/null").text

    def ended(self, bench: Bench) -> int | None:
        """The exit status, or None while it runs."""
        said = bench.shell.run(f"cat {quote(self._file('status'))} 2>/dev/null").text.strip()
        return int(said) if said.isdigit() else None

    def _file(self, suffix: str) -> str:
        return f"{TO}/{self.file.name}.{suffix}"

    def _start(self, path: str) -> str:
        command = " ".join(map(quote, (path, *self.arguments)))
        log, status = quote(self._file("log")), quote(self._file("status"))
        inner = f"cd {TO}; {command}; echo $? >{status}.new; mv {status}.new {status}"
        return (
            f"rm -f {status}\n"
            f"setsid sh -c {quote(inner)} </dev/null >{log} 2>&1 &\n"
            f"pid=$!\n{_SETTLE.format(status=status)}"
            f"echo $pid; cat {status} 2>/dev/null; true"
        )
