"""A tree with one of everything, and whether a mounted image is just that."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from rootfs_tool.tree import Device, Directory, File, Symlink, Tree, st_mode
from tests.loop import unmount

EPOCH = 1_735_689_600
CAPABILITY = bytes.fromhex("0100000200040000" + "00" * 12)  # cap_net_bind_service=ep
LONG = "x/" * 1000


def a_tree(host: Path) -> Tree:
    """``host`` is a directory for the file that lies on disk."""
    (host / "on disk").write_bytes(bytes(n * n % 251 for n in range(1000)) * 3000)
    tree = Tree()
    tree.add("/", Directory(mode=0o711, uid=3, gid=4), origin="a")
    tree.add("/dev/console", Device(kind="char", major=5, minor=1), origin="a")
    tree.add("/dev/disk", Device(kind="block", major=259, minor=70_000, mode=0o660), origin="a")
    tree.add("/etc/empty", File(content=b""), origin="a")
    tree.add("/etc/shadow", File(content=b"root::\n", mode=0o600, gid=42), origin="a")
    tree.add("/etc/zeros", File(content=bytes(100_000)), origin="a")
    tree.add("/tmp", Directory(mode=0o1777, xattrs=(("user.d", b"\0\xff"),)), origin="a")
    tree.add("/usr/bin/su", File(content=b"\x7fELF", mode=0o4755, uid=100_000), origin="a")
    may = File(content=b"x", xattrs=(("user.a", b""), ("security.capability", CAPABILITY)))
    tree.add("/usr/bin/may", may, origin="a")
    many = tuple((f"user.name {n}", b"v" * n) for n in range(40))
    tree.add("/usr/bin/many attributes", File(content=b"x", xattrs=many), origin="a")
    for name in ("a 'name'", 'a "name"', "two\nlines", os.fsdecode(b"caf\xe9"), "n" * 255):
        tree.add(f"/usr/{name}", File(content=name.encode(errors="replace")), origin="a")
    tree.add("/usr/lib/big", File(content=host / "on disk", uid=1000, gid=70_000), origin="a")
    for n in range(300):
        tree.add(f"/usr/share/{'n' * (n % 90)}{n}", File(content=b"%d" % n), origin="a")
        tree.add(f"/usr/share/links/{n}", Symlink("x" * n or "."), origin="a")
    tree.add("/sbin", Symlink("usr/bin"), origin="a")
    tree.add("/long", Symlink(LONG), origin="a")
    return tree


@contextmanager
def mounted(image: Path, at: Path, *, kind: str, options: str = "ro") -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", kind, "-o", f"loop,{options}", image, at], check=True)
    try:
        yield at
    finally:
        unmount(at)


def assert_is(tree: Tree, root: Path) -> None:
    """All of the tree is there as it should be, and nothing else but /lost+found."""
    nodes = {str(path): node for path, node in tree.walk()}
    # not rglob(), which an early Python 3.11 breaks off at a link with a long target
    walked = (Path(at, name) for at, *names in os.walk(root) for name in chain(*names))
    there = {f"/{path.relative_to(root)}" for path in walked} - {"/lost+found"}
    assert there == nodes.keys() - {"/"}
    for name, node in nodes.items():
        path = root / name.lstrip("/")
        found = path.lstat()
        assert found.st_mode == st_mode(node), name
        assert found.st_mtime == EPOCH, name
        owner = (0, 0) if isinstance(node, Symlink) else (node.uid, node.gid)
        assert (found.st_uid, found.st_gid) == owner, name
        match node:
            case Symlink():
                assert os.readlink(path) == node.to  # noqa: PTH115  # Path drops the last slash
            case Device():
                device = (os.major(found.st_rdev), os.minor(found.st_rdev))
                assert device == (node.major, node.minor)
            case File():
                content = node.content
                wanted = content if isinstance(content, bytes) else content.read_bytes()
                assert path.read_bytes() == wanted, name
            case Directory():
                assert path.is_dir(), name
        if not stat.S_ISLNK(found.st_mode) and isinstance(node, File | Directory):
            xattrs = {one: os.getxattr(path, one) for one in os.listxattr(path)}
            assert xattrs == dict(node.xattrs), name


def shuffled(tree: Tree) -> Tree:
    """The same tree, added in another order, and all of it in memory."""
    again = Tree()
    for path, node in reversed(list(tree.walk())):
        if isinstance(node, File) and isinstance(node.content, Path):
            node = File(content=node.content.read_bytes(), uid=node.uid, gid=node.gid)
        again.add(path, node, origin="b", replace=True)
    return again
