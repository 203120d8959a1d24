"""Up and down that are killed at each of their steps. Run on a host of its own, see lab.py.

A step is anything that leaves this process: a program that is started, a file that is written,
renamed or removed, a request to the kernel. The process is killed just before the first, before
the second, and so on until it comes to its end. After each, `down` must leave what was before.
Its arguments are `up` or `down`, the step to begin with, and how far it is to the next: it mostly
waits for the kernel, so that several of these at once, on hosts of their own, are done sooner.
Prints the last step, and what was not as before.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from rootfs_tool.hostnet import hostnet
from rootfs_tool.hostnet.wanted import Wanted
from tests.hostnet.lab import SNAPSHOT

WANTED = Wanted(device="tap0", cable=False, address="10.0.0.1/24", uplink="auto", dhcp=True, user=0)
STEPS = ("os.rename", "os.remove", "fcntl.ioctl")
READS = {"-json", "-j", "list", "iptables-nft-save"}  # words of programs that only look
MOST = 200


def main() -> None:
    verb, first, stride = sys.argv[1:]
    steps = range(int(first), MOST, int(stride))
    sys.stdout.write(f"{killed_each_time({'up': up, 'down': down}[verb], steps, snapshot())}\n")


def killed_each_time(verb: Callable[[], object], steps: range, before: str) -> int:
    """The last of the steps that ``verb`` has."""
    for number, step in enumerate(steps):
        if verb is down:
            assert done(up) == 0
        status = done(verb, step)
        assert status in (0, -signal.SIGKILL), status
        if status and number % 2:
            assert done(verb) == 0  # the same once more comes through, too
        assert done(down) == 0
        if snapshot() != before:
            sys.stdout.write(f"{verb.__name__} killed at step {step}:\n{snapshot()}\n")
        if status == 0:
            return step - steps.step
    raise AssertionError(f"more than {MOST} steps")


def up() -> None:
    hostnet.up(WANTED)


def down() -> None:
    hostnet.down(WANTED.device)


def done(work: Callable[[], object], step: int = MOST) -> int:
    """The status of a process that does it, and is killed at a step if it comes to that."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            killed_at(step)
            work()
            status = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(step: int) -> None:
    """Have this process killed when it comes to that step (sys.addaudithook)."""
    come = 0

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal come
        if is_step(event, arguments):
            come += 1
            if come == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)


def is_step(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether it changes anything; the arguments are in the table of audit events."""
    match event:
        case "open":
            file, mode, _ = arguments
            # what is written beside the journal does not count before it is renamed
            writes = isinstance(mode, str) and not {"w", "+"}.isdisjoint(mode)
            return writes and not str(file).endswith(".new")
        case "subprocess.Popen":
            return READS.isdisjoint(arguments[1])
        case _:
            return event in STEPS


def snapshot() -> str:
    return subprocess.check_output(["sh", "-c", SNAPSHOT], text=True)


if __name__ == "__main__":
    main()
