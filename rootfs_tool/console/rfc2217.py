"""The serial port of another computer: bytes, rate and break over Telnet (RFC 854, RFC 2217)."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable

from rootfs_tool.console import descriptor
from rootfs_tool.console.base import BREAK, Line
from rootfs_tool.errors import ConsoleError

ANSWER = 5.0  # seconds that a server has to answer

_IAC = b"\xff"
_WILL, _WONT, _DO, _DONT = range(251, 255)
_BINARY, _NO_GO_AHEAD, _PORT = 0, 3, 44
_BAUDRATE, _SIZE, _PARITY, _STOP, _CONTROL = range(1, 6)
_BY_SERVER = 100  # is added to each of these in an answer
_BREAK_ON, _BREAK_OFF = b"\x05", b"\x06"
_FLOW = {"none": b"\x01", "xonxoff": b"\x02", "rtscts": b"\x03"}
_EIGHT_BITS, _NO_PARITY, _ONE_STOP_BIT = b"\x08", b"\x01", b"\x01"

_ASKED = {
    *((_WILL, _BINARY), (_DO, _BINARY)),
    *((_WILL, _NO_GO_AHEAD), (_DO, _NO_GO_AHEAD)),
    (_WILL, _PORT),
}
_SENTENCE = re.compile(
    rb"\xff(?:\xfa((?:[^\xff]|\xff\xff)*)\xff\xf0|([\xfb-\xfe])(.)|[^\xfa-\xfe])", re.DOTALL
)


class Rfc2217Console(descriptor.DescriptorConsole):
    def __init__(self, connection: socket.socket, name: str, line: Line) -> None:
        """Set the port up: 8 bits, no parity, the line's rate and flow control.

        Raises ConsoleError when the server does not know how.
        """
        super().__init__(connection.fileno(), name, connection.close)
        self._held = b""
        self._data = bytearray()
        self._willing: bool | None = None
        self._baudrate = 0
        self._agree()
        self.set_baudrate(line.baudrate)
        self._tell(_SIZE, _EIGHT_BITS)
        self._tell(_PARITY, _NO_PARITY)
        self._tell(_STOP, _ONE_STOP_BIT)
        self._tell(_CONTROL, _FLOW[line.flow_control])

    def read(self, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        while not self._data:
            left = deadline - time.monotonic()
            if not (some := super().read(max(0.0, left))):
                return b""
            self._take(some)
        data = bytes(self._data)
        self._data.clear()
        return data

    def write(self, data: bytes) -> None:
        self._send(data.replace(_IAC, 2 * _IAC))

    def send_break(self) -> None:
        self._tell(_CONTROL, _BREAK_ON)
        try:
            time.sleep(BREAK)
        finally:
            self._tell(_CONTROL, _BREAK_OFF)

    def set_baudrate(self, baudrate: int) -> bool:
        self._baudrate = 0
        self._tell(_BAUDRATE, baudrate.to_bytes(4, "big"))
        if not self._comes(lambda: self._baudrate > 0) or self._baudrate != baudrate:
            stays = f"its port stays at {self._baudrate}" if self._baudrate else "no answer"
            raise ConsoleError(f"{self.name} can't do {baudrate} baud: {stays}")
        return True

    def _agree(self) -> None:
        for verb, option in sorted(_ASKED):
            self._send(bytes((*_IAC, verb, option)))
        if not self._comes(lambda: self._willing is not None) or not self._willing:
            raise ConsoleError(
                f"{self.name} is no serial server that speaks RFC 2217",
                hint="socket://HOST:PORT is for one that passes plain bytes",
            )

    def _send(self, data: bytes) -> None:
        super().write(data)

    def _tell(self, command: int, value: bytes) -> None:
        start = bytes((*_IAC, 250, _PORT, command))
        self._send(start + value.replace(_IAC, 2 * _IAC) + _IAC + b"\xf0")

    def _comes(self, looked_for: Callable[[], bool]) -> bool:
        """Whether the server's answer comes in time; what the board says meanwhile is kept."""
        deadline = time.monotonic() + ANSWER
        while not looked_for() and (left := deadline - time.monotonic()) > 0:
            self._take(super().read(left))
        return looked_for()

    def _take(self, some: bytes) -> None:
        """Part what the board said from what the server says itself."""
        held, position = self._held + some, 0
        while (start := held.find(_IAC, position)) >= 0:
            self._data += held[position:start]
            position = start
            if not (sentence := _SENTENCE.match(held, start)):
                break  # the rest of it is still on its way
            position = sentence.end()
            if sentence[0] == 2 * _IAC:
                self._data += _IAC
            elif sentence[1] is not None:
                self._hear(sentence[1].replace(2 * _IAC, _IAC))
            elif sentence[2] is not None:
                self._answer(sentence[2][0], sentence[3][0])
        else:
            self._data += held[position:]
            position = len(held)
        self._held = held[position:]

    def _hear(self, told: bytes) -> None:
        if told[:2] == bytes((_PORT, _BY_SERVER + _BAUDRATE)) and len(told) == 6:
            self._baudrate = int.from_bytes(told[2:], "big")

    def _answer(self, verb: int, option: int) -> None:
        if option == _PORT and verb in (_DO, _DONT):
            self._willing = verb == _DO
        ours, no = {_WILL: (_DO, _DONT), _DO: (_WILL, _WONT)}.get(verb, (0, 0))
        if ours and (ours, option) not in _ASKED:  # what we asked for ourselves is agreed on
            self._send(bytes((*_IAC, no, option)))
