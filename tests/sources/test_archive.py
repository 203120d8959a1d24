"""The archive, the lock and the cache, against a real apt and an archive made by hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rootfs_tool import events, store
from rootfs_tool.arch import Arch
from rootfs_tool.artefact import Artefact
from rootfs_tool.errors import ConfigError, FetchError
from rootfs_tool.sources.apt import Archive
from tests.debian import KERNEL, HandMade, kernel, package

HEAD = "format = 1\nsuite = 'trixie'\narchitecture = 'arm64'\n"
PIN = "name = 'x'\npackage = 'x'\nversion = '1'\nsize = 1\n"


@contextmanager
def opened(lock: Path, *, locked: bool = False, update_lock: bool = False) -> Iterator[Archive]:
    with Archive(
        suite="trixie", arch=Arch.aarch64, lock=lock, locked=locked, update_lock=update_lock
    ) as archive:
        yield archive
        archive.save_lock()


def take(lock: Path, name: str = "hello", **how: bool) -> Artefact:
    with opened(lock, **how) as archive:
        return archive.fetch(name)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "boards").mkdir()
    return tmp_path / "boards" / "board.lock"


@pytest.fixture
def hello(archive: HandMade, tmp_path: Path) -> list[Path]:
    """Two versions of one package; the first is published."""
    debs = [
        package(tmp_path, "hello", f"1:{version}-1", {"/usr/bin/hello": f"{version}\n".encode()})
        for version in ("1.0", "2.0")
    ]
    archive.publish(debs[0])
    return debs


def content(artefact: Artefact) -> str:
    assert artefact.files is not None
    return artefact.files.checked("/usr/bin/hello").read_text()


def test_the_first_build_pins_what_it_takes_and_the_next_needs_no_archive(
    archive: HandMade, hello: list[Path], lock: Path
) -> None:
    first = take(lock)
    assert (first.version, content(first)) == ("1:1.0-1", "1.0\n")
    assert first.licence is not None
    assert first.licence.read_text() == "hello: free\n"
    (pin,) = tomllib.loads(lock.read_text())["package"]
    assert pin["sha256"] == first.sha256
    assert pin["size"] == hello[0].stat().st_size
    text = lock.read_text()
    shutil.rmtree(archive.root)
    assert take(lock) == first
    assert take(lock, locked=True) == first
    assert lock.read_text() == text


def test_a_pinned_version_is_taken_though_there_is_a_newer_one(
    archive: HandMade, hello: list[Path], lock: Path, cache: Path
) -> None:
    take(lock)
    archive.publish(*hello)
    shutil.rmtree(cache)
    assert take(lock).version == "1:1.0-1"
    assert take(lock, update_lock=True).version == "1:2.0-1"
    assert '"1:2.0-1"' in lock.read_text()
    shutil.rmtree(archive.root)
    assert take(lock).version == "1:2.0-1"


def test_a_pinned_version_that_left_the_archive_is_replaced_and_that_is_said(
    archive: HandMade, hello: list[Path], lock: Path, cache: Path
) -> None:
    take(lock)
    text = lock.read_text()
    archive.publish(hello[1])
    shutil.rmtree(cache)
    with pytest.raises(FetchError, match=r"hello 1:1\.0-1 is not in this host"):
        take(lock, locked=True)
    said: list[events.Event] = []
    with events.listening(said.append):
        new = take(lock)
    assert (new.version, new.replaces, content(new)) == ("1:2.0-1", "1:1.0-1", "2.0\n")
    (note,) = [event.text for event in said if event.kind == "note"]
    assert "1:1.0-1" in note
    assert "1:2.0-1" in note
    assert lock.read_text() == text, "only --update-lock changes a pin"
    shutil.rmtree(archive.root)
    assert take(lock) == new, "remembered: no archive is needed"
    with pytest.raises(FetchError):
        take(lock, locked=True)


def test_locked_wants_a_pin(archive: HandMade, hello: list[Path], lock: Path) -> None:
    with pytest.raises(FetchError, match="pins no hello") as caught:
        take(lock, locked=True)
    assert caught.value.exit_code == 4
    assert not lock.exists()


def test_a_lock_of_another_suite_pins_nothing(
    archive: HandMade, hello: list[Path], lock: Path
) -> None:
    take(lock)
    lock.write_text(lock.read_text().replace("trixie", "bookworm"))
    with pytest.raises(FetchError, match="pins no hello"):
        take(lock, locked=True)


def test_pins_that_are_there_stay_when_one_is_added(
    archive: HandMade, hello: list[Path], lock: Path, tmp_path: Path
) -> None:
    take(lock)
    archive.publish(hello[1], package(tmp_path, "other", "3", {}))
    take(lock, "other")
    pins = {one["name"]: one["version"] for one in tomllib.loads(lock.read_text())["package"]}
    assert pins == {"hello": "1:1.0-1", "other": "3"}


def test_bytes_that_are_not_the_pinned_ones(
    archive: HandMade, hello: list[Path], lock: Path, cache: Path
) -> None:
    right = take(lock).sha256
    wrong = "0" * 64
    lock.write_text(lock.read_text().replace(right, wrong))
    with pytest.raises(FetchError, match="is not the pinned one") as caught:
        take(lock)
    assert f"expected sha256 {wrong}, got {right}" in str(caught.value)


def test_a_package_that_was_damaged_in_the_archive(
    archive: HandMade, hello: list[Path], lock: Path, cache: Path
) -> None:
    (deb,) = archive.pool.iterdir()
    data = bytearray(deb.read_bytes())
    data[-20] ^= 1
    deb.write_bytes(data)
    with pytest.raises(FetchError, match=r"(?i)hash sum mismatch|is not the pinned one"):
        take(lock)
    assert not lock.exists()
    assert not list(cache.glob("unpacked/*"))
    assert not list(cache.glob("apt/*/download-*"))


def test_an_archive_that_is_gone(archive: HandMade, lock: Path) -> None:
    shutil.rmtree(archive.root / "dists")
    with pytest.raises(FetchError, match="apt-get update failed") as caught:
        take(lock)
    assert "E: " in str(caught.value)
    assert caught.value.hint is not None


def test_an_unknown_package(archive: HandMade, hello: list[Path], lock: Path) -> None:
    with pytest.raises(FetchError, match='has no package helo; did you mean "hello"'):
        take(lock, "helo")


def test_the_newest_kernel_is_what_the_package_that_stands_for_it_depends_on(
    archive: HandMade, lock: Path, tmp_path: Path
) -> None:
    archive.publish(*kernel(tmp_path))
    with opened(lock) as debian:
        found = debian.fetch("linux-image-arm64", follow="linux-image-")
    assert (found.name, found.version) == (KERNEL, "6.12.1-1")
    (pin,) = tomllib.loads(lock.read_text())["package"]
    assert (pin["name"], pin["package"]) == ("linux-image-arm64", KERNEL)
    with opened(lock) as debian:
        assert debian.fetch(KERNEL, follow="linux-image-") == found, "its own dependency is kmod"


def test_a_lock_that_can_not_be_written_does_not_stop_a_build(
    archive: HandMade, hello: list[Path], tmp_path: Path
) -> None:
    lock = tmp_path / "nowhere" / "board.lock"
    said: list[events.Event] = []
    with events.listening(said.append):
        first = take(lock)
    assert any("can't be written" in event.text for event in said)
    archive.publish(hello[1])
    assert take(lock) == first, "what was taken is taken again"
    with pytest.raises(ConfigError, match=r"nowhere/board\.lock"):
        take(lock, update_lock=True)


@pytest.mark.parametrize(
    "text",
    [
        "format = 1\nsuite = ",
        "suite = 'trixie'\n",
        "format = 2\n",
        f"{HEAD}[[package]]\nname = 'hello'\n",
        f"{HEAD}package = 1\n",
        f"{HEAD}[[package]]\n{PIN}sha256 = '../../etc'\n",
        f"{HEAD}[[package]]\n{PIN}sha256 = 1\n",
    ],
)
def test_a_file_that_is_no_lock(archive: HandMade, lock: Path, text: str) -> None:
    lock.write_text(text)
    with pytest.raises(ConfigError, match=r"board\.lock") as caught:
        take(lock)
    assert "--update-lock" in str(caught.value.hint)
    with opened(lock, update_lock=True):
        pass  # which does not read it


def test_two_at_once_share_one_cache(
    archive: HandMade, hello: list[Path], lock: Path, cache: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.sources.test_archive import take;"
        "print(take(Path(sys.argv[1])).path)"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "boards" / f"{number}.lock"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for number in range(3)
    ]
    said = [child.communicate(timeout=60)[0].strip() for child in running]
    assert [child.returncode for child in running] == [0, 0, 0]
    assert len(set(said)) == 1
    assert len(list(cache.glob("unpacked/[0-9a-f]*"))) == 1


class TestDamage:
    """What happened to the cache since; the archive is there to get it again."""

    def test_a_file_cut_short(self, archive: HandMade, hello: list[Path], lock: Path) -> None:
        found = take(lock)
        assert found.files is not None
        found.files.path("/usr/bin/hello").write_bytes(b"1")
        assert content(take(lock)) == "1.0\n"

    def test_a_file_gone(self, archive: HandMade, hello: list[Path], lock: Path) -> None:
        found = take(lock)
        assert found.files is not None
        found.files.path("/usr/bin/hello").unlink()
        assert content(take(lock)) == "1.0\n"

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 0, "rows": {}}', '{"format": 1}'])
    def test_an_index_that_is_none(
        self, archive: HandMade, hello: list[Path], lock: Path, text: str
    ) -> None:
        (take(lock).path / "index.json").write_text(text)
        assert content(take(lock)) == "1.0\n"

    def test_a_killed_build_leaves_nothing_that_stays(
        self, archive: HandMade, hello: list[Path], lock: Path, cache: Path
    ) -> None:
        stale = cache / "unpacked" / f"{store.MAKING}1"
        stale.mkdir(parents=True)
        (stale / "half").write_text("a file")
        assert content(take(lock)) == "1.0\n"
        assert not stale.exists()


def test_an_ordinary_error_leaves_nothing_in_the_store(cache: Path) -> None:
    def make_half() -> None:
        with store.making("init", "0" * 64) as making:
            making.file("/etc/half", [b"half"], mode=0o644)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_half()
    assert [path.name for path in (cache / "init").iterdir()] == [".lock"]
    assert store.find("init", "0" * 64) is None


@pytest.mark.network
def test_debians_own_archive(cache: Path, tmp_path: Path) -> None:
    """With this host's sources, and signatures that apt has checked."""
    found = take(tmp_path / "board.lock", "busybox-static")
    assert found.files is not None
    assert found.files.checked("/usr/bin/busybox").read_bytes().startswith(b"\x7fELF")
