"""What a board has to offer to a transfer: its applets, its digests, how bytes are coded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from rootfs_tool.errors import ConsoleError
from rootfs_tool.shell.digest import cksum
from rootfs_tool.shell.encoding import encode

# What takes a digest, the best for a whole file first; a block goes with the quickest.
WHOLE = ("sha256sum", "sha512sum", "sha1sum", "md5sum", "cksum")
BLOCK = ("md5sum", "cksum", "sha1sum", "sha256sum", "sha512sum")
_CUT = 16  # digits of a block's digest: 64 bits are enough against noise
_NAMES = (*WHOLE, "gunzip", "gzip", "unxz", "base64", "df", "stat", "readlink", "fullblock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    applets: frozenset[str]

    @property
    def whole(self) -> str:
        return next(name for name in WHOLE if name in self.applets)

    @property
    def block(self) -> str:
        return next(name for name in BLOCK if name in self.applets)

    @property
    def settings(self) -> str:
        """What the scripts are told of these."""
        # Without fullblock dd gives what one read does; byte by byte it reads all it is told to.
        return f"tool={self.block} full='{'iflag=fullblock' if self.full else ''}'"

    @property
    def packs(self) -> bool:
        """Whether it can pack what it sends."""
        return "gzip" in self.applets

    @property
    def full(self) -> bool:
        return "fullblock" in self.applets


def tools(applets: set[str]) -> Tools:
    """What a board that has ``applets`` has to offer. Raises ConsoleError if that is too little."""
    if not applets.intersection(WHOLE):
        raise ConsoleError(
            "the board has nothing to tell whether a file came whole",
            hint=f"its BusyBox needs one of {', '.join(WHOLE)}",
        )
    return Tools(applets=frozenset(applets))


# Prints the applets that there are, one a line after the word "has".
ASK = (
    f"for name in {' '.join(_NAMES[:-1])}; do\n"
    "type $name >/dev/null 2>&1 && echo has $name\ndone\n"
    '[ "$(echo xy | dd bs=2 count=1 iflag=fullblock 2>/dev/null)" = xy ] && echo has fullblock\n'
)


def digest(tool: str, content: bytes) -> str:
    """What ``tool`` prints for ``content``, up to the first blank."""
    if tool == "cksum":
        return str(cksum(content))
    return hashlib.new(tool.removesuffix("sum"), content, usedforsecurity=False).hexdigest()


def short(tool: str, content: bytes) -> str:
    """As much of a digest as goes with a block."""
    return digest(tool, content)[:_CUT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """How bytes pass the line: ``decode`` and ``coded`` are the board's filters for the other end.

    ``flow`` are options of stty.
    """

    name: str
    encode: Callable[[bytes], bytes]
    decode: str
    decoded: Callable[[bytes], bytes]
    coded: str
    flow: str = "ixon ixoff"


RAW = Code(name="raw", encode=bytes, decode="cat", decoded=bytes, coded="cat", flow="")
BASE64 = Code(
    name="base64",
    encode=base64.b64encode,
    decode="base64 -d",
    decoded=base64.b64decode,
    coded="base64",
)
# printf is part of every shell, and the command substitution takes no line end along: there is none
TEXT = Code(
    name="text",
    encode=lambda some: encode(some).encode(),
    decode='printf %b "$(cat)"',
    decoded=lambda some: bytes.fromhex(some.decode()),
    coded="od -An -v -tx1",
)


def codes(tools: Tools, *, raw: bool) -> list[Code]:
    """What to try, in turn; ``raw`` is whether bytes of all values may be tried."""
    text = BASE64 if "base64" in tools.applets else TEXT
    return [RAW, text] if raw else [text]
