"""Commands whose right answers are known, given to a shell on a bad line."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from rootfs_tool.console import connect
from rootfs_tool.console.base import Console
from rootfs_tool.errors import ConsoleError
from rootfs_tool.shell import Shell
from tests.shell.boards import LINE
from tests.shell.line import Relay

ATTACH = 25.0  # seconds
DEADLINE = 5.0  # seconds of one command
_ATTEMPTS = 2  # to attach, in a row
_FAILED = 2  # commands in a row after which a person would attach again

# What a host could take for something else: its own marks, prompts, a boot, a kernel's message.
_LURES = (
    b"\n\x1eE 000000 1 0 -|1 0 - E\n",
    b"\n\x1eN 000000 0|0 N\n",
    b"# ",
    b"=> ",
    b"login: ",
    b"~ # \x1b[6n",
    b"U-Boot SPL 2025.01\r\n",
    b"[    1.234567] reboot: Restarting system\r\n",
    b"[    1.234567] usb 1-1: of the program's own\r\n",
    b"\r\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A command, and what it does when it runs once."""

    command: str
    status: int
    output: bytes
    streamed: bool


@dataclass(slots=True)
class Tally:
    """How a trial went: ``wrong`` has a line for each answer that was not the truth."""

    right: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    attached: int = 0
    wrong: list[str] = field(default_factory=list)


def tasks(luck: random.Random, count: int, directory: Path) -> list[Task]:
    """``count`` commands of all kinds; each writes its number into a file of its own."""
    made = []
    for number in range(count):
        command, output = _work(luck, directory / f"data-{number}")
        status = luck.choice((0, 0, 1, 7, 130, 255))
        command = f"echo ran >>{directory}/ran-{number}; {command}; exit {status}"
        streamed = luck.random() < 0.2
        made.append(Task(command=command, status=status, output=output, streamed=streamed))
    return made


def _work(luck: random.Random, file: Path) -> tuple[str, bytes]:
    match luck.choice(("nothing", "numbers", "bytes", "bytes", "lures", "long", "file")):
        case "nothing":
            return "true", b""
        case "numbers":
            most = luck.choice((1, 9, 99, 300))
            return f"seq {most}", b"".join(b"%d\n" % number for number in range(1, most + 1))
        case "bytes":
            data = luck.randbytes(luck.choice((1, 3, 40, 300)))
        case "lures":
            data = b"".join(luck.choices(_LURES, k=4))
        case "long":
            text = "".join(luck.choices("abcdefgh01234567 ~", k=luck.choice((900, 4200))))
            return f"printf %s '{text}' >&2", text.encode()
        case _:
            data = luck.randbytes(luck.choice((511, 2000, 9000)))
            file.write_bytes(data)
            return f"cat {file}", data
    return "printf '" + "".join(f"\\{byte:03o}" for byte in data) + "'", data


def trial(relay: Relay, directory: Path, *, seed: int, count: int) -> Tally:
    """Run ``count`` commands behind ``relay``. Files of the commands go to ``directory``."""
    tally = Tally()
    made = tasks(random.Random(seed), count, directory)
    with closing(connect(relay.path, LINE)) as console:
        shell: Shell | None = None
        failed = 0
        for number, task in enumerate(made):
            shell = shell or _attached(console, tally)
            if shell is None:
                break
            answered = _answered(shell, task, directory / f"ran-{number}", tally)
            failed = 0 if answered else failed + 1
            if failed == _FAILED:
                shell, failed = None, 0
        if shell is not None:
            shell.leave()
    return tally


def _attached(console: Console, tally: Tally) -> Shell | None:
    for _ in range(_ATTEMPTS):
        try:
            shell = Shell.attach(console, LINE, timeout=ATTACH)
        except ConsoleError as error:
            tally.refused[f"attach: {error}"[:60]] += 1
        else:
            tally.attached += 1
            return shell
    return None


def _answered(shell: Shell, task: Task, ran: Path, tally: Tally) -> bool:
    """Run it: False when there was no answer. It ran once then, or not at all."""
    pieces: list[bytes] = []
    on_output = pieces.append if task.streamed else None
    try:
        result = shell.run(task.command, timeout=DEADLINE, on_output=on_output)
    except ConsoleError as error:
        tally.refused[f"{type(error).__name__}: {error}"[:60]] += 1
        if _times(ran) > 1:
            tally.wrong.append(f"{task.command[-99:]}: ran {_times(ran)} times, then {error}")
        return False
    said = (result.status, _times(ran), result.output, b"".join(pieces))
    truth = (task.status, 1, task.output, task.output if task.streamed else b"")
    if said == truth:
        tally.right += 1
    else:
        tally.wrong.append(f"{task.command[-99:]}: {_told(said)} instead of {_told(truth)}")
    return True


def _told(answer: tuple[int, int, bytes, bytes]) -> str:
    status, times, output, streamed = answer
    return f"{status}, ran {times} times, {len(output)} bytes {output[:40]!r}, {len(streamed)}"


def _times(ran: Path) -> int:
    return len(ran.read_text().split()) if ran.exists() else 0
