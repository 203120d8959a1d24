"""A file onto the board, over the line alone: what is there already is not sent again."""

from __future__ import annotations

import hashlib
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from rootfs_tool.errors import ConfigError, Rebooted
from rootfs_tool.events import note
from rootfs_tool.shell import Shell
from rootfs_tool.transfer import board
from rootfs_tool.transfer.board import Code, Tools
from rootfs_tool.transfer.deliver import Hopeless, deliver
from rootfs_tool.transfer.marks import Marks, script
from rootfs_tool.transfer.packing import Packing, packings
from rootfs_tool.transfer.words import Refusal, refused

Carrier = Callable[[str], bool]
"""Writes the whole file to that path on the board by another way; False when it could not."""

_MODE = 0o644
_RESTARTS = 3  # times that the board may go down and come up in one transfer
_CLOCK = 60.0  # seconds for a digest of what is there, on top of one for each MB
_SECOND = 1_000_000  # bytes that a slow board reads in one


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of a file: its ``path`` on the board and the bytes that passed the line for it.

    ``tool`` is the program of the board that says it is whole; ``packing`` how it was sent.
    """

    path: str
    size: int
    passed: int
    packing: str
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """``name`` is for a ``path`` that is a directory; the rest as in `put`."""

    content: bytes
    name: str
    path: str
    mode: int
    flow_control: bool
    network: Carrier | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """What the board says about a place: ``begun`` bytes, with ``digest``, are in ``part``."""

    tools: Tools
    target: str
    part: str
    begun: int
    digest: str
    same: bool
    free: int | None


def put(
    shell: Shell,
    data: bytes | Path,
    path: str,
    *,
    mode: int | None = None,
    flow_control: bool = False,
    network: Carrier | None = None,
) -> Sent:
    """Write ``data``, or the file that it names, to ``path`` on the board.

    In a directory it keeps its name. ``mode`` is its permissions (a file's own, else 0644).
    ``flow_control`` is whether XON and XOFF mean something on the line; ``network`` is a quicker
    way for all of it. It grows beside its place under a name of its own, and is renamed when it is
    whole; broken off, it goes on from there the next time. Raises ConfigError for what cannot be
    sent or a place that cannot be, and ConsoleError.
    """
    content, name, mode = _read(data, mode)
    wanted = _Wanted(
        content=content,
        name=name,
        path=path,
        mode=mode,
        flow_control=flow_control,
        network=network,
    )
    for restarts in range(_RESTARTS + 1):
        try:
            return _put(shell, wanted)
        except Rebooted:
            if restarts == _RESTARTS:
                raise
            note(f"the board restarted; {path} goes on from what is there")
    raise AssertionError("a transfer returns or raises")


def _read(data: bytes | Path, mode: int | None) -> tuple[bytes, str, int]:
    if isinstance(data, bytes):
        return data, "", _MODE if mode is None else mode
    try:
        found = data.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(
                f"{data} is not a regular file", hint="tar packs a directory into one"
            )
        return data.read_bytes(), data.name, found.st_mode & 0o7777 if mode is None else mode
    except OSError as error:
        raise ConfigError(f"{data}: {error.strerror}", hint="is the path right?") from None


def _put(shell: Shell, wanted: _Wanted) -> Sent:
    content, mode = wanted.content, wanted.mode
    there = _look(shell, wanted)

    def sent(how: str, passed: int) -> Sent:
        return Sent(
            path=there.target,
            size=len(content),
            passed=passed,
            packing=how,
            tool=there.tools.whole,
        )

    if there.same:
        shell.run(f"chmod {mode:o} {quote(there.target)}; rm -f {quote(there.part)}")
        return sent("there", 0)
    if wanted.network is not None:
        if wanted.network(there.part):
            _finish(shell, there, content, None, mode)
            return sent("tftp", 0)
        there = replace(there, begun=0)  # whatever it has written there
    packing, at = _choose(shell, content, there)
    passed = _pass(shell, there, packing.data, at, wanted.flow_control)
    _finish(shell, there, content, packing.unpack, mode)
    return sent(packing.name, passed)


def _pass(shell: Shell, there: _There, data: bytes, at: int, flow_control: bool) -> int:
    """Send the rest of ``data`` over the line, as text where bytes of all values do not pass."""
    codes = board.codes(there.tools, raw=not flow_control)
    passed = 0
    for code in codes:
        try:
            return passed + _send(shell, there, data, at, code)
        except Hopeless as error:
            if code is codes[-1]:
                raise
            note(f"bytes of all values do not pass this line; {there.target} goes as text")
            at = error.at
    return passed


# Prints lines of words, and ends with the number of a Refusal.
_LOOK = """\
target={path}
name={name}
[ ! -d "$target" ] || [ -z "$name" ] || target=${{target%/}}/$name
case $target in /*) ;; *) target=$PWD/$target ;; esac
[ ! -L "$target" ] || target=$(readlink -f "$target" || echo "$target")
dir=${{target%/*}}
dir=${{dir:-/}}
echo "target $target"
[ ! -d "$target" ] || exit {directory}
case $target in */) exit {missing} ;; esac
[ -d "$dir" ] || exit {missing}
[ ! -e "$target" ] || [ -f "$target" ] || exit {special}
{ask}
for tool in {tools} none; do type $tool >/dev/null 2>&1 && break; done
[ $tool != none ] || exit 0
if [ -f "$target" ] && [ $(wc -c <"$target") = {size} ]; then echo same $($tool <"$target"); fi
base=${{target##*/}}
part=$dir/.$(printf %.200s "$base").{sha256}.part
true >>"$part" || exit {refused} # where a redirection fails, `:` ends the shell
echo part "$part"
echo begun $(wc -c <"$part") $($tool <"$part")
set -- $(df -Pk "$dir" 2>/dev/null | tail -n 1)
echo free $4
"""


def _look(shell: Shell, wanted: _Wanted) -> _There:
    """What is where the file shall be, and what the board has to help. Raises ConfigError."""
    content = wanted.content
    command = _LOOK.format(
        path=quote(wanted.path),
        name=quote(wanted.name),
        ask=board.ASK,
        tools=" ".join(board.WHOLE),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest()[:12],
        directory=Refusal.DIRECTORY,
        missing=Refusal.MISSING,
        special=Refusal.SPECIAL,
        refused=Refusal.REFUSED,
    )
    result = shell.run(command, timeout=_CLOCK + len(content) / _SECOND)
    said: dict[str, list[str]] = {}
    applets = set()
    for line in result.text.splitlines():
        word, *rest = line.split(" ")
        said[word] = rest
        if word == "has":
            applets.add(rest[0])
    target = " ".join(said.get("target", [wanted.path]))
    if result.status:
        raise refused(result.status, target, result.text)
    tools = board.tools(applets)
    size, digest = said["begun"][:2]
    free = said["free"][0] if said["free"] else ""
    return _There(
        tools=tools,
        target=target,
        part=" ".join(said["part"]),
        begun=int(size),
        digest=digest,
        same=said.get("same", [""])[0] == board.digest(tools.whole, content),
        free=int(free) * 1024 if free.isdigit() else None,
    )


def _choose(shell: Shell, content: bytes, there: _There) -> tuple[Packing, int]:
    """How to send it, and how much of that is there: what is least to send and has room."""
    ways = []
    for packing in packings(content, there.tools.applets):
        begun = packing.data[: there.begun]
        at = there.begun
        if len(begun) < at or board.digest(there.tools.whole, begun) != there.digest:
            at = 0
        unpacked = len(content) if packing.unpack else 0
        room = len(packing.data) - there.begun + unpacked
        if there.free is None or there.free >= room:
            ways.append((len(packing.data) - at, at, packing))
    if not ways:
        shell.run(f"rm -f {quote(there.part)}")
        raise refused(Refusal.FULL, there.target, "", needed=len(content), free=there.free)
    _, at, packing = min(ways, key=lambda way: way[0])
    if there.begun and not at:
        note(f"what is in {there.part} is not the beginning of this file: all of it is sent")
    return packing, at


def _send(shell: Shell, there: _There, data: bytes, at: int, code: Code) -> int:
    """Let ``part`` grow from ``at`` to ``data``. Returns the bytes that passed the line."""
    mark = secrets.token_hex(3)
    filtered = "" if code is board.RAW else f" | {{ {code.decode}; }}"
    settings = (
        f"mark={mark} part={quote(there.part)} at={at} total={len(data)} {there.tools.settings}\n"
        f"flow='{code.flow}' block={quote(shell.scratch('block'))}\n"
        f"[ {at} != 0 ] || : >{quote(there.part)}\n"
        f'take() {{ dd bs="$1" count=1 $full{filtered}; }}'
    )
    if at == len(data):
        return 0
    with shell.foreground(script("receive.sh", settings)) as line:
        passed = deliver(line, Marks(line, mark), data, at, code, there.tools.block)
    if line.status:
        raise refused(line.status, there.target, "")
    return passed


def _finish(shell: Shell, there: _There, content: bytes, unpack: str | None, mode: int) -> None:
    """Unpack it, compare it, and give it its name; when that fails nothing of it is left."""
    part = quote(there.part)
    new = quote(f"{there.part}.new") if unpack else part
    command = (
        f"trap {quote(f'rm -f {part} {new}')} 0\n"
        f"{f'{unpack} <{part} >{new}' if unpack else ':'} || exit {Refusal.FULL}\n"
        f"chmod {mode:o} {new}\n"
        f"set -- $({there.tools.whole} <{new})\n"
        f"[ $1 = {board.digest(there.tools.whole, content)} ] || exit {Refusal.DAMAGED}\n"
        f"mv -f {new} {quote(there.target)} || exit {Refusal.REFUSED}\n"
    )
    result = shell.run(command, timeout=_CLOCK + len(content) / _SECOND)
    if result.status:
        raise refused(result.status, there.target, result.text)
