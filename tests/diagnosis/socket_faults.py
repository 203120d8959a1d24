"""What goes wrong between a program and its socket: who listens where, and who may not."""

from __future__ import annotations

from tests.diagnosis.fault import BACK, Fault

_START = "/tmp/echo_server {} & p=$!; sleep 0.3; kill $p"

SOCKETS = (
    Fault(
        rule="nobody-listens",
        command="/tmp/echo_client 127.0.0.1 7001",
        cause="nobody listens at TCP port 7001",
        mend="start the program",
    ),
    *(
        Fault(
            rule="nobody-listens",
            name=f"nobody-listens-{command.split()[0]}",
            command=command,
            cause=f"nobody listens at TCP port {port} of the board",
            mend="start the program",
        )
        for command, port in (
            ("nc -w 2 127.0.0.1 12345", 12345),
            ("telnet 127.0.0.1", 23),
            ("wget -T 2 -q -O - http://127.0.0.1/", 80),
        )
    ),
    Fault(
        rule="other-address-bound",
        name="own-address-bound",
        setup="httpd -p 127.0.0.1:8080; sleep 0.2",
        command="wget -T 2 -q -O - http://10.0.2.15:8080/",
        undo="killall httpd",
        cause="the server is bound to 127.0.0.1, and 10.0.2.15 was asked",
        mend="bind 0.0.0.0 (INADDR_ANY) in the program, or ask 127.0.0.1",
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
        rule="port-taken",
        name="port-taken-nc",
        setup="ip route replace default via 10.0.3.1 dev eth0 onlink",
        command="nc -l -p 7000",
        undo=f"route del default; {BACK}",
        cause="port 7000 is taken (error 98, EADDRINUSE): by echo_server (pid ",
        mend="on the board: kill ",
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
    Fault(
        rule="privileged-port",
        name="privileged-port-httpd",
        setup="echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start",
        command="su -s /bin/sh nobody -c 'httpd -f -p 80'",
        cause="only root may open ports below 1024, and 80 is one",
        mend="use a port from 1024 on",
    ),
)
