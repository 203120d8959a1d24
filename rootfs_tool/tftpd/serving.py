"""An engine in a thread of its own, started and stopped by a with statement."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rootfs_tool.tftpd.base import Files, Limits, Listener
from rootfs_tool.tftpd.engine import Engine, silent


@contextmanager
def serving(
    files: Files,
    address: str,
    port: int = 0,
    *,
    limits: Limits = Limits(),  # noqa: B008 # frozen
    listener: Listener = silent,
    single_port: bool = False,
) -> Iterator[tuple[str, int]]:
    """Serve ``files`` until the block ends; gives the address and the port that it listens on.

    ``port`` 0 is any free one. Raises OSError when the address is not ours or the port taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as listening:
        listening.bind((address, port))
        engine = Engine(
            [listening], files, limits=limits, listener=listener, single_port=single_port
        )
        thread = threading.Thread(target=engine.run, name="tftpd", daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[:2]
        finally:
            engine.stop()
            thread.join()
