"""A file from the board, over the line: in pieces that are asked for until each is whole."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import BinaryIO

from rootfs_tool.errors import ConfigError, Rebooted
from rootfs_tool.events import note
from rootfs_tool.shell import Shell
from rootfs_tool.transfer import board
from rootfs_tool.transfer.board import Tools
from rootfs_tool.transfer.collect import collect
from rootfs_tool.transfer.deliver import Hopeless
from rootfs_tool.transfer.marks import Marks, script
from rootfs_tool.transfer.words import Refusal, refused

Carrier = Callable[[str, int, Path], bool]
"""Brings the board's file of that path and size (bytes) to a path here; False when it did not."""

_RESTARTS = 3  # times that the board may go down and come up in one transfer
_CLOCK = 60.0  # seconds for a digest, on top of one for each MB
_SECOND = 1_000_000  # bytes that a slow board reads in one


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """``path`` is of this host; ``passed`` the bytes that passed the line for it.

    ``carried`` says that it came another way.
    """

    path: Path
    size: int
    passed: int
    tool: str
    carried: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """A file on the board. ``copy`` is what is read where it has no size of its own."""

    tools: Tools
    path: str
    copy: str
    size: int
    mode: int
    digest: str


def get(shell: Shell, path: str, *, flow_control: bool = False) -> bytes:
    """The content of a file on the board. Raises as `fetch` does."""
    with tempfile.TemporaryDirectory(prefix="rootfs-tool-") as here:
        return fetch(shell, path, Path(here) / "file", flow_control=flow_control).path.read_bytes()


def fetch(
    shell: Shell,
    path: str,
    to: Path,
    *,
    flow_control: bool = False,
    network: Carrier | None = None,
) -> Received:
    """Write a file of the board to ``to``, or under its own name into the directory ``to``.

    It keeps its permissions. ``flow_control`` is whether XON and XOFF mean something on the line;
    ``network`` is a quicker way for all of it. It grows beside its place under a name of its own,
    and is renamed when it is whole; broken off, it goes on from there the next time. Raises
    ConfigError for what is no file or cannot be written here, and ConsoleError.
    """
    if to.is_dir():
        to = to / path.rstrip("/").rpartition("/")[2]
    for restarts in range(_RESTARTS + 1):
        try:
            return _fetch(shell, _look(shell, path), to, flow_control, network)
        except Rebooted:
            if restarts == _RESTARTS:
                raise
            note(f"the board restarted; {path} goes on from what is here")
        except OSError as error:
            raise ConfigError(f"{to}: {error.strerror}", hint="is the path right?") from None
    raise AssertionError("a transfer returns or raises")


def _fetch(
    shell: Shell, there: _There, to: Path, flow_control: bool, network: Carrier | None
) -> Received:
    part = to.with_name(f".{to.name[:200]}.{there.digest[:12]}.part")
    try:
        with part.open("a+b") as file:
            carried = network is not None and network(there.copy or there.path, there.size, part)
            passed = 0 if carried else _receive(shell, there, file, flow_control)
    except BaseException:
        if part.exists() and part.stat().st_size == 0:
            part.unlink()
        raise
    if board.digest(there.tools.whole, part.read_bytes()) != there.digest:
        part.unlink()
        again = _look(shell, there.path)
        raise refused(
            Refusal.DAMAGED if again.digest == there.digest else Refusal.CHANGED, there.path, ""
        )
    part.chmod(there.mode)
    part.replace(to)
    return Received(
        path=to, size=there.size, passed=passed, tool=there.tools.whole, carried=carried
    )


# Prints lines of words, and ends with the number of a Refusal. What has no size of its own, as in
# /proc, is read once, into a copy.
_LOOK = """\
file={path}
[ ! -d "$file" ] || exit {directory}
[ -e "$file" ] || exit {missing}
[ -f "$file" ] || exit {special}
true <"$file" || exit {refused}
mode=$(stat -Lc %a "$file" 2>/dev/null)
if [ ! -s "$file" ]; then
copy=${{TMPDIR:-/tmp}}/.rootfs-tool-copy
cat "$file" >"$copy" || {{ rm -f "$copy"; exit {refused}; }}
if [ -s "$copy" ]; then file=$copy; else rm -f "$copy"; fi
fi
size=$(wc -c <"$file")
{ask}
for tool in {tools}; do type $tool >/dev/null 2>&1 && break; done
echo file $((size)) ${{mode:-644}} $({{ head -c $((size)) 2>/dev/null || cat; }} <"$file" | $tool)
echo copy $copy
"""


def _look(shell: Shell, path: str) -> _There:
    command = _LOOK.format(
        path=quote(path),
        ask=board.ASK,
        tools=" ".join(board.WHOLE),
        directory=Refusal.DIRECTORY,
        missing=Refusal.MISSING,
        special=Refusal.SPECIAL,
        refused=Refusal.REFUSED,
    )
    result = shell.run(command, timeout=_CLOCK)
    if result.status:
        raise refused(result.status, path, result.text, reading=True)
    lines = [line.split(" ") for line in result.text.splitlines()]
    said = {word: rest for word, *rest in lines}
    tools = board.tools({rest[0] for word, *rest in lines if word == "has"})
    size, mode, digest = said["file"][:3]
    return _There(
        tools=tools,
        path=path,
        copy=said["copy"][0] if said["copy"] else "",
        size=int(size),
        mode=int(mode, 8),
        digest=digest,
    )


def _receive(shell: Shell, there: _There, file: BinaryIO, flow_control: bool) -> int:
    """Let ``file`` grow to what is there. Returns the bytes that passed the line."""
    passed = 0
    # what is packed cannot look like the last words of a kernel, for which the line is watched
    codes = board.codes(there.tools, raw=there.tools.packs and not flow_control)
    for code in codes:
        at = file.seek(0, os.SEEK_END)
        if at >= there.size:
            break
        mark = secrets.token_hex(3)
        settings = (
            f"mark={mark} file={quote(there.copy or there.path)} {there.tools.settings}\n"
            f"flow='{code.flow}' block={quote(shell.scratch('block'))}\n"
            f"coded() {{ {'gzip -c | ' if there.tools.packs else ''}{code.coded}; }}"
        )
        try:
            with shell.foreground(script("send.sh", settings)) as line:
                passed += collect(
                    line, Marks(line, mark), there.size, at, code, there.tools, file.write
                )
        except Hopeless:
            if code is codes[-1]:
                raise
            note(f"bytes of all values do not pass this line; {there.path} comes as text")
    return passed
