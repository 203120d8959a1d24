"""Is this host ready to build, boot and bring up boards, and if not, the line that mends it."""

from __future__ import annotations

import errno
import getpass
import os
import platform
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rootfs_tool import paths, proc
from rootfs_tool.errors import MissingToolError, RootfsToolError
from rootfs_tool.sources import apt

LIBC = Path("/usr/aarch64-linux-gnu/lib/libc.a")
QEMU_AT_LEAST = (6, 2)  # the oldest in a Debian or Ubuntu release that still gets updates
CACHE_NEEDS = 2 << 30  # bytes: two kernels' packages, unpacked
TFTP_PORT = 69
INSTEAD = {"nft": "iptables"}  # what hostnet takes where the first is missing

Verdict = Literal["ok", "missing", "optional"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``missing`` stops the main job; ``optional`` is wanted for something that ``found`` names."""

    name: str
    verdict: Verdict
    found: str
    mend: str | None = None
    package: str | None = None


def examine() -> tuple[Finding, ...]:
    """Every question, in the order in which a build would meet them."""
    return (
        _python(),
        *_programs(),
        _libc(),
        _archive(),
        _cache(),
        *_serial_ports(),
        _tftp_port(),
    )


def apt_line(findings: tuple[Finding, ...]) -> str | None:
    """One line that installs every missing package."""
    packages = [one.package for one in findings if one.package and one.verdict != "ok"]
    if not packages:
        return None
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install -y --no-install-recommends {' '.join(packages)}"


def _python() -> Finding:
    return Finding(name="python", verdict="ok", found=platform.python_version())


def _programs() -> Iterator[Finding]:
    purposes: dict[str, tuple[Verdict, str]] = {
        "apt-get": ("missing", "fetches Debian's packages"),
        "dpkg-deb": ("missing", "unpacks them"),
        "setpriv": ("missing", "ends QEMU when we end"),
        "qemu-system-aarch64": ("missing", "boots a build"),
        "mke2fs": ("missing", "makes the file system of a card"),
        "make": ("optional", "builds projects that have a Makefile"),
        "mksquashfs": ("optional", 'makes the one of root = "overlay"'),
        "mkfs.erofs": ("optional", "makes erofs images"),
        "aarch64-linux-gnu-gcc": ("optional", "compiles C for the board"),
        "ssh": ("optional", "logs in to a board with [ssh]"),
        "ip": ("optional", "sets addresses for hostnet"),
        "nft": ("optional", "makes the NAT of hostnet, as iptables would"),
        "dnsmasq": ("optional", "gives the leases of hostnet --dhcp"),
    }
    for program, (verdict, purpose) in purposes.items():
        try:
            path = _path(program)
        except MissingToolError:
            package = proc.PACKAGES[program]
            yield Finding(
                name=program,
                verdict=verdict,
                found=f"not installed; it {purpose}",
                mend=f"apt-get install {package}",
                package=package,
            )
        else:
            yield _qemu(path) if program.startswith("qemu") else _there(program, path)


def _path(program: str) -> str:
    """Where it is, or what does its work. Raises MissingToolError."""
    try:
        return proc.which(program)
    except MissingToolError:
        if program not in INSTEAD:
            raise
        return proc.which(INSTEAD[program])


def _there(program: str, path: str) -> Finding:
    return Finding(name=program, verdict="ok", found=path)


def _qemu(path: str) -> Finding:
    try:
        said = proc.run(path, "--version", timeout=10)
    except RootfsToolError as error:
        return Finding(
            name="qemu-system-aarch64",
            verdict="missing",
            found=str(error).splitlines()[0],
            mend="apt-get install --reinstall qemu-system-arm",
        )
    version = re.search(r"version (\d+)\.(\d+)\S*", said)
    old = version is not None and (int(version[1]), int(version[2])) < QEMU_AT_LEAST
    wanted = ".".join(map(str, QEMU_AT_LEAST))
    return Finding(
        name="qemu-system-aarch64",
        verdict="missing" if old else "ok",
        found=f"{path}, {version[0] if version else 'version unknown'}",
        mend=f"QEMU {wanted} or later is needed" if old else None,
    )


def _libc() -> Finding:
    if LIBC.exists():
        return Finding(name="static libc", verdict="ok", found=str(LIBC))
    return Finding(
        name="static libc",
        verdict="optional",
        found=f"no {LIBC}; static programs for the board are linked with it",
        mend="apt-get install libc6-dev-arm64-cross",
        package="libc6-dev-arm64-cross",
    )


def _archive() -> Finding:
    try:
        secure = apt.check_host()
    except RootfsToolError as error:
        return Finding(name="debian archive", verdict="missing", found=str(error), mend=error.hint)
    if not secure:
        return Finding(
            name="debian archive",
            verdict="optional",
            found="without security updates: an older kernel may be taken than is pinned",
            mend="add an entry for Debian's -security suite to apt's sources, see sources.list(5)",
        )
    return Finding(name="debian archive", verdict="ok", found="in the host's apt configuration")


def _cache() -> Finding:
    try:
        directory = paths.cache()
        writable, free = os.access(directory, os.W_OK), shutil.disk_usage(directory).free
    except RootfsToolError as error:
        return Finding(name="cache", verdict="missing", found=str(error), mend=error.hint)
    mend = None
    if not writable:
        mend = f"chown {getpass.getuser()} {directory}, or XDG_CACHE_HOME names another"
    elif free < CACHE_NEEDS:
        mend = f"make room: {CACHE_NEEDS >> 30} GiB are wanted"
    found = f"{directory}, {free / (1 << 30):.1f} GiB free"
    return Finding(name="cache", verdict="missing" if mend else "ok", found=found, mend=mend)


def _serial_ports() -> Iterator[Finding]:
    ports = sorted(port for kind in ("ttyUSB*", "ttyACM*") for port in Path("/dev").glob(kind))
    for port in ports:
        allowed = os.access(port, os.R_OK | os.W_OK)
        yield Finding(
            name=f"serial port {port.name}",
            verdict="ok" if allowed else "optional",
            found="may be opened" if allowed else f"{getpass.getuser()} may not open it",
            mend=None if allowed else f"sudo usermod -aG {port.group()} $USER, and log in again",
        )
    if not ports:
        yield Finding(name="serial ports", verdict="ok", found="no USB adapter is plugged in")


def _tftp_port() -> Finding:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.bind(("", TFTP_PORT))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            return Finding(
                name=f"UDP port {TFTP_PORT}",
                verdict="optional",
                found="taken by another server; bringup takes any free port"
                if taken
                else "not for this user; bringup takes any free port",
                mend=f"ss -lunp 'sport = {TFTP_PORT}' tells who has it"
                if taken
                else f"sudo sysctl net.ipv4.ip_unprivileged_port_start={TFTP_PORT}",
            )
    return Finding(name=f"UDP port {TFTP_PORT}", verdict="ok", found="free")
