"""What goes wrong on a board beside its network: programs, the clock, disks, names, drivers."""

from __future__ import annotations

from rootfs_tool.diagnosis.subject import Subject
from tests.diagnosis.fault import BACK, Fault

# Debian's, and glibc with them.
WITH_LIBC = ("make", "musl", "openssl")

PROGRAMS = (
    Fault(
        rule="dynamic",
        command="cd /tmp && ./dynamic.out",
        cause="/tmp/dynamic.out is there, but linked dynamically: its interpreter "
        "/lib/ld-linux-aarch64.so.1 is not on the board",
        mend="on this host: aarch64-linux-gnu-gcc -static -o dynamic.out dynamic.c",
    ),
    Fault(
        rule="dynamic",
        name="dynamic-of-path",
        setup="cp /tmp/dynamic.out /usr/bin/shiny",
        command="shiny",
        undo="rm /usr/bin/shiny",
        cause="/usr/bin/shiny is there, but linked dynamically",
        mend="on this host: aarch64-linux-gnu-gcc -static -o shiny shiny.c",
    ),
    Fault(
        rule="other-directory",
        command="./dynamic.out",
        cause="there is no ./dynamic.out in /, where it was asked for: it is /tmp/dynamic.out",
        mend="on the board: /tmp/dynamic.out; or first: cd /tmp",
    ),
    Fault(
        rule="no-library",
        packages=WITH_LIBC,
        command="cd /tmp && ./greets.out",
        cause="the program is linked dynamically and the board does not have libgreet.so.1",
        mend="link it with -static; or the library into the rootfs",
    ),
    Fault(
        rule="no-library",
        name="no-library-musl",
        packages=WITH_LIBC,
        command="cd /tmp && /lib/ld-musl-aarch64.so.1 ./greets.out",
        cause="the program is linked dynamically and the board does not have libgreet.so.1",
        mend="link it with -static; or the library into the rootfs",
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
        rule="mode",
        name="mode-of-others",
        setup="chmod 744 /tmp/hello",
        command="su -s /bin/sh nobody -c /tmp/hello",
        undo="chmod 755 /tmp/hello",
        cause="/tmp/hello may not be executed by everybody: its mode is 0744",
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
    Fault(
        rule="no-interpreter",
        name="no-interpreter-of-env",
        setup="printf '#! /usr/bin/env python3\\n' >/tmp/script; chmod 755 /tmp/script",
        command="/tmp/script",
        cause="the script is for python3, which the board does not have",
        mend='packages = ["python3"] in the recipe',
    ),
)

_WRONG_CLOCK = "date +%s >/tmp/now; {}date -s @{} >/dev/null"
_RIGHT_CLOCK = "date -s @$(($(cat /tmp/now) + 5))"
_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "
    "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout /tmp/key -out /tmp/cert"
)
_SERVE_TLS = (
    f"{_CERTIFICATE}; openssl s_server -accept 7443 -cert /tmp/cert -key /tmp/key -www "
    ">/dev/null 2>&1 & echo $! >/tmp/pid; sleep 1; "
)

SYSTEM = (
    Fault(
        rule="clock",
        packages=WITH_LIBC,
        setup=_WRONG_CLOCK.format(
            "printf 'a: b\\n\\tfalse\\n' >/tmp/Makefile; date >/tmp/b; ", 4000
        ),
        command="cd /tmp && make",
        undo=_RIGHT_CLOCK,
        cause="the board's clock says 1970-01-01 01:06 (UTC)",
        mend="on the board: date -u -s @",
    ),
    Fault(
        rule="clock",
        name="clock-tls",
        packages=WITH_LIBC,
        setup=_WRONG_CLOCK.format(_SERVE_TLS, 4000),
        command="openssl s_client -connect localhost:7443 -CAfile /tmp/cert -verify_return_error",
        undo=f"kill $(cat /tmp/pid); {_RIGHT_CLOCK}",
        cause="the board's clock says 1970-01-01 01:06 (UTC): certificates are not valid yet",
        mend="on the board: date -u -s @",
    ),
    Fault(
        rule="clock",
        name="clock-ahead",
        packages=WITH_LIBC,
        setup=_WRONG_CLOCK.format(_SERVE_TLS, 2208988800),
        command="openssl s_client -connect localhost:7443 -CAfile /tmp/cert -verify_return_error",
        undo=f"kill $(cat /tmp/pid); {_RIGHT_CLOCK}",
        cause="the board's clock says 2040-01-01 00:00 (UTC): certificates have run out",
        mend="on the board: date -u -s @",
    ),
    Fault(
        rule="clock",
        name="clock-wget",
        packages=WITH_LIBC,
        setup=_WRONG_CLOCK.format(_SERVE_TLS, 4000),
        command="SSL_CERT_FILE=/tmp/cert wget -O - https://localhost:7443/",
        undo=f"kill $(cat /tmp/pid); {_RIGHT_CLOCK}",
        cause="the board's clock says 1970-01-01 01:06 (UTC)",
        mend="on the board: date -u -s @",
        mends=True,
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
        rule="read-only",
        name="read-only-here",
        setup="mkdir -p /tmp/r; mount -t tmpfs -o ro none /tmp/r",
        command="cd /tmp/r && touch file",
        undo="umount /tmp/r",
        cause="/tmp/r is mounted read-only",
        mend="on the board: mount -o remount,rw /tmp/r",
        mends=True,
    ),
    Fault(
        rule="full",
        name="full-not-the-other",
        setup="mkdir -p /tmp/f /tmp/g; mount -t tmpfs -o size=16k none /tmp/g; "
        "cat /tmp/hello >/tmp/g/file; mount -t tmpfs -o size=64k none /tmp/f",
        command="cp /tmp/hello /tmp/f/file",
        undo="umount /tmp/f /tmp/g",
        cause="/tmp/f is full: 0 of 64 KiB free",
        mend="on the board: du -xk /tmp/f | sort -n | tail;",
    ),
    Fault(
        rule="full",
        setup="mkdir -p /tmp/f; mount -t tmpfs -o size=64k none /tmp/f",
        command="dd if=/dev/zero of=/tmp/f/file bs=1k count=100",
        undo="umount /tmp/f",
        cause="/tmp/f is full: 0 of 64 KiB free",
        mend="on the board: du -xk /tmp/f | sort -n | tail;",
    ),
    Fault(
        rule="no-module",
        command="modprobe can_dev",
        cause="the rootfs has no kernel module can_dev",
        mend='modules = ["can_dev"] in the recipe',
    ),
    *(
        Fault(
            rule="no-module",
            name=f"no-module-{module}",
            command=command,
            cause=f"the kernel on the board does not have {module}",
            mend=f"on the board: modprobe {module}",
        )
        for command, module in (
            ("mount -t btrfs /dev/null /mnt", "btrfs"),
            ("ip link add one type veth peer name two", "veth"),
            ("vconfig add eth0 5", "8021q"),
        )
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
        rule="name-server-absent",
        setup="echo nameserver 10.0.2.99 >/etc/resolv.conf",
        command="ping -c 1 -W 1 board.example",
        undo="echo nameserver 10.0.2.3 >/etc/resolv.conf",
        cause="nobody answers ARP for the name server 10.0.2.99",
        mend="on the board, with one that it reaches: echo nameserver ADDRESS >/etc/resolv.conf",
    ),
    Fault(
        rule="no-such-name",
        name="no-such-name-nslookup",
        command="nslookup board.example",
        cause="neither /etc/hosts nor the name server 10.0.2.3 has an address for that name",
        mend="is it spelt right?",
    ),
    Fault(
        rule="no-such-name",
        command="/tmp/lookup board.example",
        cause="neither /etc/hosts nor the name server 10.0.2.3 has an address",
        mend="is it spelt right? On the board: nslookup NAME",
    ),
    Fault(
        rule="no-driver",
        name="no-such-interface",
        command="ifconfig wlan0 up",
        cause="the board has no wlan0: no driver has made it",
        mend="is wlan0 its name? The board has lo, eth0",
    ),
    Fault(
        rule="no-driver",
        setup="ifconfig eth0 down; rmmod virtio_net",
        command="ifconfig eth0",
        undo=f"modprobe virtio_net; sleep 0.2; {BACK}",
        subject=Subject(network=True, interface="eth0"),
        cause="the board has no eth0: the kernel has not loaded virtio_net",
        mend='modules = ["virtio_net"] in the recipe, and build again',
    ),
)
