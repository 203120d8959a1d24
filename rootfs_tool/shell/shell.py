"""A shell on a board: exact output, exact status, and a deadline for every command."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from rootfs_tool.console.base import Console, Line
from rootfs_tool.errors import ConfigError, ConsoleError
from rootfs_tool.shell.job import Job
from rootfs_tool.shell.login import await_prompt
from rootfs_tool.shell.start import start
from rootfs_tool.shell.stream import Stream
from rootfs_tool.shell.wire import Wire

LONGEST_COMMAND = 65536  # bytes; one argument of a program may have twice that (execve(2))

_STARTS = 12  # times that a prompt may turn out to be none


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """``status`` is 0..255, 128+n for signal n; ``output`` is stdout and stderr, byte for byte."""

    status: int
    output: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace")


class Shell:
    """Use `attach`; and `leave`, which gives the console back as it was."""

    def __init__(self, wire: Wire, directory: str) -> None:
        self._wire = wire
        self._directory = directory
        self._left = False

    @classmethod
    def attach(cls, console: Console, line: Line, *, timeout: float) -> Self:
        """Wait for a prompt, log in where asked, and start the agent: ``timeout`` seconds for all.

        The console may be anywhere: booting, at a login, at a prompt, in a half-typed line, or
        with the agent of a run that was killed. Raises ConsoleError, and KernelPanic at once.
        """
        deadline = time.monotonic() + timeout
        wire = Wire(Stream(console), secrets.token_hex(3))
        for _ in range(_STARTS):
            await_prompt(wire.stream, line, deadline)
            if ready := start(wire, deadline):
                _, digest_tool, directory = ready.fields
                shell = cls(wire, directory)
                if digest_tool == "none":
                    shell.leave()
                    break
                return shell
            wire.forget()
            wire.write(b"\x03")
        raise ConsoleError(
            "the shell on the board cannot run rootfs-tool's agent",
            tail=wire.stream.tail,
            hint="it needs the applets cat, dd, rm, stty, tail, and md5sum or cksum",
        )

    @property
    def kernel_log(self) -> tuple[str, ...]:
        """Kernel messages that came in the middle of answers, and were taken out of them."""
        return tuple(message.decode(errors="replace") for message in self._wire.kernel_log)

    def run(
        self,
        command: str,
        *,
        timeout: float = 30.0,
        on_output: Callable[[bytes], None] | None = None,
    ) -> Result:
        """Run ``command`` in a shell of its own; its stdin is /dev/null.

        ``timeout`` is in seconds and for the command: its output may take longer to come over a
        slow line. ``on_output`` gets the output as it comes. What the command leaves running in
        the background stays. Raises ConsoleTimeout when it does not end: it has been killed then,
        with all that it started, and the shell is usable; else ConsoleError.
        """
        if not command.strip() or "\0" in command or len(command.encode()) > LONGEST_COMMAND:
            raise ConfigError(
                f"not a command for a board: {len(command.encode())} bytes",
                hint=f"1 to {LONGEST_COMMAND} bytes, none of them NUL",
            )
        self._wire.forget()
        while self._wire.receive(0):  # what the board said meanwhile may be its last words
            self._wire.forget()
        job = Job(self._wire, command, on_output)
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
        self._wire.send(self._wire.number(), "got")
        return Result(status=int(status), output=bytes(job.output), seconds=seconds)

    def leave(self) -> None:
        """Stop the agent: settings, log level and files on the board are as they were before.

        Never raises a ConsoleError: it is for the way out.
        """
        if self._left:
            return
        self._left = True
        self._wire.forget()
        with suppress(ConsoleError):
            for goodbye in ("leave", "leave", None):
                if goodbye is None:
                    self._wire.write(b"\x03")
                else:
                    self._wire.send(self._wire.number(), goodbye)
                if self._wire.stream.lost or self._wire.wait(0, 1.0):
                    return
