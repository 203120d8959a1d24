"""U-Boot's prompt: commands with their output and status, and files into the board's memory."""

from __future__ import annotations

import re
import secrets
import time
import zlib
from typing import Self

from rootfs_tool.console.base import Console, Line
from rootfs_tool.console.tail import Tail
from rootfs_tool.errors import ConfigError, ConsoleError, ConsoleTimeout
from rootfs_tool.events import progress
from rootfs_tool.shell import xmodem

LONGEST = 480  # characters; CONFIG_SYS_CBSIZE is 512 on many boards, and a longer line is cut

_PROMPT = re.compile(rb"(?:^|[\r\n])((?:=>|U-Boot>|[\w.-]{1,24}(?:=>|>|#)) )\Z")
_INTERRUPT = b"\x03"  # ends a half-typed line and a countdown; and, unlike return, repeats nothing
_KNOCK = 0.5  # seconds between two of them
_ECHO = 2.0  # seconds in which what was typed comes back
_SMALL = 16  # characters typed at once where some were lost: what the smallest UARTs hold
_TYPED = 5  # times that a line is typed
_READY = re.compile(rb"at \d+ bps\.\.\.\r*\n")
_SETTLE = 0.06  # seconds that U-Boot waits before it changes its rate (do_load_serial_bin, 50 ms)


class UBoot:
    """Use `attach`."""

    def __init__(self, console: Console, prompt: bytes, baudrate: int) -> None:
        self._console = console
        self._baudrate = baudrate
        self._prompt = prompt
        self._tail = Tail()

    @classmethod
    def attach(cls, console: Console, line: Line, *, timeout: float) -> Self:
        """Wait for U-Boot's prompt, stopping its countdown; ``timeout`` is in seconds.

        Raises ConsoleTimeout when it does not come, and ConsoleClosed.
        """
        said, tail = b"", Tail()
        deadline, knock = time.monotonic() + timeout, 0.0
        while (now := time.monotonic()) < deadline:
            if now >= knock:
                console.write(_INTERRUPT)
                knock = now + _KNOCK
            came = console.read(min(_KNOCK, deadline - now))
            tail.add(came)
            said = (said + came)[-400:]
            if came and (found := _PROMPT.search(said)) and not console.read(0.1):
                return cls(console, found[1], line.baudrate)
        raise ConsoleTimeout(
            f"U-Boot's prompt did not come within {timeout:.0f} s",
            tail=tail.text(),
            hint="reset the board, so that its countdown can be stopped",
        )

    def run(self, command: str, *, timeout: float = 30.0) -> tuple[str, int]:
        """What ``command`` printed, and its status. ``timeout`` is in seconds.

        Raises ConfigError for more than LONGEST characters, and ConsoleError.
        """
        word = secrets.token_hex(4)
        self._type(f"{command}; echo RC''{word} $?")
        end = re.compile(rb"RC" + word.encode() + rb" (\d+)\s+" + re.escape(self._prompt) + rb"\Z")
        said = self._until(end, timeout, command)
        found = end.search(said)
        assert found is not None
        text = re.sub(rb"\r*\n", b"\n", said[: found.start()]).lstrip(b"\r\n")
        return text.decode(errors="replace"), int(found[1])

    def load(self, data: bytes, address: int, *, baudrate: int | None = None) -> None:
        """Write ``data`` to the board's memory from ``address`` on, by XMODEM-1K.

        The last block is padded: up to 127 bytes after it change too. ``baudrate`` is for the
        transfer alone. U-Boot's crc32 command then looks whether all of it is there. Raises
        ConsoleError.
        """
        if not data:
            raise ConfigError("the file is empty: there is nothing to load")
        self._type(f"loadx {address:#x}" + (f" {baudrate}" if baudrate else ""))
        try:
            if baudrate:
                self._until(re.compile(rb"press ENTER \.\.\."), 10, "loadx")
                self._change(baudrate, b"\r")
            self._until(_READY, 10, "loadx")
            after = xmodem.send(self._console, data, lambda done: progress(done, len(data)))
        except BaseException:
            self._console.write(b"\x18" * 8 + _INTERRUPT)  # what loadx takes for an end
            if baudrate:
                self._console.set_baudrate(self._baudrate)
            raise
        if baudrate:
            self._until(re.compile(rb"press ESC \.\.\."), 10, "loadx", after)
            self._change(self._baudrate, b"\x1b")
            after = b""
        end = re.compile(rb"(?:^|[\r\n])" + re.escape(self._prompt) + rb"\Z")
        self._until(end, 10, "loadx", after)
        self._check(data, address)

    def _change(self, baudrate: int, key: bytes) -> None:
        """Go to another rate, as U-Boot said that it does, and press the key it waits for."""
        time.sleep(_SETTLE)
        self._console.set_baudrate(baudrate)
        self._console.write(key)

    def _check(self, data: bytes, address: int) -> None:
        said, _ = self.run(f"crc32 {address:#x} {len(data):#x}", timeout=60)
        found = re.search(r"==> ([0-9a-f]{8})", said)
        if found is None:
            raise ConsoleError(f"U-Boot did not say the CRC of what was loaded: {said.strip()}")
        if int(found[1], 16) != zlib.crc32(data):
            raise ConsoleError(
                f"the memory from {address:#x} on does not hold the file that was sent there",
                hint="is there memory, and nothing of U-Boot's own? `bdinfo` shows both",
            )

    def _type(self, line: str) -> None:
        """Type a line and enter it, once all of it has come back."""
        if len(line) > LONGEST or not line.isascii() or not line.isprintable():
            raise ConfigError(
                f"not a command for U-Boot: {len(line)} characters",
                hint=f"at most {LONGEST - 30}, printable ASCII",
            )
        size = len(line)
        for _ in range(_TYPED):
            if all(self._echoed(line[at : at + size]) for at in range(0, len(line), size)):
                self._console.write(b"\r")
                return
            size = _SMALL
            self._console.write(_INTERRUPT)
            self._until(re.compile(re.escape(self._prompt) + rb"\Z"), _ECHO, "Ctrl-C")
        raise ConsoleTimeout(
            "what was typed at U-Boot's prompt did not come back as it was",
            tail=self._tail.text(),
            hint="the line loses or changes bytes: a lower baudrate, a shorter or better cable?",
        )

    def _echoed(self, piece: str) -> bool:
        self._console.write(piece.encode())
        said, deadline = b"", time.monotonic() + _ECHO
        while said != piece.encode() and time.monotonic() < deadline:
            said += self._read(deadline)
        return said == piece.encode()

    def _until(
        self, pattern: re.Pattern[bytes], timeout: float, what: str, said: bytes = b""
    ) -> bytes:
        deadline = time.monotonic() + timeout
        while not pattern.search(said):
            if time.monotonic() >= deadline:
                raise ConsoleTimeout(
                    f"U-Boot did not end `{what}` within {timeout:g} s", tail=self._tail.text()
                )
            said += self._read(deadline)
        return said

    def _read(self, deadline: float) -> bytes:
        came = self._console.read(max(0.0, deadline - time.monotonic()))
        self._tail.add(came)
        return came
