"""A FAT32 as mtools and fsck see it, and that it is always the same."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.images import fat
from rootfs_tool.tree import Device, Directory, File, Node, Symlink, Tree

EPOCH = 1_735_689_600 + 3601  # 2025-01-01 01:00:01, an odd second
MIB = 1 << 20

BOOT = {
    "/config.txt": b"arm_64bit=1\n",
    "/KERNEL8.IMG": bytes(range(256)) * 20_000,
    "/bcm2710-rpi-3-b.dtb": b"d" * 513,
    "/bcm2710-rpi-3-b-plus.dtb": b"e" * 512,
    "/empty": b"",
    "/overlays/README": b"r",
    "/overlays/a name, with spaces.and.dots": b"s",
    "/overlays/thirteenchars": b"t",
    "/overlays/Größe 漢字.dtbo": b"u",
    "/a/b/c/d": b"deep",
}


def a_tree(files: Mapping[str, bytes] = BOOT) -> Tree:
    tree = Tree()
    for path, content in files.items():
        tree.add(path, File(content=content), origin="a")
    return tree


def written(tree: Tree, image: Path, *, size: int = 0, offset: int = 0, epoch: int = EPOCH) -> Path:
    size = size or fat.needed(tree)
    with image.open("wb") as file:
        file.truncate(offset + size)
    fat.write(tree, image, offset=offset, size=size, epoch=epoch, label="BOOT", serial=0xC0FFEE)
    return image


def mtools(program: str, image: Path, *args: str | Path) -> str:
    return subprocess.run(
        [program, "-i", image, *args],
        check=True,
        capture_output=True,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", "MTOOLSRC": "/dev/null"},
    ).stdout.decode()


def extracted(image: Path, directory: Path) -> dict[str, bytes]:
    """Every file of the image, as mtools copies them out."""
    directory.mkdir()
    mtools("mcopy", image, "-s", "::*", directory)
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {f"/{path.relative_to(directory)}": path.read_bytes() for path in files}


def is_clean(image: Path) -> bool:
    done = subprocess.run(["fsck.vfat", "-n", image], capture_output=True, text=True, check=False)
    return done.returncode == 0 and "files," in done.stdout and len(done.stdout.splitlines()) == 2


def test_fsck_finds_nothing_and_mtools_finds_everything(tmp_path: Path) -> None:
    image = written(a_tree(), tmp_path / "fat")
    assert is_clean(image)
    assert extracted(image, tmp_path / "files") == BOOT


def test_names_times_label_and_serial(tmp_path: Path) -> None:
    tree = a_tree()
    tree.add("/none here", Directory(), origin="a")
    listing = mtools("mdir", written(tree, tmp_path / "fat"), "::")
    assert "Volume in drive : is BOOT" in listing
    assert "Volume Serial Number is 00C0-FFEE" in listing
    rows = [" ".join(line.split()) for line in listing.splitlines()[4:-3]]
    assert rows == [
        "KERNEL8 IMG 5120000 2025-01-01 1:00",
        "A <DIR> 2025-01-01 1:00 a",
        "BCM271~1 DTB 512 2025-01-01 1:00 bcm2710-rpi-3-b-plus.dtb",
        "BCM271~2 DTB 513 2025-01-01 1:00 bcm2710-rpi-3-b.dtb",
        "CONFIG TXT 12 2025-01-01 1:00 config.txt",
        "EMPTY 0 2025-01-01 1:00 empty",
        "NONEHE~1 <DIR> 2025-01-01 1:00 none here",
        "OVERLAYS <DIR> 2025-01-01 1:00 overlays",
    ]


@pytest.mark.parametrize(
    ("epoch", "shown"), [(0, "1980-01-01   0:00"), (1 << 33, "2107-12-31  23:59")]
)
def test_a_time_that_a_fat_can_not_hold_is_the_nearest_that_it_can(
    tmp_path: Path, epoch: int, shown: str
) -> None:
    image = written(a_tree({"/x": b"x"}), tmp_path / "fat", epoch=epoch)
    assert shown in mtools("mdir", image, "::x")


def test_short_names_are_all_different(tmp_path: Path) -> None:
    files = {f"/overlays/vc4-kms-dsi-{n}.dtbo": b"%d" % n for n in range(1200)}
    files |= {"/overlays/VC4-KM~7.DTB": b"taken", "/overlays/ß": b"1", "/overlays/ss": b"2"}
    files |= {"/overlays/.hidden": b"3", "/overlays/日本": b"4", "/overlays/中国": b"5"}
    image = written(a_tree(files), tmp_path / "fat")
    assert is_clean(image)
    assert extracted(image, tmp_path / "files") == files


@pytest.mark.parametrize("length", [12, 13, 14, 26, 255])
def test_a_long_name_of_every_kind_of_length(tmp_path: Path, length: int) -> None:
    files = {f"/{'n' * length}": b"x"}
    image = written(a_tree(files), tmp_path / "fat")
    assert is_clean(image)
    assert extracted(image, tmp_path / "files") == files


@pytest.mark.parametrize("size", [33, 64, 65, 128, 259, 300])
def test_any_size_is_a_fat32(tmp_path: Path, size: int) -> None:
    image = written(a_tree(), tmp_path / "fat", size=size * MIB)
    assert is_clean(image)
    said = subprocess.run(
        ["blkid", "-p", "-o", "value", "-s", "VERSION", image], check=True, capture_output=True
    )
    assert said.stdout == b"FAT32\n"
    assert extracted(image, tmp_path / "files") == BOOT


def test_only_its_own_bytes_change(tmp_path: Path) -> None:
    image = tmp_path / "card"
    size = fat.needed(a_tree())
    image.write_bytes(b"\xa5" * MIB + bytes(size) + b"\xa5" * MIB)
    fat.write(a_tree(), image, offset=MIB, size=size, epoch=EPOCH, label="BOOT", serial=0xC0FFEE)
    content = image.read_bytes()
    assert content[:MIB] == content[-MIB:] == b"\xa5" * MIB
    (tmp_path / "fat").write_bytes(content[MIB:-MIB])
    assert is_clean(tmp_path / "fat")


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    first = written(a_tree(), tmp_path / "first").read_bytes()
    again = Tree()
    for path, content in reversed(BOOT.items()):  # in another order, and from disk
        host = tmp_path / hashlib.sha256(path.encode()).hexdigest()
        host.write_bytes(content)
        again.add(path, File(content=host), origin="b")
    assert written(again, tmp_path / "second").read_bytes() == first


def test_a_full_one_and_one_file_too_many(tmp_path: Path) -> None:
    size = 33 * MIB
    tree = a_tree({"/fills": bytes(66495 * 512)})  # every cluster but the root directory's
    assert fat.needed(tree) == size
    assert is_clean(written(tree, tmp_path / "fat", size=size))
    tree.add("/more", File(content=b"x"), origin="a")
    with pytest.raises(ConfigError, match="a FAT of 33 MiB is too small: 34 are needed"):
        written(tree, tmp_path / "fat", size=size)


def test_less_than_a_fat32_can_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a FAT of 32 MiB is too small: 33 are needed"):
        written(a_tree(), tmp_path / "fat", size=32 * MIB)


def test_room_to_spare_is_there() -> None:
    tree = a_tree({"/x": bytes(100 * MIB)})
    assert 100 * MIB < fat.needed(tree) < 104 * MIB
    assert 125 * MIB < fat.needed(tree, spare=25) < 130 * MIB


@pytest.mark.parametrize(
    ("path", "node", "reason"),
    [
        ("/link", Symlink("x"), "/link is a symlink"),
        ("/dev/tty", Device(kind="char", major=5, minor=0), "/dev/tty is a device"),
        ("/mine", File(content=b"", uid=1000, gid=100), "/mine belongs to 1000:100"),
        ("/x", File(content=b"", xattrs=(("user.a", b"1"),)), "/x has user.a"),
        ("/a:b", File(content=b""), "/a:b has ':' in its name"),
        ("/tab\t", File(content=b""), r"has '\\t' in its name"),
        ("/dot.", File(content=b""), r"/dot. ends in '.'"),
        ("/n\udce4", File(content=b""), "is not UTF-8"),
        ("/" + "😀" * 128, File(content=b""), "longer name"),
        ("/CONFIG.txt", File(content=b""), "/CONFIG.txt and /config.txt differ only in case"),
    ],
)
def test_what_a_fat_can_not_hold(path: str, node: Node, reason: str) -> None:
    tree = a_tree()
    tree.add(path, node, origin="b")
    with pytest.raises(ConfigError, match=reason):
        fat.needed(tree)


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 32)
    tree = Tree()
    tree.add("/huge", File(content=tmp_path / "huge"), origin="a")
    with pytest.raises(ConfigError, match=r"/huge is larger than .*4 GiB"):
        fat.needed(tree)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    tree = Tree()
    tree.add("/gone", File(content=tmp_path / "gone"), origin="a")
    with pytest.raises(ConfigError, match="gone: No such file"):
        fat.needed(tree)


def test_a_file_that_is_not_as_long_as_the_system_says(tmp_path: Path) -> None:
    tree = Tree()
    tree.add("/version", File(content=Path("/proc/version")), origin="a")  # its size is 0
    with pytest.raises(ConfigError, match="/proc/version changed while it was read"):
        written(tree, tmp_path / "fat")
