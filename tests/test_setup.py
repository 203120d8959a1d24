"""What .ci/setup asks for on hosts that lack something; nothing is installed here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rootfs_tool import paths
from tests.command import Ran

CHECKOUT = paths.packaged("boards").parent


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The PATH of a user who is not root, has no sudo, and has no Python."""
    dirname = shutil.which("dirname")
    assert dirname
    (tmp_path / "dirname").symlink_to(dirname)
    program(tmp_path / "id", "echo 1000")
    program(tmp_path / "sudo", "exit 1")
    return tmp_path


def test_a_host_without_python_is_told_its_package(host: Path) -> None:
    ran = setup(host)
    assert ran.status == 3, ran.said
    (line,) = ran.stderr.splitlines()
    assert "as root: apt-get update && apt-get install " in line
    assert line.endswith(" python3 python3-venv")


def test_an_old_python_is_not_mended_by_a_package(host: Path) -> None:
    program(host / "python3", "exit 1")
    ran = setup(host)
    assert ran.status == 3, ran.said
    assert "python3 is not Python 3.11 or later; PYTHON=/path/to/python3 make demo" in ran.stderr


def test_a_python_without_venv_is_told_its_package(host: Path) -> None:
    program(host / "python3", "case $2 in *ensurepip*) exit 1 ;; esac")
    ran = setup(host)
    assert ran.status == 3, ran.said
    assert ran.stderr.endswith(" python3-venv\n")


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def setup(path: Path) -> Ran:
    done = subprocess.run(
        ["/bin/sh", CHECKOUT / ".ci" / "setup", "demo"],
        env={"PATH": str(path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(status=done.returncode, stdout=done.stdout, stderr=done.stderr)
