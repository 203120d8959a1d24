"""What a test may need of its host, and what the tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.place import place, warm  # noqa: F401  # fixtures of several files

CHECKOUT = Path(__file__).parent.parent
NEEDS = {
    "qemu": "qemu-system-aarch64",
    "network": "apt-get",
}


@pytest.fixture(scope="session", autouse=True)
def _system_programs() -> Iterator[None]:
    """An ordinary user's PATH on Debian lacks /sbin, where depmod and ip are."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{before}:/usr/sbin:/sbin"
    yield
    os.environ["PATH"] = before


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip with the reason what this host can't do; in CI that is a failure instead."""
    for marker, program in NEEDS.items():
        if item.get_closest_marker(marker) and shutil.which(program) is None:
            _lacking(f"{program} is not installed")
    if item.get_closest_marker("root") and os.geteuid() != 0:
        _lacking("needs root")


def _lacking(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"required in CI: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example programs, compiled statically for the board."""
    directory = tmp_path_factory.mktemp("programs")
    examples = CHECKOUT / "examples"
    for source in (*examples.glob("*.c"), *(examples / "network").glob("*.c")):
        subprocess.run(
            [
                *("aarch64-linux-gnu-gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror"),
                *("-O2", "-s", "-static", "-pthread", "-o", directory / source.stem),
                source,
            ],
            check=True,
        )
    return directory


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of links to BusyBox, one for every program that a board has."""
    program = shutil.which("busybox")
    assert program is not None
    directory = tmp_path_factory.mktemp("bin")
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        (directory / name).symlink_to(program)
    return directory
