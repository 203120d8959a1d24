"""``lock`` pins what a build takes and nothing else; what it has said already it says again."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from rootfs_tool.board import Board
from rootfs_tool.errors import ConfigError, FetchError
from rootfs_tool.recipe import find
from rootfs_tool.relock import Change, Relocked, relock
from tests.command import rootfs_tool
from tests.debian import HandMade, busybox, kernel, package
from tests.place import BOARD, Place

STALE = """
[[package]]
name = "stale"
package = "stale"
version = "1"
size = 1
sha256 = "{}"
""".format("0" * 64)


@dataclass(frozen=True, slots=True)
class Locked:
    """A board with the package "tool" in it; the archive that it comes from; and its lock."""

    archive: HandMade
    place: Place

    @property
    def lock(self) -> Path:
        return self.place.board.with_suffix(".lock")

    @property
    def pins(self) -> dict[str, str]:
        table = tomllib.loads(self.lock.read_text())
        return {one["name"]: one["version"] for one in table["package"]}

    @property
    def epoch(self) -> int:
        epoch = tomllib.loads(self.lock.read_text())["epoch"]
        assert isinstance(epoch, int)
        return epoch

    def publish(self, version: str) -> None:
        """Let the archive have this version of the tool, beside what never changes."""
        rest = self.archive.root / "rest"
        if not rest.exists():
            rest.mkdir()
            busybox(rest)
            kernel(rest)
        tool = package(self.archive.root, "tool", version, {"/usr/bin/tool": version.encode()})
        self.archive.publish(tool, *rest.glob("*.deb"))

    def relock(self, *, update: bool = False, check: bool = False) -> Relocked:
        recipe, _ = find(str(self.place.board))
        return relock(recipe, self.lock, update=update, check=check)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Locked:
    """Nothing is in the cache and no lock is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Locked(HandMade(tmp_path / "archive"), Place(tmp_path / "place"))
    made.archive.publish()
    made.publish("1")
    monkeypatch.setenv("ROOTFS_TOOL_APT_SOURCES", str(made.archive.sources))
    made.place.board.parent.mkdir(parents=True)
    made.place.board.write_text(f'{BOARD}[[source]]\ntype = "deb"\npackage = "tool"\n')
    return made


def test_it_pins_what_a_build_takes_then(locked: Locked) -> None:
    done = locked.relock()
    assert locked.pins == {
        "busybox-static": "1:1.37.0-6",
        "linux-image-arm64": "6.12.1-1",
        "tool": "1",
    }
    assert Change(name="tool", old=None, new="1") in done.changes
    assert not locked.place.out.exists()
    locked.publish("2")
    built = locked.place.build(locked=True)
    assert {one.name: one.version for one in built.artefacts}["tool"] == "1"
    assert built.epoch == locked.epoch


def test_what_it_has_said_it_does_not_write_again(locked: Locked) -> None:
    locked.relock()
    before = (locked.lock.read_bytes(), locked.lock.stat().st_mtime_ns)
    for done in (locked.relock(), locked.relock(update=True), locked.relock(check=True)):
        assert done == Relocked(pins=3, changes=(), left=(), current=True)
    assert (locked.lock.read_bytes(), locked.lock.stat().st_mtime_ns) == before


def test_the_newest_only_where_that_is_asked_for(locked: Locked) -> None:
    locked.relock()
    locked.publish("2")
    assert locked.relock().changes == ()
    wanted = (Change(name="tool", old="1", new="2"),)
    checked = locked.relock(update=True, check=True)
    assert (checked.changes, checked.current) == (wanted, False)
    assert locked.pins["tool"] == "1", "a check writes nothing"
    assert locked.relock(update=True).changes == wanted
    assert locked.pins["tool"] == "2"


def test_what_is_not_pinned(locked: Locked) -> None:
    locked.relock()
    text = locked.lock.read_text()
    locked.lock.write_text(re.sub(r'\[\[package\]\]\nname = "tool"[^[]*', "", text))
    assert "tool" not in locked.pins
    checked = locked.relock(check=True)
    assert checked.changes == (Change(name="tool", old=None, new="1"),)
    assert not checked.current
    assert "tool" not in locked.pins
    locked.relock()
    assert "tool" in locked.pins


def test_a_pin_that_nothing_needs_goes_and_the_time_of_the_files_stays(locked: Locked) -> None:
    locked.relock()
    text = re.sub("epoch = .*", "epoch = 1736899200", locked.lock.read_text())
    for update in (False, True):
        locked.lock.write_text(text + STALE)
        gone = (Change(name="stale", old="1", new=None),)
        checked = locked.relock(update=update, check=True)
        assert (checked.changes, checked.current) == (gone, False)
        assert locked.relock(update=update).changes == gone
        assert "stale" not in locked.pins
        assert locked.epoch == 1_736_899_200


def test_what_packages_bring_goes_with_them(
    locked: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(locked.place.root)
    locked.place.board.write_text(BOARD)
    file = locked.place.root / "recipe.toml"
    said = []
    for packages in ('packages = ["tool"]', ""):
        file.write_text(f'board = "board"\n{packages}\n')
        relock(find(str(file))[0], file.with_suffix(".lock"))
        said.append(tomllib.loads(file.with_suffix(".lock").read_text()))
    assert said[0]["closure"] == {"asked": ["tool"], "taken": ["tool"]}
    assert "closure" not in said[1]
    assert [len(one["package"]) for one in said] == [3, 2]


def test_musl_of_the_verb_cc_stays(locked: Locked) -> None:
    locked.relock()
    root = locked.archive.root
    debs = [package(root, "musl-dev", "1.2", {}), *locked.archive.pool.glob("*.deb")]
    locked.archive.publish(*(deb.replace(root / deb.name) for deb in debs))
    locked.lock.write_text(locked.lock.read_text() + STALE.replace("stale", "musl-dev"))
    assert locked.relock(update=True).changes == (Change(name="musl-dev", old="1", new="1.2"),)
    locked.place.build(update_lock=True)
    assert locked.pins["musl-dev"] == "1.2"


def test_a_version_that_has_left_the_archive(locked: Locked) -> None:
    locked.relock()
    locked.publish("2")
    for entry in (locked.place.root.parent / "cache" / "rootfs-tool" / "unpacked").iterdir():
        if (entry / "files" / "usr" / "bin" / "tool").exists():
            entry.rename(entry.with_name("elsewhere"))
    done = locked.relock(check=True)
    assert done.left == (Change(name="tool", old="1", new="2"),)
    assert not done.current
    assert locked.relock(update=True).current is False
    assert locked.relock(check=True).current


def test_a_lock_that_is_none(locked: Locked) -> None:
    locked.lock.write_text("format = 'none'\n")
    with pytest.raises(ConfigError, match="is of another rootfs-tool"):
        locked.relock()
    assert locked.relock(update=True).pins == 3


def test_a_lock_that_can_not_be_written(locked: Locked) -> None:
    recipe, _ = find(str(locked.place.board))
    with pytest.raises(ConfigError, match=r"^/proc/board\.lock: "):
        relock(recipe, Path("/proc/board.lock"))


def test_a_package_that_is_not_there(locked: Locked) -> None:
    recipe, _ = find(str(locked.place.board))
    deb = recipe.board.source[-1].model_copy(update={"package": "tooll"})
    board = recipe.board.model_copy(update={"source": (deb,)})
    assert isinstance(board, Board)
    with pytest.raises(FetchError, match='no package tooll; did you mean "tool"'):
        relock(recipe.model_copy(update={"board": board}), locked.lock)
    assert not locked.lock.exists()


class TestTheVerb:
    def test_it_prints_what_changed(self, locked: Locked) -> None:
        said = rootfs_tool("lock", locked.place.board)
        assert said.status == 0
        *rows, last = said.stdout.splitlines()
        assert [row.split() for row in rows] == [
            ["busybox-static", "-", "→", "1:1.37.0-6"],
            ["linux-image-arm64", "-", "→", "6.12.1-1"],
            ["tool", "-", "→", "1"],
        ]
        assert last == f"{locked.lock}: 3 packages"
        again = rootfs_tool("lock", locked.place.board)
        assert again.stdout == f"{locked.lock}: 3 packages, nothing to change\n"

    def test_its_check_is_for_scripts(self, locked: Locked) -> None:
        said = rootfs_tool("lock", locked.place.board, "--check")
        assert (said.status, said.stdout.splitlines()[-1]) == (1, f"{locked.lock} is not current")
        assert not locked.lock.exists()
        rootfs_tool("lock", locked.place.board)
        assert rootfs_tool("lock", locked.place.board, "--check").status == 0

    def test_a_build_is_nothing_to_pin(self, locked: Locked) -> None:
        locked.place.build()
        said = rootfs_tool("lock", locked.place.out)
        assert said.status == 2
        assert "is a build already" in said.stderr
