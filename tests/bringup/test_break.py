"""A break on the console of a machine, which its kernel takes for SysRq."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootfs_tool import manifest, recipe
from rootfs_tool.cli.subject import machine
from rootfs_tool.shell import Shell

pytestmark = pytest.mark.qemu


def test_sysrq_over_a_break(out: Path) -> None:
    found, _ = recipe.find(str(out))
    line = found.board.console
    with machine(found).boot(manifest.load(out), line) as console:
        shell = Shell.attach(console, line, timeout=120)
        shell.run("echo 1 >/proc/sys/kernel/sysrq", timeout=30)
        shell.leave()
        assert console.set_baudrate(9600) is False
        console.send_break()
        console.write(b"h")
        said = b""
        while b"sysrq: HELP" not in said:
            more = console.read(10)
            assert more, said
            said += more
