"""The network of a profile: what is refused, in which words, and all of it at once."""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from rootfs_tool import document, loading
from rootfs_tool.errors import ConfigError
from rootfs_tool.network import Interface, Network

FILE = Path("board.toml")


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loading.load(Network, document.of(FILE, tomllib.loads(text)))
    return str(caught.value).splitlines()


def one(key: str, value: str) -> list[str]:
    """The mistakes of an interface that is right but for one key."""
    table = {"name": '"eth0"', "address": '"10.0.2.15/24"', key: value}
    lines = "\n".join(f"{name} = {text}" for name, text in table.items())
    return mistakes(f'hostname = "a"\n[[interface]]\n{lines}\n')


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("address", '"10.0.2.15"', 'needs the length of its prefix, like "10.0.2.15/24"'),
        (
            "address",
            '"10.0.2.15/255.255.255.0"',
            '"255.255.255.0" is a netmask; did you mean "10.0.2.15/24"?',
        ),
        (
            "address",
            '"10.0.2.0/24"',
            "10.0.2.0 is the address of the subnet itself; hosts are 10.0.2.1 to 10.0.2.254",
        ),
        (
            "address",
            '"10.0.2.255/24"',
            "10.0.2.255 is the subnet's broadcast address; hosts are 10.0.2.1 to 10.0.2.254",
        ),
        ("address", '"10.0.2.15/32"', "a prefix of 32 makes no subnet; /24 is common"),
        ("address", '"10.0.2.15/0"', "a prefix of 0 makes no subnet; /24 is common"),
        ("address", '"127.0.0.2/8"', "127.0.0.2 is not the address of one host on a network"),
        ("address", '"224.0.0.5/24"', "224.0.0.5 is not the address of one host on a network"),
        ("address", "5", "must be a text in quotes, not 5"),
        ("gateway", '"10.0.3.1"', "10.0.3.1 is outside the subnet 10.0.2.0/24"),
        ("gateway", '"10.0.2.15"', "10.0.2.15 is the board's own address, not its router's"),
        ("gateway", '"10.0.2.255"', "10.0.2.255 is no host of the subnet 10.0.2.0/24"),
        ("gateway", '"10.0.2"', 'must be an IPv4 address, not "10.0.2"'),
        ("wait", "-1", "must be at least 0, not -1"),
        ("wait", "601", "must be at most 600, not 601"),
        ("wait", "1.5", "must be a whole number, not 1.5"),
        ("wait", '"10"', 'must be a whole number, not "10"'),
    ],
)
def test_what_an_interface_may_not_be(key: str, value: str, said: str) -> None:
    assert one(key, value) == [f"board.toml: interface[0].{key}: {said}"]


@pytest.mark.parametrize("value", ["10.0.2.300/24", "10.0.2.15/33", "ten/24", "10.0.2.15/", "/24"])
def test_what_is_no_address(value: str) -> None:
    (line,) = one("address", f'"{value}"')
    assert line.startswith(
        f'board.toml: interface[0].address: "{value}" is no IPv4 address with a prefix: '
    )


@pytest.mark.parametrize("key", ["name", "kernel-name"])
@pytest.mark.parametrize(
    "name", ["", "eth 0", "0eth", "-a", "eth0;reboot", "a/b", "a:1", "sixteen-letters-", "ü"]
)
def test_what_is_no_interface_name(key: str, name: str) -> None:
    (line,) = one(key, f'"{name}"')
    assert line == (
        f"board.toml: interface[0].{key}: must be an interface's name: a letter, then up to 14 "
        f'letters, digits, dots, hyphens, underscores, not "{name}"'
    )


def test_a_line_break_at_the_end_of_a_name_is_part_of_it() -> None:
    assert "must be an interface's name" in one("name", r'"eth0\n"')[0]


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a.b", "a" * 64, "a b", "a\\nb"])
def test_what_is_no_host_name(name: str) -> None:
    (line,) = mistakes(f'hostname = "{name}"')
    assert line.startswith("board.toml: hostname: must be a host name: up to 63 letters, digits")


@pytest.mark.parametrize("name", ["a", "9", "raspberrypi3-qemu", "A-1", "a" * 63])
def test_host_names(name: str) -> None:
    assert Network(hostname=name).hostname == name


def test_two_of_a_kind() -> None:
    interface = '[[interface]]\nname = "eth0"\naddress = "10.0.2.15/24"\ngateway = "10.0.2.2"\n'
    assert mistakes(f'hostname = "a"\n{interface}{interface}') == [
        "board.toml: interface[1].name: interface[0] is called eth0 already",
        "board.toml: interface[1].address: interface[0] has 10.0.2.15 already",
        "board.toml: interface[1].gateway: interface[0] has the default gateway already",
    ]


def test_a_name_that_another_interface_is_renamed_from() -> None:
    text = 'hostname = "a"\n'
    text += '[[interface]]\nname = "eth0"\nkernel-name = "usb0"\naddress = "10.0.1.2/24"\n'
    text += '[[interface]]\nname = "usb0"\naddress = "10.0.2.2/24"\n'
    assert mistakes(text) == ["board.toml: interface[1].name: interface[0] is called usb0 already"]


def test_lo_is_no_interface_of_a_profile() -> None:
    assert one("name", '"lo"') == [
        "board.toml: interface[0].name: the loopback interface is called lo already"
    ]


def test_every_mistake_at_once() -> None:
    text = """
        hostnam = "a"
        loopback = "no"
        dns = ["8.8.8", 5]
        [[interface]]
        name = "eth0"
        adress = "10.0.0.2/24"
        gateway = "10.0.0.1"
        [[interface]]
        name = "eth0"
        address = "10.0.2.15/24"
        gateway = "10.0.3.1"
    """
    assert sorted(mistakes(text)) == [
        'board.toml: dns[0]: must be an IP address, not "8.8.8"',
        "board.toml: dns[1]: must be a text in quotes, not 5",
        'board.toml: hostnam: unknown key; did you mean "hostname"?',
        "board.toml: hostname: is missing",
        "board.toml: interface[0].address: is missing",
        'board.toml: interface[0].adress: unknown key; did you mean "address"?',
        "board.toml: interface[1].gateway: 10.0.3.1 is outside the subnet 10.0.2.0/24",
        "board.toml: interface[1].gateway: interface[0] has the default gateway already",
        "board.toml: interface[1].name: interface[0] is called eth0 already",
        'board.toml: loopback: must be true or false, not "no"',
    ]


def test_one_pair_of_brackets_too_few() -> None:
    text = 'hostname = "a"\n[interface]\nname = "eth0"\naddress = "10.0.2.15/24"\n'
    assert mistakes(text) == [
        "board.toml: interface: must be an array of tables: write [[interface]], not [interface]"
    ]


def test_two_hosts_may_share_a_31() -> None:
    address = IPv4Interface("10.0.0.0/31")
    network = Network(
        hostname="a",
        interface=(Interface.model_validate({"name": "eth0", "address": str(address)}),),
    )
    assert network.interface[0].address == (address,)


def test_through_json_and_back() -> None:
    table = {"name": "eth0", "kernel-name": "usb0", "address": "10.0.2.15/24", "wait": 3}
    network = Network.model_validate({"hostname": "a", "interface": [table], "dns": ["10.0.2.3"]})
    assert Network.model_validate_json(network.model_dump_json(), strict=True) == network
