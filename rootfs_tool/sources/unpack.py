"""A .deb becomes an entry of the store: its files, and what they are on the board."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import IO

from rootfs_tool import proc, store
from rootfs_tool.errors import CommandError, FetchError
from rootfs_tool.store import Making, Stored

CHUNK = 1 << 20  # bytes read at a time
SCRIPTS = ("preinst", "postinst", "triggers")  # what dpkg runs or reads once it has the files


def unpack(package: Path, digest: str) -> Stored:
    """Unpack a .deb into the store under its sha256; what its scripts are lies there as well.

    Raises FetchError if it is no package, or holds something that may not be in one.
    """
    _scripts(package, digest)
    with store.making("unpacked", digest) as making, tempfile.TemporaryFile() as said:
        with proc.running(
            "dpkg-deb", "--fsys-tarfile", package, stdout=proc.PIPE, stderr=said
        ) as dpkg_deb:
            assert dpkg_deb.stdout is not None
            with dpkg_deb.stdout as stream:
                reason = _take(stream, making)
                while stream.read(CHUNK):
                    pass  # the padding behind the archive
            failed = dpkg_deb.wait()
        if failed:
            said.seek(0)
            reason = said.read().decode(errors="replace").strip()
        if reason:
            raise FetchError(f"{package.name} can't be unpacked: {reason}")
    found = store.find("unpacked", digest)
    if found is None:
        raise FetchError(f"{package.name} did not stay in the cache", hint="is its disk full?")
    return found


def _scripts(package: Path, digest: str) -> None:
    """Keep its maintainer scripts, which say what the package lacks where they do not run."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            proc.run("dpkg-deb", "--control", package, directory)
        except CommandError as error:
            raise FetchError(f"{package.name} can't be unpacked: {error.output.strip()}") from None
        with store.making("scripts", digest) as making:
            for name in SCRIPTS:
                if (path := Path(directory, name)).is_file():
                    making.file(f"/{name}", [path.read_bytes()], mode=0o755)


def _take(stream: IO[bytes], making: Making) -> str:
    """Put everything of a tar archive into ``making``; returns what was wrong with it, if any."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                _member(archive, member, making)
    except (tarfile.TarError, EOFError, KeyError) as error:
        return str(error) or type(error).__name__
    return ""


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, making: Making) -> None:
    name, mode = _name(member.name), member.mode & 0o7777
    if member.isreg():
        content = archive.extractfile(member)
        assert content is not None  # it is for what isreg() is true of
        chunks = iter(lambda: content.read(CHUNK), b"")
        making.file(name, chunks, mode=mode, uid=member.uid, gid=member.gid)
    elif member.isdir():
        if name != "/":  # what the root directory is is not a package's to say
            making.folder(name, mode=mode, uid=member.uid, gid=member.gid)
    elif member.issym():
        making.symlink(name, member.linkname)
    elif member.islnk():
        making.hardlink(name, _name(member.linkname))
    else:
        raise FetchError(f"{name} in the package is neither file, directory nor link")


def _name(written: str) -> str:
    """``./usr/bin`` as ``/usr/bin``. Raises FetchError on a name that climbs."""
    parts = [part for part in written.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise FetchError(f"{written} in the package leads out of it")
    return "/" + "/".join(parts)
