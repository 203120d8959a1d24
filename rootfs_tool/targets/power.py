"""The power of a board, switched by commands of this host: a relay, a plug, a hub's or PoE port."""

from __future__ import annotations

import os
import shlex
import time
from typing import Self

from rootfs_tool import proc
from rootfs_tool.events import step
from rootfs_tool.model import Field, Model, field_validator, model_validator

DEADLINE = 60.0  # seconds that one command may take

_SHELLS_OWN = frozenset({"|", "||", "&", "&&", "<", ">", ">>"})


class Power(Model):
    """How this host switches the board's power: cycle, or on and off.

    A command's words are split as a shell splits them, but no shell runs it; `sh -c '…'` is one.
    """

    on: str | None = None
    """The command that switches it on, such as `uhubctl --location 1-1 --ports 2 --action on`."""

    off: str | None = None
    """The command that switches it off."""

    cycle: str | None = None
    """One command for both, in place of off, a pause, and on."""

    off_seconds: float = Field(default=2.0, ge=0, le=600)
    """How long it stays off between off and on."""

    @field_validator("on", "off", "cycle")
    @classmethod
    def _is_a_command(cls, value: str | None) -> str | None:
        if value is None:
            return None
        words = shlex.split(value)
        if not words:
            raise ValueError("names no program")
        if "/" in words[0] and not words[0].startswith("/"):
            raise ValueError(f"needs the whole path of {words[0]}, or its name alone if on PATH")
        if any(word in _SHELLS_OWN or word.endswith(";") for word in words):
            raise ValueError("is not run by a shell, which that needs: sh -c '…' is one")
        return value

    @model_validator(mode="after")
    def _comes_back(self) -> Self:
        if self.cycle is None and (self.on is None or self.off is None):
            raise ValueError("needs cycle, or both on and off")
        return self

    def restart(self) -> None:
        """Take the power from the board and give it back; returns once the command has.

        Raises MissingToolError, or CommandError with the last lines of the command that failed.
        """
        with step("power cycle"):
            if self.cycle is not None:
                _run(self.cycle)
                return
            assert self.off is not None
            assert self.on is not None
            _run(self.off)
            time.sleep(self.off_seconds)
            _run(self.on)


def _run(command: str) -> None:
    """It is the user's own, and may need what of theirs it wants: SSH_AUTH_SOCK, a token."""
    theirs = {name: value for name, value in os.environ.items() if name != "PATH"}
    proc.run(*shlex.split(command), env=theirs, timeout=DEADLINE)
