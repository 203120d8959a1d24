"""The shell on a booted board's console, while its kernel talks, and when the board goes down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rootfs_tool.console.base import Console
from rootfs_tool.errors import KernelPanic, Rebooted
from rootfs_tool.shell import Shell
from tests.qemu import LINE, powered

pytestmark = pytest.mark.qemu

NUMBERS = b"".join(b"%d\n" % number for number in range(1, 41))


@pytest.fixture(scope="module")
def console(out: Path) -> Iterator[Console]:
    with powered(out) as machine, machine.console() as console:
        machine.start()
        yield console


@pytest.fixture
def shell(console: Console) -> Iterator[Shell]:
    shell = Shell.attach(console, LINE, timeout=120)
    yield shell
    shell.leave()


@pytest.mark.parametrize(("level", "pause"), [("<4>", 50_000), ("<4>", 5_000), ("<0>", 20_000)])
def test_a_kernel_that_never_stops_talking(shell: Shell, level: str, pause: int) -> None:
    storm = f"while usleep {pause}; do echo '{level}storm of the test'; done >/dev/kmsg & echo $!"
    process = int(shell.run(f"({storm}) 2>/dev/null").output)
    for number in range(20):
        result = shell.run(f"seq 40; exit {number}")
        assert (result.status, result.output) == (number, NUMBERS)
    assert shell.run(f"kill {process}").status == 0


def test_what_the_kernel_says_is_kept_apart_whenever_it_says_it(shell: Shell) -> None:
    """Also while output is printed, when the level of the console is down."""
    said = [f"message {number} of the test" for number in range(60)]
    shell.run(f"echo '<4>{said[0]}' >/dev/kmsg")
    loop = (
        'for n in $(seq 1 59); do usleep 20000; echo "<4>message $n of the test"; done >/dev/kmsg'
    )
    shell.run(f"({loop}) </dev/null >/dev/null 2>&1 &")
    while "message 59 of the test" not in shell.run("dmesg | tail -n 1; seq 2000").text:
        pass
    kept = [line.partition("] ")[2] for line in shell.kernel_messages()]
    assert [line for line in kept if "of the test" in line] == said


def test_the_level_of_a_command_s_own_is_left(shell: Shell) -> None:
    before = shell.run("cat /proc/sys/kernel/printk").text.split()[0]
    shell.run("dmesg -n 3")
    shell.run("echo other")
    assert shell.run("cat /proc/sys/kernel/printk").text.split()[0] == "3"
    shell.run(f"dmesg -n {before}")


def test_two_megabytes_are_whole(shell: Shell) -> None:
    shell.run("seq -w 0 9999999 | head -n 250000 >/tmp/large", timeout=60)
    output = shell.run("cat /tmp/large; rm /tmp/large", timeout=60).output
    assert output == b"".join(b"%07d\n" % number for number in range(250_000))


def test_a_board_that_reboots_in_a_command_is_there_again(shell: Shell) -> None:
    shell.run("touch /tmp/before")
    with pytest.raises(Rebooted):
        shell.run("sleep 0.5; reboot -f; sleep 100")
    assert shell.run("ls /tmp/before").status != 0
    with pytest.raises(KernelPanic):
        shell.run("echo c >/proc/sysrq-trigger; sleep 100")
    assert shell.run("echo alive").output == b"alive\n"
