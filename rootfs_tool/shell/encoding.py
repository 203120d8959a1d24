"""Commands as printable ASCII, which passes any terminal and counts the same in any locale.

And what the board packs and codes, as it was.
"""

from __future__ import annotations

import base64
import binascii
import zlib

_GZIP = 16 + zlib.MAX_WBITS  # how zlib is told of gzip's header and trailer (RFC 1952)
_MAGIC = b"\x1f\x8b"


def encode(text: bytes) -> str:
    """``text`` for printf's %b to make bytes of; without a space at either end."""
    shown = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\0{byte:03o}" for byte in text
    )
    if shown.startswith(" "):
        shown = "\\0040" + shown[1:]
    return shown[:-1] + "\\0040" if shown.endswith(" ") else shown


def decoded(data: bytes) -> bytes:
    """``data`` out of base64; empty if it is none."""
    try:
        return base64.b64decode(data, validate=False)
    except binascii.Error:
        return b""


def unpacked(data: bytes) -> bytes:
    """``data`` as gzip found it; empty if it is not gzip's, or not whole."""
    if not data.startswith(_MAGIC):
        return b""
    try:
        return zlib.decompress(data, wbits=_GZIP)
    except zlib.error:
        return b""
