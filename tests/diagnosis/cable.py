"""A host and a board on one cable, each in a network namespace, and a bring-up between them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.checks.conftest import PRIVATE
from tests.command import PROGRAM

RECIPE = """\
board = "qemu-aarch64"
[network]
hostname = "board"
[[network.interface]]
name = "eth0"
address = "192.0.2.2/24"
"""

Results = dict[str, dict[str, Any]]


def ip(*words: str, said: str = "") -> None:
    subprocess.run(["ip", *words], check=True, input=said, text=True)


class Cable:
    """Names of the namespaces at its two ends, and what runs there until the end."""

    def __init__(self, stack: ExitStack, name: str = "") -> None:
        self._stack, self._name = stack, name
        self.host, self.board = self.end("h"), self.end("b")
        self.plug("to-board", self.board)
        self.address(self.host, "to-board", "192.0.2.1/24")
        self.address(self.board, "eth0", "192.0.2.2/24")

    def end(self, letter: str) -> str:
        """One more namespace."""
        name = f"rt{os.getpid()}d{self._name}{letter}"
        ip("netns", "add", name)
        self._stack.callback(ip, "netns", "delete", name)
        ip("-n", name, "link", "set", "lo", "up")
        return name

    def plug(self, device: str, end: str) -> None:
        """A cable from the host's ``device`` to eth0 of another."""
        peer = ("type", "veth", "peer", "name", "eth0", "netns", end)
        ip("-n", self.host, "link", "add", device, *peer)
        ip("-n", self.host, "link", "set", device, "up")
        ip("-n", end, "link", "set", "eth0", "up")

    def address(self, where: str, device: str, address: str) -> None:
        ip("-n", where, "address", "add", address, "dev", device)

    def filter(self, where: str, rules: str) -> None:
        ip("netns", "exec", where, "nft", "-f", "-", said=rules)

    def start(self, where: str, *argv: str | Path) -> None:
        process = subprocess.Popen(
            ["ip", "netns", "exec", where, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(process.wait, 10)
        self._stack.callback(process.terminate)

    def serve_http(self, *addresses: str) -> None:
        """The board does, at each of these."""
        for address in addresses:
            self.start(self.board, "busybox", "httpd", "-f", "-p", address, "-h", "/")
        self.wait_for(self.board, "tcp", len(addresses))

    def wait_for(self, where: str, table: str, count: int) -> None:
        deadline = time.monotonic() + 20
        argv = ["ip", "netns", "exec", where, "cat", f"/proc/net/{table}"]
        while len(subprocess.check_output(argv).splitlines()) <= count:
            assert time.monotonic() < deadline, table
            time.sleep(0.05)

    def bringup(self, place: Path, checks: str) -> Callable[[], Results]:
        """Begin one with ``checks``; what is returned waits for its results, by their names."""
        place.mkdir(exist_ok=True)
        recipe = place / "recipe.toml"
        recipe.write_text(RECIPE + checks)
        inside = f"{PRIVATE}; PATH=/mnt exec sh"
        url = f"exec:ip netns exec {self.board} unshare --mount sh -c '{inside}'"
        process = subprocess.Popen(
            [
                *("ip", "netns", "exec", self.host, PROGRAM, "bringup", recipe),
                *("--console", url, "-o", place / "out", "--json"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def ended() -> None:
            process.kill()
            process.communicate()

        def results() -> Results:
            said, errors = process.communicate(timeout=120)
            assert process.returncode == 1, errors
            return {one["name"]: one for one in json.loads(said)["results"]}

        self._stack.callback(ended)
        return results
