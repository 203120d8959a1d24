"""Doctor on hosts that lack something: PATH holds what a host has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command import PROGRAM, Ran

PROGRAMS = ("apt-get", "apt-config", "apt-cache", "dpkg-deb", "setpriv", "qemu-system-aarch64")


def doctor(path: Path, **more: str) -> Ran:
    environment = {"PATH": str(path), "HOME": os.environ["HOME"], **more}
    done = subprocess.run(
        [PROGRAM, "doctor"], env=environment, capture_output=True, text=True, check=False
    )
    return Ran(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A PATH with every program that a build or a boot needs, and no other."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found, name
        (directory / name).symlink_to(found)
    return directory


@pytest.mark.qemu
def test_a_ready_host_passes_without_a_compiler(host: Path) -> None:
    ran = doctor(host)
    assert ran.status == 0, ran.said
    assert "aarch64-linux-gnu-gcc" in ran.stdout
    assert " squashfs-tools erofs-utils gcc-aarch64-linux-gnu openssh-client\n" in ran.stdout


@pytest.mark.qemu
def test_what_is_missing_comes_as_one_line(host: Path) -> None:
    (host / "qemu-system-aarch64").unlink()
    (host / "setpriv").unlink()
    ran = doctor(host)
    assert ran.status == 1
    (line,) = [line for line in ran.stdout.splitlines() if "--no-install-recommends" in line]
    assert {"qemu-system-arm", "util-linux"} <= set(line.split())


@pytest.mark.qemu
def test_an_old_qemu_is_told_apart(host: Path) -> None:
    (host / "qemu-system-aarch64").unlink()
    fake = host / "qemu-system-aarch64"
    fake.write_text("#!/bin/sh\necho 'QEMU emulator version 4.2.1 (Debian 1:4.2-3)'\n")
    fake.chmod(0o755)
    ran = doctor(host)
    assert ran.status == 1
    assert "version 4.2.1" in ran.stdout
    assert "6.2 or later" in ran.stdout


@pytest.mark.qemu
def test_a_cache_that_cannot_be_made_is_said(host: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = doctor(host, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert ran.status == 1
    assert "XDG_CACHE_HOME" in ran.stdout


@pytest.mark.qemu
@pytest.mark.root
def test_what_hostnet_needs_is_wanted_but_no_must(host: Path) -> None:
    """As if they were not there: the programs of /usr/sbin are found whatever PATH says."""
    tools = {name: shutil.which(name) for name in ("ip", "nft", "xtables-nft-multi", "dnsmasq")}
    assert all(tools.values()), tools
    hidden = [f"mount --bind /dev/null {path}" for path in tools.values()]
    without_nft = [one for one in hidden if "nft" in one and "multi" not in one]
    for mounts, words in (
        (hidden, {"iproute2", "nftables", "dnsmasq-base"}),
        (without_nft, set()),  # iptables does as well
    ):
        script = " && ".join([*mounts, 'exec "$0" doctor'])
        ran = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, PROGRAM],
            env={**os.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        lines = [one for one in ran.stdout.splitlines() if "--no-install-recommends" in one]
        wanted = {"iproute2", "nftables", "dnsmasq-base"} & set(" ".join(lines).split())
        assert wanted == words, ran.stdout


@pytest.mark.qemu
def test_an_archive_without_security_updates_is_said(host: Path, tmp_path: Path) -> None:
    sources = tmp_path / "debian.sources"
    entry = "Types: deb\nURIs: http://mirror.invalid/debian\nSuites: trixie{}\nComponents: main\n"
    sources.write_text(entry.format(""))
    ran = doctor(host, ROOTFS_TOOL_APT_SOURCES=str(sources))
    assert ran.status == 0, ran.said
    assert "without security updates" in ran.stdout
    sources.write_text(entry.format("") + "\n" + entry.format("-security"))
    assert "without security" not in doctor(host, ROOTFS_TOOL_APT_SOURCES=str(sources)).stdout
