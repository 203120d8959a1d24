"""The house rules as tests: style, types, layers, shell scripts, what the wheel holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rootfs_tool.cli import COMMANDS, help_text
from tests.conftest import LONG

CHECKOUT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def passes(*argv: str | Path) -> None:
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_style() -> None:
    passes(BIN / "ruff", "check", ".")
    passes(BIN / "ruff", "format", "--check", ".")


def test_types() -> None:
    passes(BIN / "mypy")


def test_layers_and_the_homes_of_libraries() -> None:
    passes(BIN / "lint-imports")


def test_shell_scripts() -> None:
    scripts = [*CHECKOUT.glob("rootfs_tool/*/*.sh")]
    assert len(scripts) == 5
    passes("shellcheck", ".ci/run", ".ci/setup", *scripts)


def test_the_examples_compile_without_a_warning(programs: Path) -> None:
    assert {path.name for path in programs.iterdir()} == {
        *("hello", "tcp_receiver", "tcp_sender"),
        *("echo_client", "echo_server", "http_loopback"),
    }


def test_setup_and_doctor_name_the_same_packages() -> None:
    from rootfs_tool import proc

    setup = (CHECKOUT / ".ci" / "setup").read_text()
    for package in set(proc.PACKAGES.values()) - {"apt"}:
        assert re.search(rf"\b{re.escape(package)}\b", setup), package


def test_the_readme_shows_the_help_as_it_is() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    for name in COMMANDS:
        assert f"rootfs-tool {name}" in readme
    assert help_text() in readme


def test_the_files_that_take_long_are_there() -> None:
    assert [name for name in LONG if not (CHECKOUT / "tests" / name).is_file()] == []


@pytest.mark.network
def test_a_wheel_has_all_it_needs_and_works_without_the_checkout(tmp_path: Path) -> None:
    passes(BIN / "python", "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, CHECKOUT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    kinds = {"boards": "*.*", "templates": "**/*.j2"}
    for kind, pattern in kinds.items():
        shipped = {
            f"rootfs_tool/{p.relative_to(CHECKOUT)}" for p in (CHECKOUT / kind).glob(pattern)
        }
        assert shipped
        assert shipped <= names
    assert "rootfs_tool/shell/agent.sh" in names
    assert not any(name.startswith(("tests/", "examples/", "benchmarks/")) for name in names)
    done = subprocess.run(
        [sys.executable, "-m", "rootfs_tool", "boards"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "qemu-aarch64" in done.stdout
    assert str(tmp_path) in done.stdout
