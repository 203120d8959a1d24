"""Is a file on the board as it should be, or not there at all?"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Literal, Self

from rootfs_tool.checks.base import Bench, Check, CheckFailed, CheckSkipped, patiently
from rootfs_tool.model import Field, model_validator
from rootfs_tool.service import BoardPath

if TYPE_CHECKING:  # a build has checks, and no board to ask
    from rootfs_tool.shell import Shell

_LONG = 200  # characters of a file's content that an answer shows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    kind: str
    mode: int
    owner: str
    size: int


class File(Check):
    """A file is there, with the content, mode and owner you expect; or it is absent."""

    type: Literal["file"] = "file"

    path: BoardPath
    """Where it is on the board; a symbolic link is followed."""

    absent: bool = False
    """It must not be there."""

    contains: str | None = None
    """Text that must be in it."""

    content: str | None = None
    """All that must be in it."""

    mode: int | None = Field(default=None, ge=0, le=0o7777)
    """Its permissions, such as 0o755."""

    owner: str | None = None
    """Its user and group, by name, such as "root:root"; or the user alone."""

    size: int | None = Field(default=None, ge=0)
    """Its size in bytes."""

    wait: float = Field(default=0.0, ge=0)
    """Seconds that it may still take to become so."""

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        wanted = (self.contains, self.content, self.mode, self.owner, self.size)
        if self.absent and any(one is not None for one in wanted):
            raise ValueError("is absent, so it has no content, mode, owner or size")
        return self

    @property
    def title(self) -> str:
        return f"no file {self.path}" if self.absent else f"file {self.path}"

    def run(self, bench: Bench) -> str:
        return patiently(bench, self.wait, lambda: self._look(bench.shell))

    def _look(self, shell: Shell) -> str:
        seen = _seen(shell, self.path)
        if self.absent:
            if seen is not None:
                raise CheckFailed(f"{self.path} is there: {_say(seen)}")
            return "not there"
        if seen is None:
            raise CheckFailed(f"{self.path} is not there")
        wrong = [f"{what} {is_}, not {wanted}" for what, is_, wanted in self._differences(seen)]
        if wrong:
            raise CheckFailed(f"{self.path} has {'; '.join(wrong)}")
        self._read(shell)
        return _say(seen)

    def _differences(self, seen: _Seen) -> list[tuple[str, str, str]]:
        owner = seen.owner if ":" in (self.owner or ":") else seen.owner.partition(":")[0]
        asked = [
            ("mode", f"{seen.mode:04o}", None if self.mode is None else f"{self.mode:04o}"),
            ("owner", owner, self.owner),
            ("size", str(seen.size), None if self.size is None else str(self.size)),
        ]
        return [(what, is_, wanted) for what, is_, wanted in asked if wanted not in (None, is_)]

    def _read(self, shell: Shell) -> None:
        if self.contains is None and self.content is None:
            return
        result = shell.run(f"cat {quote(self.path)}")
        if result.status != 0:
            raise CheckFailed(result.text.strip())
        if self.content is not None and result.output != self.content.encode():
            raise CheckFailed(f"{self.path} holds {_short(result.text)}, not {self.content!r}")
        if self.contains is not None and self.contains.encode() not in result.output:
            raise CheckFailed(f"{self.path} has no {self.contains!r}: {_short(result.text)}")


def _seen(shell: Shell, path: str) -> _Seen | None:
    result = shell.run(
        f"[ -e {quote(path)} ] || exit 99\nstat -L -c '%a:%s:%U:%G:%F' {quote(path)}"
    )
    if result.status == 99:
        return None
    if result.status != 0:
        raise CheckSkipped(f"the board has no stat: {result.text.strip()}")
    mode, size, user, group, kind = result.text.strip().split(":", 4)
    return _Seen(kind=kind, mode=int(mode, 8), owner=f"{user}:{group}", size=int(size))


def _say(seen: _Seen) -> str:
    return f"{seen.kind}, mode {seen.mode:04o}, {seen.owner}, {seen.size} bytes"


def _short(text: str) -> str:
    return repr(text) if len(text) <= _LONG else f"{text[:_LONG]!r}… ({len(text)} characters)"
