"""A board that flashes itself: BusyBox with a loop device for its card, and a real kernel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rootfs_tool import manifest, recipe
from rootfs_tool.blockmap import Kind
from rootfs_tool.cli.subject import machine
from rootfs_tool.errors import ConfigError, DeviceError
from rootfs_tool.filesystem.partitions import partitions
from rootfs_tool.flash import boarddisk
from rootfs_tool.flash.board import Board
from rootfs_tool.manifest import Build
from rootfs_tool.shell import Shell
from rootfs_tool.targets import qemu
from tests.command import built, rootfs_tool
from tests.flash.cards import HEAD, LAYOUT, MIB, Card, loop
from tests.flash.onboard import HERE, Start, board_of, expected, flashed
from tests.flash.test_filesystems import fsck
from tests.loop import attached as loop_of
from tests.loop import mounted, output

# tftpy leaves the sockets of finished transfers to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")

# A shell that has no applets of its own, as BusyBox's has, but takes what is in /mnt.
PLAIN = (
    'rm /mnt/sh; ln -s "$(command -v bash)" /mnt/sh; ln -sf "$(command -v busybox)" /mnt/busybox'
)
# The third transfer of the board is cut off in its middle.
CUT = r"""
rm /mnt/timeout
cat >/mnt/timeout <<"END"
#!/mnt/sh
echo >>/mnt/calls
[ "$(wc -l </mnt/calls)" = 3 ] || exec busybox timeout "$@"
busybox timeout "$@" | head -c 100000
echo "tftp: timeout" >&2
exit 1
END
chmod 755 /mnt/timeout
"""


@pytest.mark.root
def test_what_the_map_says_is_written_and_nothing_else(
    image: Path, card: Card, board: Start
) -> None:
    old = card.fill()
    done = flashed(image, board(), card.device)
    assert card.content() == expected(image, old)
    behind = sum(end - max(start, HEAD) for _, start, end in LAYOUT if end > HEAD)
    free = sum(end - start for kind, start, end in LAYOUT if kind is Kind.FREE and start > HEAD)
    assert done.written == done.read == HEAD + behind - free


@pytest.mark.root
def test_a_compressed_image_whose_end_is_no_whole_block(
    card: Card, board: Start, tmp_path: Path
) -> None:
    content = os.urandom(2 * MIB + 1536)
    image = tmp_path / "an.img"
    image.write_bytes(content)
    subprocess.run(["gzip", "-1", image], check=True)
    old = card.fill()
    flashed(tmp_path / "an.img.gz", board(), card.device)
    assert card.content() == content + old[len(content) :]


@pytest.mark.root
def test_the_copy_of_an_old_gpt_goes(image: Path, card: Card, board: Start) -> None:
    card.fill()
    subprocess.run(["sfdisk", "--quiet", card.backing], input="label: gpt\n", text=True, check=True)
    assert b"EFI PART" in card.content()[-512:]
    flashed(image, board(), card.device)
    assert card.content()[-33 * 512 :] == bytes(33 * 512)


@pytest.mark.root
def test_a_transfer_that_is_cut_off_is_repeated(image: Path, card: Card, board: Start) -> None:
    old = card.fill()
    shell = board(PLAIN + CUT)
    flashed(image, shell, card.device)
    assert card.content() == expected(image, old)
    assert int(shell.run("wc -l </mnt/calls").text) > 3


@pytest.mark.root
def test_a_host_that_is_not_reached(card: Card, board: Start) -> None:
    old = card.fill()
    shell = board()
    disk = boarddisk.inspect(shell, str(card.device))
    with pytest.raises(DeviceError, match="the board can't fetch"):
        Board(shell, disk, HERE, 9, {}, sizes=(512,)).reach()
    assert card.content() == old


@pytest.mark.root
def test_what_is_not_written(card: Card, board: Start, tmp_path: Path) -> None:
    shell = board()
    device = str(card.device)
    for name in ("", "/dev/", "../vda", "mmcblk0; reboot", "-a"):
        with pytest.raises(ConfigError, match="no disk's name"):
            boarddisk.inspect(shell, name)
    with pytest.raises(DeviceError, match="has no disk /dev/mmcblk77") as caught:
        boarddisk.inspect(shell, "mmcblk77")
    assert "it has " in str(caught.value.hint)
    with pytest.raises(DeviceError, match="too small: the image has 16,777,217 bytes, it has 16,7"):
        boarddisk.inspect(shell, device, needs=16 * MIB + 1)
    output("mkfs.ext4", "-q", card.device)
    with mounted(card.device, tmp_path / "mounted"):
        other = board()
        with pytest.raises(DeviceError, match=f"is mounted at {tmp_path}/mounted") as caught:
            boarddisk.inspect(other, device)
        assert f"umount {tmp_path}/mounted" in str(caught.value.hint)
    with (
        loop_of(tmp_path / "locked.img", "--read-only", size=MIB) as locked,
        pytest.raises(DeviceError, match="is read-only"),
    ):
        boarddisk.inspect(shell, str(locked))
    with pytest.raises(DeviceError, match="lacks sha256sum"):
        boarddisk.inspect(board(f"{PLAIN}; rm /mnt/sha256sum"), device)


@pytest.mark.root
def test_a_disk_that_is_in_use_where_nobody_sees_it(tmp_path: Path, board: Start) -> None:
    (tmp_path / "card").write_bytes(bytes(MIB))
    with loop(tmp_path / "card", "--partscan") as device:
        assert boarddisk.inspect(board(), str(device)).size == MIB
        held = os.open(device, os.O_RDONLY | os.O_EXCL)
        try:
            with pytest.raises(DeviceError, match="is in use"):
                boarddisk.inspect(board(), str(device))
        finally:
            os.close(held)


RECIPE = """\
board = "qemu-aarch64"
[network]
hostname = "here"
interface = []
"""


@pytest.mark.root
def test_as_a_person_types_it(image: Path, card: Card, tmp_path: Path) -> None:
    old = card.fill()
    running = tmp_path / "running.toml"
    running.write_text(RECIPE)
    argv: list[str | Path] = ["flash", image, card.device, "--console", f"exec:{board_of()}"]
    ran = rootfs_tool(*argv, "--yes")
    assert (ran.status, "--board NAME" in ran.stderr) == (2, True), ran.said
    ran = rootfs_tool(*argv, "--board", running)
    assert (ran.status, "--yes" in ran.stderr) == (2, True), ran.said
    ran = rootfs_tool(*argv, "--board", running, "--resume")
    assert ran.status == 2, ran.said
    assert card.content() == old
    ran = rootfs_tool(*argv, "--board", running, "--yes")
    assert ran.status == 0, ran.said
    assert f"{card.device} (16.8 MB)" in ran.stderr
    assert "read back and equal" in ran.stdout
    assert card.content() == expected(image, old)


IMAGES = '[[image]]\ntype = "cpio"\n[[image]]\ntype = "sdcard"\n'


def card_of(directory: Path, root: str) -> Build:
    """qemu-aarch64 with / where ``root`` says, and a card for it."""
    directory.mkdir()
    return manifest.load(built(directory, f'root = "{root}"\n{IMAGES}'))


@contextmanager
def booted(build: Build, card: Path) -> Iterator[Shell]:
    """The build's kernel and initramfs with a file for the machine's disk."""
    found = recipe.find(str(build.directory))[0]
    line = found.board.console
    with machine(found).boot(build, line, card=card) as console:
        yield Shell.attach(console, line, timeout=120)


@pytest.mark.root
@pytest.mark.qemu
def test_a_board_flashes_the_card_that_it_then_starts_from(tmp_path: Path) -> None:
    in_ram, on_card = card_of(tmp_path / "ram", "ram"), card_of(tmp_path / "card", "card")
    image, disk = on_card.image("sdcard"), tmp_path / "disk"
    old = b"\xa5" * (256 * MIB)
    disk.write_bytes(old)
    with booted(in_ram, disk) as shell:
        with pytest.raises(DeviceError, match=r"has no disk /dev/mmcblk0") as caught:
            boarddisk.inspect(shell, "/dev/mmcblk0")
        assert caught.value.hint == "it has /dev/vda (268.4 MB)"
        with pytest.raises(DeviceError, match="too small"):
            boarddisk.inspect(shell, "vda", needs=len(old) + 1)
        flashed(image, shell, Path("/dev/vda"), qemu.HOST)
        assert "vda2" in shell.run("cat /proc/partitions").text
    assert disk.read_bytes() == expected(image, old)
    boot, root = partitions(disk)
    fsck(disk, boot.start, boot.size, "fsck.vfat", "-n")
    fsck(disk, root.start, root.size, "e2fsck", "-f", "-n")
    with booted(on_card, disk) as shell:
        assert "/dev/vda2 / ext4" in shell.run("cat /proc/mounts").text
        with pytest.raises(DeviceError, match="holds / of the running system") as caught:
            boarddisk.inspect(shell, "vda")
        assert "in RAM" in str(caught.value.hint)


@pytest.mark.qemu
def test_what_is_below_an_overlay_is_not_written(tmp_path: Path) -> None:
    build = card_of(tmp_path / "overlay", "overlay")
    with booted(build, tmp_path / "card") as shell:
        assert "overlay / overlay" in shell.run("cat /proc/mounts").text
        with pytest.raises(DeviceError, match="holds / of the running system"):
            boarddisk.inspect(shell, "vda")
