"""Cards, readers and images that are bad: each is found, and nothing half-written looks whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rootfs_tool import blockmap, compressed
from rootfs_tool.compressed import Format
from rootfs_tool.errors import ConfigError, DeviceError
from tests.flash.cards import (
    MIB,
    SIGNATURE,
    SIZE,
    Card,
    an_image,
    flashed,
    wanted,
    with_map,
)

pytestmark = pytest.mark.root

KILLS = 20
FLASH = """
import sys
from pathlib import Path
from rootfs_tool.flash import source, write
from rootfs_tool import events
control, image, device, way, faults = sys.argv[1:]
device, ways = Path(device), {way: True} if way else {}
found = source.find(Path(image))
import os
Path(control).write_text(f"victim {os.getpid()} {faults}")
with events.listening(lambda event: print(event.kind, event.text, flush=True)):
    write.flash(found, device, rdev=device.stat().st_rdev, name="the card", **ways)
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "sdcard.img"
    return with_map(path, an_image(path))


def has_table(card: Card) -> bool:
    return card.content()[510:512] == SIGNATURE


def failing(image: Path, card: Card, fault: str) -> str:
    """What is said when a card with a fault is flashed; it must have no partition table then."""
    card.fill()
    card.fault(fault)
    with pytest.raises(DeviceError) as caught:
        flashed(image, card.device)
    assert not has_table(card)
    assert "no partition table" in str(caught.value)
    assert "--resume" in str(caught.value.hint)
    return str(caught.value)


def test_a_bad_card_without_a_fault_is_good(image: Path, bad: Card) -> None:
    old = bad.fill()
    flashed(image, bad.device)
    map = blockmap.load(image.with_name("sdcard.img.map"))
    assert bad.content() == wanted(image.read_bytes(), map, old)


def test_a_write_that_fails(image: Path, bad: Card) -> None:
    said = failing(image, bad, f"write-error {9 * MIB + 5000}")
    assert f"can't write its bytes {9 * MIB:,} to {10 * MIB:,}: Input/output error" in said
    written, _ = bad.moved()
    assert written < 10 * MIB


def test_zeros_that_can_not_be_written(image: Path, bad: Card) -> None:
    said = failing(image, bad, f"write-error {5 * MIB}")
    assert f"can't write its bytes {5 * MIB:,}" in said


def test_a_sync_that_fails(image: Path, bad: Card) -> None:
    bad.fill()
    bad.fault("sync-error 1")
    with pytest.raises(DeviceError, match=r"failed to keep .*Input/output error.*not sure"):
        flashed(image, bad.device)
    assert not has_table(bad)


def test_a_read_back_that_fails(image: Path, bad: Card) -> None:
    assert f"can't read its bytes {8 * MIB:,}" in failing(image, bad, f"read-error {8 * MIB + 9}")


@pytest.mark.parametrize("at", [8 * MIB + 12345, 5 * MIB + 1], ids=["data", "zeros"])
def test_a_bit_that_is_kept_wrong(at: int, image: Path, bad: Card) -> None:
    said = failing(image, bad, f"flip {at}")
    assert f"first at byte {at // 512 * 512:,}" in said


def test_a_bit_of_the_table_that_is_kept_wrong(image: Path, bad: Card) -> None:
    """Found after the table has been written: it is taken away again."""
    said = failing(image, bad, f"flip {MIB - 100}")
    assert "first 1,048,576 bytes" in said


def test_a_card_that_is_smaller_than_it_says(image: Path, bad: Card) -> None:
    said = failing(image, bad, f"wrap {8 * MIB}")
    assert f"first at byte {MIB:,}" in said  # the bytes of 9 MiB are there


def test_a_card_that_loses_what_it_is_given(image: Path, bad: Card) -> None:
    said = failing(image, bad, f"drop {3 * MIB}")
    assert "does not hold what was written" in said


def test_a_card_that_is_mended_goes_on(image: Path, bad: Card) -> None:
    """After an error, --resume ends with the whole image, and writes less than all of it."""
    failing(image, bad, f"write-error {9 * MIB + 5000}")
    bad.fault("")
    done = flashed(image, bad.device, resume=True)
    map = blockmap.load(image.with_name("sdcard.img.map"))
    assert bad.content() == wanted(image.read_bytes(), map, bad.content())
    assert has_table(bad)
    assert done.same > 4 * MIB


def test_what_is_being_written_is_not_filled_anew(bad: Card, tmp_path: Path) -> None:
    """A slow write goes on while many pieces that are the same pass by."""
    image = tmp_path / "large.img"
    image.write_bytes(random.Random(3).randbytes(15 * MIB))
    old = bad.fill()
    flashed(image, bad.device)
    content = bytearray(image.read_bytes())
    content[2 * MIB] ^= 1
    image.write_bytes(content)
    bad.fault(f"write-rate {8 * MIB}")
    flashed(image, bad.device, changed_only=True)
    assert bad.content() == bytes(content) + old[15 * MIB :]


def test_resume_does_not_take_another_image_for_the_same(
    image: Path, bad: Card, tmp_path: Path
) -> None:
    failing(image, bad, f"write-error {9 * MIB}")
    bad.fault("")
    other = tmp_path / "other.img"
    map = an_image(other, seed=2)
    flashed(with_map(other, map), bad.device, resume=True)
    assert bad.content() == wanted(other.read_bytes(), map, bad.content())


def ended(image: Path, card: Card, fault: str, way: str = "") -> subprocess.CompletedProcess[str]:
    """A flash by another process, which a fault of the card ends."""
    return subprocess.run(
        [sys.executable, "-c", FLASH, str(card.control), image, card.device, way, fault],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_flash_that_is_killed_leaves_no_table_or_all(image: Path, bad: Card) -> None:
    """At any byte; and the next one goes on from there."""
    map = blockmap.load(image.with_name("sdcard.img.map"))
    everything = image.read_bytes()
    generator = random.Random(os.environ.get("PYTEST_SEED", "flash"))
    old = bad.fill()
    flashed(image, bad.device)
    total, _ = bad.moved()
    points = sorted(generator.randrange(total) for _ in range(KILLS - 2))
    for point in (0, *points, total - 1):
        bad.fill()
        killed = ended(image, bad, f"kill {point}")
        assert killed.returncode == -signal.SIGKILL, (point, killed.stderr)
        if has_table(bad):
            assert bad.content() in (old, wanted(everything, map, old)), point
        bad.fault("")
        flashed(image, bad.device, resume=True)
        assert bad.content() == wanted(everything, map, old), point


def test_a_small_change_that_is_killed_leaves_no_table_or_all(
    image: Path, bad: Card, tmp_path: Path
) -> None:
    """The card held another image before, and must not hold a mixture that boots."""
    map = blockmap.load(image.with_name("sdcard.img.map"))
    before = tmp_path / "before.img"
    with_map(before, an_image(before, seed=2))
    generator = random.Random("changed")
    bad.fill()
    flashed(before, bad.device)
    old = bad.content()
    new = wanted(image.read_bytes(), map, old)
    bad.fault("")
    flashed(image, bad.device, changed_only=True)
    total, _ = bad.moved()
    for _ in range(6):
        bad.fault("")
        flashed(before, bad.device)
        killed = ended(image, bad, f"kill {generator.randrange(total)}", "changed_only")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not has_table(bad) or bad.content() in (old, new)
        bad.fault("")
        flashed(image, bad.device, changed_only=True)
        assert bad.content() == new


@pytest.mark.parametrize("point", ["first", "middle", "last"])
def test_ctrl_c_says_how_the_card_is_left(point: str, image: Path, bad: Card) -> None:
    bad.fill()
    flashed(image, bad.device)
    total, _ = bad.moved()
    bad.fill()
    place = {"first": 0, "middle": total // 2, "last": total - 1}[point]
    stopped = ended(image, bad, f"interrupt {place}")
    assert stopped.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in stopped.stderr
    assert "--resume goes on" in stopped.stdout
    if point == "first":
        assert "note whether the card still has its old partition table" in stopped.stdout
    else:
        assert "note the card has no partition table now" in stopped.stdout
        assert not has_table(bad)


def spoilt(path: Path, how: str) -> None:
    """Flip a bit, or cut off the end, or put something behind it."""
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) * 3 // 4] ^= 0x10
    elif how == "cut short":
        del content[-9:]
    else:
        content += b"not part of it"
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["flipped", "cut short", "longer"])
@pytest.mark.parametrize("format", ["", "gz", "xz", "zst"])
def test_an_image_of_ours_that_is_damaged(
    format: str, how: str, image: Path, card: Card, tmp_path: Path
) -> None:
    if format:
        packed = tmp_path / f"sdcard.img.{format}"
        map = blockmap.load(image.with_name("sdcard.img.map"))
        image = with_map(packed, compressed.compress(image, map, packed, Format(format)))
    spoilt(image, how)
    old = card.fill()
    with pytest.raises(ConfigError) as caught:
        flashed(image, card.device)
    assert str(image) in str(caught.value)
    if how == "flipped":
        assert "damaged" in str(caught.value)
        assert not has_table(card)
    else:
        assert card.content() == old


@pytest.mark.parametrize("how", ["flipped", "cut short", "longer"])
@pytest.mark.parametrize("program", ["gzip", "xz", "zstd", "bzip2"])
def test_an_image_of_others_that_is_damaged(
    program: str, how: str, image: Path, card: Card
) -> None:
    """It has no map, so it is looked through before the card is touched."""
    image.with_name("sdcard.img.map").unlink()
    subprocess.run([program, "-1", "--quiet", image], check=True)
    endings = {"gzip": "gz", "xz": "xz", "zstd": "zst", "bzip2": "bz2"}
    image = image.with_name(f"sdcard.img.{endings[program]}")
    spoilt(image, how)
    old = card.fill()
    with pytest.raises(ConfigError, match="is damaged"):
        flashed(image, card.device)
    assert card.content() == old


@pytest.mark.parametrize("program", ["gzip", "xz", "zstd"])
def test_an_image_whose_end_alone_is_missing(program: str, image: Path, card: Card) -> None:
    """All that its map lists is there; what is missing is the format's own end mark."""
    subprocess.run([program, "-1", "--quiet", image], check=True)
    endings = {"gzip": "gz", "xz": "xz", "zstd": "zst"}
    image = image.with_name(f"sdcard.img.{endings[program]}")
    content = image.read_bytes()
    image.write_bytes(content[:-3])
    card.fill()
    with pytest.raises(ConfigError, match="is damaged: it is cut short"):
        flashed(image, card.device)
    assert not has_table(card)


def test_a_map_that_someone_has_changed(image: Path, card: Card) -> None:
    map = image.with_name("sdcard.img.map")
    map.write_text(map.read_text().replace('"zero"', '"free"', 1))
    old = card.fill()
    with pytest.raises(ConfigError, match="checksum does not match"):
        flashed(image, card.device)
    assert card.content() == old


def test_a_map_of_another_image(image: Path, card: Card, tmp_path: Path) -> None:
    other = tmp_path / "other.img"
    with_map(image, an_image(other, seed=2))
    old = card.fill()
    with pytest.raises(ConfigError, match=r"not those that .*map lists; nothing was written"):
        flashed(image, card.device)
    image.write_bytes(image.read_bytes() + bytes(SIZE))
    with pytest.raises(ConfigError, match=r"is for 12,582,912"):
        flashed(image, card.device)
    assert card.content() == old
