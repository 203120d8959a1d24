"""A host of its own: a network namespace that has a default route, and the world at its end.

Nothing of this machine's network is seen or changed there. Whatever is run in it has a /run of its
own too, so that tests which run at once do not meet.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.command import PROGRAM, Ran

UPLINK, OURS, ROUTER = "eth0", "203.0.113.2", "203.0.113.1"  # RFC 5737: of nobody
FAR = "198.51.100.7"  # in the world, behind the router; it knows no way back to a board
_CLONE_NEWNET = 0x40000000  # setns(2)
# What a process of the host's is started by: /run is that of the test, and programs may differ.
_PLACE = 'mount --bind "$1" /run; eval "$2"; shift 2; exec "$@"'
SNAPSHOT = (
    "nft list ruleset; ip address; ip route; "
    # what counts, and a key that the first socket that listens makes
    "sysctl net 2>/dev/null | grep -v -e nf_conntrack_count -e tcp_fastopen_key"
)

T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """``host`` and ``world`` are the names of the namespaces, ``run`` the host's /run.

    ``mounts`` are lines of a shell that make files look otherwise to what runs on the host.
    """

    host: str
    world: str
    run: Path
    mounts: str = ""

    def argv(self, *argv: str | Path) -> list[str]:
        """How a program is started on the host."""
        place = ("sh", "-ec", _PLACE, "sh", str(self.run), self.mounts)
        return ["ip", "netns", "exec", self.host, *place, *map(str, argv)]

    def sh(self, script: str, *, timeout: float = 60) -> str:
        """What a script on the host prints; it must succeed."""
        argv = self.argv("sh", "-ec", script)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def rootfs_tool(
        self, *argv: str | Path, timeout: float = 120, env: dict[str, str] | None = None
    ) -> Ran:
        """Run the installed program on the host."""
        done = subprocess.run(
            self.argv(PROGRAM, *argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(env or {})},
        )
        return Ran(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def snapshot(self) -> str:
        """All that hostnet might change: the rules, the addresses, the routes, the sysctls."""
        return self.sh(SNAPSHOT)

    def processes(self) -> list[int]:
        """The numbers of those that run on the host."""
        argv = ["ip", "netns", "pids", self.host]
        return [int(one) for one in subprocess.check_output(argv, text=True).split()]

    def within(self, namespace: str, do: Callable[[], T]) -> T:
        """What ``do`` returns in a namespace; sockets stay where they were made."""
        made: list[T] = []

        def run() -> None:
            handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
            try:
                assert _libc.setns(handle, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
                made.append(do())
            finally:
                os.close(handle)

        thread = threading.Thread(target=run)  # setns() is of a thread, which ends with it
        thread.start()
        thread.join()
        return made[0]


@contextmanager
def lab(run: Path, mark: str = "") -> Iterator[Lab]:
    """A host and a world, gone after the block with all that was made in them.

    ``mark`` tells it from the others of this process.
    """
    name = f"hn{os.getpid()}{mark}"
    made = Lab(host=f"{name}h", world=f"{name}w", run=run)
    with ExitStack() as stack:
        for name in (made.host, made.world):
            ip(f"netns add {name}")
            stack.callback(ip, f"netns delete {name}")
            ip(f"-n {name} link set lo up")
            # or an IPv6 address would be tentative for a second, and look another than later
            quiet = (
                "for one in all default; do echo 0 >/proc/sys/net/ipv6/conf/$one/accept_dad; done"
            )
            subprocess.run(["ip", "netns", "exec", name, "sh", "-ec", quiet], check=True)
        ip(f"-n {made.host} link add {UPLINK} type veth peer name {UPLINK} netns {made.world}")
        for name, address in ((made.host, OURS), (made.world, ROUTER)):
            ip(f"-n {name} address add {address}/24 dev {UPLINK}")
            ip(f"-n {name} link set {UPLINK} up")
        ip(f"-n {made.world} address add {FAR}/32 dev lo")
        ip(f"-n {made.host} route add default via {ROUTER}")
        yield made


def ip(line: str) -> None:
    subprocess.run(["ip", *line.split()], check=True, timeout=20)
