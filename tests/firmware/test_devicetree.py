"""Device trees by dtc, read and given an alias."""

from __future__ import annotations

import subprocess

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.firmware import devicetree
from tests.firmware.cards import compiled, device_tree

SLOT = "/soc/mmc@7e202000"


def source(blob: bytes) -> list[str]:
    """The device tree as dtc reads it; it refuses one that is damaged."""
    done = subprocess.run(
        ["dtc", "-q", "-I", "dtb", "-O", "dts"], input=blob, capture_output=True, check=True
    )
    return [line.strip() for line in done.stdout.decode().splitlines()]


def test_what_is_in_one() -> None:
    tree = devicetree.read(device_tree("raspberrypi,3-model-b"))
    assert tree.strings("/", "compatible") == ["raspberrypi,3-model-b", "brcm,bcm2837"]
    assert tree.strings("/aliases", "serial1") == ["/bus/serial@7e215040"]
    assert tree.strings("/", "none") == tree.strings("/none", "none") == []
    assert tree.children("/") == ["aliases", "soc", "bus", "__symbols__"]
    assert tree.children("/bus") == ["serial@7e201000", "serial@7e215040", "i2s@7e203000"]


def test_an_alias_is_all_that_is_new() -> None:
    blob = device_tree("raspberrypi,3-model-b")
    new = source(devicetree.with_alias(blob, "mmc0", SLOT))
    new.remove(f'mmc0 = "{SLOT}";')
    assert new == source(blob)


def test_an_alias_leaves_reserved_memory_and_other_places_for_the_blocks() -> None:
    blob = compiled("/dts-v1/; /memreserve/ 0x0 0x1000; / { aliases {}; soc {}; };") + bytes(99)
    new = source(devicetree.with_alias(blob, "mmc0", "/soc"))
    new.remove('mmc0 = "/soc";')
    assert new == source(blob)
    assert any("memreserve" in line for line in new)


def test_an_alias_that_is_there_stays() -> None:
    blob = device_tree("raspberrypi,3-model-b")
    once = devicetree.with_alias(blob, "mmc0", SLOT)
    assert devicetree.with_alias(once, "mmc0", "/bus") == once


def test_an_alias_for_nothing() -> None:
    with pytest.raises(ConfigError, match="has no /none that could be called mmc0"):
        devicetree.with_alias(device_tree("raspberrypi,3-model-b"), "mmc0", "/none")


@pytest.mark.parametrize("cut", [0, 10, 39, 60, 200])
def test_a_device_tree_that_is_cut_short(cut: int) -> None:
    with pytest.raises(ConfigError, match="is not a device tree, or is damaged"):
        devicetree.read(device_tree("raspberrypi,3-model-b")[:cut])


def test_a_device_tree_whose_blocks_are_garbage() -> None:
    blob = bytearray(device_tree("raspberrypi,3-model-b"))
    for place in range(40, len(blob)):
        blob[place] ^= 0xA5
    with pytest.raises(ConfigError, match="is not a device tree, or is damaged"):
        devicetree.read(bytes(blob))
