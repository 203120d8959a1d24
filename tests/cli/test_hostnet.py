"""What an ordinary user is told; what root may do is in tests/hostnet."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.command import rootfs_tool
from tests.conftest import CHECKOUT


@pytest.mark.root
def test_without_root_the_line_to_type_is_said() -> None:
    code = (
        "import sys; from rootfs_tool.cli import main; "
        "sys.argv = ['/usr/bin/rootfs-tool', 'hostnet', 'up', '--tap', 'tap7']; main()"
    )
    ran = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "HOME": "/"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "hint: sudo /usr/bin/rootfs-tool hostnet up --tap tap7" in ran.stderr


def test_the_help_names_what_it_can_do() -> None:
    said = rootfs_tool("hostnet", "--help").stdout
    for verb in ("up", "down", "status"):
        assert f"  {verb} " in said
    assert "--cable IFACE" in rootfs_tool("hostnet", "up", "--help").stdout
