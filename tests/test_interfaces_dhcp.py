"""Leases: the DHCP client and its script against a real server, each in a network of its own."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.initfiles import network, rendered

pytestmark = pytest.mark.root

MAC = "02:00:00:00:00:05"
SERVER = """\
interface there
start 10.0.2.15
end 10.0.2.15
option subnet 255.255.255.0
option router 10.0.2.1
option dns 10.0.2.1 9.9.9.9
option domain lease.example
option lease 60
lease_file /run/leases
pidfile /run/udhcpd.pid
"""

# The board's eth0 has its other end, there, in another network namespace, that of the process far.
CABLE = """
within() { # within SECONDS COMMAND: tries it until it succeeds
    left=$(($1 * 20))
    shift
    until "$@" 2>/dev/null; do
        left=$((left - 1)); [ $left -gt 0 ] || { echo "never: $*"; exit 1; }
        sleep 0.05
    done
}
apart() { [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/self/ns/net)" ]; }
unshare --net sleep 90 & far=$!
within 5 apart
"$2" link add eth0 type veth peer name there netns $far # BusyBox's ip makes no pairs
there() { nsenter -t $far -n "$@"; }
there ifconfig there 10.0.2.1 netmask 255.255.255.0 up
serve() {
    touch /run/leases
    there udhcpd -f -a 10 /srv/server 2>/dev/null &
    within 5 test -s /run/udhcpd.pid
}
cd /srv
"""


@pytest.fixture
def board(tmp_path: Path) -> Callable[..., list[str]]:
    """Run commands on a board with these init files; the lines they say, less the client's own."""
    busybox, ip = shutil.which("busybox"), shutil.which("ip")
    assert busybox is not None
    assert ip is not None

    def run(commands: str, **interface: object) -> list[str]:
        wired = {"name": "eth0", "dhcp": True, "dhcp-wait": 1, "mac": MAC, **interface}
        more = {
            key: wired.pop(key) for key in ("dns", "search", "route", "net-tool") if key in wired
        }
        texts = rendered(network(interface=[wired], **more))
        for path, text in texts.items():
            (tmp_path / Path(path).name).write_text(text)
            (tmp_path / Path(path).name).chmod(0o755)
        (tmp_path / "server").write_text(SERVER)
        inside = f"""
            mount -t tmpfs none /run && mount -t tmpfs none /etc && mkdir /etc/udhcpc /run/bin
            mount -t sysfs none /sys && mount -t tmpfs none /srv && cp "$1"/* /srv
            mkdir -p /etc/network/if-pre-up.d /etc/network/if-up.d
            mkdir -p /etc/network/if-down.d /etc/network/if-post-down.d
            cp /srv/interfaces /etc/network/ 2>/dev/null
            cp /srv/default.script /etc/udhcpc/ && cp /srv/resolv.conf /etc/ 2>/dev/null
            "$0" --install -s /run/bin && export PATH=/run/bin
            {CABLE}{commands}
        """
        done = subprocess.run(
            [
                *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"),
                *("--mount-proc", busybox, "sh", "-c", inside, busybox, tmp_path, ip),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        noise = ("udhcpc: ", "ifup: interface eth0 already", "ifdown: interface eth0 not")
        return [line for line in done.stdout.splitlines() if not line.startswith(noise)]

    return run


ROUTES = "route -n | awk 'NR > 2 { print $1, $2, $3, $8 }' | sort"
LEASE = "eth0: has 10.0.2.15/24 by DHCP from 10.0.2.1, for 60 s"


@pytest.mark.parametrize("tool", ["ifconfig", "ifupdown"])  # ifupdown's script is that of ip
def test_a_lease_comes_is_kept_and_given_back(board: Callable[..., list[str]], tool: str) -> None:
    said = board(
        f"""
        serve
        ./S40network start; echo $?
        ./S40network start; echo $?
        ./S40network status; echo $?
        {ROUTES}
        cat /etc/resolv.conf
        ifconfig eth0 | grep -o Bcast.*
        kill -USR1 "$(cat /run/udhcpc.eth0.pid)"; sleep 0.3; {ROUTES}
        kill -USR1 "$(cat /run/udhcpd.pid)"; within 5 test -s /run/leases
        dumpleases -f /run/leases -d | awk 'NR > 1 {{ print $1, $2, $3 }}'
        ./S40network stop; echo $?
        kill -USR1 "$(cat /run/udhcpd.pid)"; sleep 0.3
        dumpleases -f /run/leases -a | grep -c expired
        cat /etc/resolv.conf
        {ROUTES}
        ./S40network status
        """,
        **{"dns": ["10.0.2.3", "9.9.9.9"], "net-tool": tool},
    )
    routes = ["0.0.0.0 10.0.2.1 0.0.0.0 eth0", "10.0.2.0 0.0.0.0 255.255.255.0 eth0"]
    own = ["# The name servers of the profile.", "nameserver 10.0.2.3", "nameserver 9.9.9.9"]
    assert said == [
        *("0", "0", LEASE, "0", *routes),
        *(*own, "search lease.example", "nameserver 10.0.2.1"),
        *("Bcast:10.0.2.255  Mask:255.255.255.0", *routes),
        f"{MAC} 10.0.2.15 board",
        *("0", "1", *own, "eth0: down", "eth0: has no lease"),
    ]


@pytest.mark.parametrize("tool", ["ifconfig", "ip"])
def test_routes_of_the_lease_and_of_the_profile(board: Callable[..., list[str]], tool: str) -> None:
    """Option 121 takes the place of the router (RFC 3442); a new address keeps the routes."""
    said = board(
        f"""
        sed -i '$a option staticroutes 10.9.0.0/16 10.0.2.7, 10.9.9.9/32 10.0.2.8' server
        serve
        ./S40network start
        {ROUTES}
        export interface=eth0 mask=24 subnet=255.255.255.0 broadcast=10.0.2.255 lease=60
        export serverid=10.0.2.1 router=10.0.2.1 message='not yours' ip=10.0.2.16
        /etc/udhcpc/default.script renew
        {ROUTES}
        ./S40network status
        /etc/udhcpc/default.script nak; /etc/udhcpc/default.script deconfig
        {ROUTES}
        """,
        **{
            "route": [{"to": "10.10.0.0/16", "via": "10.0.2.9", "interface": "eth0"}],
            "net-tool": tool,
        },
    )
    own = ["10.0.2.0 0.0.0.0 255.255.255.0 eth0", "10.10.0.0 10.0.2.9 255.255.0.0 eth0"]
    assert said == [
        own[0],
        own[1],
        *("10.9.0.0 10.0.2.7 255.255.0.0 eth0", "10.9.9.9 10.0.2.8 255.255.255.255 eth0"),
        *("0.0.0.0 10.0.2.1 0.0.0.0 eth0", *own),
        "eth0: has 10.0.2.16/24 by DHCP from 10.0.2.1, for 60 s",
        "eth0: the DHCP server takes back the lease: not yours",
    ]


def test_no_server_then_one(board: Callable[..., list[str]]) -> None:
    """The start is over in time, with an address that nobody has; the lease takes its place."""
    first, second = (_candidate(number) for number in range(2))
    said = board(
        f"""
        there ifconfig there {first} netmask 255.255.0.0
        sed -i 's/ -A 5 / -A 1 /' S40network # how long the client rests before it asks again
        sed -i 's/ -c 3 -w 3 / -c 1 -w 1 /' /etc/udhcpc/default.script # how long it listens
        read -r before _ </proc/uptime
        ./S40network start; echo $?
        read -r after _ </proc/uptime
        echo $((${{after%.*}} - ${{before%.*}} < 10))
        ./S40network status
        ping -c 1 -W 2 {first} >/dev/null; echo $?
        {ROUTES}
        there ifconfig there 10.0.2.1 netmask 255.255.255.0
        serve
        within 10 grep -q DHCP.from /run/udhcpc.eth0.lease
        ./S40network status
        {ROUTES}
        """,
        fallback="link-local",
        **{"default-route": False},
    )
    assert said == [
        *(f"eth0: no DHCP server answers; it has {second}/16 until one does", "0", "1"),
        f"eth0: has {second}/16, its fallback, as no DHCP server answers",
        *("0", "169.254.0.0 0.0.0.0 255.255.0.0 eth0", LEASE),
        "10.0.2.0 0.0.0.0 255.255.255.0 eth0",
    ]


def test_a_fallback_of_the_profile(board: Callable[..., list[str]]) -> None:
    said = board(
        f"""
        interface=eth0 /etc/udhcpc/default.script leasefail
        cat /run/udhcpc.eth0.lease
        ifconfig eth0 | grep -o Bcast.*
        {ROUTES}
        """,
        fallback="10.0.0.5/24",
    )
    assert said == [
        "eth0: no DHCP server answers; it has 10.0.0.5/24 until one does",
        "10.0.0.5/24, its fallback, as no DHCP server answers",
        *("Bcast:10.0.0.255  Mask:255.255.255.0", "10.0.0.0 0.0.0.0 255.255.255.0 eth0"),
    ]


def _candidate(number: int) -> str:
    digits = hashlib.md5(f"{MAC} {number}\n".encode()).hexdigest()
    return f"169.254.{int(digits[:2], 16) % 254 + 1}.{int(digits[2:4], 16)}"


def test_what_is_not_wanted_of_a_lease(board: Callable[..., list[str]]) -> None:
    said = board(
        f"serve; ./S40network start; {ROUTES}; cat /etc/resolv.conf",
        search=["lab.example"],
        **{"default-route": False},
    )
    assert said == [
        "10.0.2.0 0.0.0.0 255.255.255.0 eth0",
        *("search lab.example", "nameserver 10.0.2.1", "nameserver 9.9.9.9"),
    ]
