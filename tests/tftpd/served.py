"""The engine over a real directory, and what it must hand out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rootfs_tool.tftpd.base import Limits
from rootfs_tool.tftpd.directory import Directory
from rootfs_tool.tftpd.serving import serving
from rootfs_tool.tftpd.uploads import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """``root`` is a directory that is served, and written to, at ``address`` and ``port``."""

    root: Path
    address: str
    port: int

    def file(self, name: str, size: int) -> bytes:
        """Make a file of ``size`` bytes that look like no others; returns its content."""
        content = random.Random(f"{name} {size}").randbytes(size)
        (self.root / name).write_bytes(content)
        return content


@contextmanager
def directory_served(
    root: Path,
    address: str = "127.0.0.1",
    *,
    limits: Limits | None = None,
    single_port: bool = False,
) -> Iterator[Served]:
    """Until the block ends; uploads go to ``root`` too, over what is there."""
    root.mkdir(exist_ok=True)
    with (
        closing(Uploads(root, overwrite=True)) as uploads,
        closing(Directory(root, uploads=uploads)) as files,
        serving(files, address, limits=limits or Limits(), single_port=single_port) as (
            bound,
            port,
        ),
    ):
        yield Served(root=root, address=bound, port=port)
