"""A shell on a board: exact output, exact status, and a deadline for every command."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from shlex import quote
from typing import Self

from rootfs_tool.console.base import Console, Line
from rootfs_tool.errors import ConfigError, ConsoleError, ConsoleTimeout
from rootfs_tool.events import note
from rootfs_tool.shell import disaster, kernellog
from rootfs_tool.shell.foreground import Foreground, foreground
from rootfs_tool.shell.incident import Incident
from rootfs_tool.shell.job import Job, Sink
from rootfs_tool.shell.login import Allowed, await_prompt
from rootfs_tool.shell.start import start
from rootfs_tool.shell.stream import Stream
from rootfs_tool.shell.wire import Wire

LONGEST_COMMAND = 65536  # bytes; one argument of a program may have twice that (execve(2))

_STARTS = 12  # times that a prompt may turn out to be none
_WHOLE_LINES = 1  # of these, in which the agent's loader is typed as one line


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """``status`` is 0..255, 128+n for signal n; ``output`` is stdout and stderr, byte for byte.

    ``errors`` is stderr, and ``output`` stdout alone, where they were wanted apart.
    """

    status: int
    output: bytes
    seconds: float
    errors: bytes = b""

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace")


class Shell:
    """Use `attach`; and `leave`, which gives the console back as it was."""

    def __init__(
        self, console: Console, line: Line, timeout: float, allowed: Allowed | None
    ) -> None:
        self._console = console
        self._line = line
        self._allowed = allowed
        self._timeout = timeout
        self._kernel_log: list[bytes] = []
        self._incidents: list[Incident] = []
        self._left = False
        self._begin()

    @classmethod
    def attach(
        cls, console: Console, line: Line, *, timeout: float, allowed: Allowed | None = None
    ) -> Self:
        """Wait for a prompt, log in where asked, and start the agent: ``timeout`` seconds for all.

        The console may be anywhere: booting, at a login, at a prompt, in a half-typed line, or
        with the agent of a run that was killed. Raises ConsoleError, and KernelPanic at once.
        """
        return cls(console, line, timeout, allowed)

    def _begin(self) -> None:
        deadline = time.monotonic() + self._timeout
        wire = Wire(Stream(self._console), secrets.token_hex(3), self._line.baudrate)
        wire.text_only = self._line.flow_control == "xonxoff"
        flow = "ixon" if wire.text_only else "-ixon"
        for number in range(_STARTS):
            await_prompt(wire.stream, self._line, deadline, self._allowed)
            if ready := start(wire, flow, deadline, piecewise=number >= _WHOLE_LINES):
                _, wire.tool, self._directory = ready.fields
                self._wire = wire
                self._known = len(wire.stream.watcher.incidents)  # of the boot that is over
                self._since = time.monotonic()
                if wire.tool == "none":
                    note("the board has no md5sum, cksum or crc32: all output is fetched twice")
                return
            if time.monotonic() >= deadline:
                raise ConsoleTimeout(
                    f"the agent did not start within {self._timeout:g} s of attaching",
                    tail=wire.stream.tail,
                    hint="a line that loses bytes? A lower baudrate, a shorter or better cable",
                )
            wire.forget()
            wire.write(b"\x03")
        raise ConsoleError(
            "the shell on the board cannot run rootfs-tool's agent",
            tail=wire.stream.tail,
            hint="it needs the applets cat, dd, rm, stty and tail",
        )

    @property
    def lost(self) -> bool:
        """Whether the board has gone; the next command attaches to it anew."""
        return self._wire.stream.lost

    @property
    def kernel_log(self) -> tuple[str, ...]:
        """What the kernel said since we are here, in between commands and in the middle of them.

        Not what it said while the console's level was down; `kernel_messages` has that too.
        """
        found = [*self._kernel_log, *self._wire.kernel_log]
        return tuple(message.decode(errors="replace") for message in found)

    def kernel_messages(self) -> tuple[str, ...]:
        """The same with what the board's own log has beside it, in the order of time.

        Where the board has no dmesg, or printk no times, it is `kernel_log`.
        """
        seconds = time.monotonic() - self._since
        result = self.run("read -r up _ </proc/uptime && echo $up && dmesg | tail -n 200")
        up, _, said = result.text.partition("\n")
        try:
            since = float(up) - seconds
        except ValueError:
            return self.kernel_log
        return kernellog.merged(self.kernel_log, said.splitlines(), since)

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """What went wrong on the board since we are here, each with the lines that show it."""
        return (*self._incidents, *self._wire.stream.watcher.incidents[self._known :])

    def scratch(self, name: str) -> str:
        """A file's path on the board that `leave` removes."""
        return f"{self._directory}/.rootfs-tool-{self._wire.mark}.{name}"

    def run(
        self,
        command: str,
        *,
        timeout: float = 30.0,
        on_output: Sink | None = None,
        on_error: Sink | None = None,
        apart: bool = False,
        stdin: str = "/dev/null",
        directory: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        """Run ``command`` in a shell of its own.

        ``timeout`` is in seconds and for the command: its output may take longer to come over a
        slow line. ``on_output`` and ``on_error`` get what it writes as it comes, ``on_error`` only
        if stdout and stderr are kept ``apart``. ``stdin`` is a file of the board's, and
        ``directory`` the one to run in. What the command leaves running in the background stays.
        After a board went down, it is attached to once more first.

        Raises ConsoleTimeout when it does not end: it has been killed then, with all that it
        started, and the shell is usable; else ConsoleError.
        """
        if not command.strip() or "\0" in command or len(command.encode()) > LONGEST_COMMAND:
            raise ConfigError(
                f"not a command for a board: {len(command.encode())} bytes",
                hint=f"1 to {LONGEST_COMMAND} bytes, none of them NUL",
            )
        self._ready()
        before = _before(stdin, self.scratch("err") if apart else None, directory, environment)
        self._wire.stream.asked_for = disaster.asks_restart(command)
        job = Job(self._wire, command, before, on_output, on_error, apart=apart)
        begun = time.monotonic()
        try:
            status = job.await_end(begun + timeout, timeout)
            seconds = time.monotonic() - begun
            if status == "full":
                raise ConsoleError(
                    f"the board's {self._directory} is full: the output of `{command}` is cut",
                    hint=f"make room there, or mount a larger tmpfs on {self._directory}",
                )
            job.collect()
        except ConsoleError:
            raise
        except BaseException:  # Ctrl-C, or the caller's on_output: nothing is left running
            job.kill()
            raise
        self._wire.write(b"g\n")
        return Result(
            status=int(status),
            output=bytes(job.output.data),
            errors=bytes(job.errors.data),
            seconds=seconds,
        )

    @contextmanager
    def foreground(self, script: str) -> Iterator[Foreground]:
        """Run ``script`` on the board's terminal, and speak with it until the block ends.

        It is run by the agent's own shell, its stdin, stdout and stderr are the terminal, which
        neither echoes nor changes what is written. It has to end by itself, whatever comes.
        Raises ConsoleError when it does not.
        """
        self._ready()
        with foreground(self._wire, script) as front:
            yield front

    def _ready(self) -> None:
        """Take in what the board said meanwhile: it may be its last words."""
        if self._wire.stream.lost:
            self._kernel_log += self._wire.kernel_log
            self._incidents += self._wire.stream.watcher.incidents[self._known :]
            self._begin()
        self._wire.forget()
        while self._wire.receive(0):
            self._wire.forget()

    def leave(self) -> None:
        """Stop the agent: settings, log level and files on the board are as they were before.

        Never raises a ConsoleError: it is for the way out.
        """
        if self._left:
            return
        self._left = True
        with suppress(ConsoleError):
            self._wire.forget()
            for _ in range(2):
                if self._wire.stream.lost:  # a boot loader may be listening now
                    return
                self._wire.send(self._wire.number(), "leave")
                if self._wire.wait(0, 1.0):
                    return


def _before(
    stdin: str, errors: str | None, directory: str | None, environment: Mapping[str, str] | None
) -> str:
    """What the board's shell does before the command, which stays on lines of its own."""
    lines = [f"exec 2>{quote(errors)}"] if errors else []
    lines += [f"cd {quote(directory)} || exit"] if directory is not None else []
    lines += [f"exec <{quote(stdin)} || exit"] if stdin != "/dev/null" else []
    lines += [f"export {name}={quote(value)}" for name, value in (environment or {}).items()]
    return "".join(f"{line}\n" for line in lines)
