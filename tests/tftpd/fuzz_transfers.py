"""A coverage-guided fuzzer of what comes from the network: ``make fuzz``, as long as you like.

The input is a request and the datagrams of the transfer that it begins, with CUT between them.
Whatever they are, a request is served or refused, a transfer ends or goes on, and no datagram is
answered with more than a window. It takes atheris, of the Python package index.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import atheris

from rootfs_tool.tftpd.link import Link

with atheris.instrument_imports(include=["rootfs_tool.tftpd"]):
    from rootfs_tool.tftpd import names, options, packet, read, write
    from rootfs_tool.tftpd.base import Opened, Refused, Upload
    from rootfs_tool.tftpd.image import Content, Images, Netascii, Octet
    from rootfs_tool.tftpd.session import Rto, Session, Told

SIZE = 70_000
WINDOW = 64
CUT = b"\xff\xfe"
OPTIONS = b"blksize\x001428\0windowsize\x004\0timeout\x001\0tsize\x000\0rollover\x001\0"


def a_good_client(mode: bytes, given: bytes, blocks: int, answer: bytes) -> bytes:
    """A transfer without a fault, to begin from."""
    asks = (b"\0\1" if answer[1] == 4 else b"\0\2") + b"a/file\0" + mode + b"\0" + given
    return CUT.join(
        [asks, *(answer[:2] + block.to_bytes(2) + answer[4:] for block in range(blocks))]
    )


SEEDS = [
    a_good_client(mode, given, blocks, answer)
    for mode in (b"octet", b"NETASCII")
    for given in (b"", OPTIONS)
    for blocks, answer in (
        (140, b"\0\4\0\0"),
        (5, b"\0\3\0\0" + b"\r\n\r\0" * 128),
        (3, b"\0\3\0\0x"),
    )
]


class Counted(Link):
    """Counts what is sent."""

    def __init__(self) -> None:
        self.sent = 0
        self.send = self._one

    def _one(self, packet: bytes) -> None:
        assert packet[0] == 0
        assert 3 <= packet[1] <= 6
        self.sent += 1

    def burst(self, packets: memoryview, size: int) -> None:
        assert packets
        self.sent += -(-len(packets) // size)

    def carries(self) -> int:
        return 1428

    def port(self) -> int:
        return 0

    def close(self) -> None: ...


class Nowhere(Upload):
    def __init__(self) -> None:
        self.ends = 0

    def write(self, data: bytes) -> None:
        assert data
        assert not self.ends

    def commit(self) -> None:
        self.ends += 1

    def discard(self) -> None:
        self.ends += 1


FILE = tempfile.TemporaryFile()  # noqa: SIM115 # as long as the process
FILE.write(os.urandom(SIZE))
FILE.flush()


def one(data: bytes) -> None:
    first, *rest = data.split(CUT)
    with suppress(Refused):
        transfer(packet.request(first), rest)


def transfer(request: packet.Request, datagrams: list[bytes]) -> None:
    with suppress(Refused):
        for path in names.wanted(request.name).paths:
            assert not path.startswith(b"/")
            assert b".." not in path.split(b"/")
    size = None if request.write else SIZE
    agreed = options.agree(request, size=size, window=WINDOW, carries=lambda: 1428)
    link = Counted()
    nobody: Any = None
    session = Session(
        peer="a board", address="a board", name="", write=request.write, key=nobody, asked=b""
    )
    session.size = None if request.write else SIZE
    session.link, session.agreed, session.rto = link, agreed, Rto(agreed.timeout)
    images, upload = Images(), Nowhere()
    image = images.open(Opened(fd=os.dup(FILE.fileno()), size=SIZE, name=""))
    content: Content
    if request.netascii:
        content = Netascii(image, agreed.blksize, agreed.windowsize, agreed.rollover)
    else:
        content = Octet(images, image, agreed.blksize, agreed.windowsize, agreed.rollover)
    if request.write:
        steps = write.steps(session, upload, text=request.netascii)
    else:
        steps = read.steps(session, content)
    try:
        for datagram in (None, *datagrams):
            link.sent = 0
            steps.send(datagram or None)  # an empty one is the timer
            assert link.sent <= max(1, agreed.windowsize), (agreed, link.sent)
    except (Told, Refused, StopIteration):
        pass
    finally:
        steps.close()
        images.close(image)
        assert upload.ends == (1 if request.write else 0)


with tempfile.TemporaryDirectory() as corpus:
    for number, seed in enumerate(SEEDS):
        Path(corpus, str(number)).write_bytes(seed)
    # libFuzzer leaves by _exit(2): a second process cleans up
    if os.fork() == 0:
        atheris.Setup([*sys.argv, "-max_len=8192", corpus], one)
        atheris.Fuzz()
    status = os.waitstatus_to_exitcode(os.wait()[1])
sys.exit(status)
