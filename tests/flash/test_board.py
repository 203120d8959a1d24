"""A board that flashes itself: BusyBox with a loop device for its card, and a real kernel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from shlex import quote

import pytest

from rootfs_tool import blockmap, events, manifest, recipe
from rootfs_tool.blockmap import Kind
from rootfs_tool.cli.subject import machine
from rootfs_tool.console.base import Console
from rootfs_tool.errors import ConfigError, ConsoleError, DeviceError
from rootfs_tool.events import Event
from rootfs_tool.filesystem.partitions import partitions
from rootfs_tool.flash import boarddisk, source
from rootfs_tool.flash.board import Board, flash
from rootfs_tool.flash.write import Flashed
from rootfs_tool.manifest import Build
from rootfs_tool.shell import Shell
from rootfs_tool.targets import qemu
from rootfs_tool.targets.base import HostAddress
from tests.command import rootfs_tool
from tests.flash.cards import HEAD, LAYOUT, MIB, SIGNATURE, Card, an_image, loop, wanted, with_map
from tests.flash.test_filesystems import fsck
from tests.loop import attached as loop_of
from tests.loop import mounted, output
from tests.shell.boards import Closes, attached

# tftpy leaves the sockets of finished transfers to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")

HERE = HostAddress(bind="127.0.0.1", seen=IPv4Address("127.0.0.1"))
APPLETS = "mount -t tmpfs none /mnt && busybox --install -s /mnt"
NO_TABLE = "has no partition table now"

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

Start = Callable[..., Shell]


def board_of(setup: str = "") -> str:
    """The command line of a board that has BusyBox's applets alone, and this kernel's disks."""
    inside = f"{APPLETS}; {setup or ':'}\nPATH=/mnt exec sh"
    return f"unshare --mount sh -c {quote(inside)}"


@pytest.fixture
def board() -> Iterator[Start]:
    with ExitStack() as stack:

        def start(
            setup: str = "", relay: Callable[[Console], Console] = lambda console: console
        ) -> Shell:
            return stack.enter_context(attached(board_of(setup), relay))

        yield start


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "sdcard.img"
    return with_map(path, an_image(path))


def flashed(image: Path, shell: Shell, device: Path, host: HostAddress = HERE) -> Flashed:
    found = source.find(image)
    disk = boarddisk.inspect(shell, str(device), needs=found.size)
    return flash(found, shell, disk, host)


def has_table(card: Card) -> bool:
    return card.content()[510:512] == SIGNATURE


def expected(image: Path, before: bytes) -> bytes:
    return wanted(image.read_bytes(), blockmap.load(image.with_name("sdcard.img.map")), before)


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
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (f"flip {9 * MIB + 70_000}", f"first at byte {(9 * MIB + 70_000) // 512 * 512:,}"),
        (f"wrap {4 * MIB}", "does not hold what was written"),
        (f"drop {8 * MIB}", "does not hold what was written"),
        (f"write-error {9 * MIB}", r"can't write .*: Input/output error"),
        (f"read-error {9 * MIB}", r"can't read its bytes 1,048,576 to 12,.*: Input/output error"),
        ("flip 100", "first at byte 0"),
    ],
)
def test_a_bad_card_is_found_and_left_without_a_table(
    image: Path, bad: Card, board: Start, fault: str, words: str
) -> None:
    bad.fill()
    bad.fault(fault)
    with pytest.raises(DeviceError, match=words) as caught:
        flashed(image, board(), bad.device)
    assert not has_table(bad)
    assert "partition table" in str(caught.value)


@pytest.mark.root
def test_a_card_that_does_not_sync_is_found_before_a_byte(
    image: Path, bad: Card, board: Start
) -> None:
    old = bad.fill()
    bad.fault("sync-error 1")
    with pytest.raises(DeviceError, match=r"Input/output error; nothing was written"):
        flashed(image, board(), bad.device)
    assert bad.content() == old


@pytest.mark.root
def test_an_image_that_is_damaged(image: Path, card: Card, board: Start) -> None:
    card.fill()
    with image.open("r+b") as file:
        file.seek(9 * MIB)
        file.write(b"?")
    with pytest.raises(ConfigError, match=f"is damaged.*{NO_TABLE}"):
        flashed(image, board(), card.device)
    assert not has_table(card)


@pytest.mark.root
def test_a_console_that_is_lost(image: Path, card: Card, tmp_path: Path) -> None:
    card.fill()

    def relay(console: Console) -> Console:
        return Closes(console, cue=b"flushbufs", words=b"")

    with (
        pytest.raises(ConsoleError, match=NO_TABLE),
        attached(board_of(), relay) as shell,
    ):
        flashed(image, shell, card.device)
    assert not has_table(card)


@pytest.mark.root
def test_ctrl_c_leaves_a_shell_and_no_table(image: Path, card: Card, board: Start) -> None:
    card.fill()
    notes = []

    def interrupt(event: Event) -> None:
        if event.kind == "note":
            notes.append(event.text)
        if event.kind == "progress":
            raise KeyboardInterrupt

    shell = board()
    with events.listening(interrupt), pytest.raises(KeyboardInterrupt):
        flashed(image, shell, card.device)
    assert [NO_TABLE in note for note in notes] == [True]
    assert not has_table(card)
    assert shell.run("echo alive").text == "alive\n"


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


def built(directory: Path, root: str) -> Build:
    """qemu-aarch64 with / where ``root`` says, and a card for it."""
    directory.mkdir()
    (directory / "recipe.toml").write_text(f'board = "qemu-aarch64"\nroot = "{root}"\n{IMAGES}')
    ran = rootfs_tool("build", directory / "recipe.toml", "-o", directory / "out", timeout=600)
    assert ran.status == 0, ran.said
    return manifest.load(directory / "out")


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
    in_ram, on_card = built(tmp_path / "ram", "ram"), built(tmp_path / "card", "card")
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
    build = built(tmp_path / "overlay", "overlay")
    with booted(build, tmp_path / "card") as shell:
        assert "overlay / overlay" in shell.run("cat /proc/mounts").text
        with pytest.raises(DeviceError, match="holds / of the running system"):
            boarddisk.inspect(shell, "vda")
