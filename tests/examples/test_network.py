"""The recipes of examples/network, booted: what they show fails, and its cause is told."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.command import rootfs_tool
from tests.conftest import CHECKOUT

pytestmark = [pytest.mark.qemu, pytest.mark.network]

NETWORK = CHECKOUT / "examples" / "network"


def brought_up(name: str, place: Path) -> dict[str, dict[str, Any]]:
    """What came of each check of a recipe, whose forward begins at a port that is free."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    text = (NETWORK / f"{name}.toml").read_text().replace('["8080:8080"]', f'["{port}:8080"]')
    text = text.replace('files = ["', f'files = ["{NETWORK}/')
    (place / "recipe.toml").write_text(text)
    (place / "recipe.lock").write_text((NETWORK / f"{name}.lock").read_text())
    ran = rootfs_tool("bringup", place / "recipe.toml", "-o", place / "out", "--json", timeout=300)
    assert ran.status == 1, ran.said
    return {one["name"]: one for one in json.loads(ran.stdout)["results"]}


def test_with_lo_down_the_client_fails_with_error_101_and_is_told_why(tmp_path: Path) -> None:
    found = brought_up("lo-down", tmp_path)
    failed = {name for name, one in found.items() if one["outcome"] != "passed"}
    assert failed == {"loopback lo", "command echo_client"}
    client = found["command echo_client"]
    assert "error 101: Network is unreachable" in client["message"]
    (one,) = client["diagnoses"]
    assert one["rule"] == "lo-down"
    assert one["mend"].startswith("on the board: ifconfig lo 127.0.0.1 up")
    assert "lo: down, no IPv4 address" in one["evidence"]


def test_a_server_bound_to_loopback_is_reached_by_the_board_alone(tmp_path: Path) -> None:
    found = brought_up("http-loopback", tmp_path)
    assert {name for name, one in found.items() if one["outcome"] != "passed"} == {"tcp 8080"}
    (one,) = found["tcp 8080"]["diagnoses"]
    assert one["rule"] == "loopback-only"
    assert "bound to 127.0.0.1" in one["cause"]
    assert any("http_loopback" in line for line in one["evidence"])
