"""A new pseudo-terminal, for a board's simulator to open as its serial port."""

from __future__ import annotations

import os
import tty
from contextlib import suppress
from pathlib import Path

from rootfs_tool.console.descriptor import DescriptorConsole
from rootfs_tool.errors import ConsoleError
from rootfs_tool.events import note


class PtyConsole(DescriptorConsole):
    def __init__(self, link: str) -> None:
        """``link`` is a symbolic link to make to it, or empty. Raises ConsoleError."""
        ours, theirs = os.openpty()
        self._theirs = theirs  # open for as long as we are: a simulator may come and go
        self._link = Path(link) if link else None
        super().__init__(ours, f"pty:{link}" if link else "pty", lambda: os.close(ours))
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        terminal = os.ttyname(theirs)
        if self._link is not None:
            try:
                _make_link(self._link, terminal)
            except BaseException:
                self._link = None
                self.close()
                raise
        note(f"the board's serial port is {link or terminal}: let its simulator open that")

    def close(self) -> None:
        if self._descriptor < 0:
            return
        if self._link is not None:
            with suppress(OSError):
                self._link.unlink()
        os.close(self._theirs)
        super().close()


def _make_link(link: Path, terminal: str) -> None:
    try:
        if link.is_symlink() and not link.exists():  # left by a run that was killed
            link.unlink()
        link.symlink_to(terminal)
    except OSError as error:
        raise ConsoleError(
            f"cannot make {link}: {error.strerror}", hint="pty:LINK names a link to make"
        ) from None
