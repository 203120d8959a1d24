"""QEMU that ends where it is spoken to: its words are the error, and no pipe of it is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rootfs_tool.console.base import Line
from rootfs_tool.errors import CommandError
from rootfs_tool.manifest import BuiltImage
from rootfs_tool.targets.qemu import Qemu
from tests.targets.test_qemu import BUILD, FILE

# Nobody reads requests any more once it has greeted.
GREETS_AND_ENDS = """#!/bin/sh
echo 'no room for the RAM' >&2
exec <&-
echo '{"QMP": {}}'
"""


def test_qemu_that_ends_just_after_its_greeting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "qemu-system-aarch64"
    program.write_text(GREETS_AND_ENDS)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    build = replace(BUILD, images=(BuiltImage(format="cpio", file=FILE),))
    with (
        pytest.raises(CommandError, match="QEMU ended: no room for the RAM"),
        Qemu(machine="virt").boot(build, Line(device="ttyAMA0")),
    ):
        pass
