"""Packages by name: what apt makes of them, what the lock says of that, what gets into a tree."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Collection
from pathlib import Path

import pytest

from rootfs_tool import events, initscripts
from rootfs_tool.arch import Arch
from rootfs_tool.errors import ConfigError, FetchError
from rootfs_tool.sources import packages
from rootfs_tool.sources.apt import Archive
from rootfs_tool.tree import File, Symlink, Tree
from tests.debian import Content, HandMade, package

LIBC: dict[str, Content] = {"/usr/lib/libc.so": b"libc\n", "/usr/share/doc/libc/README": b""}


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "recipes").mkdir()
    return tmp_path / "recipes" / "recipe.lock"


@pytest.fixture
def debs(archive: HandMade, tmp_path: Path) -> dict[str, Path]:
    """A tool and a server that share a library, all published in version 1."""
    users = "if ! id s >/dev/null; then\n  adduser --system s\nfi\nupdate-rc.d server defaults"
    made = {
        "libc": package(tmp_path, "libc", "1", LIBC, postinst="ldconfig"),
        "libtool1": package(tmp_path, "libtool1", "1", {}, depends="libc (>= 1)"),
        "tool": package(
            tmp_path,
            "tool",
            "1",
            {"/usr/bin/strings": b"a program\n", "/usr/sbin/strings": "../bin/strings"},
            depends="libtool1 (= 1), debconf (>= 0.5) | debconf-2.0",
            executable=("/usr/bin/strings",),
        ),
        "server": package(
            tmp_path, "server", "1", {}, depends="libc, adduser (>= 3)", postinst=users
        ),
        "adduser": package(tmp_path, "adduser", "3", {}, depends="passwd"),
        "passwd": package(tmp_path, "passwd", "1", {}, depends="libc"),
        "mta-a": package(tmp_path, "mta-a", "1", {}, provides="mta"),
        "mta-b": package(tmp_path, "mta-b", "1", {}, provides="mta"),
    }
    archive.publish(*made.values())
    return made


def take(lock: Path, *names: str, locked: bool = False, update_lock: bool = False) -> list[str]:
    with Archive(
        suite="trixie", arch=Arch.aarch64, lock=lock, locked=locked, update_lock=update_lock
    ) as archive:
        found = packages.fetch(names, archive)
        archive.save_lock()
    return [f"{artefact.name} {artefact.version}" for artefact in found]


def notes(said: Collection[events.Event]) -> list[str]:
    return [event.text for event in said if event.kind == "note"]


def pins(lock: Path) -> dict[str, str]:
    return {one["name"]: one["version"] for one in tomllib.loads(lock.read_text())["package"]}


def test_what_is_needed_comes_along_and_the_next_build_needs_no_archive(
    archive: HandMade, debs: dict[str, Path], lock: Path
) -> None:
    said: list[events.Event] = []
    with events.listening(said.append):
        first = take(lock, "tool")
    assert first == ["libc 1", "libtool1 1", "tool 1"]
    downloads = [event.text for event in said if event.text.startswith("download")]
    assert downloads == ["download 3 packages (0.0 MB)"] * 2, "begun and ended, all at once"
    assert tomllib.loads(lock.read_text())["closure"] == {
        "asked": ["tool"],
        "taken": ["libc", "libtool1", "tool"],
    }
    text = lock.read_text()
    shutil.rmtree(archive.root)
    assert take(lock, "tool") == first
    assert take(lock, "tool", "tool", locked=True) == first
    assert lock.read_text() == text


def test_one_name_more_and_one_less_leave_the_pins_of_the_others(
    archive: HandMade, debs: dict[str, Path], lock: Path, tmp_path: Path
) -> None:
    take(lock, "tool")
    newer = package(tmp_path, "libc", "2", LIBC)
    archive.publish(*debs.values(), newer)
    with pytest.raises(FetchError, match="does not say what server, tool bring"):
        take(lock, "tool", "server", locked=True)
    assert take(lock, "tool", "server") == ["libc 1", "libtool1 1", "server 1", "tool 1"]
    assert take(lock, "server") == ["libc 1", "server 1"]
    assert pins(lock)["libc"] == "1"
    assert take(lock, "server", locked=True) == ["libc 1", "server 1"]
    assert take(lock, "server", update_lock=True) == ["libc 2", "server 1"]
    assert pins(lock) == {"libc": "2", "server": "1"}


def test_a_package_pinned_for_something_else_keeps_its_version(
    archive: HandMade, debs: dict[str, Path], lock: Path, tmp_path: Path
) -> None:
    with Archive(suite="trixie", arch=Arch.aarch64, lock=lock) as one:
        one.fetch("libc")
        one.save_lock()
    archive.publish(*debs.values(), package(tmp_path, "libc", "2", LIBC))
    assert take(lock, "server") == ["libc 1", "server 1"]


def test_pins_that_do_not_fit_what_is_added(
    archive: HandMade, debs: dict[str, Path], lock: Path, tmp_path: Path
) -> None:
    take(lock, "tool")
    newer = package(tmp_path, "libc", "2", LIBC)
    modern = package(tmp_path, "modern", "1", {}, depends="libc (>= 2)")
    archive.publish(*debs.values(), newer, modern)
    with pytest.raises(FetchError, match=r"fits\nmodern: Depends: libc \(>= 2\)") as caught:
        take(lock, "tool", "modern")
    assert caught.value.hint == "--update-lock drops the pinned versions"
    assert "libc 2" in take(lock, "tool", "modern", update_lock=True)


def test_one_of_the_set_that_left_the_archive(
    archive: HandMade, debs: dict[str, Path], lock: Path, cache: Path, tmp_path: Path
) -> None:
    take(lock, "server")
    newer = package(tmp_path, "libc", "2", LIBC)
    archive.publish(newer, debs["server"])
    assert take(lock, "server") == ["libc 1", "server 1"], "it is in the cache"
    shutil.rmtree(cache)
    with pytest.raises(FetchError, match="libc 1 is not in this host"):
        take(lock, "server", locked=True)
    assert take(lock, "server") == ["libc 2", "server 1"]
    archive.publish(debs["server"])
    shutil.rmtree(cache)
    with pytest.raises(FetchError, match="has no package libc") as caught:
        take(lock, "server")
    assert "--update-lock resolves anew" in str(caught.value.hint)


def test_what_only_scripts_need_is_left_out_and_what_they_would_do_is_said(
    archive: HandMade, debs: dict[str, Path], lock: Path
) -> None:
    said: list[events.Event] = []
    with events.listening(said.append):
        assert take(lock, "server") == ["libc 1", "server 1"]
    assert notes(said)[:2] == [
        "left out, as only maintainer scripts use it: adduser",
        (
            "server: its scripts, which do not run here, would make users s ([[user]] does); "
            "start its service ([[service]] does)"
        ),
    ]
    assert not any(text.startswith("libc:") for text in notes(said)), "ldconfig is nothing"
    assert take(lock, "server", "adduser") == ["adduser 3", "libc 1", "server 1"], "asked for"


SCRIPTS = {
    "adduser --system --quiet --ingroup tcpdump \\\n\t--home /nonexistent \\\n\ttcpdump": (
        "make users tcpdump ([[user]] does)"
    ),
    'adduser --system --gecos "" --no-create-home ntpsec': "make users ntpsec ([[user]] does)",
    'adduser "$who"; useradd a; useradd b': "make users a, b and more ([[user]] does)",
    'systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} ssh.conf': (
        "make users of /usr/lib/sysusers.d/ssh.conf ([[user]] does)"
    ),
    "if ! getent group lp >/dev/null 2>&1; then addgroup --system lp; fi": "make groups lp",
    "if [ -d /etc/x ] &&\n [ -z $2 ]; then\n ln -s /etc/x/y /etc/x/z 2>/dev/null || true; fi": (
        "make files /etc/x/z"
    ),
    'mv -f "$DPKG_ROOT/etc/t.dpkg-new" "$DPKG_ROOT/etc/t"': "make files /etc/t",
    'touch "$log"': "make files",
    "mv /etc/moduli.dpkg-bak /etc/moduli": "",
    'case "$1" in\ninstall)\n  rm -f /x ;;\ninstall|upgrade) : ;; esac': "",
    "# cp a /b\necho 'cp a /b' it's": "",
    "[ ! -e /x ] || A=1 cp a /b": "make files /b",
    "update-alternatives --quiet --install /usr/bin/vi vi /usr/bin/vim.tiny 15": (
        "link /usr/bin/vi"
    ),
    "update-alternatives --remove rsh /usr/bin/ssh": "",
    "dpkg-statoverride --list /x >/dev/null": "",
    ". /usr/share/debconf/confmodule": "ask how to configure it",
    ". /usr/share/other": "",
    "ldconfig": "",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_would_do(archive: HandMade, lock: Path, tmp_path: Path, script: str) -> None:
    archive.publish(package(tmp_path, "it", "1", {}, postinst=script))
    said: list[events.Event] = []
    with events.listening(said.append):
        take(lock, "it")
    would = "it: its scripts, which do not run here, would "
    assert [text for text in notes(said) if text.startswith("it: ")] == (
        [f"{would}{SCRIPTS[script]}"] if SCRIPTS[script] else []
    )


def test_what_scripts_would_do_is_said_in_full_once(
    archive: HandMade, debs: dict[str, Path], lock: Path, cache: Path
) -> None:
    """Also of a package that was in the cache already, as one of another kind."""
    take(lock, "server")
    shutil.rmtree(cache / "scripts")
    said: list[events.Event] = []
    with events.listening(said.append):
        take(lock, "server")
    assert notes(said) == ["scripts of packages do not run here: server"]
    with events.listening(said.append):
        take(lock, "server", "tool")
    assert any(
        "server: its scripts, which do not run here, would make" in one for one in notes(said)
    )


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("tol", 'has no package tol; did you mean "tool"', "component"),
        ("mta", "mta stands for one of several packages", "mta-a, mta-b"),
    ],
)
def test_a_name_that_is_no_package(
    debs: dict[str, Path], lock: Path, name: str, message: str, hint: str
) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        take(lock, "tool", name)
    assert hint in str(caught.value.hint)
    assert not lock.exists()


def test_a_package_that_needs_what_is_not_there(
    archive: HandMade, debs: dict[str, Path], lock: Path, tmp_path: Path
) -> None:
    archive.publish(package(tmp_path, "broken", "1", {}, depends="nothing (>= 2)"))
    with pytest.raises(FetchError, match=r"fits\nbroken: Depends: nothing \(>= 2\)") as caught:
        take(lock, "broken")
    assert caught.value.hint is None


def test_where_no_lock_can_be_written_the_same_set_is_taken_again(
    archive: HandMade, debs: dict[str, Path], tmp_path: Path
) -> None:
    lock = tmp_path / "nowhere" / "recipe.lock"
    first = take(lock, "tool")
    shutil.rmtree(archive.root)
    assert take(lock, "tool") == first


@pytest.mark.parametrize("closure", ["1", "{}", "{asked = ['x'], taken = [1]}", "{asked = 'x'}"])
def test_a_lock_whose_closure_is_none(debs: dict[str, Path], lock: Path, closure: str) -> None:
    lock.write_text(f"format = 1\nsuite = 'trixie'\narchitecture = 'arm64'\nclosure = {closure}\n")
    with pytest.raises(ConfigError, match="is not a lock file") as caught:
        take(lock, "tool")
    assert "--update-lock" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("sha256 =", "sha265 =", "the package libc has no sha256"),
        ('package = "libc"\n', 'package = "libc"\nversio = "1"\n', "libc has an unknown versio"),
        ('name = "libc"\n', "", "the package without a name has no name"),
        ("[[package]]\n", "<<<<<<< HEAD\n[[package]]\n", "at line "),
    ],
)
def test_a_lock_that_somebody_has_changed(
    debs: dict[str, Path], lock: Path, old: str, new: str, reason: str
) -> None:
    take(lock, "tool")
    text = lock.read_text()
    assert old in text
    lock.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=f"is not a lock file: .*{reason}") as caught:
        take(lock, "tool")
    assert "lock --update" in str(caught.value.hint)


def test_a_program_takes_the_place_of_busyboxs_own(debs: dict[str, Path], lock: Path) -> None:
    tree = Tree()
    initscripts.skeleton(tree)
    for name in ("sh", "strings", "tar"):
        tree.add(f"/usr/bin/{name}", Symlink("busybox"), origin="package busybox-static")
    said: list[events.Event] = []
    with Archive(suite="trixie", arch=Arch.aarch64, lock=lock) as archive:
        found = packages.fetch(["tool"], archive)
    with events.listening(said.append):
        packages.install(found, tree)
    assert any("BusyBox's shell runs its own strings first" in text for text in notes(said))
    program = tree.get("/usr/bin/strings")
    assert isinstance(program, File), "and its link in /usr/sbin is not one to itself"
    assert program.mode == 0o755
    assert tree.get("/usr/bin/tar") == Symlink("busybox")
    assert tree.get("/usr/share/doc") is None


def test_a_file_that_is_somebody_elses_is_named(debs: dict[str, Path], lock: Path) -> None:
    tree = Tree()
    tree.add("/usr/bin/strings", File(content=b"mine"), origin="/home/me/strings")
    with Archive(suite="trixie", arch=Arch.aarch64, lock=lock) as archive:
        found = packages.fetch(["tool"], archive)
    with pytest.raises(ConfigError, match="from /home/me/strings and from package tool"):
        packages.install(found, tree)


def test_a_disk_that_is_full_is_no_trouble_with_the_network(
    debs: dict[str, Path], lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(
        "#!/bin/sh\necho 'E: Error writing to file - write (28: No space left on device)' >&2\n"
        "exit 100\n"
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:{os.environ['PATH']}")
    with pytest.raises(FetchError, match=r"apt-get update failed\nE: .*No space left") as caught:
        take(lock, "tool")
    assert "rootfs-tool clean --cache" in str(caught.value.hint)
