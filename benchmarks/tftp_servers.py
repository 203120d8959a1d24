"""TFTP servers of others, started on this host's loopback for as long as a benchmark needs them.

The packages of tftpd-hpa and atftpd start a service when they are installed: here they are unpacked
under build/, and only their programs are run.
"""

from __future__ import annotations

import os
import platform
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).parent.parent / "build" / "peers"
PROGRAM = Path(sys.executable).with_name("rootfs-tool")
PACKAGES = ("atftpd", "tftpd-hpa")
TICK = os.sysconf("SC_CLK_TCK")
START = 10.0  # seconds

TFTPY = "import sys, tftpy; tftpy.TftpServer(sys.argv[1]).listen(sys.argv[2], int(sys.argv[3]))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One that runs: its name, its process, and where it listens."""

    name: str
    pid: int
    address: str
    port: int

    def cpu(self) -> float:
        """Seconds of processor time, of its children that have ended too (proc(5))."""
        fields = self._stat()
        return sum(map(int, fields[11:15])) / TICK

    def memory(self, which: str = "VmRSS") -> int:
        """Bytes; ``which`` is a line of /proc/PID/status, such as VmHWM, the most it ever had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith(f"{which}:")]
        return int(line.split()[1]) * 1024

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def _stat(self) -> list[str]:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()


def unpack() -> None:
    """Fetch and unpack the peers' packages, once."""
    PEERS.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not (PEERS / package).is_dir():
            subprocess.run(
                ["apt-get", "download", "-q", package], cwd=PEERS, check=True, capture_output=True
            )
            (deb,) = PEERS.glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "--extract", deb, PEERS / package], check=True)


def commands(root: Path) -> dict[str, tuple[str, int, list[str]]]:
    """Address, port and argv by name. dnsmasq knows no port but 69, so it has an address alone."""
    here, user = "127.0.0.1", "nobody"
    where = f"{here}:6902"
    return {
        "tftpd-hpa": (
            *(here, 6902),
            [
                *(str(PEERS / "tftpd-hpa/usr/sbin/in.tftpd"), "--listen", "--foreground"),
                *("--secure", "--user", user, "--address", where, str(root)),
            ],
        ),
        "atftpd": (
            *(here, 6903),
            [
                *(str(PEERS / "atftpd/usr/sbin/atftpd"), "--daemon", "--no-fork"),
                *("--maxthread", "2000", "--user", f"{user}.nogroup", "--verbose=0"),
                *("--bind-address", here, "--port", "6903", str(root)),
            ],
        ),
        "dnsmasq": (
            *("127.0.0.69", 69),
            [
                *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"),
                *("--listen-address=127.0.0.69", "--bind-interfaces", "--pid-file="),
                *("--user=nobody", "--tftp-max=2000", "--enable-tftp", f"--tftp-root={root}"),
            ],
        ),
        "tftpy": (here, 6904, [sys.executable, "-c", TFTPY, str(root), here, "6904"]),
    }


def ours(root: Path, command: str, port: int) -> tuple[str, int, list[str]]:
    """``command`` has {root}, {address} and {port} in it."""
    here = "127.0.0.1"
    filled = command.format(root=shlex.quote(str(root)), address=here, port=port)
    return here, port, shlex.split(filled)


@contextmanager
def started(name: str, address: str, port: int, argv: list[str]) -> Iterator[Server]:
    """Run it until the block ends; it answers when the block begins."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        try:
            if not _answers(child, address, port):
                sys.exit(f"{name} does not answer: {shlex.join(argv)}")
            yield Server(name=name, pid=child.pid, address=address, port=port)
        finally:
            os.killpg(child.pid, signal.SIGKILL)


def _answers(child: subprocess.Popen[bytes], address: str, port: int) -> bool:
    deadline = time.monotonic() + START
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.1)
        while time.monotonic() < deadline and child.poll() is None:
            client.sendto(b"\0\1not there\0octet\0", (address, port))
            try:
                client.recvfrom(1024)
            except (TimeoutError, ConnectionError):
                time.sleep(0.05)
                continue
            return True
    return False


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}"
