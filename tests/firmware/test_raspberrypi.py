"""The boot partition of a Raspberry Pi, from packages by hand and from Debian's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rootfs_tool import store
from rootfs_tool.artefact import Artefact
from rootfs_tool.board import Board
from rootfs_tool.errors import ConfigError
from rootfs_tool.filesystem.fat import Fat
from rootfs_tool.firmware import RaspberryPi, devicetree
from rootfs_tool.firmware.base import Payload
from rootfs_tool.firmware.models import MODELS, ModelName
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import File, Tree
from tests.firmware.cards import KERNEL, card, device_tree, fat, overlay, pi3

DIRECTORY = "/usr/lib/raspi-firmware/"
BOARDS = ["raspberrypi3", "raspberrypi3-qemu", "raspberrypi4", "raspberrypizero2w"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artefact:
    """raspi-firmware with next to nothing in its files, in a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = [
        *("bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat", "start_x.elf"),
        *("overlays/hifiberry-dac.dtbo", "overlays/pi4-spidev.dtbo"),
    ]
    with store.making("unpacked", "0" * 64) as making:
        for name in names:
            making.file(DIRECTORY + name, [overlay("i2s")], mode=0o644)
        making.file("/usr/share/doc/raspi-firmware/copyright", [b"free\n"], mode=0o644)
    stored = store.find("unpacked", "0" * 64)
    assert stored is not None
    return Artefact(
        name="raspi-firmware",
        version="1",
        sha256="0" * 64,
        origin="debian trixie/arm64",
        path=stored.directory,
        files=stored,
        licence=stored.path("/usr/share/doc/raspi-firmware/copyright"),
    )


@pytest.fixture
def payload(tmp_path: Path) -> Payload:
    def tree(name: str) -> Path:
        (model,) = (one for one in MODELS.values() if f"broadcom/{one.device_tree}" == name)
        path = tmp_path / "a device tree"
        path.write_bytes(device_tree(model.compatible, slot=model.slot.lstrip("/")))
        return path

    kernel, initramfs = tmp_path / "vmlinuz-6", tmp_path / "initramfs.cpio.zst"
    kernel.write_bytes(KERNEL)
    initramfs.write_bytes(b"x")
    return Payload(
        kernel=kernel,
        initramfs=initramfs,
        device_tree=tree,
        cmdline="panic=10 console=ttyS1,115200",
    )


def contents(tree: Tree) -> dict[str, bytes]:
    """Every file's bytes by its name in the partition."""
    return {
        str(path)[1:]: node.content
        if isinstance(node.content, bytes)
        else node.content.read_bytes()
        for path, node in tree.walk()
        if isinstance(node, File)
    }


def filled(firmware: RaspberryPi, package: Artefact, payload: Payload) -> dict[str, bytes]:
    tree = Tree()
    firmware.fill(tree, [package], payload)
    return contents(tree)


BOTH = {"LICENCE.txt", "cmdline.txt", "config.txt", "initramfs.cpio.zst", "kernel8.img"}
PI3 = BOTH | {"bootcode.bin", "start.elf", "fixup.dat"}
PI4 = BOTH | {"start4.elf", "fixup4.dat"}


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (("3b", "3b+"), PI3 | {"bcm2837-rpi-3-b.dtb", "bcm2837-rpi-3-b-plus.dtb"}),
        (("zero2w",), PI3 | {"bcm2837-rpi-zero-2-w.dtb"}),
        (
            ("4b", "400", "cm4"),
            PI4 | {"bcm2711-rpi-4-b.dtb", "bcm2711-rpi-400.dtb", "bcm2711-rpi-cm4-io.dtb"},
        ),
        (("3b", "4b"), PI3 | PI4 | {"bcm2837-rpi-3-b.dtb", "bcm2711-rpi-4-b.dtb"}),
    ],
)
def test_what_the_models_need_and_nothing_else(
    tmp_path: Path,
    package: Artefact,
    payload: Payload,
    models: tuple[ModelName, ...],
    names: set[str],
) -> None:
    firmware = RaspberryPi(models=models)
    files = filled(firmware, package, payload)
    assert set(files) == names
    assert firmware.check(Fat(fat(tmp_path, files))) == []
    assert firmware.check_card(card(tmp_path, files)) == []
    for model in models:
        found = firmware.startup(Fat(fat(tmp_path, files)), model)
        assert found.kernel == "kernel8.img"
        assert found.initramfs == ("initramfs.cpio.zst",)
        tree = devicetree.read(files[found.device_tree])
        assert tree.strings("/", "compatible")[0] == MODELS[model].compatible
        assert tree.strings("/aliases", "mmc0") == [MODELS[model].slot]


def test_without_an_initramfs(package: Artefact, payload: Payload) -> None:
    files = filled(RaspberryPi(models=("3b",)), package, replace(payload, initramfs=None))
    assert "initramfs.cpio.zst" not in files
    assert b"initramfs" not in files["config.txt"]


def test_the_command_line_is_one_line(package: Artefact, payload: Payload) -> None:
    files = filled(RaspberryPi(models=("3b",)), package, payload)
    assert files["cmdline.txt"] == b"panic=10 console=ttyS1,115200\n"


def test_lines_of_ones_own_count_last(tmp_path: Path, package: Artefact, payload: Payload) -> None:
    lines = ("[pi4]", "enable_uart=0", "dtoverlay=hifiberry-dac,slave", "gpu_mem=32")
    firmware = RaspberryPi(models=("3b",), config=lines)
    files = filled(firmware, package, payload)
    assert files["config.txt"].decode().splitlines()[-5:] == ["[all]", *lines]
    assert {name for name in files if name.startswith("overlays")} == {
        "overlays/hifiberry-dac.dtbo"
    }
    assert firmware.check(Fat(fat(tmp_path, files))) == []


def test_an_overlay_that_the_package_does_not_have(package: Artefact, payload: Payload) -> None:
    firmware = RaspberryPi(models=("3b",), config=("dtoverlay=hifibery-dac",))
    with pytest.raises(ConfigError) as caught:
        filled(firmware, package, payload)
    assert str(caught.value) == (
        'firmware.config: raspi-firmware has no overlay hifibery-dac; did you mean "hifiberry-dac"?'
    )
    assert caught.value.hint == "it has hifiberry-dac, pi4-spidev"


def test_a_package_that_is_something_else(package: Artefact, payload: Payload) -> None:
    assert package.files is not None
    rows = {name: row for name, row in package.files.rows.items() if "start4" not in name}
    other = replace(package, files=replace(package.files, rows=rows))
    with pytest.raises(ConfigError, match=r"holds no /usr/lib/raspi-firmware/start4\.elf"):
        filled(RaspberryPi(models=("4b",)), other, payload)


def test_what_is_built_is_checked_for_the_board_that_it_is_for(tmp_path: Path) -> None:
    image = card(tmp_path, pi3())
    found = RaspberryPi.of(image)
    assert found is not None
    assert found.models == ("3b", "3b+")
    assert found.titles() == "Raspberry Pi 3 Model B, Raspberry Pi 3 Model B+"
    assert found.check_card(image) == []
    assert RaspberryPi(models=("4b",)).check_card(image) != []


@pytest.mark.network
@pytest.mark.parametrize("name", BOARDS)
def test_a_shipped_board_with_debians_packages(tmp_path: Path, name: str) -> None:
    """The real firmware, device trees and kernel; only the kernel's bytes are cut short."""
    board, file = Board.find(name)
    assert isinstance(board.firmware, RaspberryPi)
    lock = file.with_suffix(".lock")
    with Archive(suite=board.suite, arch=board.arch, lock=lock, locked=True) as archive:
        kernel, firmware = board.kernel.fetch(archive), board.firmware.fetch(archive)
    (trees,) = kernel.path.glob("files/usr/lib/linux-image-*")
    short = tmp_path / "kernel"
    with board.kernel.image(kernel).open("rb") as image:
        short.write_bytes(image.read(4096))
    payload = Payload(
        kernel=short,
        initramfs=None,
        device_tree=lambda name: trees / name,
        cmdline=f"{board.kernel_cmdline} root=/dev/mmcblk0p2",
    )
    tree = Tree()
    board.firmware.fill(tree, firmware, payload)
    made = card(tmp_path, contents(tree))
    assert board.firmware.check_card(made) == []
    assert RaspberryPi.of(made) == board.firmware
