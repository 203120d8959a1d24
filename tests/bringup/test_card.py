"""The very image that is flashed, in a machine: its own kernel, / on it, kept over a power cut."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rootfs_tool import manifest, recipe
from rootfs_tool.cli.subject import machine
from rootfs_tool.errors import KernelPanic
from rootfs_tool.filesystem.partitions import partitions
from rootfs_tool.shell import Shell
from tests.command import built, outcomes, rootfs_tool, the_report

pytestmark = pytest.mark.qemu

ON_THE_CARD = """\
[[image]]
type = "sdcard"
grow = true

[[check]]
type = "command"
command = "grep ' / ext4 rw' /proc/mounts && ls -l /bin /dev/mmcblk0p2"

[[check]]
type = "command"
command = "df -k / | grep / && test $(df -k / | awk 'END { print $2 }') -gt 40000"
"""


@contextmanager
def booted(out: Path, card: Path) -> Iterator[Shell]:
    """A shell on the machine, whose power is cut when the block ends."""
    found, _ = recipe.find(str(out))
    line = found.board.console
    with machine(found).boot(manifest.load(out), line, card=card) as console:
        yield Shell.attach(console, line, timeout=120)


def test_the_pi_s_twin_starts_from_the_card(tmp_path: Path, programs: Path) -> None:
    out = built(tmp_path, ON_THE_CARD, board="raspberrypi3-qemu")
    before = (out / "sdcard.img").read_bytes()
    # What lies beside the card is not what starts: the kernel comes out of its boot partition.
    for name in ("Image", "initramfs.cpio.zst", "bcm2837-rpi-3-b.dtb"):
        (out / name).write_bytes(bytes((out / name).stat().st_size))
    assert rootfs_tool("boards", "check", out / "sdcard.img").status == 0
    ran = rootfs_tool("bringup", out, "--run", f"'{programs / 'hello'}'", timeout=300)
    assert ran.status == 0, ran.said
    assert "hello from raspberrypi3-qemu" in ran.stdout
    found = outcomes(the_report(out))
    assert "interface eth0" in found
    assert set(found.values()) == {"passed"}
    assert (out / "sdcard.img").read_bytes() == before


def test_u_boot_starts_the_twin(tmp_path: Path) -> None:
    """Without a network: what U-Boot leaves the USB controller in, QEMU 7.2 does not forgive."""
    lines = '[firmware]\nu-boot = true\n\n[network]\ninterface = []\n\n[[image]]\ntype = "sdcard"\n'
    out = built(tmp_path, "modules = []\n" + lines, board="raspberrypi3-qemu")
    assert rootfs_tool("boards", "check", out / "sdcard.img").status == 0
    with booted(out, tmp_path / "card") as shell:
        assert shell.run("grep -c ' / ext4 ' /proc/mounts").text == "1\n"
    config = rootfs_tool("image", "cat", out, "1:/config.txt").stdout
    assert "kernel=u-boot.bin\n" in config
    assert "\ninitramfs" not in config
    listed = rootfs_tool("image", "cat", out, "1:/extlinux/extlinux.conf")
    assert "append panic=-1 root=/dev/mmcblk0p2 console=ttyS1,115200" in listed.stdout


def test_what_is_written_to_a_card_survives_a_power_cut(tmp_path: Path) -> None:
    out = built(tmp_path, 'root = "card"\n[[image]]\ntype = "sdcard"\ntable = "gpt"\ngrow = true\n')
    card = tmp_path / "card"
    with booted(out, card) as shell:
        size = int(shell.run("df -k / | awk 'END { print $2 }'").text)
        assert size * 1024 > partitions(out / "sdcard.img")[1].size
        wrote = shell.run("echo kept >/root/kept && sync && dd if=/dev/zero of=/root/torn bs=1M")
        assert b"No space left" in wrote.output
    with booted(out, card) as shell:
        assert shell.run("cat /root/kept").text == "kept\n"
        shell.run("rm -f /root/torn && /etc/init.d/rcK")
        assert "/dev/vda2 / ext4 ro" in shell.run("cat /proc/mounts").text
    checked(card, 2)


def test_an_overlay_keeps_changes_apart(tmp_path: Path) -> None:
    out = built(
        tmp_path, 'root = "overlay"\n[[image]]\ntype = "sdcard"\ndata-size = 16\ngrow = true\n'
    )
    card = tmp_path / "card"
    shutil.copy(out / "sdcard.img", card)
    os.truncate(card, 256 << 20)
    with booted(out, card) as shell:
        assert "overlay / overlay rw" in shell.run("cat /proc/mounts").text
        assert int(shell.run("df -k / | awk 'END { print $2 }'").text) > 100_000
        wrote = shell.run("echo mine >/etc/hostname && rm /etc/shells && sync && date >/etc/torn")
        assert wrote.status == 0, wrote.text
    with booted(out, card) as shell:
        assert shell.run("cat /etc/hostname").text == "mine\n"
        assert shell.run("ls /etc/shells").status == 1
        assert shell.run("cat /media/rootfs/etc/hostname").text == "qemu-aarch64\n"
        shell.run("/etc/init.d/rcK")
        assert "/media/data ext4 ro" in shell.run("cat /proc/mounts").text
    checked(card, 3)


def test_an_overlay_in_ram_forgets(tmp_path: Path) -> None:
    out = built(tmp_path, 'root = "overlay"\n[[image]]\ntype = "sdcard"\n')
    card = tmp_path / "card"
    with booted(out, card) as shell:
        assert shell.run("echo mine >/etc/hostname && sync").status == 0
    with booted(out, card) as shell:
        assert shell.run("cat /etc/hostname").text == "qemu-aarch64\n"


def test_a_card_without_its_root_is_said_plainly(tmp_path: Path) -> None:
    lines = 'root = "card"\n[disk]\nwait = 1\n[[image]]\ntype = "sdcard"\n'
    out = built(tmp_path, lines)
    card = tmp_path / "card"
    card.write_bytes(bytes(64 << 20))
    with pytest.raises(KernelPanic) as caught, booted(out, card):
        pass
    assert caught.value.hint == "the first program said: /dev/vda2 did not appear within 1 s"


def test_a_card_of_ones_own_must_be_a_power_of_two(tmp_path: Path) -> None:
    out = built(tmp_path, '[[image]]\ntype = "sdcard"\n', board="raspberrypi3-qemu")
    card = tmp_path / "card"
    card.write_bytes(bytes(96 << 20))
    ran = rootfs_tool("run", out, "--card", card)
    assert ran.status == 2
    assert f"truncate --size={128 << 20} {card}" in ran.stderr


def checked(card: Path, number: int) -> None:
    """The file system of a partition is clean, as fsck would find it at the next start."""
    part = partitions(card)[number - 1]
    copy = card.with_name("partition")
    with card.open("rb") as source, copy.open("wb") as to:
        source.seek(part.start)
        to.write(source.read(part.size))
    fsck = shutil.which("e2fsck", path="/usr/sbin:/sbin:/usr/bin")
    assert fsck is not None
    done = subprocess.run([fsck, "-fn", copy], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
