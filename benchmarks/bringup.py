"""``bringup`` of hello, warm, against the bare boot to a prompt plus the bare transfer.

The peer boots the same kernel and initramfs under the same QEMU, waits for the shell's prompt on
its serial port, types the TFTP command for the same file into it, and waits for its end: what a
person with a stopwatch and no tool would do at best.
"""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.side_by_side import compare, report
from rootfs_tool import manifest, recipe, tftp
from rootfs_tool.cli.subject import machine

BOARD = "qemu-aarch64"
PROGRAM = Path(sys.executable).with_name("rootfs-tool")
HELLO = Path(__file__).parent.parent / "examples" / "hello.c"


def bringup(out: Path, hello: Path) -> None:
    argv: list[str | Path] = [
        PROGRAM,
        "bringup",
        BOARD,
        "-o",
        out,
        "--run",
        shlex.quote(str(hello)),
    ]
    subprocess.run(argv, check=True, capture_output=True)


def by_hand(out: Path, hello: Path) -> None:
    build = manifest.load(out)
    qemu = machine(recipe.find(BOARD)[0])
    options = ["-display", "none", "-monitor", "none", "-no-reboot", "-serial", "stdio"]
    with (
        tftp.serve({"hello": hello}, "127.0.0.1") as server,
        qemu.start(build) as start,
        subprocess.Popen(
            [*qemu.argv(build, start), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as board,
    ):
        assert board.stdin is not None
        assert board.stdout is not None
        _until(board.stdout.fileno(), b"# ")
        line = f"tftp -g -b 65464 -r hello 10.0.2.2 {server.port}; echo fet''ched\n"
        board.stdin.write(line.encode())
        board.stdin.flush()
        _until(board.stdout.fileno(), b"\nfetched")
        board.kill()


def _until(fd: int, mark: bytes) -> None:
    seen, deadline = b"", time.monotonic() + 60
    while mark not in seen:
        assert select.select([fd], [], [], deadline - time.monotonic())[0], seen
        seen += os.read(fd, 65536)


os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
with tempfile.TemporaryDirectory() as temporary:
    out, hello = Path(temporary) / "out", Path(temporary) / "hello"
    compiler: list[str | Path] = [
        "aarch64-linux-gnu-gcc",
        "-static",
        "-O2",
        "-s",
        "-o",
        hello,
        HELLO,
    ]
    subprocess.run(compiler, check=True)
    bringup(out, hello)
    found = compare(lambda: bringup(out, hello), lambda: by_hand(out, hello), rounds=7, rest=2)
    report("bringup of hello", "boot to a prompt and fetch by hand", found, goal=1.5)
