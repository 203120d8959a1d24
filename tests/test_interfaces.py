"""Interfaces of every kind: what is refused, and what the scripts make of them with real tools."""

from __future__ import annotations

import subprocess
import tomllib
from ipaddress import IPv4Interface
from pathlib import Path

import jsonschema
import pytest

from rootfs_tool import document, initscripts, loading, recipe, sshclient
from rootfs_tool.board import schema
from rootfs_tool.console.base import Line
from rootfs_tool.errors import ConfigError
from rootfs_tool.initscripts import Init
from rootfs_tool.network import Network
from rootfs_tool.targets.attached import Attached
from rootfs_tool.tree import Directory, Tree
from tests.conftest import CHECKOUT
from tests.initfiles import in_namespace, network, rendered
from tests.test_network import FILE, mistakes

ETH0 = '[[interface]]\nname = "eth0"\naddress = "10.0.2.15/24"\n'
ETH1 = '[[interface]]\nname = "eth1"\n'
V = '[[interface]]\nname = "v"\naddress = "10.5.0.1/24"\n'
VLAN = 'vlan = { parent = "eth0", id = 5 }\n'
DUMMY = '[[interface]]\nname = "dummy0"\ntype = "dummy"\n'


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        # addresses
        (f'{ETH1}address = ["10.0.3.1/24", "10.0.2.0/24"]', "interface[0].address[1]: 10.0.2.0 is"),
        (f'{ETH1}address = ["10.0.3.1/24", 5]', "address[1]: must be a text in quotes, not 5"),
        (f'{ETH0}{ETH1}address = ["10.0.3.1/24", "10.0.2.15/24"]', "interface[0] has 10.0.2.15"),
        (f'{ETH1}address = ["2001:db8::1/64", "2001:DB8:0::1/64"]', "interface[0] has 2001:db8::1"),
        (f'{ETH1}address = "2001:db8::1"', 'length of its prefix, like "2001:db8::1/64"'),
        (f'{ETH1}address = "2001:db8::g/64"', "is no IPv6 address with a prefix: "),
        (f'{ETH1}address = "ff02::1/64"', "ff02::1 is not the address of one host"),
        (f'{ETH1}address = "::1/128"', "::1 is not the address of one host"),
        (f'{ETH1}address = "fe80::1%eth1/64"', 'without a zone, like "fe80::1/64"'),
        (f"{ETH1}mtu = 1400", "interface[0].address: is missing"),
        (f"{ETH1}address = []", "interface[0].address: is missing"),
        (
            '[[interface]]\nname = "fourteen-chars"\naddress = ["10.0.2.1/24", "10.0.2.2/24"]',
            "its alias would be called fourteen-chars:1, which has more than 15 characters",
        ),
        # gateways
        (
            f'{ETH1}address = ["10.0.2.1/24", "10.0.3.1/24"]\ngateway = "10.0.4.1"',
            "gateway: 10.0.4.1 is outside the subnets 10.0.2.0/24, 10.0.3.0/24",
        ),
        (f"{ETH0}gateway = '10.0.2.2'\n{ETH1}dhcp = true", "default-route = false takes none"),
        (f"{ETH1}dhcp = true\n{ETH0}gateway = '10.0.2.2'", "interface[0] has the default gateway"),
        (f'{ETH1}dhcp = true\n[[interface]]\nname = "eth2"\ndhcp = true', "default-route = false"),
        # DHCP
        (f'{ETH1}dhcp = true\naddress = "10.0.2.1/24"', "address: dhcp = true gives it one"),
        (f'{ETH1}dhcp = true\ngateway = "10.0.2.1"', "gateway: dhcp = true: the lease says"),
        (f"{DUMMY}dhcp = true", "dhcp: no server can answer on a dummy"),
        (f'{ETH0}fallback = "link-local"', "fallback: is for dhcp = true"),
        (f'{ETH1}dhcp = true\nfallback = "static"', "needs the length of its prefix"),
        (
            f'{ETH1}dhcp = true\nfallback = "fe80::1/64"',
            'must be an IPv4 address with a prefix, or "',
        ),
        (f"{ETH1}dhcp = true\ndhcp-wait = 0", "dhcp-wait: must be at least 1, not 0"),
        # what is on the wire
        (f'{ETH0}mac = "01:00:5e:00:00:01"', "mac: 01:00:5e:00:00:01 is a group's"),
        (f'{ETH0}mac = "00:00:00:00:00:00"', "mac: 00:00:00:00:00:00 is nobody's"),
        (f'{ETH0}mac = "02-00-00-00-00-01"', "mac: must be six pairs of hex digits"),
        (f"{ETH0}mtu = 67", "mtu: must be at least 68, not 67"),
        (f"{ETH0}mtu = 65536", "mtu: must be at most 65535, not 65536"),
        (f'{ETH1}address = "2001:db8::1/64"\nmtu = 1279', "mtu: IPv6 needs 1280 or more"),
        # VLANs and dummies
        (
            f"{ETH0}{V}{VLAN.replace('eth0', 'eth9')}",
            'before it is called "eth9"; did you mean "eth0"',
        ),
        (f"{V}{VLAN}{ETH0}", 'no interface before it is called "eth0"; it comes before its VLANs'),
        (f"{ETH0}{V}{VLAN.replace('5', '4095')}", "vlan.id: must be at most 4094, not 4095"),
        (
            f"{ETH0}mtu = 1400\n{V}mtu = 1500\n{VLAN}",
            "interface[1].mtu: is more than the 1400 of eth0",
        ),
        (
            f'{DUMMY}address = "192.0.2.1/32"\nkernel-name = "x"',
            "kernel-name: is for what the kernel",
        ),
        (f'{ETH0}type = "dumy"', 'type: must be "ethernet" or "dummy", not "dumy"; did you mean'),
        # routes
        (f'{ETH0}[[route]]\nto = "10.9.0.0/16"', "route[0].via: is missing, or interface"),
        (
            f'{ETH0}[[route]]\nto = "10.9.0.0/16"\nvia = "10.0.3.1"',
            "10.0.3.1 is in no subnet of any",
        ),
        (f'{ETH0}[[route]]\nto = "10.9.0.1/16"\nvia = "10.0.2.1"', 'did you mean "10.9.0.0/16"?'),
        (f'{ETH0}[[route]]\nto = "10.9.0.0"\nvia = "10.0.2.1"', 'its prefix, like "10.9.0.0/32"'),
        (
            f'{ETH0}[[route]]\nto = "0.0.0.0/0"\nvia = "10.0.2.1"',
            "route is the gateway of an interface",
        ),
        (
            f'{ETH0}[[route]]\nto = "2001:db8::/32"\nvia = "10.0.2.1"',
            "is IPv4, 2001:db8::/32 is IPv6",
        ),
        (f'{ETH0}[[route]]\nto = "2001:db8::/32"\nvia = "fe80::1"', "fe80::1 is on every cable"),
        (f'{ETH0}[[route]]\nto = "2001:db8::/32"\nvia = "fe80::1%eth0"', "without its zone"),
        (f'{ETH0}[[route]]\nto = "10.9.0.0/16"\ninterface = "eht0"', 'did you mean "eth0"?'),
        (
            f"{ETH0}" + '[[route]]\nto = "10.9.0.0/16"\nvia = "10.0.2.1"\n' * 2,
            "route[1].to: route[0] leads to 10.9.0.0/16 already",
        ),
    ],
)
def test_what_interfaces_and_routes_may_not_be(tables: str, said: str) -> None:
    found = mistakes(f'hostname = "a"\n{tables}\n')
    assert len(found) == 1, found
    assert said in found[0]


NO_SUBNET = "in no subnet of any interface; of one with dhcp, name the interface"


def test_mistakes_of_interfaces_and_of_routes_at_once() -> None:
    text = f'hostname = "a"\nnet-tool = "netplan"\n{ETH0}mtu = 5\ngateway = "10.0.3.1"\n'
    text += '[[route]]\nto = "10.9.0.0/16"\nvia = "10.7.0.1"\n'
    assert sorted(mistakes(text)) == [
        "board.toml: interface[0].gateway: 10.0.3.1 is outside the subnet 10.0.2.0/24",
        "board.toml: interface[0].mtu: must be at least 68, not 5",
        'board.toml: net-tool: must be "ifconfig", "ip" or "ifupdown", not "netplan"',
        f"board.toml: route[0].via: 10.7.0.1 is {NO_SUBNET}",
    ]


def test_more_name_servers_than_a_resolver_asks() -> None:
    servers = ", ".join(f'"10.0.2.{number}"' for number in range(4))
    assert mistakes(f'hostname = "a"\ndns = [{servers}]\nsearch = ["a b"]') == [
        "board.toml: dns: must have at most 3 elements",
        'board.toml: search[0]: must be a domain, like "lab.example", not "a b"',
    ]


EVERYTHING = """
hostname = "lab-7"
net-tool = "ip"
dns = ["10.0.2.3", "fec0::3"]
search = ["lab.example"]
[[interface]]
name = "eth0"
dhcp = true
fallback = "link-local"
[[interface]]
name = "eth1"
address = ["10.0.3.13/24", "10.0.3.14/24", "198.51.100.1/31", "2001:db8:3::5/64"]
mac = "02:00:00:00:00:AB"
mtu = 1400
accept-ra = false
[[interface]]
name = "dummy0"
type = "dummy"
address = ["192.0.2.1/32", "192.0.2.2/32"]
[[interface]]
name = "eth1.5"
vlan = { parent = "eth1", id = 5 }
address = "10.5.0.1/24"
[[route]]
to = "10.9.0.0/16"
via = "10.5.0.2"
[[route]]
to = "10.10.0.0/16"
via = "10.0.2.2"
interface = "eth0"
"""


def test_everything_through_json_and_back() -> None:
    network = loading.load(Network, document.of(FILE, tomllib.loads(EVERYTHING)))
    assert Network.model_validate_json(network.model_dump_json(), strict=True) == network
    _, eth1, dummy, vlan = network.interface
    assert eth1.mac == "02:00:00:00:00:ab"
    assert [name for name, _ in eth1.labelled] == ["eth1", "eth1:1", "eth1:2"]
    assert [str(one) for one in eth1.subnets] == ["10.0.3.0/24", "198.51.100.0/31"]
    assert dummy.subnets == ()
    assert network.address == IPv4Interface("10.0.3.13/24")
    assert network.modules == ("dummy", "8021q")
    assert [str(route.to) for route in network.routes_of(vlan)] == ["10.9.0.0/16"]
    assert network.ways_of(network.interface[0]) == "10.10.0.0/16 10.0.2.2"


def test_a_board_whose_address_only_its_dhcp_server_knows(tmp_path: Path) -> None:
    text = 'board = "raspberrypi4"\n[ssh]\npassword-login = true\n'
    text += '[[network.interface]]\nname = "eth0"\ndhcp = true\n'
    (tmp_path / "recipe.toml").write_text(f'root-password = "$6$a$b"\n{text}')
    found, _ = recipe.find(str(tmp_path / "recipe.toml"))
    board = Attached(console="/dev/null")
    host = board.host(found.board.network)
    assert host.bind == str(host.seen)
    assert board.reach(found.board.network, 22) is None
    with pytest.raises(ConfigError, match="only its DHCP server knows the address of raspberrypi4"):
        sshclient.find(found)


def test_a_parent_of_vlans_needs_no_address() -> None:
    text = 'hostname = "a"\n[[interface]]\nname = "eth0"\n[[interface]]\nname = "eth0.5"\n'
    text += 'address = "10.5.0.1/24"\nvlan = { parent = "eth0", id = 5 }\n'
    network = loading.load(Network, document.of(FILE, tomllib.loads(text)))
    assert network.interface[0].address == ()


@pytest.mark.parametrize("tool", ["ifconfig", "ip", "ifupdown"])
def test_scripts_are_posix_and_clean(tool: str, tmp_path: Path) -> None:
    text = EVERYTHING.replace('net-tool = "ip"', f'net-tool = "{tool}"')
    texts = rendered(loading.load(Network, document.of(FILE, tomllib.loads(text))))
    names = ("init.d/S05loopback", "init.d/S40network", "udhcpc/default.script")
    files = [tmp_path / name.rpartition("/")[2] for name in names]
    for name, file in zip(names, files, strict=True):
        file.write_text(texts[f"/etc/{name}"])
        assert file.read_text().startswith("#!/bin/sh\n# ")
        assert "\n\n\n" not in file.read_text()
        assert " \n" not in file.read_text()
        for shell in (["sh"], ["busybox", "sh"]):
            subprocess.run([*shell, "-n", file], check=True)
    done = subprocess.run(
        ["shellcheck", "--shell=sh", *files], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert ("/etc/network/interfaces" in texts) == (tool == "ifupdown")


def test_no_value_leaves_its_place() -> None:
    """What a person may write into the files has no room for more than it is."""
    for key, word in (("mac", "02:00:00:00:00:05;x"), ("fallback", "$(x)"), ("address", "1/2$x")):
        assert mistakes(f'hostname = "a"\n{ETH1}dhcp = true\n{key} = "{word}"\n')


def test_the_schema_takes_one_address_or_several() -> None:
    table = tomllib.loads((CHECKOUT / "boards" / "qemu-aarch64.toml").read_text())
    for address, right in (
        ("10.0.0.2/24", True),
        (["10.0.0.2/24", "fec0::5/64"], True),
        (5, False),
    ):
        table["network"] = {**tomllib.loads(EVERYTHING)}
        table["network"]["interface"] += [{"name": "eth2", "address": address}]
        assert jsonschema.Draft202012Validator(schema()).is_valid(table) == right


# The scripts at work in a network of their own, as tests/test_initscripts.py has them for one card


@pytest.mark.root
@pytest.mark.parametrize("tool", ["ifconfig", "ip"])
def test_what_is_on_the_wire_and_one_that_never_comes(
    busybox: Path,
    tmp_path: Path,
    tool: str,
) -> None:
    table = {"name": "eth1", "mac": "02:00:00:00:00:05", "mtu": 1400, "accept-ra": True}
    rows = [{"name": "eth0", "address": "10.0.1.2/24", "wait": 0}, table]
    scripts = rendered(network(interface=rows, **{"net-tool": tool}))
    said = in_namespace(
        busybox,
        scripts,
        tmp_path,
        """
        tunctl -t eth1 >/dev/null
        ./S40network start; echo $?
        ./S40network status; echo $?
        cat /sys/class/net/eth1/address /sys/class/net/eth1/mtu
        ./S40network restart >/dev/null; ./S40network stop; ./S40network status
        """,
    )
    assert said.splitlines() == [
        *("eth0: waiting up to 0 s for it to appear", "eth0: did not appear within 0 s", "1"),
        *("eth0: down", "eth0: has not 10.0.1.2/24", "eth1: up", "1"),
        *("02:00:00:00:00:05", "1400", "eth0: down", "eth0: has not 10.0.1.2/24", "eth1: down"),
    ]


@pytest.mark.root
@pytest.mark.parametrize("tool", ["ifconfig", "ip"])
def test_status_sees_another_netmask_and_what_is_down(
    busybox: Path,
    tmp_path: Path,
    tool: str,
) -> None:
    row = {"name": "eth0", "address": "10.0.1.2/24"}
    said = in_namespace(
        busybox,
        rendered(network(interface=[row], **{"net-tool": tool})),
        tmp_path,
        """
        tunctl -t eth0 >/dev/null
        ./S40network start; ./S40network status; echo $?
        ifconfig eth0 netmask 255.0.0.0; ./S40network status; echo $?
        ./S40network restart; ./S40network status; echo $?
        ip link set eth0 down; ./S40network status; echo $?
        """,
    )
    assert said.splitlines() == [
        *("eth0: has 10.0.1.2/24", "0", "eth0: has not 10.0.1.2/24", "1"),
        *("eth0: has 10.0.1.2/24", "0", "eth0: down", "eth0: has 10.0.1.2/24", "1"),
    ]


def test_ifupdown_has_the_directories_that_it_wants() -> None:
    tree = Tree()
    network = Network(hostname="a", net_tool="ifupdown")
    initscripts.add(tree, Init(network=network, line=Line(), modules=(), root_password=None))
    for when in ("pre-up", "up", "down", "post-down"):
        assert tree.get(f"/etc/network/if-{when}.d") == Directory()
