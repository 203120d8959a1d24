"""What ``flash`` never writes: exit code, one line, and the same bytes as before."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.command import PROGRAM, rootfs_tool
from tests.loop import SIZE, TABLE, attached, digest, mounted, output, partitioned


@contextmanager
def _mounted(file: Path) -> Iterator[Path]:
    with partitioned(file, TABLE, size=SIZE) as device:
        output("mkfs.ext4", "-q", f"{device}p2")
        # ext4 mounted to be written would write by itself
        with mounted(Path(f"{device}p2"), file.with_name("mnt"), options="ro,noload"):
            yield device


@contextmanager
def _swapped(file: Path) -> Iterator[Path]:
    with attached(file, size=SIZE) as device:
        output("mkswap", device)
        output("swapon", device)
        try:
            yield device
        finally:
            output("swapoff", device)


@contextmanager
def _held(file: Path) -> Iterator[Path]:
    with attached(file, size=SIZE) as device, attached(device):
        yield device


@contextmanager
def _partition(file: Path) -> Iterator[Path]:
    with partitioned(file, TABLE, size=SIZE) as device:
        yield Path(f"{device}p2")


def _read_only(file: Path) -> AbstractContextManager[Path]:
    return attached(file, "--read-only", size=SIZE)


def _too_small(file: Path) -> AbstractContextManager[Path]:
    return attached(file, size=SIZE - 4096)


@pytest.mark.root
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (_mounted, "is mounted at "),
        (_swapped, "is swapped on "),
        (_held, "is part of "),
        (_partition, "is partition 2 of "),
        (_read_only, "is read-only"),
        (_too_small, "is too small: the image has 8,388,608 bytes, it has 8,384,512"),
    ],
)
def test_a_disk_that_must_not_be_written_is_not(
    kind: Callable[[Path], AbstractContextManager[Path]], said: str, image: Path, tmp_path: Path
) -> None:
    card = tmp_path / "card.img"
    # the kernel writes to a swap area at any time, but not to its header
    length = 4096 if kind is _swapped else SIZE
    with kind(card) as device:
        before = digest(card, length)
        ran = rootfs_tool("flash", image, device, "--yes")
        assert digest(card, length) == before
    assert ran.status == 6, ran.said
    error, hint = ran.stderr.strip().splitlines()[-2:]
    assert said in error
    assert " MB)" in error
    assert str(card) in error  # the model of a loop device
    assert hint.startswith(" hint: ")
    assert "Erase" not in ran.said
    assert ran.stdout == ""


@pytest.mark.parametrize("name", ["sdx", ".", "/dev/null", "the image.img"])
def test_what_is_no_disk_is_not_written_and_not_made(
    name: str, image: Path, tmp_path: Path
) -> None:
    before = digest(image)
    ran = rootfs_tool("flash", image, tmp_path / name, "--yes")
    assert ran.status == 6, ran.said
    assert digest(image) == before
    assert list(tmp_path.iterdir()) == [image]


@pytest.mark.root
def test_the_disk_below_the_running_system(image: Path, tmp_path: Path) -> None:
    """A loop device becomes / for the program alone, with the rest of this host laid over it."""
    card = tmp_path / "card.img"
    as_root_of = """
        set -e
        mount -o ro,noload "$1" "$2"; shift; cd "$1"; shift
        for place in /*; do
            if [ ! -L "$place" ] && [ -d "$place" ]; then mount --rbind "$place" ".$place"; fi
        done
        pivot_root . old
        exec "$@"
    """
    with attached(card, size=SIZE * 2) as device:
        output("mkfs.ext4", "-q", "-N", "128", device)
        with mounted(device, tmp_path / "root"):
            _skeleton(tmp_path / "root")
        before = digest(card)
        done = subprocess.run(
            [
                *("unshare", "--mount", "sh", "-c", as_root_of, "sh", device, tmp_path / "root"),
                *(PROGRAM, "flash", image, device, "--yes", "--really", device),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert digest(card) == before
    assert done.returncode == 6, done.stderr
    assert "holds / of this computer" in done.stderr


def _skeleton(root: Path) -> None:
    (root / "old").mkdir()
    for place in Path("/").iterdir():
        if place.is_symlink():
            (root / place.name).symlink_to(place.readlink())
        elif place.is_dir():
            (root / place.name).mkdir(exist_ok=True)
