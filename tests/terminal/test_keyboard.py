"""What is typed for us, and what for the board."""

from __future__ import annotations

import pytest

from rootfs_tool.terminal.keyboard import Command, Keys


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (b"ls\r", [b"ls\r"]),
        (b"a\x14qb", [b"a", Command("q"), b"b"]),
        (b"\x14\x14\x14b", [b"\x14", Command("b")]),
        (b"\x14Bs\x14B\x14x", [Command("B", b"s"), Command("B", b"\x14"), b"x"]),
        (b"\x14\xc3\xa9", [Command("\xc3"), b"\xa9"]),
        (bytes(range(32)).replace(b"\x14", b""), [bytes(range(32)).replace(b"\x14", b"")]),
    ],
)
def test_the_prefix(typed: bytes, meant: list[bytes | Command]) -> None:
    assert list(Keys().feed(typed)) == meant
    one_by_one = Keys()
    again = [item for byte in typed for item in one_by_one.feed(bytes([byte]))]
    assert [item for item in again if isinstance(item, Command)] == [
        item for item in meant if isinstance(item, Command)
    ]
    assert b"".join(item for item in again if isinstance(item, bytes)) == b"".join(
        item for item in meant if isinstance(item, bytes)
    )
