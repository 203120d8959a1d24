"""The init scripts at work, each in a network of its own, and quiet on a second start."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.initfiles import in_namespace, network, rendered

pytestmark = pytest.mark.root

ROUTES = """\
0.0.0.0 10.0.2.2 0.0.0.0 eth0
10.0.2.0 0.0.0.0 255.255.255.0 eth0
"""
LIST_ROUTES = "route -n | awk 'NR > 2 { print $1, $2, $3, $8 }' | sort"


def test_loopback_start_is_idempotent(busybox: Path, tmp_path: Path) -> None:
    said = in_namespace(
        busybox,
        rendered(network()),
        tmp_path,
        """
        ./S05loopback status; echo $?
        ./S05loopback start; echo $?
        ./S05loopback start; echo $?
        ./S05loopback status; echo $?
        ping -c 1 127.0.0.1 >/dev/null; echo $?
        ./S05loopback restart; echo $?
        ./S05loopback stop; echo $?
        ./S05loopback status; echo $?
        ./S05loopback other; echo $?
        """,
    )
    assert said.splitlines() == [
        *("lo: down", "1", "0", "0", "lo: up", "0", "0", "0", "0", "lo: down", "1"),
        *("usage: ./S05loopback start|stop|restart|status", "2"),
    ]


def test_loopback_left_down(busybox: Path, tmp_path: Path) -> None:
    scripts = rendered(network(loopback=False))
    said = in_namespace(busybox, scripts, tmp_path, "./S05loopback start; ./S05loopback status")
    assert said.splitlines() == [
        "lo: left down, as the profile says; to bring it up: ifconfig lo 127.0.0.1 up",
        "lo: down",
    ]


def test_network_start_is_idempotent(busybox: Path, tmp_path: Path) -> None:
    said = in_namespace(
        busybox,
        rendered(network()),
        tmp_path,
        f"""
        tunctl -t eth0 >/dev/null
        ./S40network start; echo $?
        {LIST_ROUTES}
        ./S40network start; echo $?
        ./S40network restart; echo $?
        {LIST_ROUTES}
        ./S40network status; echo $?
        ifconfig eth0 | awk '/inet/ {{ print $2, $3, $4 }}'
        ./S40network stop; echo $?
        {LIST_ROUTES}
        ./S40network status; echo $?
        """,
    )
    assert said == (
        f"0\n{ROUTES}0\n0\n{ROUTES}eth0: has 10.0.2.15/24\n0\n"
        "addr:10.0.2.15 Bcast:10.0.2.255 Mask:255.255.255.0\n0\n"
        "eth0: down\neth0: has not 10.0.2.15/24\n1\n"
    )


def test_a_route_that_the_kernel_did_not_add_is_added(busybox: Path, tmp_path: Path) -> None:
    said = in_namespace(
        busybox,
        rendered(network()),
        tmp_path,
        f"""
        tunctl -t eth0 >/dev/null
        ./S40network start
        route del -net 10.0.2.0 netmask 255.255.255.0
        ./S40network start; echo $?
        {LIST_ROUTES}
        """,
    )
    assert said == f"0\n{ROUTES}"


def test_an_interface_that_appears_late_under_another_name(busybox: Path, tmp_path: Path) -> None:
    interface = {"name": "eth0", "kernel-name": "usb0", "address": "10.0.2.15/24", "wait": 20}
    said = in_namespace(
        busybox,
        rendered(network(interface=[interface])),
        tmp_path,
        """
        (sleep 1; tunctl -t usb0 >/dev/null) &
        ./S40network start; echo $?
        ./S40network status
        [ -e /sys/class/net/usb0 ]; echo $?
        """,
    )
    assert said.splitlines() == [
        "usb0: waiting up to 20 s for it to appear",
        "0",
        "eth0: has 10.0.2.15/24",
        "1",
    ]


def test_an_interface_that_never_appears_does_not_stop_the_next(
    busybox: Path, tmp_path: Path
) -> None:
    interfaces = [
        {"name": "eth0", "address": "10.0.1.15/24", "wait": 1},
        {"name": "eth1", "address": "10.0.2.15/24"},
    ]
    said = in_namespace(
        busybox,
        rendered(network(interface=interfaces)),
        tmp_path,
        "tunctl -t eth1 >/dev/null; ./S40network start; echo $?; ./S40network status",
    )
    assert said.splitlines() == [
        "eth0: waiting up to 1 s for it to appear",
        "eth0: did not appear within 1 s",
        "1",
        "eth0: down",
        "eth0: has not 10.0.1.15/24",
        "eth1: has 10.0.2.15/24",
    ]


def test_a_script_that_fails_does_not_stop_the_others(busybox: Path, tmp_path: Path) -> None:
    """The scripts as they are, but for the directory and for what only a booting board may do."""
    for name, status in (("S10one", 0), ("S20two", 3), ("S30three", 0)):
        script = tmp_path / name
        script.write_text(f"#!{busybox}/sh\necho {name} $1\nexit {status}\n")
        script.chmod(0o755)
    texts = rendered(network())
    for name in ("rcS", "rcK"):
        text = texts[f"/etc/init.d/{name}"].replace("/etc/init.d", str(tmp_path))
        # umount -a -r as root would make this host's own file systems read-only.
        stubs = "".join(f"{one}() {{ :; }}\n" for one in ("mount", "umount", "hostname", "sync"))
        (tmp_path / name).write_text(stubs + text)
    said = in_namespace(busybox, {}, tmp_path, "sh rcS; sh rcK").replace(str(tmp_path), "")
    assert said.splitlines() == [
        *("S10one start", "S20two start", "rcS: /S20two start: exit status 3", "S30three start"),
        *("S30three stop", "S20two stop", "rcK: /S20two stop: exit status 3", "S10one stop"),
    ]
