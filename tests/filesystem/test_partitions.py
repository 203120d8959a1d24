"""Partition tables that sfdisk made, as our reader sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.partitions import Partition, partitions

MIB = 1 << 20


def made(image: Path, script: str, mib: int = 64) -> Path:
    with image.open("wb") as file:
        file.truncate(mib * MIB)
    subprocess.run(
        ["sfdisk", "--quiet", "--no-tell-kernel", image],
        input=script.encode(),
        check=True,
        capture_output=True,
    )
    return image


MBR = """\
label: dos
label-id: 0x12345678
start=4MiB, size=8MiB, type=c, bootable
start=12MiB, size=30MiB, type=f
start=42MiB, size=2MiB, type=83
start=13MiB, size=3MiB, type=83
start=20MiB, size=1MiB, type=82
start=30MiB, size=2MiB, type=83
"""

GPT = """\
label: gpt
label-id: 11111111-2222-3333-4444-555555555555
start=4MiB, size=8MiB, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, uuid=AAAAAAAA-0000-4000-8000-00000000000A, name="böot", attrs=LegacyBIOSBootable
start=12MiB, size=9MiB, type=linux, uuid=AAAAAAAA-0000-4000-8000-00000000000B, name="rootfs"
"""  # noqa: E501


def test_an_mbr_with_logical_partitions(tmp_path: Path) -> None:
    found = partitions(made(tmp_path / "image", MBR))
    assert [(one.number, one.start // MIB, one.size // MIB, one.type) for one in found] == [
        (1, 4, 8, "0x0c"),
        (2, 12, 30, "0x0f"),
        (3, 42, 2, "0x83"),
        (5, 13, 3, "0x83"),
        (6, 20, 1, "0x82"),
        (7, 30, 2, "0x83"),
    ]
    assert [one.number for one in found if one.bootable] == [1]
    assert found[3].uuid == "12345678-05"


def test_a_gpt(tmp_path: Path) -> None:
    first, second = partitions(made(tmp_path / "image", GPT))
    assert first == Partition(
        number=1,
        start=4 * MIB,
        size=8 * MIB,
        type="ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
        uuid="aaaaaaaa-0000-4000-8000-00000000000a",
        label="böot",
        bootable=True,
    )
    assert (second.start, second.size) == (12 * MIB, 9 * MIB)
    assert (second.label, second.bootable) == ("rootfs", False)


@pytest.mark.parametrize("content", [b"", b"short", bytes(MIB), b"\xff" * MIB])
def test_what_has_no_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert partitions(tmp_path / "x") == ()


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_a_fat_on_the_whole_of_it_is_no_table(tmp_path: Path, bits: int) -> None:
    image = tmp_path / "x"
    with image.open("wb") as file:
        file.truncate({12: 4, 16: 20, 32: 40}[bits] * MIB)
    options = ["-s", "1"] if bits == 32 else []
    subprocess.run(["mkfs.vfat", "-F", str(bits), *options, image], check=True, capture_output=True)
    assert partitions(image) == ()


@pytest.mark.parametrize(("at", "what"), [(512 + 40, "header"), (1024 + 60, "entries")])
def test_a_damaged_gpt(tmp_path: Path, at: int, what: str) -> None:
    image = made(tmp_path / "image", GPT)
    with image.open("r+b") as file:
        file.seek(at)
        file.write(b"\x99")
    with pytest.raises(ConfigError, match=f"image: the GPT's {what}"):
        partitions(image)


def test_a_gpt_that_is_gone(tmp_path: Path) -> None:
    image = made(tmp_path / "image", GPT)
    with image.open("r+b") as file:
        file.seek(512)
        file.write(bytes(512))
    with pytest.raises(ConfigError, match="no GPT where the MBR says"):
        partitions(image)


def test_an_image_that_is_cut_short(tmp_path: Path) -> None:
    image = made(tmp_path / "image", MBR)
    with image.open("r+b") as file:
        file.truncate(43 * MIB)
    with pytest.raises(ConfigError, match=r"image is cut short: partition 3 ends at byte 46137344"):
        partitions(image)


def test_a_chain_that_runs_in_a_circle(tmp_path: Path) -> None:
    image = made(tmp_path / "image", MBR)
    with image.open("r+b") as file:  # the last link's second entry becomes the first link's
        file.seek(12 * MIB + 446 + 16)
        second = file.read(16)
        last = partitions(image)[-1].start - MIB
        file.seek(last + 446 + 16)
        file.write(second)
    with pytest.raises(ConfigError, match="does not end"):
        partitions(image)
