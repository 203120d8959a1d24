"""A request becomes a transfer: the file, the way to the client, and what both agree on."""

from __future__ import annotations

from contextlib import ExitStack

from rootfs_tool.tftpd import options, read, write
from rootfs_tool.tftpd.base import Files, Limits
from rootfs_tool.tftpd.door import Arrival, Door, host, text
from rootfs_tool.tftpd.image import Images, Netascii, Octet
from rootfs_tool.tftpd.link import Link, Ports, SharedPort
from rootfs_tool.tftpd.packet import Request
from rootfs_tool.tftpd.session import Key, Rto, Session, Steps


class Opener:
    """``ports`` is None where every answer leaves from the listening socket."""

    def __init__(self, files: Files, limits: Limits, ports: Ports | None) -> None:
        self._files = files
        self._limits = limits
        self._ports = ports
        self._images = Images()

    def open(
        self, door: Door, arrival: Arrival, request: Request, name: str, key: Key
    ) -> tuple[Session, Steps]:
        """Raises Refused, or OSError where this host has no room for one more."""
        with ExitStack() as undo:
            session = Session(
                peer=text(arrival.peer),
                address=host(arrival.peer),
                name=name,
                write=request.write,
                key=key,
                asked=arrival.packet,
            )
            open_it = self._write if request.write else self._read
            steps = open_it(door, arrival, request, session, undo)
            undo.callback(steps.close)
            session.undo = undo.pop_all()
        return session, steps

    def _read(
        self, door: Door, arrival: Arrival, request: Request, session: Session, undo: ExitStack
    ) -> Steps:
        opened = self._files.open(request.name, session.address)
        session.note = opened.note
        image = self._images.open(opened)
        undo.callback(self._images.close, image)
        session.size = None if request.netascii else image.size
        self._meet(door, arrival, request, session, undo)
        agreed = session.agreed
        layout = (agreed.blksize, agreed.windowsize, agreed.rollover)
        if request.netascii:
            return read.steps(session, Netascii(image, *layout))
        return read.steps(session, Octet(self._images, image, *layout))

    def _write(
        self, door: Door, arrival: Arrival, request: Request, session: Session, undo: ExitStack
    ) -> Steps:
        session.size = options.announced(request)
        self._meet(door, arrival, request, session, undo)
        upload = self._files.create(request.name, session.address, session.size)
        return write.steps(session, upload, text=request.netascii)

    def _meet(
        self, door: Door, arrival: Arrival, request: Request, session: Session, undo: ExitStack
    ) -> None:
        """Find the way to the client, and answer its options."""
        link = self._link(door, arrival)
        undo.callback(link.close)
        session.link = link
        session.agreed = options.agree(
            request, size=session.size, window=self._limits.window, carries=link.carries
        )
        session.rto = Rto(session.agreed.timeout)

    def _link(self, door: Door, arrival: Arrival) -> Link:
        if self._ports is None:
            return SharedPort(door.socket, arrival.peer, arrival.reply)
        return self._ports.take(door.socket.family, arrival.here, arrival.peer)
