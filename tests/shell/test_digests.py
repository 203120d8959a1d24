"""Boards that have few programs: what they can prove, and what is done where they cannot."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rootfs_tool.events import Event, listening
from rootfs_tool.shell import digest
from tests.shell.boards import KernelTalks, attached

NEEDED = ("sh", "dd", "stty", "cat", "rm", "tail", "setsid")


@pytest.mark.parametrize("tool", ["md5sum", "cksum", "crc32", None])
def test_a_board_with_one_digest_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str | None
) -> None:
    programs = tmp_path / "few"
    programs.mkdir()
    for name in NEEDED:
        (programs / name).symlink_to(shutil.which(name) or name)
    if tool == "crc32":  # the host has another program of that name
        (programs / tool).symlink_to(shutil.which("busybox") or "busybox")
    elif tool:
        (programs / tool).symlink_to(shutil.which(tool) or tool)
    monkeypatch.setenv("PATH", str(programs))
    data = os.urandom(100_000)
    (tmp_path / "data").write_bytes(data)
    heard: list[Event] = []
    with (
        listening(heard.append),
        attached("sh -i", lambda console: KernelTalks(console, seed=1, distance=20_000)) as shell,
    ):
        assert shell._wire.tool == (tool or "none")
        for status in range(5):
            result = shell.run(f"echo {status}; exit {status}")
            assert (result.status, result.output) == (status, b"%d\n" % status)
        if tool:  # where nothing is proved, kernel messages alone can be told from bytes
            assert shell.run(f"cat {tmp_path}/data").output == data
        assert shell.run("echo " + "long " * 200).text == "long " * 199 + "long\n"
    assert (tool is None) == any("fetched twice" in event.text for event in heard)


@pytest.mark.parametrize("tool", ["md5sum", "cksum", "crc32"])
def test_a_digest_is_that_of_its_data_alone(tool: str) -> None:
    data = os.urandom(1000)
    assert digest.agrees(data, digest.of(data, tool))
    for at in range(0, 1000, 37):
        changed = bytearray(data)
        changed[at] ^= 1
        assert not digest.agrees(bytes(changed), digest.of(data, tool))
        assert not digest.agrees(data[:at] + data[at + 1 :], digest.of(data, tool))


def test_nothing_agrees_with_no_digest() -> None:
    assert not digest.agrees(b"data", digest.NONE)
