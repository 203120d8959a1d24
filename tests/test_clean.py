"""``clean`` removes what a build made and nothing else, whoever else is at work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer

import pytest

from rootfs_tool import store
from rootfs_tool.clean import Shelf, clean, clean_cache
from rootfs_tool.errors import ConfigError
from rootfs_tool.events import Event, listening
from tests.command import PROGRAM, rootfs_tool
from tests.place import Place

DAY = 86_400
RUN = "2026-11-21T101112"


def notes(heard: list[Event]) -> list[str]:
    return [event.text for event in heard if event.kind == "note"]


def edit(place: Place, name: str) -> None:
    """Let the manifest say that the kernel is called ``name``."""
    path = place.out / "manifest.json"
    table = json.loads(path.read_text())
    table["kernel"]["name"] = name
    path.write_text(json.dumps(table))


def run_directory(place: Place, name: str = RUN) -> Path:
    run = place.out / "runs" / name
    run.mkdir(parents=True)
    for file in ("console.log", "report.json"):
        (run / file).write_text("what was found")
    return run


def test_a_build_goes_and_its_directory_with_it(place: Place) -> None:
    place.build()
    there = {place.out / name for name in place.listing()}
    size = sum(path.stat().st_blocks * 512 for path in there)
    said = clean(place.out, dry=True)
    assert {one.path for one in said} == there == {place.out / name for name in place.listing()}
    assert clean(place.out) == said
    assert sum(one.size for one in said) == size
    assert not place.out.exists()
    place.build()


def test_what_it_did_not_make_stays(place: Place) -> None:
    place.build()
    for name in ("notes.txt", "licences/mine", "runs/mine/report.json", "runs/report.json"):
        (place.out / name).parent.mkdir(parents=True, exist_ok=True)
        (place.out / name).write_text("mine")
    run = run_directory(place)
    (run / "photo.jpg").write_text("mine")
    (place.out / ".new").mkdir()
    clean(place.out, runs=True)
    assert set(place.listing()) == {
        "notes.txt",
        "licences/mine",
        "runs/mine/report.json",
        "runs/report.json",
        f"runs/{RUN}/photo.jpg",
    }
    assert not (place.out / ".new").exists()


def test_reports_of_bring_ups_only_on_request(place: Place) -> None:
    place.build()
    run = run_directory(place)
    clean(place.out)
    assert sorted(path.name for path in run.iterdir()) == ["console.log", "report.json"]
    place.build()
    clean(place.out, runs=True)
    assert not place.out.exists()


def test_a_file_that_is_not_as_it_was_built_stays(place: Place) -> None:
    place.build()
    image = (place.out / "Image").read_bytes()
    (place.out / "Image").write_bytes(b"M" + image[1:])
    (place.out / "recipe.json").write_text("shorter")
    (place.out / "initramfs.cpio.zst").unlink()
    heard: list[Event] = []
    with listening(heard.append):
        clean(place.out)
    assert set(place.listing()) == {"Image", "recipe.json"}
    assert notes(heard) == [
        f"{place.out}/{name} is not as it was built: it stays" for name in ("Image", "recipe.json")
    ]


def test_no_link_is_followed(place: Place) -> None:
    built = place.build()
    elsewhere = place.root / "elsewhere"
    elsewhere.mkdir()
    shutil.move(place.out / "licences", elsewhere / "licences")
    (place.out / "licences").symlink_to(elsewhere / "licences")
    shutil.move(place.out / "Image", elsewhere / "Image")
    (place.out / "Image").symlink_to(elsewhere / "Image")
    run = run_directory(place)
    shutil.move(run, elsewhere / RUN)
    run.symlink_to(elsewhere / RUN)
    before = sorted(elsewhere.rglob("*"))
    clean(place.out, runs=True)
    assert sorted(elsewhere.rglob("*")) == before
    assert (place.out / "licences").is_symlink()
    assert not built.path(built.recipe).exists()


@pytest.mark.parametrize("name", ["../mine", "/{root}/mine", "runs/../../mine"])
def test_a_manifest_can_not_name_files_elsewhere(place: Place, name: str) -> None:
    place.build()
    shutil.copy(place.out / "Image", place.root / "mine")
    edit(place, name.format(root=place.root))
    clean(place.out)
    assert (place.root / "mine").exists()


def test_no_build(place: Place) -> None:
    (place.root / "manifest.json").write_text("{}")
    (place.root / "mine").mkdir()
    for directory, reason in (
        (place.root / "nowhere", "holds no build"),
        (place.root / "mine", "holds no build"),
        (place.root, "is damaged"),
    ):
        with pytest.raises(ConfigError, match=reason):
            clean(directory)
    assert (place.root / "mine").exists()


@contextmanager
def waiting(*argv: str | Path, status: int = 0) -> Iterator[subprocess.Popen[str]]:
    """The program, once it has said that it waits; it ends with that status."""
    with subprocess.Popen([PROGRAM, *argv], stderr=subprocess.PIPE, text=True) as child:
        late = Timer(20, child.kill)
        late.start()
        try:
            assert child.stderr is not None
            assert "waiting for it to end" in child.stderr.readline()
            yield child
            assert child.wait() == status
        finally:
            late.cancel()
            child.kill()


@pytest.mark.parametrize("which", ["out", "cache"])
def test_a_build_that_is_running_is_waited_for(place: Place, which: str) -> None:
    place.build()
    before = place.listing()
    argv = ("-o", place.out) if which == "out" else ("--cache",)
    with ExitStack() as building:
        building.enter_context(store.locked(place.out) if which == "out" else store.used())
        with waiting("clean", *argv) as child:
            time.sleep(0.1)
            assert child.poll() is None
            assert place.listing() == before
            assert list((place.root / "cache" / "rootfs-tool" / "unpacked").iterdir())
            building.close()
    assert place.out.exists() == (which == "cache")


def test_two_at_once(place: Place) -> None:
    """The second waits, and finds what the first has left."""
    place.build()
    with ExitStack() as first:
        first.enter_context(store.locked(place.out))
        with waiting("clean", "-o", place.out, status=ConfigError.exit_code) as second:
            shutil.rmtree(place.out)
            first.close()
            assert second.stderr is not None
            assert f"{place.out} holds no build" in second.stderr.read()


def test_a_bring_up_that_is_running_keeps_its_reports(place: Place) -> None:
    place.build()
    old = run_directory(place)
    argv = ("bringup", place.board, "-o", place.out, "--console", "exec:cat")
    with subprocess.Popen([PROGRAM, *argv], stderr=subprocess.DEVNULL) as child:
        try:
            deadline = time.monotonic() + 20
            while not (logs := set(place.out.glob("runs/*/console.log")) - {old / "console.log"}):
                assert child.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            said = rootfs_tool("clean", "-o", place.out, "--runs")
            (log,) = logs
            assert said.status == 0
            assert f"note: {log.parent} is of a bring-up that is running: it stays" in said.stderr
            assert log.exists()
            assert not old.exists()
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(20)


class TestTheCache:
    def test_it_goes_and_a_build_needs_the_archive_again(self, place: Place) -> None:
        place.build()
        cache = place.root / "cache" / "rootfs-tool"
        (cache / "mine").mkdir()
        (cache / "mine" / "file").write_text("mine")
        said = {one.name: one for one in clean_cache(dry=True)}
        assert said["unpacked"].entries == said["unpacked"].removed == 2
        assert said["unpacked"].freed == said["unpacked"].size > 0
        assert len(list((cache / "unpacked").glob("[0-9a-f]*"))) == 2, "nothing is removed yet"
        assert {one.name: one for one in clean_cache()} == said
        files = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
        assert {name for name in files if not name.endswith("lock")} == {"mine/file"}
        assert rootfs_tool("build", place.board, "-o", place.out).status == 4

    def test_only_what_no_build_has_used_for_so_long(self, place: Place) -> None:
        place.build()
        shelf = place.root / "cache" / "rootfs-tool" / "unpacked"
        old, new = shelf.glob("[0-9a-f]*")
        for path, days in ((old, 12), (new, 8)):
            then = time.time() - days * DAY
            os.utime(path / "index.json", (then, then - 100 * DAY))
            os.utime(path, (then - 100 * DAY, then - 100 * DAY))
        (unpacked,) = (one for one in clean_cache(days=10) if one.name == "unpacked")
        assert unpacked == Shelf(
            name="unpacked",
            entries=2,
            size=unpacked.size,
            removed=1,
            freed=unpacked.freed,
        )
        assert 0 < unpacked.freed < unpacked.size
        assert (old.exists(), new.exists()) == (False, True)


class TestTheVerb:
    def test_it_says_what_goes(self, place: Place) -> None:
        place.build()
        listing = place.listing()
        said = rootfs_tool("clean", "--dry-run")
        *paths, last = said.stdout.splitlines()
        assert sorted(paths) == sorted(f"out/{name}" for name in listing)
        assert last.startswith("would free ")
        assert last.endswith(" MB")
        assert place.listing() == listing
        assert rootfs_tool("clean").stdout.splitlines()[-1] == last.replace("would free", "freed")
        assert not place.out.exists()
        assert rootfs_tool("clean").status == 2

    def test_what_may_be_named(self, place: Place) -> None:
        other = place.board.with_name("other.toml")
        other.write_text(place.board.read_text().replace('name = "board"', 'name = "other"'))
        for named in (place.out, "board", place.board):
            place.build()
            assert rootfs_tool("clean", named).status == 0
            assert not place.out.exists()
        place.build()
        said = rootfs_tool("clean", "other")
        assert said.status == 2
        assert "out holds a build of board, not of other" in said.stderr
        assert rootfs_tool("clean", "--older-than", "3").status == 2

    def test_the_cache_alone_or_with_a_build(self, place: Place) -> None:
        place.build()
        said = rootfs_tool("clean", "--cache", "--older-than", "1")
        assert said.stdout.splitlines()[0].split() == [
            "cache",
            "entries",
            "size",
            "removed",
            "freed",
        ]
        assert said.stdout.splitlines()[-1] == "freed 0 B"
        assert place.out.exists()
        assert rootfs_tool("clean", place.out, "--cache").status == 0
        assert not place.out.exists()

    @pytest.mark.root
    def test_what_may_not_be_removed(self, place: Place) -> None:
        place.build()
        before = place.listing()
        for path in place.root.parents[:2]:
            path.chmod(0o755)
        code = "from rootfs_tool.cli import main; main()"
        done = subprocess.run(
            [
                *("setpriv", "--reuid=65534", "--clear-groups", "--regid=65534"),
                *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
                *(sys.executable, "-c", code, "clean", place.out),
            ],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert f"{place.out}/Image can't be removed: Permission denied" in done.stderr
        assert "Traceback" not in done.stderr
        assert place.listing() == before
