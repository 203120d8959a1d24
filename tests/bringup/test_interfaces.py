"""Interfaces of every kind on a booted board: each tool makes the same addresses and routes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from rootfs_tool import manifest, recipe, tftp
from rootfs_tool.checks import of_network
from rootfs_tool.checks.base import Bench, CheckFailed
from rootfs_tool.checks.ping import Ping
from rootfs_tool.cli.subject import machine
from rootfs_tool.netstate.view import Asked, Way, look
from rootfs_tool.report import net
from rootfs_tool.shell import Shell
from tests.cli.test_net import free_ports
from tests.command import rootfs_tool
from tests.conftest import CHECKOUT
from tests.qemu import LINE, Machine, plugged_in

pytestmark = pytest.mark.qemu

# eth0 and eth1 are on networks of QEMU's, each with its own DHCP server.
NETWORK = """\
board = "qemu-aarch64"
overlay = ["overlay"]
forward = ["{}:8080"]
[network]
hostname = "lab-7"
net-tool = "{}"
dns = ["10.0.2.3", "fec0::3"]
search = ["lab.example"]
[[network.interface]]
name = "eth0"
dhcp = true
mtu = 1400
[[network.interface]]
name = "eth1"
address = ["10.0.3.13/24", "10.0.3.14/24", "198.51.100.1/31", "2001:db8:3::5/64"]
mac = "02:00:00:00:00:05"
accept-ra = false
[[network.interface]]
name = "dummy0"
type = "dummy"
address = ["192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32", "192.0.2.5/32"]
[[network.interface]]
name = "eth1.5"
vlan = {{ parent = "eth1", id = 5 }}
address = "10.5.0.1/24"
[[network.interface]]
name = "lab"
vlan = {{ parent = "eth1", id = 6 }}
address = "10.6.0.1/24"
mtu = 1300
[[network.route]]
to = "10.9.0.0/16"
via = "10.0.3.2"
[[network.route]]
to = "10.9.9.9/32"
via = "10.5.0.2"
[[network.route]]
to = "10.10.0.0/16"
via = "10.0.2.2"
interface = "eth0"
[[network.route]]
to = "2001:db8:9::/48"
via = "2001:db8:3::2"
[[service]]
name = "web"
command = "/usr/bin/busybox httpd -f -p 8080 -h /usr"
background = true
user = "nobody"
"""
# It keeps a connection to the board's own server open.
CLIENT = """\
#!/bin/sh
mkfifo /tmp/open
sleep 6000 >/tmp/open &
{ until nc 10.0.2.15 8080 </tmp/open; do sleep 1; done; } >/dev/null 2>&1 &
"""
CARDS = (
    *("-netdev", "user,id=net1,net=10.0.3.0/24,dhcpstart=10.0.3.100"),
    *("-device", "virtio-net-pci,netdev=net1,romfile="),
)

SHOWN = """
for one in /sys/class/net/*; do echo "${one##*/} $(cat $one/mtu)"; done
cat /sys/class/net/eth1/address
ip -4 addr | grep inet | sort
grep 20010db8 /proc/net/if_inet6 | sort
ip route
sort /proc/net/route
grep '^20010db8' /proc/net/ipv6_route | cut -c 1-120 | sort
cat /etc/resolv.conf
"""
STATUS = """\
eth0: has 10.0.2.15/24 by DHCP from 10.0.2.2, for 86400 s
eth1: has 10.0.3.13/24
eth1: has 10.0.3.14/24
eth1: has 198.51.100.1/31
eth1: has 2001:db8:3::5/64
dummy0: has 192.0.2.1/32
dummy0: has 192.0.2.2/32
dummy0: has 192.0.2.3/32
dummy0: has 192.0.2.4/32
dummy0: has 192.0.2.5/32
eth1.5: has 10.5.0.1/24
lab: has 10.6.0.1/24
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board set with ifconfig, that has what the other tools would do in /root/TOOL."""
    place = tmp_path_factory.mktemp("interfaces")
    (port,) = free_ports(1)
    shutil.copy(CHECKOUT / "boards" / "qemu-aarch64.lock", place / "recipe.lock")
    init = place / "overlay" / "etc" / "init.d"
    init.mkdir(parents=True)
    (init / "S99client").write_text(CLIENT)
    (init / "S99client").chmod(0o755)
    for tool in ("ip", "ifupdown"):
        (place / "recipe.toml").write_text(NETWORK.format(port, tool))
        ran = rootfs_tool("render", place / "recipe.toml", "-o", place / "overlay" / "root" / tool)
        assert ran.status == 0, ran.said
    (place / "recipe.toml").write_text(NETWORK.format(port, "ifconfig"))
    ran = rootfs_tool("build", place / "recipe.toml", "-o", place / "out", timeout=600)
    assert ran.status == 0, ran.said
    return place / "out"


@pytest.fixture(scope="module")
def live(built: Path) -> Iterator[Machine]:
    """A machine that runs it, and has two cards."""
    qemu, wanted = machine(recipe.find(str(built))[0]), manifest.load(built)
    with (
        qemu.start(wanted) as start,
        plugged_in(*qemu.argv(wanted, start), *CARDS) as there,
    ):
        there.start()
        yield there


@pytest.fixture(scope="module")
def bench(built: Path, live: Machine) -> Iterator[Bench]:
    """It has the console from now on."""
    with ExitStack() as stack:
        console = stack.enter_context(live.console())
        yield Bench(
            shell=Shell.attach(console, LINE, timeout=240),
            network=recipe.find(str(built))[0].board.network,
            server=stack.enter_context(tftp.serve({}, "127.0.0.1")),
            host=IPv4Address("10.0.2.2"),
            reach=lambda port: None,
        )


def status(bench: Bench) -> str:
    return bench.shell.run("/etc/init.d/S40network status").text


def test_net_with_the_recipe_that_has_the_forwards(built: Path, live: Machine) -> None:
    """First of all, while the console is free."""
    port = ("--console", live.port, "--expect-open", "8080")
    ran = rootfs_tool("net", built, *port, timeout=240)
    assert ran.status == 0, ran.said


def test_net_without_it(bench: Bench) -> None:
    no = frozenset[int]()
    view = look(bench.shell, Way(), Asked(ports=no, open=frozenset({8080}), closed=no, scan=True))
    assert not view.as_demanded
    said = list(net.lines(view))
    rows = [line.split() for line in said]
    assert ["default", "10.0.2.2", "eth0", "0"] in rows
    assert any(row[:2] == ["tcp", "8080"] and row[-2:] == ["nobody", "-"] for row in rows)
    ends = [row for row in rows if row[:2] == ["tcp", "10.0.2.15:8080"] and "ESTABLISHED" in row]
    assert len(ends) == 1, said
    assert "httpd" in ends[0][4]
    assert "(!) tcp 8080 can't be reached from this host, and must be open" in said


def test_ifconfig(bench: Bench) -> None:
    assert status(bench) == STATUS
    assert bench.shell.run("/etc/init.d/S40network start").status == 0
    shown = bench.shell.run(SHOWN).text
    for line in (
        *("dummy0 1500", "eth0 1400", "lab 1300", "02:00:00:00:00:05"),
        "    inet 10.0.3.14/24 brd 10.0.3.255 scope global secondary eth1:1",
        "    inet 192.0.2.5/32 scope global dummy0:4",
        "    inet 198.51.100.1/31 scope global eth1:2",
        *("default via 10.0.2.2 dev eth0 ", "10.10.0.0/16 via 10.0.2.2 dev eth0 "),
        *("10.9.0.0/16 via 10.0.3.2 dev eth1 ", "10.9.9.9 via 10.5.0.2 dev eth1.5 "),
        *("search lab.example", "nameserver 10.0.2.3", "nameserver fec0::3"),
    ):
        assert line in shown.splitlines()
    assert "10.0.3.2 answers" in Ping(address=IPv4Address("10.0.3.2")).run(bench)


def test_checks(bench: Bench) -> None:
    checks = of_network(bench.network)
    found = {check.title: check.run(bench) for check in checks}
    assert found["interface eth0"] == (
        "10.0.2.15/24 by DHCP from 10.0.2.2, for 86400 s; up, running"
    )
    assert found["interface eth1"] == (
        "10.0.3.13/24, 10.0.3.14/24, 198.51.100.1/31, 2001:db8:3::5/64 up, running"
    )
    assert found["interface dummy0"].endswith("192.0.2.5/32 up")
    assert "10.9.9.9/32 via 10.5.0.2" in found["routes"]
    assert "2001:db8:9::/48 via 2001:db8:3::2" in found["routes"]
    assert found["routes"].endswith("default via 10.0.2.2")


@pytest.mark.parametrize("tool", ["ip", "ifupdown"])
def test_the_same_with(bench: Bench, tool: str) -> None:
    shown = bench.shell.run(SHOWN).text
    # it has settled at boot; a second each time would be much
    bench.shell.run("echo 0 >/proc/sys/net/ipv6/conf/eth1/accept_dad")
    stopped = bench.shell.run("/etc/init.d/S40network stop; ip addr; ip route", timeout=60)
    assert re.findall(r"inet6? (\S+)", stopped.text) == ["127.0.0.1/8", "::1/128"]
    assert "eth0: has no lease" in status(bench)
    copies = bench.shell.run(f"/etc/init.d/S05loopback stop; cp -r /root/{tool}/etc/* /etc/")
    assert copies.status == 0, copies.text
    again = "/etc/init.d/S05loopback start && /etc/init.d/S40network start"
    for _ in range(2):
        started = bench.shell.run(again, timeout=60)
        assert started.status == 0, started.text
    assert status(bench) == STATUS
    assert bench.shell.run(SHOWN).text == shown
    assert bench.shell.run("ping -c 1 -W 2 127.0.0.1").status == 0


def test_what_ifup_knows(bench: Bench) -> None:
    """After the test above: /etc/network/interfaces is what the board has."""
    known = bench.shell.run("cat /run/ifstate").text.split()
    names = ("lo", "eth0", "eth1", "dummy0", "eth1.5", "lab")
    assert sorted(known) == sorted(f"{name}={name}" for name in names)
    assert bench.shell.run("ifdown lab && ifup lab", timeout=60).status == 0
    assert status(bench) == STATUS
    missing = r"auto eth9\niface eth9 inet static\naddress 10.1.1.1\nnetmask 255.255.255.0\n"
    bench.shell.run(f"ifdown lab; sed -i '1i {missing}' /etc/network/interfaces")
    failed = bench.shell.run("/etc/init.d/S40network start", timeout=60)
    assert (failed.status, status(bench)) == (1, STATUS)


def test_an_alias_and_a_route_that_are_gone(bench: Bench) -> None:
    bench.shell.run("ip addr del 10.0.3.14/24 dev eth1; ip route del 10.9.0.0/16")
    said = []
    for check in of_network(bench.network):
        try:
            check.model_copy(update={"wait": 0.0}).run(bench)
        except CheckFailed as error:
            said.append(f"{error}; {error.hint}")
    route = "route add -net 10.9.0.0 netmask 255.255.0.0 gw 10.0.3.2 dev eth1"
    assert said == [
        "eth1 has not 10.0.3.14/24; on the board: /etc/init.d/S40network restart",
        f"no route 10.9.0.0/16 via 10.0.3.2; on the board: {route}",
    ]
