"""Does a TCP service answer, one client or many at once?"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING, Literal, Self

from rootfs_tool.checks import clients
from rootfs_tool.checks.base import Bench, Check, CheckFailed, CheckSkipped
from rootfs_tool.checks.clients import TAG, Exchange, NoAnswer
from rootfs_tool.diagnosis.subject import Subject
from rootfs_tool.model import Field, model_validator

if TYPE_CHECKING:  # a build has checks, and no board to ask
    from rootfs_tool.shell import Shell

LONGEST_FROM_BOARD = 10_000  # bytes: four characters each in one command line


class Tcp(Check):
    """A TCP service gets what you send and answers what you expect.

    Many `clients` at once send a number of `packets` each, and each packet needs its answer before
    the client sends the next: nothing is lost. `{tag}` in `send` and `expect` is a word of its own
    in every packet.
    """

    type: Literal["tcp"] = "tcp"

    port: int = Field(ge=1, le=65535)
    """The board's."""

    send: str = ""
    """What a client sends; a line ends with \\n."""

    expect: str | None = None
    """Text that must be in the answer; without it the connection alone must hold."""

    origin: Literal["host", "board"] = "host"
    """Where the client is: on this host (in QEMU through a forward), or on the board itself."""

    clients: int = Field(default=1, ge=1, le=1000)
    """Clients at once, from this host."""

    packets: int = Field(default=1, ge=1, le=100_000)
    """How often each of them sends, over one connection."""

    kept: bool = False
    """Then one more client's answer must have every packet's `expect` in it, each once."""

    timeout: float = Field(default=30.0, gt=0)
    """Seconds for all of it."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.origin == "board" and (self.clients > 1 or self.packets > 1 or self.kept):
            raise ValueError('many clients or packets come from this host: origin = "host"')
        if self.origin == "board" and len(self.send.encode()) > LONGEST_FROM_BOARD:
            raise ValueError(f"the board sends up to {LONGEST_FROM_BOARD:,} bytes")
        if self.packets > 1 and not (self.send and self.expect):
            raise ValueError("packets need send, and expect to know that one has been answered")
        if self.kept and TAG not in (self.expect or ""):
            raise ValueError(f"kept needs {TAG} in send and expect, to tell the packets apart")
        if TAG in (self.expect or "") and TAG not in self.send:
            raise ValueError(f"expect has {TAG}, which send has not")
        return self

    @property
    def title(self) -> str:
        many = f", {self.clients} clients" if self.clients > 1 else ""
        many += f", {self.clients * self.packets} packets" if self.packets > 1 else ""
        return f"tcp {self.port}{' on the board' if self.origin == 'board' else ''}{many}"

    def subject(self, bench: Bench) -> Subject:
        outside = self.origin == "host"
        return Subject(network=outside, port=self.port, from_host=outside)

    def run(self, bench: Bench) -> str:
        start = time.monotonic()
        if self.origin == "board":
            said = self._from_board(bench.shell)
        else:
            where = bench.reach(self.port)
            if where is None:
                host = self.port if self.port >= 1024 else 10_000 + self.port
                raise CheckSkipped(
                    f"no port of this host leads to the board's {self.port}: "
                    f'forward = ["{host}:{self.port}"] in the recipe makes one do'
                )
            said = self._from_host(where)
        return f"{said} in {time.monotonic() - start:.2f} s"

    # -- from this host ------------------------------------------------------------------------

    def _from_host(self, where: tuple[str, int]) -> str:
        deadline = time.monotonic() + self.timeout
        run = secrets.token_hex(2)  # so that what is kept from an earlier one is no answer
        exchanges = [
            [self._exchange(f"{run}.{one:03}.{packet:05}") for packet in range(self.packets)]
            for one in range(self.clients)
        ]
        try:
            size = clients.talk(where, exchanges, deadline)
            if self.kept:
                size += _all_kept(where, exchanges, self._exchange(f"{run}.last"), deadline)
        except NoAnswer as error:
            raise CheckFailed(
                f"{error} ({where[0]} port {where[1]})",
                hint=f'does a program listen there? [[check]] type = "port", port = {self.port}, '
                "asks the board",
            ) from None
        return f"{self.clients * self.packets} answered, {size:,} bytes"

    def _exchange(self, tag: str) -> Exchange:
        send, expect = self.send.replace(TAG, tag), self.expect
        return Exchange(
            send=send.encode(),
            expect=None if expect is None else expect.replace(TAG, tag).encode(),
        )

    # -- from the board ------------------------------------------------------------------------

    def _from_board(self, shell: Shell) -> str:
        """By BusyBox's nc, which ends its own side of the connection after what it sends."""
        exchange = self._exchange(f"{secrets.token_hex(2)}.board")
        heard = bytearray()

        def hear(some: bytes) -> None:
            heard.extend(some)
            if exchange.expect is not None and exchange.expect in heard:
                raise _Enough

        octal = "".join(f"\\{byte:03o}" for byte in exchange.send)
        wait = 1 if exchange.expect is None else max(1, round(self.timeout))
        command = f"printf {quote(octal)} | nc -w {wait} 127.0.0.1 {self.port}"
        try:
            result = shell.run(command, timeout=self.timeout + 5, on_output=hear)
        except _Enough:
            return f"answered, {len(heard):,} bytes"
        if result.status == 127:
            raise CheckSkipped("the board has no nc")
        said = result.text.strip()
        if said.startswith("nc: can't connect"):
            raise CheckFailed(
                f"no connection: {said.removeprefix('nc: ')}",
                hint=f'[[check]] type = "port", port = {self.port}, tells who listens',
            )
        if exchange.expect is not None:
            answer = f"answered {clients.short(bytes(heard))}" if heard else "no answer"
            raise CheckFailed(f"{answer}, without {exchange.expect.decode()!r}")
        return f"answered, {len(heard):,} bytes"


class _Enough(Exception):
    """The answer is here, whatever else would come."""


def _all_kept(
    where: tuple[str, int], sent: list[list[Exchange]], last: Exchange, deadline: float
) -> int:
    """See that the ``last`` answer has all that was sent before, and nothing twice; its size."""
    answer = clients.last_answer(where, last, deadline)
    wanted = [one.expect or b"" for client in sent for one in client]
    for problem in _miscounted(wanted, answer):
        raise CheckFailed(problem)
    return len(answer)


def _miscounted(wanted: list[bytes], answer: bytes) -> Iterator[str]:
    counts = [answer.count(one) for one in wanted]
    lost = [one for one, count in zip(wanted, counts, strict=True) if count == 0]
    if lost:
        yield f"{len(lost)} of {len(wanted)} packets are lost; the first is {lost[0].decode()!r}"
    twice = [one for one, count in zip(wanted, counts, strict=True) if count > 1]
    if twice:
        yield f"{len(twice)} of {len(wanted)} packets are there twice; {twice[0].decode()!r} is one"
