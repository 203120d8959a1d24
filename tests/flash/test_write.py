"""What a card holds once an image has been written to it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rootfs_tool import blockmap, compressed, events
from rootfs_tool.blockmap import BlockMap, Kind, Range
from rootfs_tool.compressed import Format
from rootfs_tool.errors import ConfigError, DeviceError
from rootfs_tool.flash import device, source, write
from tests.flash.cards import HEAD, MIB, SIZE, Card, an_image, flashed, loop, wanted, with_map
from tests.loop import mounted

pytestmark = pytest.mark.root


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "sdcard.img"
    return with_map(path, an_image(path))


def the_map(image: Path) -> BlockMap:
    return blockmap.load(image.with_name("sdcard.img.map"))


def above_the_head(map: BlockMap) -> int:
    used = (one for one in map.ranges if one.kind is not Kind.FREE)
    return sum(max(0, one.end - max(one.start, HEAD)) for one in used)


def change(image: Path, at: int) -> None:
    """Another byte at ``at``, and a map that says so."""
    with image.open("r+b") as file:
        file.seek(at)
        before = file.read(1)
        file.seek(at)
        file.write(bytes([before[0] ^ 1]))
    ranges = tuple(
        Range(kind=one.kind, start=one.start, end=one.end) for one in the_map(image).ranges
    )
    with_map(image, BlockMap(size=SIZE, ranges=ranges))


def test_data_and_zeros_are_written_and_what_is_free_stays(image: Path, card: Card) -> None:
    old = card.fill()
    done = flashed(image, card.device)
    assert card.content() == wanted(image.read_bytes(), the_map(image), old)
    assert done.written == done.read == HEAD + above_the_head(the_map(image))
    assert done.same == 0


def test_an_image_without_a_map_is_written_whole(image: Path, card: Card) -> None:
    image.with_name("sdcard.img.map").unlink()
    old = card.fill()
    flashed(image, card.device)
    assert card.content() == image.read_bytes() + old[SIZE:]


@pytest.mark.parametrize("format", ["gz", "xz", "zst"])
def test_a_compressed_image_is_the_same_image(
    format: str, image: Path, card: Card, tmp_path: Path
) -> None:
    packed = tmp_path / f"sdcard.img.{format}"
    map = compressed.compress(image, the_map(image), packed, Format(format))
    raw = image.read_bytes()
    image.unlink()
    with_map(packed, map)
    old = card.fill()
    flashed(packed, card.device)
    assert card.content() == wanted(raw, map, old)


@pytest.mark.parametrize("program", ["gzip", "xz", "zstd", "bzip2"])
def test_what_others_compress_is_the_same_image(program: str, image: Path, card: Card) -> None:
    subprocess.run([program, "-1", "--keep", "--quiet", image], check=True)
    endings = {"gzip": "gz", "xz": "xz", "zstd": "zst", "bzip2": "bz2"}
    old = card.fill()
    flashed(image.with_name(f"sdcard.img.{endings[program]}"), card.device)
    assert card.content() == wanted(image.read_bytes(), the_map(image), old)


def test_a_device_that_is_read_through_the_page_cache(image: Path, card: Card) -> None:
    old = card.fill()
    flashed(image, card.device, direct=False)
    assert card.content() == wanted(image.read_bytes(), the_map(image), old)


def test_an_image_whose_size_is_no_multiple_of_anything(card: Card, tmp_path: Path) -> None:
    image = tmp_path / "odd.img"
    image.write_bytes(bytes(range(1, 252)) * 9000)
    size = image.stat().st_size
    assert size % 512
    old = card.fill()
    flashed(image, card.device)
    end = -(-size // 512) * 512
    assert card.content() == image.read_bytes() + bytes(end - size) + old[end:]


def test_large_sectors(image: Path, tmp_path: Path) -> None:
    backing = tmp_path / "card"
    backing.write_bytes(b"\xa5" * SIZE)
    with loop(backing, "--sector-size", "4096") as path:
        flashed(image, path)
    assert backing.read_bytes() == wanted(image.read_bytes(), the_map(image), b"\xa5" * SIZE)


def test_the_kernel_sees_the_new_partitions(card: Card, tmp_path: Path) -> None:
    image = tmp_path / "table.img"
    with image.open("wb") as file:
        file.truncate(8 * MIB)
    sfdisk = ["sfdisk", "--quiet", "--no-tell-kernel", str(image)]
    subprocess.run(sfdisk, input=b"start=2048 size=4096\nstart=8192\n", check=True)
    with loop(image, "--partscan") as path:
        if not Path("/sys/block", path.name, f"{path.name}p1").exists():
            pytest.skip("this kernel knows no MBR")
    with loop(card.backing, "--partscan") as path:
        flashed(image, path)
        assert Path("/sys/block", path.name, f"{path.name}p2", "start").read_text() == "8192\n"


def test_no_copy_of_an_old_table_is_left_at_the_end(image: Path, card: Card) -> None:
    card.fill()
    subprocess.run(
        ["sfdisk", "--quiet", card.device], input=b"label: gpt\nstart=2048 size=2048\n", check=True
    )
    assert b"EFI PART" in card.content()[SIZE:]
    flashed(image, card.device)
    assert b"EFI PART" not in card.content()[SIZE:]


def test_only_what_has_changed_is_written(image: Path, card: Card) -> None:
    old = card.fill()
    flashed(image, card.device)
    change(image, 9 * MIB + 77)
    done = flashed(image, card.device, changed_only=True)
    assert card.content() == wanted(image.read_bytes(), the_map(image), old)
    assert done.written == done.read == MIB + HEAD
    assert done.same == above_the_head(the_map(image)) - MIB


def test_an_image_that_is_there_already_is_not_written(image: Path, card: Card) -> None:
    card.fill()
    flashed(image, card.device)
    before = Path("/sys/block", card.device.name, "stat").read_text().split()[4]
    done = flashed(image, card.device, changed_only=True)
    assert (done.written, done.read) == (0, 0)
    assert done.same == HEAD + above_the_head(the_map(image))
    assert Path("/sys/block", card.device.name, "stat").read_text().split()[4] == before


@pytest.mark.parametrize("way", ["changed_only", "resume"])
def test_a_card_with_something_else_on_it_ends_right(way: str, image: Path, card: Card) -> None:
    old = card.fill()
    done = flashed(image, card.device, changed_only=way == "changed_only", resume=way == "resume")
    assert card.content() == wanted(image.read_bytes(), the_map(image), old)
    assert done.read == HEAD + above_the_head(the_map(image))


def test_a_table_alone_that_differs_is_put_right(image: Path, card: Card) -> None:
    old = card.fill()
    flashed(image, card.device)
    with card.backing.open("r+b") as file:
        file.write(bytes(512))
    done = flashed(image, card.device, resume=True)
    assert card.content() == wanted(image.read_bytes(), the_map(image), old)
    assert done.written == done.read == HEAD


def test_progress_runs_from_front_to_back(image: Path, card: Card) -> None:
    heard: list[events.Event] = []
    with events.listening(heard.append):
        flashed(image, card.device)
    total = the_map(image).amount(Kind.DATA, Kind.ZERO)
    write = [one for one in heard if one.kind == "progress" and one.text == "write sdcard.img"]
    assert [one.done for one in write] == sorted({one.done for one in write})
    assert (write[-1].done, write[-1].total, write[-1].depth) == (total, total, 0)
    last = [one for one in heard if one.kind == "progress" and one.text == "read back"][-1]
    assert last.done == last.total == above_the_head(the_map(image))


def refused(image: Path, path: Path, *, rdev: int | None = None) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        write.flash(
            source.find(image), path, rdev=path.stat().st_rdev if rdev is None else rdev, name="it"
        )
    return caught.value


def test_a_card_that_is_too_small_is_left_alone(image: Path, tmp_path: Path) -> None:
    backing = tmp_path / "small"
    backing.write_bytes(b"\xa5" * (SIZE - 4096))
    with loop(backing) as path:
        error = refused(image, path)
    assert "too small" in str(error)
    assert f"{SIZE:,}" in str(error)
    assert backing.read_bytes() == b"\xa5" * (SIZE - 4096)


def test_a_read_only_card(image: Path, card: Card, tmp_path: Path) -> None:
    old = card.fill()
    with loop(card.backing, "--read-only") as path:
        assert "read-only" in str(refused(image, path))
    assert card.content() == old


def test_a_mounted_card(image: Path, card: Card, tmp_path: Path) -> None:
    subprocess.run(["mke2fs", "-q", "-t", "ext4", card.device], check=True)
    with mounted(card.device, tmp_path / "mount"):
        assert "in use" in str(refused(image, card.device))
    subprocess.run(["e2fsck", "-fn", card.device], check=True, capture_output=True)


def test_two_flashes_of_one_card(image: Path, card: Card) -> None:
    old = card.fill()
    with device.opened(card.device, rdev=card.device.stat().st_rdev, name="it"):
        assert "in use" in str(refused(image, card.device))
    assert card.content() == old


def test_a_card_that_was_changed_for_another(image: Path, card: Card) -> None:
    old = card.fill()
    error = refused(image, card.device, rdev=card.device.stat().st_rdev + 1)
    assert "not the device it was" in str(error)
    assert card.content() == old


def test_what_is_no_device(image: Path, tmp_path: Path) -> None:
    (file := tmp_path / "file").write_bytes(b"mine")
    assert "not a block device" in str(refused(image, file))
    assert file.read_bytes() == b"mine"
    assert "not a block device" in str(refused(image, Path("/dev/zero")))
    with pytest.raises(DeviceError, match="can't be opened"):
        write.flash(source.find(image), tmp_path / "sdx", rdev=1, name="it")
    assert not (tmp_path / "sdx").exists()


def test_a_bmap_of_others(image: Path, card: Card) -> None:
    """What bmaptool lists is written and the rest stays; what it lists wrongly is found."""
    image.with_name("sdcard.img.map").unlink()
    list = image.with_name("sdcard.img.bmap")
    subprocess.run(["bmaptool", "--quiet", "create", "--output", list, image], check=True)
    old = card.fill()
    flashed(image, card.device)
    map = source.find(image).map
    assert map.amount(Kind.FREE)
    assert card.content() == wanted(image.read_bytes(), map, old)
    with image.open("r+b") as file:
        file.seek(9 * MIB)
        file.write(b"x")
    with pytest.raises(ConfigError, match=r"damaged.*no partition table now"):
        flashed(image, card.device)
