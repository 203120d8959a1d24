"""What goes wrong on a board, one thing at a time."""

from __future__ import annotations

from tests.diagnosis.fault import BACK, TWICE, Fault
from tests.diagnosis.system_faults import PROGRAMS, SYSTEM

_PING = "ping -c 1 -W 1 10.0.2.2"
_START = "/tmp/echo_server {} & p=$!; sleep 0.3; kill $p"

NETWORKING = (
    Fault(
        rule="lo-down",
        setup="route del default; ip addr flush dev lo; ifconfig lo down",
        command="/tmp/echo_client",
        undo=BACK,
        cause="lo is down",
        mend="on the board: ifconfig lo 127.0.0.1 up",
        mends=True,
    ),
    Fault(
        rule="no-address",
        setup="ifconfig eth0 0.0.0.0",
        command=_PING,
        undo=BACK,
        cause="eth0 has no address",
        mend="on the board: ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up",
        mends=True,
    ),
    Fault(
        rule="down",
        setup="ifconfig eth0 down",
        command=_PING,
        undo=BACK,
        cause="eth0 has its address but is down",
        mend="on the board: ifconfig eth0 up",
        mends=True,
    ),
    Fault(
        rule="other-address",
        setup="ifconfig eth0 10.0.3.15 netmask 255.255.255.0",
        command=_PING,
        undo=BACK,
        cause="eth0 has 10.0.3.15/24, and the profile gives it 10.0.2.15/24",
        mend="on the board: ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up",
        mends=True,
    ),
    Fault(
        rule="wrong-interface",
        setup="modprobe dummy; ip link add eth1 type dummy; ifconfig eth0 0.0.0.0; "
        "ifconfig eth1 10.0.2.15 netmask 255.255.255.0 up",
        command=_PING,
        undo=f"ip link del eth1; {BACK}",
        cause="10.0.2.15 is the address of eth1, not of eth0",
        mend="on the board: ifconfig eth1 0.0.0.0; ifconfig eth0 10.0.2.15 netmask",
        mends=True,
    ),
    Fault(
        rule="wrong-netmask",
        setup="ifconfig eth0 10.0.2.15 netmask 255.255.255.248",
        command=f"{_PING} && ip route get 192.0.2.1",
        undo=BACK,
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
        undo=BACK,
        network=TWICE,
        cause="10.0.2.2 is taken twice: 52:55:0a:00:02:02",
        mend="give one of the two another address",
    ),
    Fault(
        rule="no-carrier",
        command=_PING,
        link=False,
        undo=BACK,
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
        undo=BACK,
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
        rule="port-lingers",
        setup="/tmp/once 7400 & sleep 0.3; nc 127.0.0.1 7400 </dev/null; wait $!",
        command="/tmp/once 7400",
        cause="connections of port 7400 have ended within the last minute, and the kernel keeps "
        "their port for them (TIME_WAIT; error 98, EADDRINUSE)",
        mend="on the board, now: wait for a minute; for good, in the program, before bind(): "
        "setsockopt(…, SOL_SOCKET, SO_REUSEADDR, &yes, …)",
    ),
    Fault(
        rule="port-lingers",
        name="port-half-closed",
        setup="/tmp/once 7500 & p=$!; sleep 0.3; nc 127.0.0.1 7500 -e sleep 30 & "
        "echo $! >/tmp/pid; wait $p",
        command="/tmp/once 7500",
        undo="kill $(cat /tmp/pid)",
        cause="connections of port 7500 have ended within the last minute, and the kernel keeps "
        "their port for them (FIN_WAIT2; error 98, EADDRINUSE)",
        mend="on the board, now: wait for a minute; for good, in the program, before bind(): ",
    ),
    Fault(
        rule="port-lingers",
        name="port-held",
        setup="/tmp/echo_server 0.0.0.0 7600 >/dev/null 2>&1 & p=$!; sleep 0.3; "
        "nc 127.0.0.1 7600 -e sleep 30 & echo $! >/tmp/pid; sleep 0.3; kill $p",
        command="/tmp/once 7600",
        undo="kill $(cat /tmp/pid)",
        cause="connections of port 7600 are still open, and keep it: those of echo_server (pid ",
        mend="on the board, now: kill ",
    ),
    Fault(
        rule="privileged-port",
        setup="echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start",
        command="su -s /bin/sh nobody -c '/tmp/echo_server 0.0.0.0 80'",
        cause="only root may open ports below 1024, and 80 is one",
        mend="use a port from 1024 on",
    ),
)

FAULTS = (*NETWORKING, *SOCKETS, *PROGRAMS, *SYSTEM)
