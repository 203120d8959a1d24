"""What a target says of a TAP: the command line, the addresses, and what does not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootfs_tool import recipe
from rootfs_tool.errors import ConfigError
from rootfs_tool.hostnet import journal
from rootfs_tool.network import Network
from rootfs_tool.targets import tap
from rootfs_tool.targets.qemu import Qemu


def network(address: str) -> Network:
    return Network.model_validate(
        {"hostname": "board", "interface": [{"name": "eth0", "address": address}]}
    )


def test_two_boards_never_have_the_same_ethernet_address() -> None:
    macs = {tap.mac(name, board) for name in ("tap0", "tap1") for board in ("a", "b")}
    assert len(macs) == 4
    assert all(mac.startswith("52:54:00:") for mac in macs)


def test_a_board_on_a_tap_is_reached_at_its_own_address() -> None:
    there = Qemu(machine="virt", network="tap0")
    assert there.reach(network("10.0.0.2/24"), 80) == ("10.0.0.2", 80)
    assert there.reach(Network(hostname="board"), 80) is None


def test_a_board_with_a_lease_is_reached_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RUN", tmp_path)
    mac = tap.mac("tap0", "board")
    (tmp_path / "hostnet-tap0.leases").write_text(
        "1795274110 52:54:00:00:00:01 10.0.0.184 other 01:52\n"
        f"1795274111 {mac} 10.0.0.185 * 01:{mac}\n"
        "duid 00:01\n"
    )
    there = Qemu(machine="virt", network="tap0")
    assert there.reach(Network(hostname="board"), 22) == ("10.0.0.185", 22)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"forward": ("9000",)}, "nothing is forwarded on tap0"),
        ({"nic": None}, 'network = "tap0" needs a network card: nic'),
        ({"network": "a tap"}, "an interface's name"),
    ],
)
def test_what_does_not_go_together(how: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Qemu.model_validate({"machine": "virt", "network": "tap0", **how})


def test_the_forwards_of_a_recipe_do_not_go_with_a_tap(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(
        'board = "qemu-aarch64"\nforward = ["9000"]\n'
        '[[target]]\ntype = "qemu"\nmachine = "virt"\nnetwork = "tap0"\n'
    )
    (found,) = recipe.find(str(file))[0].all_targets
    assert isinstance(found, Qemu)
    with pytest.raises(ConfigError, match="nothing is forwarded on tap0"):
        found.forwards()


def test_a_board_of_another_subnet_is_told_which_address_to_take() -> None:
    here = Qemu(machine="virt", network="lo")  # an interface that every host has
    with pytest.raises(ConfigError) as caught:
        here.host(network("10.0.2.15/24"))
    assert str(caught.value) == "the board's 10.0.2.15/24 is not in the subnet of lo, 127.0.0.0/8"
    assert 'address = "127.0.0.2/8"' in str(caught.value.hint)
