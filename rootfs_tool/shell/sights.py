"""What a console shows: told from its last bytes, or from what harmless keys make it say."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

from rootfs_tool.console import baud
from rootfs_tool.errors import ConsoleError
from rootfs_tool.shell import kernellog
from rootfs_tool.shell.stream import Stream


class State(StrEnum):
    COUNTDOWN = "a boot loader that counts down"
    U_BOOT = "U-Boot's prompt"
    KERNEL = "a kernel that boots"
    LOGIN = "a login prompt"
    PASSWORD = "a password prompt"
    SHELL = "a shell's prompt"
    CONTINUATION = "a half-typed command"
    AGENT = "the agent of a run that was killed"
    PAGER = "a pager"
    PROGRAM = "a program that has the console"
    ENTER = "an invitation to press Enter"
    GARBLED = "bytes at another rate"
    DEAD = "a line on which nothing comes"


PROMPTS = (State.SHELL, State.CONTINUATION)


QUIET = 0.06  # seconds in which a line that goes on would have gone on
SILENT = 1.05  # seconds: U-Boot's countdown speaks once a second, and a key would stop it
# Ctrl-L: line editors, editors and pagers draw again what they show; Escape before it, for a vi in
# which somebody writes would take it for text.
REDRAW = b"\x1b\x0c"
ENTER = b"\x15\r"  # Ctrl-U first: it takes back what is half typed
INTERRUPT = b"\x03"

_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[78=>]|\x1b\([AB0]")
_ASKS_CURSOR = b"\x1b[6n"  # BusyBox's line editor, after its prompt: it is listening now
_VERBATIM = re.compile(rb"\x1b?\x0c\Z")  # REDRAW, from who echoes by himself
_FULL_SCREEN = re.compile(rb"\x1b\[\d+;\d+H|\x1b\[\?1049h|\x1b\[\?25l|~\r?\n~")
_STATUS_LINE = re.compile(rb"\x1b\[7m[^\x1b\n]*\x1b\[(?:0|27)?m(?:\x1b\[K)?\Z")  # a pager's
_HALF_MESSAGE = re.compile(rb"\[ *\d+\.\d[^\r\n]*\Z")

_SIGHTS: dict[State, re.Pattern[bytes]] = {
    State.AGENT: re.compile(rb"\n\x1e[A-Z] \w+ [^\n]*\n\Z"),
    State.U_BOOT: re.compile(rb"(?:^|[\r\n])(?:=> |U-Boot> )\Z"),
    State.LOGIN: re.compile(rb"(?<!Last )login: ?\Z"),
    State.PASSWORD: re.compile(rb"[Pp]assword: ?\Z"),
    State.SHELL: re.compile(rb"[#$] \Z|\(initramfs\) \Z"),
    State.CONTINUATION: re.compile(rb"[\r\n]> \Z"),
    State.ENTER: re.compile(rb"press Enter to activate this console\. ?\s*\Z"),
    State.COUNTDOWN: re.compile(rb"autoboot(?: in)?:? *\d+[\s\x08\d]*\Z|\x08\x08\x08[ \d]\d \Z"),
    State.PAGER: re.compile(rb"(?:\(END\)|--More--[^\r\n]*|\r?\n:|[\r\n]lines \d+-\d+[^\r\n]*)\Z"),
}

_TIME = re.compile(rb"\[ *(\d+)\.\d{6}\]")  # of a kernel's message
_YOUNG = 20  # seconds in which a kernel has booted
_LISTEN = 2.0  # seconds, at most, to who never stops talking
_HEAR = 0.5  # seconds for an answer to a key, on a busy emulator too
_AT_MOST = 4.8  # seconds: login(1) takes three to say that a password is wrong
_GATHER = 0.01  # seconds in which more of a boot log may gather: an emulated port passes on a few
# bytes at a time, and to look at each of them takes the processor away from the emulator.


def screen(stream: Stream) -> bytes:
    """The end of what came, without the kernel's messages in it."""
    return _HALF_MESSAGE.sub(b"", kernellog.strip(bytes(stream.held[-4096:]))[0])[-400:]


def sight(end: bytes) -> State | None:
    """What the last bytes of a console show, if anything that we know."""
    plain = _ESCAPE.sub(b"", end)
    for state, pattern in _SIGHTS.items():
        if pattern.search(plain):
            return state
    return State.PAGER if _STATUS_LINE.search(end) else None


def settled(
    stream: Stream, seconds: float, deadline: float, patience: Callable[[], float] | None = None
) -> State | None:
    """What the console shows once it stands still; None after ``seconds`` with nothing we know.

    What the kernel says meanwhile does not count. ``deadline`` is a time.monotonic(), ``patience``
    says the seconds anew after each thing that comes.
    """
    end, changed = b"", (now := time.monotonic())
    while now < deadline:
        if (ahead := screen(stream)) != end:
            end, changed = ahead, now
        state = sight(end)
        if state and (end.endswith(_ASKS_CURSOR) or now - changed >= QUIET):
            return state
        if not state and now - changed >= seconds:
            return None
        if stream.receive(min(QUIET, deadline - now)):
            seconds = patience() if patience else seconds
            if not stream.held.endswith(_ASKS_CURSOR):
                time.sleep(_GATHER)
        now = time.monotonic()
    return None


def classify(stream: Stream, deadline: float) -> State:
    """What the console is at, told within 5 s or by ``deadline``, a time.monotonic().

    Ends nothing, enters nothing that is half typed, and stops no countdown: it listens, has the
    screen drawn again, presses Enter on an empty line, and last asks the kernel for SysRq's help.
    Raises what Stream.receive raises.
    """
    begun = time.monotonic()
    deadline = min(deadline, begun + _AT_MOST)
    if state := settled(stream, SILENT, min(deadline, begun + _LISTEN)) or at_rest(stream):
        return state
    boots = booting(stream)
    stream.forget()
    stream.write(REDRAW)
    if state := settled(stream, _HEAR, min(deadline, begun + 1.5 * _LISTEN)):
        return state
    if full_screen(stream):
        return State.PROGRAM
    if state := press_enter(stream, deadline) or at_rest(stream):
        return state
    hides = not own_words(stream) and b"\n" in screen(stream)
    ask_kernel(stream)
    # When our keys came back, somebody has the terminal, and reads none of them.
    state = settled(stream, _HEAR if own_words(stream) else _AT_MOST, deadline)
    return _unheard(stream, state, boots, hides)


def press_enter(stream: Stream, deadline: float) -> State | None:
    """What an empty line shows.

    Not at U-Boot's prompt, though, where it would run the last command once more: who gives REDRAW
    back as it is may be that, and is interrupted first.
    """
    if _VERBATIM.search(screen(stream)):
        stream.write(INTERRUPT)
        if state := settled(stream, _HEAR, deadline):
            return state
    stream.write(ENTER)
    return settled(stream, _HEAR, deadline)


def ask_kernel(stream: Stream) -> None:
    """Have the kernel print SysRq's help, which it does whatever hangs (sysrq.rst).

    It has the time since its boot with it, too.
    """
    with suppress(ConsoleError):
        stream.console.send_break()
        stream.write(b"h")


def kernel_answered(stream: Stream) -> bool:
    return re.search(rb"sysrq: (?:SysRq : )?(?:HELP|This sysrq)", stream.held) is not None


def _unheard(stream: Stream, state: State | None, boots: bool, hides: bool) -> State:
    """What it is that Enter got no answer from, at first.

    ``hides`` says that it began a new line all the same, and showed none of the keys before.
    """
    if b"ncorrect" in stream.held:  # of a password that nobody saw us asked for
        return State.PASSWORD
    if state:
        return state
    if baud.garbled(bytes(stream.held)):
        return State.GARBLED
    said = [one for one in kernellog.strip(bytes(stream.held))[1] if b"sysrq: " not in one]
    if boots or (said and not own_words(stream)):
        return State.KERNEL
    # login(1) takes its time to say that it was wrong; where a break is no SysRq, h is echoed.
    if hides and own_words(stream) in (b"", b"h"):
        return State.PASSWORD
    return State.PROGRAM if own_words(stream) or kernel_answered(stream) else State.DEAD


def booting(stream: Stream) -> bool:
    """Whether what came shows a boot that is under way."""
    times = _TIME.findall(stream.held[-4096:])
    return stream.watcher.booted or bool(times and int(times[-1]) < _YOUNG)


def at_rest(stream: Stream) -> State | None:
    """What needs no key pressed to be known, or must not have one pressed."""
    if stream.watcher.in_boot_loader:
        return State.COUNTDOWN
    if baud.garbled(bytes(stream.held)):
        return State.GARBLED
    return None


def full_screen(stream: Stream) -> bool:
    return _FULL_SCREEN.search(stream.held) is not None


def own_words(stream: Stream) -> bytes:
    """What came that is none of the kernel's."""
    return screen(stream).strip(b"\0\r\n")
