"""Each thing that can go wrong on a board is named from a recording of one that did it."""

from __future__ import annotations

import random
import time
from contextlib import closing
from pathlib import Path

import pytest

from rootfs_tool.console.process import ProcessConsole
from rootfs_tool.errors import ConsoleError, KernelPanic, Rebooted
from rootfs_tool.events import listening
from rootfs_tool.shell import Shell, disaster
from rootfs_tool.shell.incident import Incident, Kind, Watcher
from tests.shell.boards import LINE, Says, attached

RECORDED = Path(__file__).parent.parent / "data" / "console"

# What each recording shows, in its order, and words of the first one's line.
SHOWN: dict[str, tuple[list[Kind], str]] = {
    "panic": (["panic"], "Kernel panic - not syncing: sysrq triggered crash"),
    "init-death": (["init"], "Attempted to kill init! exitcode=0x00000000"),
    "no-root": (["no-root"], "VFS: Unable to mount root fs on unknown-block(0,0)"),
    "oops": (["oops"], "Unable to handle kernel NULL pointer dereference"),
    "bug": (["oops"], "Internal error: Oops - BRK"),
    "soft-lockup": (["lockup"], "watchdog: BUG: soft lockup - CPU#1 stuck for 5s! [cat:150]"),
    "oom": (["oom"], "Out of memory: Killed process"),
    "watchdog": (["watchdog"], "softdog: Initiating system reboot"),
    "reset": (["reset"], "Booting Linux on physical CPU"),
    "reboot": (["reboot"], "reboot: Restarting system"),
    "poweroff": (["reboot"], "reboot: Power down"),
    "undervoltage": (["undervoltage"], "hwmon hwmon1: Undervoltage detected!"),
    "u-boot-fallback": (["reset", "fallback"], "U-Boot 2025.01"),
}
FATAL = {"panic", "init-death", "no-root", "watchdog", "reset", "reboot", "poweroff"}


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.log").read_bytes()


def watched(data: bytes, sizes: random.Random | int) -> list[Incident]:
    watcher = Watcher()
    seen = 0
    position = 0
    while position < len(data):
        size = sizes if isinstance(sizes, int) else sizes.randrange(1, 200)
        seen += len(watcher.feed(data[position : position + size]))
        position += size
    assert seen == len(watcher.incidents)
    return watcher.incidents


@pytest.mark.parametrize("name", SHOWN)
def test_every_recording_has_its_rule(name: str) -> None:
    kinds, words = SHOWN[name]
    found = watched(recorded(name), 1 << 20)
    assert [incident.kind for incident in found] == kinds
    assert words in found[0].line
    assert any(line.endswith(found[0].line) for line in found[0].lines)
    assert found[0].certain
    assert found[0].fatal == (name in FATAL or name == "u-boot-fallback")


def test_there_is_no_recording_without_a_rule() -> None:
    assert {path.stem for path in RECORDED.glob("*.log")} == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_in_whatever_pieces_it_comes(name: str) -> None:
    data = recorded(name)
    whole = watched(data, 1 << 20)
    assert watched(data, 1) == whole
    for seed in range(5):
        assert watched(data, random.Random(seed)) == whole


@pytest.mark.parametrize("name", sorted(set(SHOWN) - {"u-boot-fallback"}))
@pytest.mark.parametrize("dressed", ["bare", "level", "caller", "prompt"])
def test_with_and_without_what_printk_may_add(name: str, dressed: str) -> None:
    lines = []
    for line in recorded(name).split(b"\n"):
        stamp, bracket, rest = line.partition(b"] ")
        if stamp.startswith(b"[") and bracket:
            line = {
                "bare": rest,
                "level": b"<4>" + line,
                "caller": stamp + b"][   T42] " + rest,
                "prompt": b"~ # \x1b[6n" + line,
            }[dressed]
        lines.append(line)
    found = watched(b"\n".join(lines), 100)
    assert [incident.kind for incident in found] == SHOWN[name][0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("oom", ["tail invoked oom-killer", "Out of memory: Killed process"]),
        ("no-root", ['Cannot open root device "/dev/nope"', "append a correct", "Call trace"]),
        ("oops", ["Unable to handle", "pc : version_proc_show", "---[ end trace"]),
        ("soft-lockup", ["soft lockup", "pc : version_proc_show", "el0t_64_sync+"]),
        ("init-death", ["Run /bin/true as init", "Comm: true"]),
        ("u-boot-fallback", ["U-Boot 2025.01"]),
    ],
)
def test_the_lines_that_show_it(name: str, words: list[str]) -> None:
    lines = "\n".join(watched(recorded(name), 77)[0].lines)
    for one in words:
        assert one in lines
    assert "\r" not in lines
    assert "\x1b" not in lines


def test_why_u_boot_fell_to_its_prompt() -> None:
    fallback = watched(recorded("u-boot-fallback"), 10)[-1]
    shown = "\n".join(fallback.lines)
    assert "No more bootdevs" in shown
    assert "(0 bootflows, 0 valid)" in shown


def test_a_prompt_of_u_boot_alone_is_nothing_wrong() -> None:
    assert not watched(b"=> \r\n=> version\r\n=> ", 1)


@pytest.mark.parametrize("name", SHOWN)
def test_in_a_program_s_output_it_is_text(name: str) -> None:
    """Such as that of `cat`, in the answer of the agent, where only what is fatal is suspected."""
    body = recorded(name).replace(b"\r\n", b"\n")
    watcher = Watcher()
    watcher.mark = b"abc123"
    watcher.feed(b"\n\x1eB abc123 5 0 x|5 0 x B\n" + body)
    assert not any(one.certain for one in watcher.incidents)
    assert all(one.fatal for one in watcher.incidents)
    watcher.feed(b"\n\x1eE abc123 5 0 x|5 0 x E\n")
    known = len(watcher.incidents)
    assert watcher.feed(b"[    9.000000] Kernel panic - not syncing: real\r\n")[0].certain
    assert len(watcher.incidents) == known + 1


@pytest.mark.parametrize("size", [64, 4096])
def test_reading_along_costs_little(size: int) -> None:
    """5 MB, which take half a minute to come from a board: a hundredth of that is nothing."""
    text = random.Random(1).randbytes(1 << 16).hex().encode() + b"\n"
    data = (text + b"an ordinary line of output, as programs write them\n" * 1000) * 28
    assert len(data) > 5_000_000
    watcher = Watcher()
    begun = time.process_time()
    for position in range(0, len(data), size):
        watcher.feed(data[position : position + size])
    assert time.process_time() - begun < 5
    assert not watcher.incidents


def test_every_kind_has_a_name_and_a_next_step() -> None:
    for name, (kinds, _) in SHOWN.items():
        found = watched(recorded(name), 500)[0]
        error = disaster.error(found, recorded(name), "the last lines")
        assert error.hint
        assert kinds[0]
        assert found.line.strip() in f"{error}" or "Kernel panic" in f"{error}"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("panic", KernelPanic, "sysrq triggered crash"),
        ("reboot", Rebooted, "went down or restarted"),
        ("watchdog", Rebooted, "the watchdog restarted the board"),
        ("reset", Rebooted, "did not say why"),
        ("oops", ConsoleError, "answers no more: the kernel failed"),
        ("oom", ConsoleError, "answers no more: the board ran out of memory"),
    ],
)
def test_a_command_over_which_it_happens_ends_with_its_name(
    name: str, error: type[ConsoleError], words: str
) -> None:
    board = Says(ProcessConsole("busybox sh"), cue=b"echo boom", words=recorded(name))
    with closing(board):
        shell = Shell.attach(board, LINE, timeout=10)
        with pytest.raises(error, match=words) as caught:
            shell.run("echo boom; sleep 100", timeout=50)
        assert caught.value.exit_code == 7
        assert caught.value.hint


def test_what_is_survived_is_told_and_kept(tmp_path: Path) -> None:
    """A real shell that goes on while its kernel complains."""
    notes: list[str] = []
    said = recorded("undervoltage").replace(b"\r\n", b"\n")
    (tmp_path / "said").write_bytes(said)
    with listening(lambda event: notes.append(event.text)), attached("busybox sh") as shell:
        done = shell.run(f"sed 's/$/\r/' {tmp_path}/said >/dev/tty; sleep 0.2; echo alive")
        assert (done.status, done.output) == (0, b"alive\n")
        assert shell.run(f"cat {tmp_path}/said").output == said
    told = [note for note in notes if "supply voltage is too low" in note]
    assert len(told) == 1


def test_a_restart_that_was_asked_for_is_said_to_be() -> None:
    board = Says(ProcessConsole("busybox sh"), cue=b"reboot -f", words=recorded("reboot"))
    with closing(board):
        shell = Shell.attach(board, LINE, timeout=10)
        with pytest.raises(Rebooted, match="as it was told"):
            shell.run("sleep 100; reboot -f", timeout=50)
