"""``flash``, as a person types it: real loop devices, a terminal that answers, no byte too many."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from rootfs_tool import manifest
from rootfs_tool.arch import Arch
from rootfs_tool.cli.progress import how_far
from rootfs_tool.events import Event
from rootfs_tool.manifest import Build, BuiltFile, BuiltImage
from tests.command import PROGRAM, Ran, rootfs_tool
from tests.loop import MIB, SIZE, TABLE, attached, digest, mounted, output, partitioned


def on_a_terminal(answer: str, *argv: str | Path, before: tuple[str | Path, ...] = ()) -> Ran:
    """Run the program on a terminal of its own, where ``answer`` is typed."""
    ours, theirs = pty.openpty()
    with closing(os.fdopen(ours, "r+b", buffering=0)) as keyboard:
        keyboard.write(answer.encode())
        done = subprocess.run(
            [*before, PROGRAM, *argv],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        os.close(theirs)
    return Ran(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


@pytest.mark.root
def test_yes_is_asked_for_and_shown_what_is_lost(image: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    with partitioned(card, TABLE, size=SIZE + MIB) as device:
        output("mkfs.vfat", "-n", "HOLIDAY", f"{device}p1")
        before = digest(card)
        ran = on_a_terminal("\n", "flash", image, device)
        assert digest(card) == before
    assert ran.status == 130, ran.said
    assert "nothing was written" in ran.stderr
    lines = ran.stderr.splitlines()
    assert lines[0] == f"{device} ({card}, 9.4 MB), loop"
    assert '1     2.1 MB  vfat "HOLIDAY"' in lines[2]
    assert "2     6.3 MB  unknown" in lines[3]
    assert f"{image}: 8.4 MB of 8.4 MB" in ran.stderr
    assert f"Erase {device}? [y/N]" in ran.stderr


@pytest.mark.root
def test_yes_writes_it(image: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    with attached(card, size=SIZE) as device:
        ran = on_a_terminal("y\n", "flash", image, device)
    assert ran.status == 0, ran.said
    assert ran.stdout == f"{device}: 8.4 MB written, 8.4 MB read back and equal\n"
    assert card.read_bytes() == image.read_bytes()


@pytest.mark.root
def test_a_script_says_yes_and_reads_json(image: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    with attached(card, size=SIZE) as device:
        assert rootfs_tool("flash", image, device, "--yes").status == 0
        ran = rootfs_tool("flash", image, device, "--yes", "--changed-only", "--json")
        assert ran.status == 0, ran.said
        result = json.loads(ran.stdout)
        assert result["device"] == str(device)
        assert result["written"] + result["same"] == SIZE
        assert result["same"] > 0
    assert card.read_bytes() == image.read_bytes()


@pytest.mark.root
def test_the_card_of_a_build(image: Path, tmp_path: Path) -> None:
    out, card = tmp_path / "out", tmp_path / "card.img"
    out.mkdir()
    with attached(card, size=SIZE) as device:
        _build(out, image, format="cpio")
        ran = rootfs_tool("flash", out, device, "--yes")
        assert ran.status == 2
        assert f"{out} holds no sdcard image" in ran.stderr
        assert not any(card.read_bytes())
        _build(out, image, format="sdcard")
        assert rootfs_tool("flash", out, device, "--yes").status == 0
    assert card.read_bytes() == image.read_bytes()


def _build(out: Path, image: Path, *, format: str) -> None:
    """What ``build`` leaves, as far as flash reads it."""
    (out / image.name).write_bytes(image.read_bytes())
    file = BuiltFile(name=image.name, size=SIZE, sha256=digest(image))
    build = Build(
        directory=out,
        board="desk",
        arch=Arch.aarch64,
        cmdline="",
        epoch=0,
        kernel=file,
        device_tree=None,
        images=(BuiltImage(format=format, file=file),),
        recipe=file,
        artefacts=(),
    )
    (out / "manifest.json").write_text(manifest.dumps(build))


@pytest.mark.root
def test_where_nobody_can_be_asked(image: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    with attached(card, size=SIZE) as device:
        ran = rootfs_tool("flash", image, device)
    assert ran.status == 2
    assert "add --yes" in ran.stderr
    assert not any(card.read_bytes())


@pytest.mark.root
def test_a_user_who_may_not_write_it_gets_the_line_that_may(image: Path, tmp_path: Path) -> None:
    """In a user namespace of its own a process is nobody, and the node belongs to another one."""
    card = tmp_path / "card.img"
    with attached(card, size=SIZE) as device:
        was = device.stat()
        os.chown(device, 65534, 65534)
        try:
            done = subprocess.run(
                ["unshare", "--user", PROGRAM, "flash", image, device, "--yes", "--changed-only"],
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.chown(device, was.st_uid, was.st_gid)
        assert done.returncode == 6, done.stderr
        assert "may be written by root only" in done.stderr
        assert not any(card.read_bytes())
        sudo, *line = shlex.split(done.stderr.partition(" hint: ")[2])
        assert sudo == "sudo"
        subprocess.run(line, cwd="/", check=True, capture_output=True)
    assert card.read_bytes() == image.read_bytes()


@pytest.mark.root
def test_a_card_that_was_swapped_before_yes_was_said(image: Path, tmp_path: Path) -> None:
    """The device is the same, and so is its size: only its sequence number tells."""
    with attached(tmp_path / "one.img", size=SIZE) as device:
        ours, theirs = pty.openpty()
        with (
            closing(os.fdopen(ours, "r+b", buffering=0)) as keyboard,
            subprocess.Popen(
                [PROGRAM, "flash", image, device], stdin=theirs, stderr=subprocess.PIPE
            ) as program,
        ):
            os.close(theirs)
            assert program.stderr is not None
            shown = b""
            while b"[y/N]" not in shown and (more := os.read(program.stderr.fileno(), 4096)):
                shown += more
            assert b"[y/N]" in shown
            output("losetup", "--detach", device)
            (tmp_path / "one.img").rename(tmp_path / "first.img")
            (tmp_path / "one.img").write_bytes(bytes(SIZE))
            output("losetup", device, tmp_path / "one.img")
            keyboard.write(b"y\n")
            said = program.stderr.read().decode()
            assert program.wait(60) == 6, said
    assert "has changed since it was shown" in said
    assert not any((tmp_path / "one.img").read_bytes())


def removable(device: Path, told: Path) -> tuple[str | Path, ...]:
    """What begins a command line for whose program the loop device is a card in a reader."""
    told.write_text("1\n")
    script = 'mount --bind "$0" "/sys/block/$1/removable"; shift; exec "$@"'
    return ("unshare", "--mount", "sh", "-ec", script, told, device.name)


@pytest.mark.root
def test_the_list_of_cards(image: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    with partitioned(card, TABLE, size=SIZE) as device:
        output("mkfs.ext4", "-q", "-L", "HOLIDAY", f"{device}p1")
        before = removable(device, tmp_path / "removable")

        def cards(*options: str) -> str:
            return output(*before, PROGRAM, "flash", "--list", *options)

        (row,) = (one for one in json.loads(cards("--json")) if one["device"] == str(device))
        assert (row["size"], row["model"], row["refused"]) == (SIZE, str(card), None)
        assert row["partitions"][0]["contents"]["label"] == "HOLIDAY"
        with mounted(Path(f"{device}p1"), tmp_path / "mnt"):
            lines = cards().splitlines()
    (number,) = (number for number, line in enumerate(lines) if line.startswith(str(device)))
    assert 'ext4 "HOLIDAY", unknown' in lines[number]
    assert f"not now: {device} ({card}, 8.4 MB) is mounted at {tmp_path}/mnt" in lines[number + 1]
    assert str(device) not in rootfs_tool("flash", "--list").stdout


@pytest.mark.root
def test_the_only_card_need_not_be_named(image: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    if json.loads(rootfs_tool("flash", "--list", "--json").stdout):
        pytest.skip("this host has a card already")
    with attached(card, size=SIZE) as device:
        before = removable(device, tmp_path / "removable")
        assert on_a_terminal("n\n", "flash", image, before=before).status == 130
        without = on_a_terminal("y\n", "flash", image, "--yes", before=before)
        assert without.status == 2
        assert f"DEVICE is missing: {device}" in without.stderr
        assert not any(card.read_bytes())
        mistyped = on_a_terminal("y\n", "flash", image, f"{device}x", before=before)
        assert mistyped.status == 6
        assert f"did you mean {device}?" in mistyped.stderr
        assert on_a_terminal("y\n", "flash", image, before=before).status == 0
    assert card.read_bytes() == image.read_bytes()


def test_how_far_it_is() -> None:
    half = Event(0.0, "progress", "write x.img", 0, 2.0, 50_000_000, 100_000_000)
    assert how_far(half) == " 50% of 100.0 MB, 25.0 MB/s, 2 s left"
    assert how_far(replace(half, done=0, seconds=0.0)) == "  0% of 100.0 MB"


def test_what_there_is_no_image_of(tmp_path: Path) -> None:
    ran = rootfs_tool("flash")
    assert ran.status == 2
    assert "WHAT is missing" in ran.stderr
