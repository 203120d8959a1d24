"""The rootfs in memory."""

from __future__ import annotations

import random
from pathlib import Path, PurePosixPath

import pytest

from rootfs_tool.errors import ConfigError
from rootfs_tool.tree import CHUNK, Directory, File, Symlink, Tree, pieces, size


def file(text: str) -> File:
    return File(content=text.encode())


def merged() -> Tree:
    tree = Tree()
    tree.add("/bin", Symlink("usr/bin"), origin="base")
    tree.add("/usr/bin", Directory(), origin="base")
    tree.add("/usr/sbin", Symlink("bin"), origin="base")
    return tree


def paths(tree: Tree, below: str = "/") -> list[str]:
    return [str(path) for path, _ in tree.walk(below)]


def test_parents_appear_by_themselves_and_come_first() -> None:
    tree = Tree()
    tree.add("/usr/bin/x", file("x"), origin="a")
    tree.add("/etc/rc", file("rc"), origin="a")
    assert paths(tree) == ["/", "/etc", "/etc/rc", "/usr", "/usr/bin", "/usr/bin/x"]
    assert tree.get("/usr") == Directory(mode=0o755)


def test_the_order_is_that_of_the_paths_whatever_came_first() -> None:
    names = [f"/{a}/{b}" for a in ("a", "a.b", "a-b", "ab") for b in "xyz"]
    orders = []
    for seed in range(5):
        tree = Tree()
        for name in random.Random(seed).sample(names, len(names)):
            tree.add(name, file(name), origin="a")
        orders.append(paths(tree))
    assert all(order == orders[0] for order in orders)
    assert orders[0].index("/a") + 1 == orders[0].index("/a/x")


def test_two_that_want_one_path_are_both_named() -> None:
    tree = Tree()
    tree.add("/etc/rc", file("one"), origin="package one")
    with pytest.raises(ConfigError, match="/etc/rc comes from package one and from package two"):
        tree.add("/etc/rc", file("two"), origin="package two")
    tree.add("/etc/rc", file("one"), origin="package three")  # the same is no clash
    tree.add("/etc/rc", file("mine"), origin="the overlay", replace=True)
    assert tree.get("/etc/rc") == file("mine")


def test_a_directory_may_come_twice_and_keeps_its_mode() -> None:
    tree = Tree()
    tree.add("/tmp", Directory(mode=0o1777), origin="a")
    tree.add("/tmp", Directory(), origin="b")
    assert tree.get("/tmp") == Directory(mode=0o1777)


def test_a_file_in_the_place_of_a_directory_takes_what_was_below_it() -> None:
    tree = Tree()
    tree.add("/etc/x/y/z", file("z"), origin="a")
    with pytest.raises(ConfigError, match="/etc/x comes from a and from b"):
        tree.add("/etc/x", file("x"), origin="b")
    tree.add("/etc/x", file("x"), origin="b", replace=True)
    assert paths(tree) == ["/", "/etc", "/etc/x"]


def test_nothing_can_lie_below_a_file() -> None:
    tree = Tree()
    tree.add("/etc", file("no directory"), origin="a")
    with pytest.raises(ConfigError, match="/etc/x of b lies below /etc, which is no directory"):
        tree.add("/etc/x", file("x"), origin="b")


def test_a_path_through_links_lands_where_the_board_would_find_it() -> None:
    tree = merged()
    tree.add("/bin/x", file("x"), origin="a")
    tree.add("/usr/sbin/y", file("y"), origin="a")
    assert paths(tree, "/usr/bin") == ["/usr/bin", "/usr/bin/x", "/usr/bin/y"]
    assert tree.get("/bin/y") == tree.get("/usr/sbin/y") == file("y")
    with pytest.raises(ConfigError, match="/usr/bin/x comes from a and from b"):
        tree.add("/usr/sbin/x", file("other"), origin="b")


def test_a_packages_bin_is_the_link_that_is_there() -> None:
    tree = merged()
    for replace in (False, True):
        tree.add("/bin", Directory(), origin="package", replace=replace)
        assert tree.get("/bin") == Symlink("usr/bin")
    tree.add("/loose", Symlink("nowhere"), origin="a")
    with pytest.raises(ConfigError, match="/loose comes from a and from b"):
        tree.add("/loose", Directory(), origin="b")


def test_a_link_at_the_end_is_not_followed() -> None:
    tree = merged()
    assert tree.get("/bin") == Symlink("usr/bin")
    tree.remove("/bin")
    assert tree.get("/bin") is None
    assert tree.get("/usr/bin") == Directory()


def test_absolute_links_and_dots_stay_inside() -> None:
    tree = Tree()
    tree.add("/a/b", Symlink("/c"), origin="a")
    tree.add("/c/d", Symlink("../a/./e"), origin="a")
    assert tree.resolve("/a/b/d/f") == PurePosixPath("/a/e/f")
    tree.add("/a/../c/x", file("x"), origin="a")
    assert tree.get("/c/x") == file("x")
    assert tree.resolve("/c/..") == PurePosixPath("/")


@pytest.mark.parametrize("path", ["/..", "/../etc", "/a/../../etc", "/up/etc"])
def test_climbing_out_is_an_error(path: str) -> None:
    tree = Tree()
    tree.add("/a/b", file("b"), origin="a")
    tree.add("/up", Symlink("../.."), origin="a")
    with pytest.raises(ConfigError, match="climbs out of the rootfs"):
        tree.add(path, file("x"), origin="a")


def test_a_circle_of_links_is_an_error() -> None:
    tree = Tree()
    tree.add("/a", Symlink("b"), origin="a")
    tree.add("/b", Symlink("a"), origin="a")
    with pytest.raises(ConfigError, match="circle of symbolic links"):
        tree.resolve("/a/x")
    assert tree.resolve("/a") == PurePosixPath("/a")


def test_a_files_bytes_come_in_pieces_wherever_they_are(tmp_path: Path) -> None:
    content = bytes(n % 251 for n in range(2 * CHUNK + 5))
    (tmp_path / "x").write_bytes(content)
    for file in (File(content=content), File(content=tmp_path / "x")):
        assert size(file) == len(content)
        found = list(pieces(file, len(content)))
        assert [len(piece) for piece in found] == [CHUNK, CHUNK, 5]
        assert b"".join(found) == content


@pytest.mark.parametrize("length", [2, 4])
def test_a_host_file_that_changes_is_an_error(tmp_path: Path, length: int) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    with pytest.raises(ConfigError, match="x changed while it was read"):
        list(pieces(File(content=tmp_path / "x"), length))


def test_attributes_are_part_of_a_node() -> None:
    tree = Tree()
    tree.add("/ping", File(content=b"x", xattrs=(("user.a", b"1"),)), origin="a")
    with pytest.raises(ConfigError, match="/ping comes from a and from b"):
        tree.add("/ping", File(content=b"x"), origin="b")
