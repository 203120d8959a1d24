"""Up and down in a namespace of its own: what is there meanwhile, and that nothing stays."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from rootfs_tool.cli.hostnet import command
from rootfs_tool.errors import ConfigError
from rootfs_tool.hostnet import journal
from tests.command import PROGRAM
from tests.hostnet.lab import OURS, UPLINK, Lab, ip

pytestmark = pytest.mark.root

# the program, for those who do not wait for two ports to agree on a speed
IMPATIENT = """
from rootfs_tool.cli import main
from rootfs_tool.hostnet import hostnet
hostnet.CARRIER = 0.1
main()
"""


def written(host: Lab, device: str = "tap0") -> Path:
    """The journal, where the host keeps it."""
    return host.run / "rootfs-tool" / f"hostnet-{device}.json"


def forwarding(host: Lab, device: str) -> str:
    return host.sh(f"cat /proc/sys/net/ipv4/conf/{device}/forwarding").strip()


def test_down_leaves_what_was_before_up(host: Lab) -> None:
    before = host.snapshot()
    ran = host.rootfs_tool("hostnet", "up", "--dhcp", "--user", "nobody")
    assert ran.status == 0, ran.said
    assert ran.stdout == (
        "tap0: 10.0.0.1/24, NAT to eth0, leases 10.0.0.155 to 10.0.0.254, for nobody, not in use\n"
    )
    during = host.snapshot()
    assert "inet 10.0.0.1/24 brd 10.0.0.255 scope global tap0" in during
    assert 'ip saddr 10.0.0.0/24 oifname "eth0" masquerade' in during
    assert "user nobody" in host.sh("ip -details link show tap0")
    # no other interface forwards anything: the host is no router for its neighbours
    assert (forwarding(host, "tap0"), forwarding(host, UPLINK)) == ("1", "1")
    assert forwarding(host, "all") == "0"
    # names are answered on the TAP alone, and leases given
    listening = {line.split()[4] for line in host.sh("ss -Hlnut").splitlines()}
    assert {"10.0.0.1:53", "0.0.0.0%tap0:67"} <= listening
    assert all("tap0" in one or one == "10.0.0.1:53" for one in listening), listening
    ran = host.rootfs_tool("hostnet", "down")
    assert ran.stdout == "tap0 is down, and all is as it was\n", ran.said
    assert host.snapshot() == before
    assert sorted(path.name for path in written(host).parent.iterdir()) == ["hostnet.lock"]


def test_the_same_again_changes_nothing(host: Lab) -> None:
    assert host.rootfs_tool("hostnet", "up").status == 0
    once, text = host.snapshot(), written(host).read_bytes()
    ran = host.rootfs_tool("hostnet", "up")
    assert (ran.status, ran.stderr) == (0, "tap0 is up already\n")
    assert (host.snapshot(), written(host).read_bytes()) == (once, text)
    assert host.rootfs_tool("hostnet", "down", "tap0").status == 0
    ran = host.rootfs_tool("hostnet", "down", "tap0")
    assert (ran.status, ran.stderr) == (0, "tap0 is not up by hostnet: nothing to do\n")


def test_other_wishes_are_told_apart(host: Lab) -> None:
    assert host.rootfs_tool("hostnet", "up").status == 0
    ran = host.rootfs_tool("hostnet", "up", "--address", "10.9.0.1/24", "--dhcp")
    assert ran.status == 2
    assert "tap0 is up, but --address was 10.0.0.1/24, --dhcp was off" in ran.stderr
    assert "hint: rootfs-tool hostnet down tap0, then the same again" in ran.stderr


def test_what_was_taken_away_is_made_again(host: Lab) -> None:
    assert host.rootfs_tool("hostnet", "up", "--dhcp").status == 0
    whole = host.snapshot()
    host.sh("nft delete table ip rootfs_tool_tap0; ip address flush dev tap0")
    (server,) = host.processes()
    os.kill(server, 9)
    ran = host.rootfs_tool("hostnet", "status")
    assert ran.status == 1
    assert "MISSING: address, nft, dnsmasq" in ran.stdout
    ran = host.rootfs_tool("hostnet", "up", "--dhcp")
    assert "make dnsmasq of tap0 again" in ran.stderr
    assert host.snapshot() == whole
    assert host.rootfs_tool("hostnet", "status").status == 0


def test_a_sysctl_that_somebody_else_has_set_is_left_alone(host: Lab) -> None:
    before = host.snapshot()
    assert host.rootfs_tool("hostnet", "up").status == 0
    host.sh(f"echo 0 >/proc/sys/net/ipv4/conf/{UPLINK}/forwarding")  # as it was: nothing to say
    ran = host.rootfs_tool("hostnet", "down")
    assert "note" not in ran.stderr
    assert host.snapshot() == before
    host.sh(f"echo 1 >/proc/sys/net/ipv4/conf/{UPLINK}/forwarding")  # a router already
    before = host.snapshot()
    assert host.rootfs_tool("hostnet", "up").status == 0
    # who forwards for others goes on with it
    assert "oifname" in host.sh("nft list table ip rootfs_tool_tap0 | grep established")
    assert host.rootfs_tool("hostnet", "down").status == 0
    assert host.snapshot() == before
    host.sh(f"echo 0 >/proc/sys/net/ipv4/conf/{UPLINK}/forwarding")


def test_two_at_once_share_the_uplink(host: Lab) -> None:
    before = host.snapshot()
    assert host.rootfs_tool("hostnet", "up").status == 0
    ran = host.rootfs_tool("hostnet", "up", "--tap", "tap1", "--address", "10.0.1.1/24")
    assert ran.status == 0, ran.said
    assert host.rootfs_tool("hostnet", "down", "tap0").status == 0
    assert forwarding(host, UPLINK) == "1"
    assert host.rootfs_tool("hostnet", "down", "tap1").status == 0
    assert host.snapshot() == before


def test_after_a_restart_nothing_is_left_to_put_back(host: Lab) -> None:
    assert host.rootfs_tool("hostnet", "up").status == 0
    text = written(host).read_text()
    assert host.rootfs_tool("hostnet", "down").status == 0
    before = host.snapshot()
    written(host).write_text(json.dumps({**json.loads(text), "boot": "of another day"}))
    ran = host.rootfs_tool("hostnet", "status")
    assert (ran.status, "gone with a restart of this host" in ran.stdout) == (1, True)
    ran = host.rootfs_tool("hostnet", "down")
    assert "restarted since tap0 was set up: nothing of it is left" in ran.stderr
    assert not written(host).exists()
    assert host.snapshot() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--address", "10.0.0.1"], "hint: --address 10.0.0.1/24"),
        (["--address", "10.0.0.0/24"], "is not the address of a host"),
        (["--address", "10.0.0.1/31"], "is no subnet for boards"),
        (["--address", "10.0.0.300/24"], '--address "10.0.0.300" is no IPv4 address'),
        (["--address", "10.0.0.1/33"], "--address 10.0.0.1/33: "),
        (["--address", "203.0.113.9/24"], "203.0.113.0/24 is behind eth0"),
        (["--tap", "a name"], '--tap "a name" is no name of an interface'),
        (["--tap", "eth0"], "there is an interface eth0 already, and hostnet did not make it"),
        (["--uplink", "wlan7"], "--uplink wlan7: this host has no such way out"),
        (["--uplink", "lo"], "--uplink lo: this host has no such way out"),
        (["--user", "no-such-user"], "--user no-such-user: there is no such user"),
        (["--cable", "eth0"], "this host's default route leads there"),
        (["--cable", "eth9"], "--cable eth9: this host has no such Ethernet port"),
        (["--cable", "eth9", "--tap", "tap0"], "--tap and --cable exclude each other"),
    ],
)
def test_what_can_not_be_is_said_before_anything_is_done(
    place: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.setattr(journal, "RUN", tmp_path)
    ran = place.within(place.host, lambda: CliRunner().invoke(command, ["up", *options]))
    error = ran.exception
    said = f"{error}\nhint: {error.hint}" if isinstance(error, ConfigError) else ran.output
    assert words in said, said
    assert not list(tmp_path.glob("hostnet-*"))


def test_a_tap_of_somebody_else_s_is_left_alone(host: Lab) -> None:
    assert "ip link delete" not in host.rootfs_tool("hostnet", "up", "--tap", "eth0").stderr
    host.sh("ip tuntap add dev tap7 mode tap")
    ran = host.rootfs_tool("hostnet", "up", "--tap", "tap7")
    assert ran.status == 2
    assert "hint: --tap names another; or: ip link delete dev tap7" in ran.stderr
    host.sh("ip link delete dev tap7")  # as it says


def test_what_fails_half_way_is_put_back(host: Lab, tmp_path: Path) -> None:
    before = host.snapshot()
    fake = tmp_path / "dnsmasq"
    fake.write_text("#!/bin/sh\necho 'failed to create listening socket: in use' >&2; exit 2\n")
    fake.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = host.rootfs_tool("hostnet", "up", "--dhcp", env=path)
    assert ran.status == 2
    assert "dnsmasq can't answer at 10.0.0.1: port 53 or 67 is taken" in ran.stderr
    assert host.snapshot() == before
    assert not written(host).exists()


def test_the_printed_script_does_the_same(host: Lab) -> None:
    before = host.snapshot()
    assert host.rootfs_tool("hostnet", "up").status == 0
    ours = host.snapshot()
    assert "error: tap0 is up already" in host.rootfs_tool("hostnet", "up", "--print").stderr
    assert host.rootfs_tool("hostnet", "down").status == 0
    script = host.rootfs_tool("hostnet", "up", "--print").stdout
    assert host.snapshot() == before
    shellcheck = ["shellcheck", "-"]
    subprocess.run(shellcheck, input=script, text=True, check=True, timeout=20)
    host.sh(script)
    assert _same_but_for_the_addresses(host.snapshot(), ours)
    back = script.partition("# and back:\n")[2].replace("#   ", "")
    host.sh(back)
    assert host.snapshot() == before


def _same_but_for_the_addresses(one: str, other: str) -> bool:
    """Each TAP gets a random Ethernet address, and a number, of its own."""

    def plain(text: str) -> list[str]:
        return [
            line for line in text.splitlines() if "link/ether" not in line and ": tap0:" not in line
        ]

    return plain(one) == plain(other)


@pytest.fixture
def cable(host: Lab) -> Iterator[str]:
    """A port that has been in use before: what it queues with stays chosen (tc(8))."""
    host.sh("ip link add eth1 type veth peer name board; ip link set board up")
    host.sh("ip link set eth1 up; ip link set eth1 down; ip link set board down")
    yield "eth1"
    host.rootfs_tool("hostnet", "down")
    host.sh("ip link delete eth1")


def test_a_cable(host: Lab, cable: str) -> None:
    before = host.snapshot()
    said = host.sh(f"'{PROGRAM.with_name('python')}' -c '{IMPATIENT}' hostnet up --cable eth1 2>&1")
    assert "note: eth1 has no carrier: is the cable in" in said
    assert said.endswith("\neth1: 10.0.0.1/24, NAT to eth0, no carrier\n")
    host.sh("ip link set board up")
    assert "in use" in host.rootfs_tool("hostnet", "status").stdout
    host.sh("ip link set board down")
    assert host.rootfs_tool("hostnet", "down", cable).status == 0
    assert host.snapshot() == before


def test_a_board_at_the_cable_gets_a_lease(host: Lab, cable: str, tmp_path: Path) -> None:
    ip(f"-n {host.host} link set board netns {host.world}")
    ip(f"-n {host.world} link set board up")
    ran = host.rootfs_tool("hostnet", "up", "--cable", cable, "--dhcp")
    assert ran.status == 0, ran.said
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nenv\n")
    script.chmod(0o755)
    asks = ["busybox", "udhcpc", "-i", "board", "-n", "-q", "-f", "-t", "10", "-T", "1"]
    argv = ["ip", "netns", "exec", host.world, *asks, "-s", str(script)]
    lease = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout
    assert "ip=10.0.0." in lease
    assert "router=10.0.0.1" in lease
    assert "dns=10.0.0.1" in lease
    assert "subnet=255.255.255.0" in lease


def test_a_cable_with_an_address_is_somebody_s(host: Lab, cable: str) -> None:
    host.sh(f"ip address add 192.0.2.9/24 dev {cable}")
    ran = host.rootfs_tool("hostnet", "up", "--cable", cable)
    assert "--cable eth1: it has 192.0.2.9/24 already" in ran.stderr
    assert "ip address delete 192.0.2.9/24 dev eth1" in ran.stderr


def test_a_cable_that_networkmanager_manages(host: Lab, cable: str, tmp_path: Path) -> None:
    fake = tmp_path / "nmcli"
    fake.write_text('#!/bin/sh\n[ "$6" = eth1 ] && echo "GENERAL.STATE:100 (connected)"\n')
    fake.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = host.rootfs_tool("hostnet", "up", "--cable", cable, env=path)
    assert ran.status == 2
    assert "hint: nmcli device set eth1 managed no" in ran.stderr


def test_whose_the_tap_is(host: Lab) -> None:
    """Who called sudo may open it."""
    ran = host.rootfs_tool("hostnet", "up", "--uplink", "none", env={"SUDO_UID": "65534"})
    assert ran.status == 0, ran.said
    assert ran.stdout == "tap0: 10.0.0.1/24, no uplink, for nobody, not in use\n"
    (found,) = json.loads(host.rootfs_tool("hostnet", "status", "--json").stdout)
    assert (found["device"], found["uplink"], found["missing"]) == ("tap0", None, [])
    nobody = "setpriv --reuid 65534 --clear-groups --inh-caps=-all"
    assert host.sh(f"{nobody} '{PROGRAM}' hostnet status") == ran.stdout  # who may see it too
    assert forwarding(host, UPLINK) == "0"
    assert OURS in host.sh("ip address show eth0")
