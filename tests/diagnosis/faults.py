"""What goes wrong on a board, one thing at a time: how to make it so, and what must be found."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.network import Interface, Network

NETWORK = Network(
    hostname="qemu-aarch64",
    interface=(
        Interface(
            name="eth0",
            address=(IPv4Interface("10.0.2.15/24"),),
            gateway=IPv4Address("10.0.2.2"),
        ),
    ),
)
HOST = IPv4Address("10.0.2.2")

# QEMU's own address as the profile's: then two have it.
TWICE = Network(
    hostname="qemu-aarch64",
    interface=(Interface(name="eth0", address=(IPv4Interface("10.0.2.2/24"),)),),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """``setup`` makes it, ``command`` fails of it, ``undo`` takes it back.

    ``cause`` is in the first diagnosis; with ``mends`` its line makes ``command`` succeed. Without
    ``link`` the cable is pulled out meanwhile. ``said`` stands in for what the command says.
    """

    rule: str
    setup: str = "true"
    command: str
    undo: str = "true"
    cause: str
    mend: str
    mends: bool = False
    link: bool = True
    network: Network = NETWORK
    subject: Subject = field(default_factory=Subject)
    said: str = ""
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.rule


_BACK = (
    "ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up; "
    "route add default gw 10.0.2.2 2>/dev/null; ifconfig lo 127.0.0.1 up"
)
_PING = "ping -c 1 -W 1 10.0.2.2"
_START = "/tmp/echo_server {} & p=$!; sleep 0.3; kill $p"

NETWORKING = (
    Fault(
        rule="lo-down",
        setup="route del default; ip addr flush dev lo; ifconfig lo down",
        command="/tmp/echo_client",
        undo=_BACK,
        cause="lo is down",
        mend="on the board: ifconfig lo 127.0.0.1 up",
        mends=True,
    ),
    Fault(
        rule="no-address",
        setup="ifconfig eth0 0.0.0.0",
        command=_PING,
        undo=_BACK,
        cause="eth0 has no address",
        mend="on the board: ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up",
        mends=True,
    ),
    Fault(
        rule="wrong-interface",
        setup="modprobe dummy; ip link add eth1 type dummy; ifconfig eth0 0.0.0.0; "
        "ifconfig eth1 10.0.2.15 netmask 255.255.255.0 up",
        command=_PING,
        undo=f"ip link del eth1; {_BACK}",
        cause="10.0.2.15 is the address of eth1, not of eth0",
        mend="on the board: ifconfig eth1 0.0.0.0; ifconfig eth0 10.0.2.15 netmask",
        mends=True,
    ),
    Fault(
        rule="wrong-netmask",
        setup="ifconfig eth0 10.0.2.15 netmask 255.255.255.248",
        command=_PING,
        undo=_BACK,
        cause="eth0 has the wrong netmask: 255.255.255.248",
        mend="on the board: ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up",
        mends=True,
    ),
    Fault(
        rule="gateway-outside",
        command="route add default gw 10.0.3.1",
        cause="the gateway 10.0.3.1 is in no subnet of the board's, 10.0.2.0/24",
        mend="on the board: route add default gw 10.0.2.2",
    ),
    Fault(
        rule="duplicate-address",
        setup="ifconfig eth0 10.0.2.2 netmask 255.255.255.0 up",
        command="ping -c 1 -W 1 10.0.2.77",
        undo=_BACK,
        network=TWICE,
        cause="10.0.2.2 is taken twice: 52:55:0a:00:02:02",
        mend="give one of the two another address",
    ),
    Fault(
        rule="no-carrier",
        command=_PING,
        link=False,
        undo=_BACK,
        cause="eth0 has no carrier",
        mend="plug the cable in",
    ),
    Fault(
        rule="nobody-there",
        command="ping -c 1 -W 1 10.0.2.77",
        cause="nobody answers ARP for 10.0.2.77 on eth0",
        mend="see at 10.0.2.77 that it has this address",
    ),
    Fault(
        rule="no-route",
        setup="route del default",
        command="ping -c 1 -W 1 192.0.2.1",
        undo=_BACK,
        cause="the board has no route to 192.0.2.1",
        mend="on the board: route add default gw 10.0.2.2",
    ),
    Fault(
        rule="refused",
        command="/tmp/echo_client 10.0.2.2 9",
        cause="10.0.2.2 is there and refuses: nobody listens at port 9",
        mend="on 10.0.2.2: ss -ltn sport = 9",
    ),
)

SOCKETS = (
    Fault(
        rule="nobody-listens",
        command="/tmp/echo_client 127.0.0.1 7001",
        cause="nobody listens at TCP port 7001",
        mend="start the program",
    ),
    Fault(
        rule="byte-order",
        setup="/tmp/echo_server 0.0.0.0 10275 >/dev/null 2>&1 & echo $! >/tmp/pid",
        command="/tmp/echo_client 127.0.0.1 9000",
        undo="kill $(cat /tmp/pid)",
        cause="9000 is 0x2328, and the program listens at 10275, which is 0x2823",
        mend="in the program that listens: .sin_port = htons(9000)",
    ),
    Fault(
        rule="address-not-there",
        command=_START.format("10.0.0.99 7100"),
        cause="the board does not have the address 10.0.0.99 (error 99",
        mend="bind 0.0.0.0 (INADDR_ANY) in the program, or one of these: 10.0.2.15, 127.0.0.1",
    ),
    Fault(
        rule="address-not-there",
        name="address-swapped",
        command=_START.format("15.2.0.10 7100"),
        cause="15.2.0.10: it is 10.0.2.15 with its bytes the wrong way round",
        mend="in the program: htonl(), or inet_pton() of 10.0.2.15",
    ),
    Fault(
        rule="port-taken",
        setup="/tmp/echo_server 0.0.0.0 7200 >/dev/null 2>&1 & echo $! >/tmp/pid; sleep 0.2",
        command=_START.format("0.0.0.0 7200"),
        undo="kill $(cat /tmp/pid)",
        cause="port 7200 is taken (error 98, EADDRINUSE): by echo_server (pid ",
        mend="on the board: kill ",
        mends=True,
    ),
    Fault(
        rule="privileged-port",
        setup="echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start",
        command="su -s /bin/sh nobody -c '/tmp/echo_server 0.0.0.0 80'",
        cause="only root may open ports below 1024, and 80 is one",
        mend="use a port from 1024 on",
    ),
)

PROGRAMS = (
    Fault(
        rule="dynamic",
        command="cd /tmp && ./dynamic.out",
        cause="/tmp/dynamic.out is there, but linked dynamically: its interpreter "
        "/lib/ld-linux-aarch64.so.1 is not on the board",
        mend="on this host: aarch64-linux-gnu-gcc -static -o dynamic.out dynamic.c",
    ),
    Fault(
        rule="other-machine",
        command="/tmp/foreign",
        cause="/tmp/foreign is built for x86-64, the board is aarch64",
        mend="on this host: aarch64-linux-gnu-gcc -static -o foreign foreign.c",
    ),
    Fault(
        rule="mode",
        setup="chmod 644 /tmp/hello",
        command="/tmp/hello",
        undo="chmod 755 /tmp/hello",
        cause="/tmp/hello may not be executed: its mode is 0644",
        mend="on the board: chmod 755 /tmp/hello",
        mends=True,
    ),
    Fault(
        rule="noexec",
        setup="mkdir -p /tmp/n; mount -t tmpfs -o noexec none /tmp/n; cp /tmp/hello /tmp/n",
        command="/tmp/n/hello",
        undo="umount /tmp/n",
        cause="/tmp/n is mounted noexec",
        mend="on the board: mount -o remount,exec /tmp/n",
        mends=True,
    ),
    Fault(
        rule="text-busy",
        setup="cp /tmp/echo_server /tmp/busy; /tmp/busy 0.0.0.0 7300 >/dev/null 2>&1 & sleep 0.2",
        command="cat /tmp/hello >/tmp/busy",
        undo="killall busy",
        cause="/tmp/busy runs as process ",
        mend="on the board: kill ",
    ),
    Fault(
        rule="carriage-return",
        setup="printf '#!/bin/sh\\r\\necho yes\\r\\n' >/tmp/script; chmod 755 /tmp/script",
        command="/tmp/script",
        cause="/tmp/script has lines that end as on Windows",
        mend="on the board: dos2unix /tmp/script",
        mends=True,
    ),
    Fault(
        rule="no-interpreter",
        setup="printf '#!/bin/bash\\necho yes\\n' >/tmp/script; chmod 755 /tmp/script",
        command="/tmp/script",
        cause="/tmp/script is a script for /bin/bash, which the board does not have",
        mend="write it for BusyBox, and on the board: sed",
        mends=True,
    ),
)

# What `make` of Debian 12 says of a file of tomorrow.
_SKEW = (
    "make: Warning: File 'hello.c' has modification time 1763733822 s in the future\n"
    "make: warning:  Clock skew detected.  Your build may be incomplete.\n"
)

SYSTEM = (
    Fault(
        rule="clock",
        setup="date +%s >/tmp/now; date -s @4000 >/dev/null",
        command="false",
        undo="date -s @$(cat /tmp/now)",
        said=_SKEW,
        cause="the board's clock says 1970-01-01 01:06 (UTC)",
        mend="on the board: date -u -s @",
    ),
    Fault(
        rule="read-only",
        setup="mkdir -p /tmp/r; mount -t tmpfs -o ro none /tmp/r",
        command="touch /tmp/r/file",
        undo="umount /tmp/r",
        cause="/tmp/r is mounted read-only",
        mend="on the board: mount -o remount,rw /tmp/r",
        mends=True,
    ),
    Fault(
        rule="full",
        setup="mkdir -p /tmp/f; mount -t tmpfs -o size=64k none /tmp/f",
        command="dd if=/dev/zero of=/tmp/f/file bs=1k count=100",
        undo="umount /tmp/f",
        cause="/tmp/f is full: 0 of 64 KiB free",
        mend="on the board: du -xk /tmp/f",
    ),
    Fault(
        rule="no-module",
        command="modprobe can_dev",
        cause="the rootfs has no kernel module can_dev",
        mend='modules = ["can_dev"] in the recipe',
    ),
    Fault(
        rule="no-name-server",
        setup="cp /etc/resolv.conf /tmp/resolv.conf; echo >/etc/resolv.conf",
        command="ping -c 1 -W 1 board.example",
        undo="cp /tmp/resolv.conf /etc/resolv.conf",
        cause="the board has no name server",
        mend="on the board: echo nameserver ADDRESS >/etc/resolv.conf",
    ),
    Fault(
        rule="no-such-name",
        command="/tmp/lookup board.example",
        cause="neither /etc/hosts nor the name server 10.0.2.3 has an address",
        mend="is it spelt right? On the board: nslookup NAME",
    ),
    Fault(
        rule="no-driver",
        setup="ifconfig eth0 down; rmmod virtio_net",
        command="ifconfig eth0",
        undo=f"modprobe virtio_net; sleep 0.2; {_BACK}",
        subject=Subject(network=True, interface="eth0"),
        cause="the board has no eth0: the kernel has not loaded virtio_net",
        mend='modules = ["virtio_net"] in the recipe, and build again',
    ),
)

FAULTS = (*NETWORKING, *SOCKETS, *PROGRAMS, *SYSTEM)
