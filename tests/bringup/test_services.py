"""A board with services: they are asked by themselves, and through a forward."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rootfs_tool import manifest
from rootfs_tool.cli.subject import machine
from rootfs_tool.errors import ConfigError
from rootfs_tool.recipe import find
from rootfs_tool.targets import portforward
from tests.bringup.test_run import ended, on_a_terminal, until
from tests.command import Ran, outcomes, rootfs_tool, the_report
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.qemu

SERVICES = """
board = "qemu-aarch64"
forward = ["{port}:9000"]

[[network.interface]]           # not the address that QEMU takes a board to have
name = "eth0"
address = "10.0.2.20/24"
gateway = "10.0.2.2"

[[service]]
name = "echo"
command = "/usr/bin/nc -ll -p 9000 -e /bin/cat"
background = true

[[service]]
name = "breaks"
command = "/bin/sh -c 'echo no such device: /dev/spidev0.0; exit 3'"
background = true
"""

CHECKS = """
[[check]]
type = "port"
port = 9000
open-to = "all"

[[check]]
type = "tcp"
port = 9000
send = "hello\\n"
expect = "hello\\n"

[[check]]
type = "tcp"
port = 9000
send = "hello\\n"
expect = "hello\\n"
origin = "board"

[[check]]
type = "tcp"
port = 9000
send = "{{tag}}\\n"
expect = "{{tag}}\\n"
packets = 100

[[check]]
type = "log"
contains = "syslogd started"
"""


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, port: int) -> Path:
    """A build with a service that answers and one that ends at once."""
    directory = tmp_path_factory.mktemp("services")
    recipe = directory / "recipe.toml"
    recipe.write_text((SERVICES + CHECKS).format(port=port))
    shutil.copy(CHECKOUT / "boards" / "qemu-aarch64.lock", recipe.with_suffix(".lock"))
    ran = rootfs_tool("build", recipe, "-o", directory / "out", timeout=600)
    assert ran.status == 0, ran.said
    return directory / "out"


@pytest.fixture(scope="module")
def brought_up(services: Path) -> Ran:
    return rootfs_tool("bringup", services)


def test_services_are_asked_by_themselves(services: Path, brought_up: Ran) -> None:
    report = the_report(services)
    found = outcomes(report)
    assert list(found)[5:] == [
        "service echo",
        "service breaks",
        "port 9000",
        "tcp 9000",
        "tcp 9000 on the board",
        "tcp 9000, 100 packets",
        "log with syslogd started",
    ]
    assert {name for name, outcome in found.items() if outcome != "passed"} == {"service breaks"}
    assert brought_up.status == 1


def test_a_service_that_ends_at_once_comes_with_its_last_words(
    services: Path, brought_up: Ran
) -> None:
    (breaks,) = [one for one in the_report(services)["results"] if one["name"] == "service breaks"]
    assert breaks["message"].startswith("breaks: ")
    assert "/var/log/breaks.log:\nno such device: /dev/spidev0.0" in breaks["message"]
    assert "no such device: /dev/spidev0.0" in brought_up.stdout


def test_a_port_that_is_taken_is_said_before_anything_starts(services: Path, port: int) -> None:
    with closing(socket.create_server(("127.0.0.1", port))):
        for verb in ("bringup", "run"):
            ran = rootfs_tool(verb, services)
            assert ran.status == 2
            assert f"error: TCP port {port} of 127.0.0.1, which leads to the board's 9000" in (
                ran.stderr
            )
            assert "is taken by python" in ran.stderr
            assert "or take another port in the recipe: forward = [" in ran.stderr


def test_a_port_that_is_taken_in_the_last_moment(
    services: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is free when we look, and not when QEMU opens it."""
    recipe, _ = find(str(services))
    look: Any = portforward.check
    looks = 0

    def late(forwards: Any) -> None:
        nonlocal looks
        looks += 1
        if looks > 1:
            look(forwards)

    monkeypatch.setattr(portforward, "check", late)
    build = manifest.load(services)
    with closing(socket.create_server(("127.0.0.1", port))):
        boot = machine(recipe).boot(build, recipe.board.console)
        with pytest.raises(ConfigError, match="is taken by python"), boot:
            pass


def test_run_says_what_leads_where(services: Path, port: int) -> None:
    with on_a_terminal(services) as (running, terminal, _):
        until(terminal, b"127.0.0.1:%d -> the board's TCP port 9000\r\n" % port)
        until(terminal, b"Linux version")
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(ConnectionRefusedError):  # and no other address of this host's
            socket.create_connection(("127.0.0.2", port), timeout=5)
        os.write(terminal, b"\x01x")
        assert ended(running, terminal) == 0
