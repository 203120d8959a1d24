"""A person, or a pipe, at a board's console."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from rootfs_tool import __version__
from rootfs_tool.console.base import Console
from rootfs_tool.console.transcript import TimeFormat
from rootfs_tool.errors import RootfsToolError
from rootfs_tool.terminal.duplex import Duplex, Failed, Item
from rootfs_tool.terminal.keyboard import Command, Keyboard, Keys
from rootfs_tool.terminal.logfile import LogFile
from rootfs_tool.terminal.pace import FIFO, Pace
from rootfs_tool.terminal.screen import Screen
from rootfs_tool.terminal.settings import Settings

QUIET = 1.0  # seconds of silence after which a board has answered all that a pipe sent
HELLO = "connected to {}; Ctrl-T ? lists the keys, Ctrl-T q leaves"
_CHUNK = 65536
_AHEAD = 1 << 20  # bytes of a pipe that are read before the board has taken them
_STAMPS: tuple[TimeFormat | None, ...] = (None, "24h", "start", "delta", "iso8601")


class Session:
    def __init__(
        self,
        settings: Settings,
        *,
        ask: Callable[[str], str],
        reset: Callable[[], None] | None = None,
    ) -> None:
        """``ask`` gets a person's answer, empty for none; ``reset`` power-cycles the board.

        Raises OSError for a log or a file to send that does not open.
        """
        self._settings = settings
        self._ask = ask
        self._reset = reset
        self._keyboard = Keyboard(0)
        self._keys = Keys()
        self._screen = Screen(1, 2, raw=self._keyboard.is_terminal)
        self._screen.hexadecimal = settings.hexadecimal
        self._stamp = settings.stamp
        self._screen.stamp(self._stamp)
        self._duplex = Duplex(self._keep)
        self._pace = Pace(settings.baudrate, settings.delays)
        self._log = self._begin_log(settings.log) if settings.log is not None else None
        self._echo = settings.echo
        self._over = False
        self._ended = False  # nothing more comes from the keyboard, or the pipe
        self._sent = self._received = 0
        self._start = self._active = time.monotonic()
        if settings.send is not None:
            self._pace.add(settings.send.read_bytes())

    def run(self, open_: Callable[[], Console]) -> None:
        """Until the person leaves; for a pipe, until it ends and the board has said its last.

        Raises what ``open_`` does, and ConsoleError when the console ends before that.
        """
        with ExitStack() as stack:
            stack.callback(self._end)
            stack.enter_context(self._duplex.noting())
            console = stack.enter_context(closing(open_()))
            stack.enter_context(self._keyboard.raw())
            stack.enter_context(self._duplex.running(console))
            self._screen.say(HELLO.format(self._settings.name))
            while not self._over:
                self._turn()

    def _end(self) -> None:
        for item in self._duplex.take():
            if isinstance(item, str):
                self._screen.say(item)
        if self._log is not None:
            self._log.close()

    def _turn(self) -> None:
        sources = [self._duplex.descriptor]
        if not self._ended and (self._keyboard.is_terminal or self._pace.waiting < _AHEAD):
            sources.append(self._keyboard.descriptor)
        ready = select.select(sources, [], [], self._patience())[0]
        if ready:
            self._active = time.monotonic()
        if self._duplex.descriptor in ready:
            for item in self._duplex.take():
                self._show(item)
        elif not ready and self._ended and not self._pace.waiting:
            self._over = not self._duplex.busy
        if self._keyboard.descriptor in ready:
            self._typed(os.read(self._keyboard.descriptor, _CHUNK))
        self._send_due()

    def _patience(self) -> float | None:
        """Seconds until there is something to do though nothing comes; None is for ever."""
        if self._duplex.busy:
            return None
        now = time.monotonic()
        wait = self._pace.wait(now)
        if wait is None and self._ended:
            return max(0.0, self._active + QUIET - now)
        return wait

    def _show(self, item: Item) -> None:
        match item:
            case bytes():
                self._received += len(item)
                self._pace.heard(item, self._active)
                self._screen.show(item)
            case str():
                self._screen.say(item)
            case Failed(error=error, reading=reading):
                person = self._keyboard.is_terminal
                if reading or not person or not isinstance(error, RootfsToolError):
                    raise error
                self._pace.discard()  # a line that takes nothing; a person may see to it
                self._complain(error)

    def _complain(self, error: RootfsToolError) -> None:
        self._screen.say(f"error: {error}" + (f"\n hint: {error.hint}" if error.hint else ""))

    def _keep(self, data: bytes) -> None:
        log = self._log
        if log is not None:
            log.add(data)

    def _typed(self, data: bytes) -> None:
        if not data:
            self._ended = True
        elif not self._keyboard.is_terminal:
            self._pace.add(data)
        else:
            for item in self._keys.feed(data):
                if isinstance(item, Command):
                    self._command(item)
                elif self._pace.waiting or len(item) > FIFO:
                    self._pace.add(item)
                else:  # keys: they need no pacing, and a password has no echo
                    self._send(item)

    def _send_due(self) -> None:
        if self._duplex.busy:
            return
        deaf = self._pace.deaf
        if piece := self._pace.due(time.monotonic()):
            self._send(piece)
            self._duplex.do(lambda: self._pace.sent(time.monotonic()))
        if self._pace.deaf and not deaf:
            self._screen.say(f"note: no echo; {FIFO} bytes at a time, at half the rate")

    def _send(self, data: bytes) -> None:
        self._duplex.send(data)
        self._sent += len(data)
        if self._echo:
            self._screen.show(data.replace(b"\r", b"\r\n"))

    def _begin_log(self, path: Path) -> LogFile:
        return LogFile(path, strip=self._settings.log_strip, stamp=self._settings.stamp)

    def _command(self, command: Command) -> None:
        known = KEYS.get(command.key)
        if known is None:
            self._screen.say(f"Ctrl-T {command.key}: no such key; Ctrl-T ? lists them")
            return
        try:
            known[1](self, command)
        except OSError as error:
            self._screen.say(f"error: {error.filename}: {error.strerror}")

    def _help(self, _: Command) -> None:
        self._screen.say("\n".join(f"Ctrl-T {key:6} {text}" for key, (text, _) in KEYS.items()))
        self._screen.say("Ctrl-T Ctrl-T sends Ctrl-T")

    def _quit(self, _: Command) -> None:
        self._over = True

    def _break(self, _: Command) -> None:
        self._duplex.send_break()

    def _sysrq(self, command: Command) -> None:
        self._duplex.send_break(command.sysrq)

    def _show_settings(self, _: Command) -> None:
        shown = {
            "console": self._settings.name,
            "timestamps": self._stamp or "off",
            "log": self._log.path if self._log and self._log.on else "off",
            "local echo": _on(self._echo),
            "hexadecimal": _on(self._screen.hexadecimal),
            "LF as CR LF": _on(self._screen.new_lines_return),
            "paced paste": _on(self._pace.on),
        }
        self._screen.say("\n".join(f"{name:12} {value}" for name, value in shown.items()))

    def _toggle_echo(self, _: Command) -> None:
        self._echo = not self._echo
        self._screen.say(f"local echo: {_on(self._echo)}")

    def _toggle_log(self, _: Command) -> None:
        if self._log is None:
            self._log = self._begin_log(Path(time.strftime("console-%Y-%m-%dT%H%M%S.log")))
        else:
            self._log.on = not self._log.on
        self._screen.say(f"log: {_on(self._log.on)}, {self._log.path}")

    def _toggle_hexadecimal(self, _: Command) -> None:
        self._screen.hexadecimal = not self._screen.hexadecimal
        self._screen.say(f"hexadecimal: {_on(self._screen.hexadecimal)}")

    def _send_file(self, _: Command) -> None:
        name = ""
        with suppress(KeyboardInterrupt, EOFError), self._keyboard.whole_lines():
            name = self._ask("file to send: ")
        if not name:
            self._screen.say("nothing is sent")
            return
        content = Path(name).expanduser().read_bytes()
        self._pace.add(content)
        self._screen.say(f"sending {len(content)} bytes of {name}; Ctrl-T x stops it")

    def _stop_sending(self, _: Command) -> None:
        self._screen.say(f"{self._pace.discard()} bytes will not be sent")

    def _clear(self, _: Command) -> None:
        self._screen.clear()

    def _toggle_map(self, _: Command) -> None:
        self._screen.new_lines_return = not self._screen.new_lines_return
        self._screen.say(f"LF as CR LF: {_on(self._screen.new_lines_return)}")

    def _toggle_pace(self, _: Command) -> None:
        self._pace.on = not self._pace.on
        self._screen.say(f"paced paste: {_on(self._pace.on)}")

    def _power(self, _: Command) -> None:
        if self._reset is not None:
            self._screen.say("cycling the power …")
            self._duplex.do(self._reset, "power cycled")
            return
        self._screen.say(
            "error: nothing says how to cycle the board's power\n"
            " hint: --board recipe.toml, with [target.power]; Ctrl-T B b asks its kernel"
        )

    def _statistics(self, _: Command) -> None:
        seconds = time.monotonic() - self._start
        self._screen.say(
            f"{seconds:.0f} s: {self._sent} bytes sent, {self._received} received"
            + (f", {self._pace.waiting} wait to be sent" if self._pace.waiting else "")
        )

    def _next_stamp(self, _: Command) -> None:
        self._stamp = _STAMPS[(_STAMPS.index(self._stamp) + 1) % len(_STAMPS)]
        self._screen.stamp(self._stamp)
        self._screen.say(f"timestamps: {self._stamp or 'off'}")

    def _version(self, _: Command) -> None:
        self._screen.say(f"rootfs-tool {__version__}")


KEYS: dict[str, tuple[str, Callable[[Session, Command], None]]] = {
    "?": ("this list", Session._help),
    "q": ("leave", Session._quit),
    "b": ("send a break", Session._break),
    "B": ("and one more key: SysRq, a break and then that key", Session._sysrq),
    "c": ("show the settings", Session._show_settings),
    "e": ("local echo on or off", Session._toggle_echo),
    "f": ("log to a file on or off", Session._toggle_log),
    "h": ("hexadecimal on or off", Session._toggle_hexadecimal),
    "i": ("send a file, whose name is asked for", Session._send_file),
    "x": ("send nothing more of a file or a paste", Session._stop_sending),
    "l": ("clear the screen", Session._clear),
    "m": ("show LF as CR LF on or off", Session._toggle_map),
    "p": ("pasted text waits for its echo, on or off", Session._toggle_pace),
    "r": ("reset: cycle the board's power", Session._power),
    "s": ("bytes sent and received", Session._statistics),
    "t": ("timestamps: off, 24h, start, delta, iso8601", Session._next_stamp),
    "v": ("the version of rootfs-tool", Session._version),
}


def _on(value: bool) -> str:
    return "on" if value else "off"
