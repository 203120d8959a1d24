"""``image ls``, ``cat``, ``diff`` and ``size``, as a person types them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.command import PROGRAM, rootfs_tool
from tests.filesystem import card as cards
from tests.filesystem.card import boot_files, changed, root_files, run

ESCAPE = "red \x1b[31m\n"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("card")
    return cards.make(here / "a.img", boot_files(here / "boot"), root_files(here / "root"))


def archive(root: Path, image: Path) -> Path:
    names = "".join(f"{path.relative_to(root)}\0" for path in sorted(root.rglob("*")))
    with image.open("wb") as file:
        subprocess.run(
            ["cpio", "--create", "--null", "--format=newc", "--quiet"],
            input=os.fsencode(names),
            stdout=file,
            cwd=root,
            check=True,
        )
    return image


def test_a_card_is_listed_with_its_partitions(card: Path) -> None:
    ran = rootfs_tool("image", "ls", "-l", card)
    assert (ran.status, ran.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in ran.stdout.splitlines()]
    owner = os.geteuid(), os.getegid()
    assert lines[:6] == [
        "partition start size type holds label",
        "1: 1048576 16.8 MB 0x0c vfat BOOT bootable",
        "2: 20971520 25.2 MB 0x83 ext4 rootfs",
        "",
        "-rwxr-xr-x 0 0 26 2025-01-01 00:00 1:/config.txt",
        "-rwxr-xr-x 0 0 600000 2025-01-01 00:00 1:/kernel8.img",
    ]
    assert f"lrwxrwxrwx {owner[0]} {owner[1]} 7 2025-01-01 00:00 2:/bin -> usr/bin" in lines


def test_what_is_listed(card: Path) -> None:
    def listed(*argv: str) -> list[str]:
        return rootfs_tool("image", "ls", card, *argv).stdout.splitlines()

    assert listed("2:/usr", "-R") == ["2:/usr/bin", "2:/usr/bin/busybox"]
    assert listed("2:/bin") == ["2:/bin"]
    assert listed("2:/bin/") == ["2:/usr/bin/busybox"]
    assert listed("rootfs:etc/fstab") == ["2:/etc/fstab"]


def test_a_listing_as_json(card: Path) -> None:
    table = json.loads(rootfs_tool("image", "ls", card, "--json").stdout)
    first = table["partitions"][0]
    assert (first["start"], first["filesystem"], first["bootable"]) == (1 << 20, "vfat", True)
    (link,) = (one for one in table["entries"] if one["path"] == "2:/bin")
    assert (link["type"], link["to"], link["mode"]) == ("link", "usr/bin", "0777")


def test_cat_gives_the_bytes(card: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "image", "cat", card, "2:/sh"], capture_output=True, check=False
    )
    assert done.stderr == b""
    assert done.stdout == (card.parent / "root" / "usr" / "bin" / "busybox").read_bytes()


def test_cat_into_a_pipe_that_closes(card: Path) -> None:
    with subprocess.Popen(
        [PROGRAM, "image", "cat", card, "2:/usr/bin/busybox"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as cat:
        assert cat.stdout is not None
        assert cat.stderr is not None
        assert cat.stdout.read(3) == b"\0\1\2"
        cat.stdout.close()
        assert cat.stderr.read() == b""


def test_what_cat_can_t_show(card: Path) -> None:
    for path, said in (
        ("2:/etc", "2:/etc is no regular file"),
        ("2:/nothing", "there is no /nothing in it"),
        ("2:/round", "/round runs in a circle of symbolic links"),
    ):
        ran = rootfs_tool("image", "cat", card, path)
        assert (ran.status, ran.stdout) == (2, "")
        assert ran.stderr.splitlines()[0] == f"error: {said}"


def test_diff_of_the_same(card: Path, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(card.read_bytes())
    ran = rootfs_tool("image", "diff", card, tmp_path / "b")
    assert (ran.status, ran.said) == (0, "")
    ran = rootfs_tool("image", "diff", card, tmp_path / "b", "--json")
    assert json.loads(ran.stdout) == {"same": True, "bytes": "", "differences": []}


def test_diff_of_files_and_of_bytes(card: Path, tmp_path: Path) -> None:
    root = root_files(tmp_path / "root")
    (root / "etc" / "fstab").write_text("/dev/mmcblk0p2 / ext4 defaults 0 2\n")
    other = cards.make(tmp_path / "b", boot_files(tmp_path / "boot"), root)
    ran = rootfs_tool("image", "diff", card, other, "--content")
    assert ran.status == 1
    assert ran.stdout.splitlines()[2:5] == [
        "! 2:/etc/fstab: bytes from 33 on",
        "--- a/2:/etc/fstab",
        "+++ b/2:/etc/fstab",
    ]
    ran = rootfs_tool(
        "image", "diff", card, changed(card, tmp_path / "c", cards.ROOT + 1024 + 0x30)
    )
    assert ran.status == 1
    assert "the ext4's superblock, its byte 48); all files are the same\n" in ran.stdout


def test_size_says_what_is_large(card: Path, tmp_path: Path) -> None:
    page = tmp_path / "size.html"
    ran = rootfs_tool("image", "size", card, "--html", page, "--depth", "3")
    assert (ran.status, ran.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in ran.stdout.splitlines()]
    assert lines[2:7] == [
        "size share path",
        "1.6 MB 100% all partitions",
        "1.0 MB 63% 2:/",
        "1.0 MB 63% 2:/usr",
        "1.0 MB 63% 2:/usr/bin",
    ]
    text = page.read_text()
    assert 'title="2:/usr/bin/busybox: 1.0 MB"' in text
    assert "http" not in text
    rows = json.loads(rootfs_tool("image", "size", card, "--json").stdout)["usage"]
    assert rows[0] == {"path": "", "depth": 0, "size": 1_624_485, "taken": 1_624_485}


def test_names_do_not_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / ESCAPE).write_text("x")
    image = archive(tmp_path / "root", tmp_path / "image")
    assert rootfs_tool("image", "ls", image).stdout == f"/{ESCAPE}\n"
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        subprocess.run([PROGRAM, "image", "ls", image], stdout=theirs, check=True)
        os.close(theirs)
        assert terminal.read(1000) == b"/red \\x1b[31m\\x0a\r\n"
    ran = rootfs_tool("image", "cat", image, f"/{ESCAPE}/x")
    assert ran.status == 2
    assert "\x1b" not in ran.stderr
    assert "red \\x1b[31m" in ran.stderr


def test_a_file_that_is_none_ends_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"0707" + os.urandom(5000))
    for verb in (("ls",), ("cat", "/x"), ("size",)):
        ran = rootfs_tool("image", verb[0], tmp_path / "image", *verb[1:])
        assert ran.status == 2, ran.said
        assert len(ran.stderr.splitlines()) == 1
    ran = rootfs_tool("image", "diff", tmp_path / "image", tmp_path / "image")
    assert ran.status == 2
    ran = rootfs_tool("image", "ls", tmp_path)
    assert ran.status == 2
    assert "manifest.json: No such file" in ran.stderr
    ran = rootfs_tool("image", "ls", tmp_path / "image", "--image", "ext4")
    assert ran.status == 2


@pytest.mark.network
def test_a_build_is_its_image(tmp_path: Path) -> None:
    assert rootfs_tool("build", "qemu-aarch64", "-o", tmp_path / "out", timeout=600).status == 0
    assert "/init" in rootfs_tool("image", "ls", tmp_path / "out").stdout.splitlines()
    same = rootfs_tool("image", "cat", tmp_path / "out", "/etc/hostname", "--image", "cpio")
    assert same.stdout == "qemu-aarch64\n"
    assert "initramfs.cpio.zst" in rootfs_tool("image", "size", tmp_path / "out").stdout
    none = rootfs_tool("image", "ls", tmp_path / "out", "--image", "squashfs")
    assert none.status == 2
    assert "holds no squashfs image" in none.stderr


def test_reading_needs_only_the_right_to_read(card: Path) -> None:
    card.chmod(0o444)
    before = card.stat().st_mtime_ns
    run(PROGRAM, "image", "size", card)
    assert card.stat().st_mtime_ns == before
