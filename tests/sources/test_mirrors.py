"""Whose entries count as Debian's, and what they become for another suite."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rootfs_tool.errors import FetchError
from rootfs_tool.sources import mirrors
from rootfs_tool.sources.mirrors import Entry, derived, is_debian, parse

DEB822 = """\
# what an installer writes
Types: deb deb-src
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates bookworm-backports
# a comment in the middle
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://mirror.invalid/sources
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://mirror.invalid/disabled
Suites: bookworm
Components: main
"""

ONE_LINE = """\
deb cdrom:[Debian 12]/ bookworm main
deb http://mirror.invalid/debian bookworm main non-free # as it was
deb [arch=amd64 signed-by=/k/debian-archive-keyring.gpg] mirror+file:/m bookworm-updates main
deb-src http://mirror.invalid/debian bookworm main
# deb http://mirror.invalid/off bookworm main
deb http://mirror.invalid/flat ./
"""


def test_both_styles_say_the_same() -> None:
    stanzas = parse(DEB822, deb822=True)
    assert [entry.suites for entry in stanzas] == [
        ("bookworm", "bookworm-updates", "bookworm-backports"),
        ("bookworm-security",),
    ]
    assert dict(stanzas[0].options)["signed-by"].endswith("debian-archive-keyring.gpg")
    lines = parse(ONE_LINE, deb822=False)
    assert [(entry.uris, entry.suites) for entry in lines] == [
        (("http://mirror.invalid/debian",), ("bookworm",)),
        (("mirror+file:/m",), ("bookworm-updates",)),
        (("http://mirror.invalid/flat",), ("./",)),
    ]
    assert lines[1].options == (("signed-by", "/k/debian-archive-keyring.gpg"),)


def test_the_suite_is_replaced_and_its_updates_come_with_it() -> None:
    text = derived(parse(DEB822, deb822=True), suite="trixie", component="main", updates=True)
    first, second = text.split("\n\n")
    assert "URIs: http://mirror.invalid/debian\nSuites: trixie trixie-updates\n" in first
    assert "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg" in first
    assert "Suites: trixie-security\n" in second
    assert "contrib" not in text
    assert "backports" not in text


def test_a_rolling_suite_stands_alone() -> None:
    text = derived(parse(DEB822, deb822=True), suite="sid", component="main", updates=True)
    assert text.count("Suites:") == 1
    assert "Suites: sid\n" in text


def test_nothing_is_asked_for_twice() -> None:
    entries = parse(ONE_LINE, deb822=False)
    text = derived([*entries, *entries], suite="trixie", component="main", updates=True)
    assert text.count("http://mirror.invalid/debian\n") == 1


def test_a_key_inside_the_entry_stays_whole() -> None:
    key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n -----END-----"
    entries = parse(f"Types: deb\nURIs: u\nSuites: trixie\nComponents: main\n{key}\n", deb822=True)
    text = derived(entries, suite="trixie", component="main", updates=False)
    assert text.replace(": \n", ":\n").endswith(f"{key}\n")


@pytest.mark.parametrize(
    ("uri", "suite", "component", "signed_by", "debian"),
    [
        ("http://mirror.invalid/debian", "bookworm", "main", None, True),
        ("http://mirror.invalid/debian", "stable", "main", "/k/debian-archive-keyring.gpg", True),
        ("http://security.invalid", "bookworm-security", "main", None, True),
        ("http://editor.invalid/repo", "stable", "main", "/etc/apt/keyrings/editor.gpg", False),
        ("http://containers.invalid/debian", "bookworm", "stable", None, False),
        ("http://javascript.invalid", "nodistro", "main", None, False),
        ("http://database.invalid/apt", "bookworm-pgdg", "main", None, False),
        ("http://mirror.invalid/ubuntu", "noble", "main", None, False),
        ("http://known.invalid/debian/", "bookworm", "main", None, False),
    ],
)
def test_third_parties_are_left_out(
    uri: str, suite: str, component: str, signed_by: str | None, debian: bool
) -> None:
    options = (("signed-by", signed_by),) if signed_by else ()
    entry = Entry(uris=(uri,), suites=(suite,), components=(component,), options=options)
    assert is_debian(entry, {"http://known.invalid/debian"}) is debian


def test_a_host_without_debian_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "apt.conf"
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "other.list").write_text("deb http://mirror.invalid/u noble main\n")
    config.write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/none.list";\nDir::Etc::sourceparts "{tmp_path}/parts";\n'
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("apt-config", "apt-get"):
        real = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout
        (programs / name).write_text(f'#!/bin/sh\nexec {real.strip()} -c "{config}" "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    with pytest.raises(FetchError, match="no entry for Debian's archive") as caught:
        mirrors.sources("trixie", "main")
    assert "ROOTFS_TOOL_APT_SOURCES" in str(caught.value.hint)
    (tmp_path / "parts" / "debian.sources").write_text(DEB822)
    assert "Suites: trixie trixie-updates\n" in mirrors.sources("trixie", "main")


def test_a_named_file_of_sources_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mirrors.VARIABLE, str(tmp_path / "none.sources"))
    with pytest.raises(FetchError, match=r"none\.sources"):
        mirrors.sources("trixie", "main")
