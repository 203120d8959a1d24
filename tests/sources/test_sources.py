"""What the kinds of source put into a tree."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from rootfs_tool import initscripts
from rootfs_tool.arch import Arch
from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import ConfigError, FetchError
from rootfs_tool.sources import Busybox, Deb, LocalFile
from rootfs_tool.sources.apt import Archive
from rootfs_tool.sources.base import Source
from rootfs_tool.sources.busybox import applets
from rootfs_tool.sources.kernel import Kernel
from rootfs_tool.sources.unpack import unpack
from rootfs_tool.tree import Directory, File, Symlink, Tree
from tests.debian import MODULES, HandMade, busybox, kernel, package


def debian(tmp_path: Path) -> Archive:
    return Archive(suite="trixie", arch=Arch.aarch64, lock=tmp_path / "board.lock")


def installed(source: Source, tmp_path: Path) -> Tree:
    tree = Tree()
    initscripts.skeleton(tree)
    with debian(tmp_path) as archive:
        for artefact in source.fetch(archive):
            source.install(artefact, tree)
    return tree


def test_busybox_answers_to_the_names_that_it_lists_itself(
    archive: HandMade, tmp_path: Path
) -> None:
    archive.publish(busybox(tmp_path))
    tree = installed(Busybox(), tmp_path)
    listed = subprocess.run(
        ["/bin/busybox", "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    found = {path.name: node for path, node in tree.walk("/usr/bin") if path.name != "bin"}
    assert set(found) == {*listed, "busybox"}
    assert found["sh"] == Symlink("busybox")
    program = found["busybox"]
    assert isinstance(program, File)
    assert (program.mode, program.uid) == (0o755, 0)
    assert tree.get("/sbin/init") == Symlink("busybox"), "through the links of the merged /usr"


@pytest.mark.parametrize("program", [b"", b"\x7fELF", b"[\0[[\0acpid\0\0", b"[\0[[\0acpid"])
def test_a_program_that_is_no_busybox(program: bytes) -> None:
    with pytest.raises(FetchError, match="no table"):
        list(applets(program))


def test_a_package_without_what_nobody_reads_there(archive: HandMade, tmp_path: Path) -> None:
    deb = package(
        tmp_path,
        "tool",
        "1",
        {
            "/bin/tool": b"#!/bin/sh\n",
            "/etc/tool.conf": b"",
            "/usr/lib/libtool.so.1": "libtool.so.1.0",
            "/usr/share/man/man1/tool.1": b"",
            "/usr/share/locale/de/tool.mo": b"",
            "/usr/share/documents/kept": b"",
        },
        executable=("/bin/tool",),
    )
    archive.publish(deb)
    tree = installed(Deb(package="tool"), tmp_path)
    tool = tree.get("/usr/bin/tool")
    assert isinstance(tool, File)
    assert (tool.mode, tool.uid, tool.gid) == (0o755, 0, 0)
    assert tree.get("/usr/lib/libtool.so.1") == Symlink("libtool.so.1.0")
    assert isinstance(tree.get("/usr/share/documents/kept"), File)
    for path in ("/usr/share/man", "/usr/share/locale", "/usr/share/doc"):
        assert tree.get(path) is None
    assert tree.get("/bin") == Symlink("usr/bin")


def test_a_file_of_ones_own(archive: HandMade, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine\n")
    source = LocalFile(path=tmp_path / "mine", to="/opt/mine", mode=0o755)
    tree = installed(source, tmp_path)
    assert tree.get("/opt/mine") == File(content=tmp_path / "mine", mode=0o755)
    (artefact,) = source.fetch(debian(tmp_path))
    assert artefact.sha256 == hashlib.sha256(b"mine\n").hexdigest()
    with pytest.raises(ConfigError, match=r"none: No such file"):
        LocalFile(path=tmp_path / "none", to="/opt/mine").fetch(debian(tmp_path))


class TestKernel:
    @pytest.fixture
    def artefact(self, archive: HandMade, tmp_path: Path) -> Artefact:
        archive.publish(*kernel(tmp_path))
        with debian(tmp_path) as opened:
            return Kernel().fetch(opened)

    def test_what_is_where(self, artefact: Artefact) -> None:
        one = Kernel(device_tree="broadcom/bcm2837-rpi-3-b.dtb")
        assert one.release(artefact) == "6.12.1-arm64"
        assert one.image(artefact).read_bytes().startswith(b"not much of a kernel")
        assert one.modules(artefact) == MODULES
        device_tree = one.device_tree_file(artefact)
        assert device_tree is not None
        assert device_tree.read_bytes() == b"not much of a tree\n"
        assert Kernel().device_tree_file(artefact) is None

    def test_an_unknown_device_tree(self, artefact: Artefact) -> None:
        one = Kernel(device_tree="broadcom/bcm2837-rpi-3b.dtb")
        with pytest.raises(ConfigError, match=r'did you mean "broadcom/bcm2837-rpi-3-b\.dtb"'):
            one.device_tree_file(artefact)

    def test_a_damaged_device_tree_is_fetched_again(
        self, artefact: Artefact, tmp_path: Path
    ) -> None:
        one = Kernel(device_tree="broadcom/bcm2837-rpi-3-b.dtb")
        path = one.device_tree_file(artefact)
        assert path is not None
        path.write_bytes(b"")
        with pytest.raises(FetchError, match="damaged") as caught:
            one.device_tree_file(artefact)
        assert caught.value.hint == "build again"
        with debian(tmp_path) as opened:
            again = one.device_tree_file(one.fetch(opened))
        assert again is not None
        assert again.read_bytes() == b"not much of a tree\n"


def deb_of(tmp_path: Path, *members: tarfile.TarInfo) -> Path:
    """A .deb of these tar members, put together without dpkg-deb, which would not."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    parts = (
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", empty()),
        ("data.tar.gz", data.getvalue()),
    )
    path = tmp_path / "made.deb"
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        for name, content in parts:
            file.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
            file.write(content + b"\n" * (len(content) % 2))
    return path


def empty() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz"):
        pass
    return data.getvalue()


def member(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


class TestUnpack:
    def test_owners_modes_and_links_are_the_packages(self, cache: Path, tmp_path: Path) -> None:
        deb = deb_of(
            tmp_path,
            member("./usr/bin/su", size=4, mode=0o4755, uid=0, gid=12),
            member("./usr/bin/also-su", type=tarfile.LNKTYPE, linkname="./usr/bin/su"),
            member("./usr/lib/x", type=tarfile.SYMTYPE, linkname="../bin/su"),
            member("./var/mail", type=tarfile.DIRTYPE, mode=0o2775, uid=3, gid=8),
        )
        nodes = dict(unpack(deb, "0" * 64).nodes())
        su = nodes["/usr/bin/su"]
        assert isinstance(su, File)
        assert (su.mode, su.uid, su.gid) == (0o4755, 0, 12)
        also = nodes["/usr/bin/also-su"]
        assert isinstance(also, File)
        assert isinstance(also.content, Path)
        assert (also.mode, also.content.read_bytes()) == (0o4755, bytes(4))
        assert nodes["/usr/lib/x"] == Symlink("../bin/su")
        assert nodes["/var/mail"] == Directory(mode=0o2775, uid=3, gid=8)

    @pytest.mark.parametrize("name", ["../evil", "./usr/../../evil", "a/.."])
    def test_a_name_that_leads_out(self, cache: Path, tmp_path: Path, name: str) -> None:
        with pytest.raises(FetchError, match="leads out"):
            unpack(deb_of(tmp_path, member(name, size=4)), "0" * 64)
        assert not list(tmp_path.rglob("evil"))
        assert not list(cache.glob("unpacked/[0-9a-f]*"))

    def test_a_file_behind_a_link_stays_in_the_cache(self, cache: Path, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        deb = deb_of(
            tmp_path,
            member("./x", type=tarfile.SYMTYPE, linkname=str(tmp_path / "elsewhere")),
            member("./x/evil", size=4),
        )
        unpack(deb, "0" * 64)
        assert not list((tmp_path / "elsewhere").iterdir())

    def test_a_device(self, cache: Path, tmp_path: Path) -> None:
        with pytest.raises(FetchError, match="neither file"):
            unpack(deb_of(tmp_path, member("./dev/mem", type=tarfile.CHRTYPE)), "0" * 64)

    def test_bytes_that_are_no_package(self, cache: Path, tmp_path: Path) -> None:
        (tmp_path / "x.deb").write_bytes(b"not a package")
        with pytest.raises(FetchError, match=r"x\.deb can't be unpacked: .*dpkg-deb"):
            unpack(tmp_path / "x.deb", "0" * 64)

    def test_a_package_cut_short(self, cache: Path, tmp_path: Path) -> None:
        deb = package(tmp_path, "big", "1", {"/big": bytes(range(256)) * 4096})
        deb.write_bytes(deb.read_bytes()[:-500])
        with pytest.raises(FetchError, match="can't be unpacked"):
            unpack(deb, "0" * 64)
        assert not list(cache.glob("unpacked/[0-9a-f]*"))
