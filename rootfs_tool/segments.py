"""A part of an image that seldom changes: compressed once, and taken from the cache after that."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from io import BufferedRandom

from rootfs_tool import store
from rootfs_tool.errors import ConfigError
from rootfs_tool.tree import CHUNK

KEPT = 8  # parts in the cache, a few MB each: those of the boards that a person works on


def write(
    file: BufferedRandom,
    part: Callable[[], Iterable[bytes]],
    *,
    how: str,
    compress: Callable[[BufferedRandom, Iterable[bytes]], None],
) -> None:
    """Append ``part`` to ``file`` as ``compress`` writes it.

    The bytes are the same whether the cache has them or not: they are found by the digest of all
    that ``part`` yields and of ``how``, which says what else decides them. Raises ConfigError if
    ``part`` does not yield the same twice, FetchError if the cache can't be written.
    """
    digest = _Digest(how)
    for _ in digest.through(part()):
        pass
    if _copied(digest.hex, file):
        return
    start = file.tell()
    again = _Digest(how)
    compress(file, again.through(part()))
    if again.hex != digest.hex:
        raise ConfigError("a file of the rootfs changed while it was read", hint="build again")
    _keep(digest.hex, file, start)


class _Digest:
    def __init__(self, how: str) -> None:
        self._sum = hashlib.sha256(how.encode() + b"\0")

    def through(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The same blocks, which count from then on."""
        for block in blocks:
            self._sum.update(block)
            yield block

    @property
    def hex(self) -> str:
        return self._sum.hexdigest()


def _copied(digest: str, file: BufferedRandom) -> bool:
    """Whether the cache had it, and ``file`` has it now. What is damaged there is dropped."""
    stored = store.find("segments", digest)
    if stored is None:
        return False
    try:
        (name,) = stored.rows  # its own sha256
        with stored.path(name).open("rb") as kept:
            if name == f"/{hashlib.file_digest(kept, 'sha256').hexdigest()}":
                kept.seek(0)
                shutil.copyfileobj(kept, file, CHUNK)
                return True
    except (FileNotFoundError, ValueError):
        pass  # another build has just made room, or it is none of ours
    stored.drop()
    return False


def _keep(digest: str, file: BufferedRandom, start: int) -> None:
    """Take what ``file`` has from byte ``start`` on into the cache, for those that are newest."""
    file.seek(start)
    name = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(start)
    with store.making("segments", digest, keep=KEPT) as making:
        making.file(f"/{name}", iter(lambda: file.read(CHUNK), b""), mode=0o644)
