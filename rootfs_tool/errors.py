"""Every error a person can meet, and the exit code that a script can tell it by.

* RootfsToolError
  x ConfigError         2  a file or an argument you wrote is wrong: names the file and the key
  x MissingToolError    3  a host program is not installed: names its Debian package
  x FetchError          4  an artefact could not be had, or is not the pinned one
  x CommandError        5  a host program failed: a pasteable command line and its last lines
  x DeviceError         6  not a block device that we are willing to write
  x ConsoleError        7  the board's console did not say what we waited for
    + ConsoleTimeout
    + ConsoleClosed
    + KernelPanic
    + Rebooted              it went down or started anew in the middle of something
    + Hung                  nothing that is typed or sent wakes it

A failed check is a result, not an error: a run with failed checks exits 1. Anything else that
escapes is a bug in rootfs-tool and shows its traceback (exit 70); an interrupt exits 130.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class RootfsToolError(Exception):
    """What went wrong, and in ``hint`` the next thing to do about it."""

    exit_code: ClassVar[int]

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(RootfsToolError):
    exit_code = 2


class MissingToolError(RootfsToolError):
    exit_code = 3


class FetchError(RootfsToolError):
    exit_code = 4


class CommandError(RootfsToolError):
    exit_code = 5

    def __init__(
        self, message: str, *, argv: Sequence[str], output: str, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.argv = argv
        self.output = output


class DeviceError(RootfsToolError):
    exit_code = 6


class ConsoleError(RootfsToolError):
    """``tail`` holds the last lines that the board sent."""

    exit_code = 7

    def __init__(self, message: str, *, tail: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.tail = tail


class ConsoleTimeout(ConsoleError): ...


class ConsoleClosed(ConsoleError): ...


class KernelPanic(ConsoleError): ...


class Rebooted(ConsoleError): ...


class Hung(ConsoleError): ...
