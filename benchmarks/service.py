"""A service of your own, from its C file to its first answer on a machine in QEMU.

``python -m benchmarks.service``: examples/aesdsocket with its recipe, packages in the cache. Each
time the C file is changed first, so it is compiled, and the machine is a new one. The time begins
with the command ``build`` and ends with the answer to a client on this host; that of a rebuild ends
with the command. The size is that of all files in the rootfs but the kernel's modules.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rootfs_tool import imagesize, manifest
from rootfs_tool.filesystem.opened import Opened
from tests.command import PROGRAM
from tests.examples.board import Example, copied, first_answer
from tests.terminal.typist import Typist

ROUNDS = 7
ANSWER_GOAL, REBUILD_GOAL = 30.0, 3.0  # seconds
SIZE_GOAL = 6.0  # MiB
MODULES = ("/lib/modules", "/usr/lib/modules")
MIB = 1 << 20


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    with tempfile.TemporaryDirectory(prefix="rootfs-tool-") as temporary:
        here = Path(temporary)
        key = here / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        plain = copied(here / "plain")
        _build(plain)
        _time("rebuild after a change in the C file", lambda: _rebuild(plain), REBUILD_GOAL)
        _time("build to the first answer on port 9000", lambda: _answer(plain), ANSWER_GOAL)
        _size("rootfs without the kernel's modules", plain, SIZE_GOAL)
        secure = copied(here / "secure", key.with_suffix(".pub"))
        _build(secure)
        _size("the same with SSH", secure, None)


def _build(example: Example) -> None:
    argv: list[str | Path] = [PROGRAM, "build", example.recipe, "-o", example.out]
    subprocess.run(argv, check=True, capture_output=True)


def _rebuild(example: Example) -> float:
    with example.program.open("a") as source:
        source.write(f"\nextern int changed_{time.time_ns()};\n")
    begun = time.monotonic()
    _build(example)
    return time.monotonic() - begun


def _answer(example: Example) -> float:
    took = _rebuild(example)
    begun = time.monotonic()
    machine = Typist("run", example.out)
    try:
        connection, _ = first_answer(example.port)
        connection.close()
        took += time.monotonic() - begun
        machine.type(b"poweroff\r")
        machine.end(60)
    finally:
        machine.close()
    return took


def _time(name: str, work: Callable[[], float], goal: float) -> None:
    seconds = [work() for _ in range(ROUNDS)]
    median = statistics.median(seconds)
    verdict = "ok" if median <= goal else "MISSED"
    print(
        f"{name}: {median:.2f} s, from {min(seconds):.2f} to {max(seconds):.2f} "
        f"(at most {goal:g} s) {verdict}",
        flush=True,
    )


def _size(name: str, example: Example, goal: float | None) -> None:
    """The rootfs as its files are, and what the whole of it takes in the initramfs."""
    file = manifest.load(example.out).image("cpio")
    usage = imagesize.usage(Opened(file))
    modules = sum(one.size for _, one in usage.walk(4) if one.path in MODULES)
    assert modules, "where are the modules?"
    size = (usage.size - modules) / MIB
    packed = file.stat().st_size / MIB
    verdict = "ok" if goal is None or size <= goal else "MISSED"
    wanted = "" if goal is None else f" (at most {goal:g} MiB) {verdict}"
    print(f"{name}: {size:.2f} MiB{wanted}; packed, with the modules: {packed:.2f} MiB", flush=True)


if __name__ == "__main__":
    main()
