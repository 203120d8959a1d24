"""The rules of the card: partition tables by sfdisk, FATs by mkfs.vfat, one of them wrong each."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from rootfs_tool.firmware import card as cards
from rootfs_tool.firmware.models import MODELS
from tests.firmware.cards import CMDLINE, MIB, START, card, fat, pi3, pi4

PI3, PI4 = [MODELS["3b"], MODELS["3b+"]], [MODELS["4b"]]
ROM = "Raspberry Pi 3 Model B and a Raspberry Pi 3 Model B+"
GPT = "label: gpt\n{boot}, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\nsize=1MiB\n"
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def test_a_card_as_it_should_be(tmp_path: Path) -> None:
    image = card(tmp_path, pi3())
    assert cards.check(image, PI3) == []
    assert cards.models_of(cards.boot(image)) == tuple(PI3)


def test_a_card_that_is_one_file_system(tmp_path: Path) -> None:
    assert cards.check(fat(tmp_path, pi3()), PI3) == []


def test_a_fat16_in_a_partition_that_says_so(tmp_path: Path) -> None:
    table = "label: dos\n{boot}, type=e\ntype=83\n"
    assert cards.check(card(tmp_path, pi3(), table=table, bits=16), PI3) == []


def test_a_gpt_is_for_a_pi_4(tmp_path: Path) -> None:
    assert cards.check(card(tmp_path, pi4(), table=GPT), PI4) == []
    assert cards.check(card(tmp_path, pi3(), table=GPT), PI3) == [
        f"the card has a GPT, and the ROM of a {ROM} reads an MBR alone"
    ]


def test_the_type_of_the_partition_in_a_gpt(tmp_path: Path) -> None:
    table = GPT.replace("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", LINUX)
    assert cards.check(card(tmp_path, pi4(), table=table), PI4) == [
        f"partition 1 has the type {LINUX}, which is not one for FAT"
    ]


def test_fat16_in_a_gpt(tmp_path: Path) -> None:
    assert cards.check(card(tmp_path, pi4(), table=GPT, bits=16), PI4) == [
        "partition 1 is FAT16 in a GPT, which older firmware takes for FAT32"
    ]


def test_an_efi_partition_is_for_a_pi_4(tmp_path: Path) -> None:
    table = "label: dos\n{boot}, type=ef\ntype=83\n"
    assert cards.check(card(tmp_path, pi4(), table=table), PI4) == []
    assert cards.check(card(tmp_path, pi3(), table=table), PI3) == [
        f"partition 1 has the type 0xef, which a {ROM} does not start"
    ]


@pytest.mark.parametrize("type", ["83", "1c"])
def test_a_type_that_nothing_starts_from(tmp_path: Path, type: str) -> None:
    table = f"label: dos\n{{boot}}, type={type}\ntype=83\n"
    assert cards.check(card(tmp_path, pi3(), table=table), PI3) == [
        (
            f"partition 1, the first, has the type 0x{type}; the firmware starts from 0x04, 0x06, "
            "0x0b, 0x0c, 0x0e"
        )
    ]


def test_a_type_for_another_fat(tmp_path: Path) -> None:
    assert cards.check(card(tmp_path, pi3(), bits=16), PI3) == [
        "partition 1 has the type 0x0c, for FAT32, and holds FAT16"
    ]


def test_a_fat_that_is_too_small(tmp_path: Path) -> None:
    said = cards.check(fat(tmp_path, pi3(), bits=12), PI3)
    assert len(said) == 1
    assert said[0].startswith("the FAT is one of 12 bits, of ")
    assert said[0].endswith(" clusters; it must be FAT32")


def test_a_partition_across_the_blocks_of_a_card(tmp_path: Path) -> None:
    image = card(tmp_path, pi3(), start=63 * 512)
    assert cards.check(image, PI3)[0] == (
        "partition 1 begins at byte 32256, no multiple of 1 MiB: cards write it slowly and wear "
        "out sooner"
    )


def test_a_fat_larger_than_its_partition(tmp_path: Path) -> None:
    table = "label: dos\nstart=8192, size=38MiB, type=c\ntype=83\n"
    (said,) = cards.check(card(tmp_path, pi3(), table=table), PI3)
    assert said.startswith("the FAT file system of ")
    assert said.endswith(" bytes is larger than partition 1")


def test_a_card_that_is_cut_short(tmp_path: Path) -> None:
    image = card(tmp_path, pi3())
    with image.open("r+b") as file:
        file.truncate(START + 20 * MIB)
    assert cards.check(image, PI3) == [
        (
            f"the image is cut short: partition 1 ends at byte {START + 40 * MIB}, the image at "
            f"{START + 20 * MIB}"
        )
    ]


def test_a_card_whose_flash_was_cut_short(tmp_path: Path) -> None:
    """Its first MiB is zeros until all the rest has been written."""
    image = card(tmp_path, pi3())
    with image.open("r+b") as file:
        file.write(bytes(MIB))
    assert cards.check(image, PI3) == [
        "the image has neither a partition table nor a FAT: nothing starts from it"
    ]


def test_a_card_that_is_packed(tmp_path: Path) -> None:
    packed = tmp_path / "card.img.gz"
    packed.write_bytes(gzip.compress(card(tmp_path, pi3()).read_bytes()[: 9 * MIB], 1))
    assert cards.check(packed, PI3) == ["the image is packed (gz)"]


def test_a_boot_partition_without_a_file_system(tmp_path: Path) -> None:
    image = card(tmp_path, pi3())
    with image.open("r+b") as file:
        file.seek(START)
        file.write(bytes(512))
    assert cards.check(image, PI3) == [
        f"the image: the FAT file system at byte {START}: there is none"
    ]


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("/dev/mmcblk0p2", []),
        ("/dev/mmcblk1p3", ["there is no partition 3"]),
        ("PARTUUID=12345678-02", []),
        ("PARTUUID=12345678-03", ["no partition has that UUID"]),
        ("LABEL=rootfs", []),
    ],
)
def test_the_root_is_on_the_card(tmp_path: Path, root: str, said: list[str]) -> None:
    image = card(tmp_path, {**pi3(), "cmdline.txt": CMDLINE.replace("/dev/mmcblk0p2", root)})
    assert cards.check(image, PI3) == [f"cmdline.txt: root={root}: {one}" for one in said]


def test_the_models_by_what_is_there(tmp_path: Path) -> None:
    both = {name: content for name, content in {**pi4(), **pi3()}.items() if content is not None}
    both |= {"start4.elf": "x", "fixup4.dat": "x"}
    both["bcm2711-rpi-4-b.dtb"] = both["bcm2837-rpi-3-b.dtb"]
    found = cards.models_of(cards.boot(fat(tmp_path, both)))
    assert [model.name for model in found] == ["3b", "3b+", "4b"]
    none = dict.fromkeys(name for name in both if name.endswith(".dtb"))
    found = cards.models_of(cards.boot(fat(tmp_path, {**both, **none, "start4.elf": None})))
    assert [model.name for model in found] == ["3b", "3b+", "zero2w"]
    assert cards.models_of(cards.boot(fat(tmp_path, {"readme": "x"}))) == ()
