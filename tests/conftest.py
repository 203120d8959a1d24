"""What a test may need of its host, and what the tests share."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.place import place, warm  # noqa: F401  # fixtures of several files
from tests.ssh_client import Keys, made_keys

CHECKOUT = Path(__file__).parent.parent
NEEDS = {
    "qemu": "qemu-system-aarch64",
    "network": "apt-get",
}

# Files of 20 seconds and more are begun first, or all but one would wait for the last of them: in
# turn those that wait for a board, and those whose machines burn the processor.
LONG = (
    "shell/test_line.py",
    "bringup/test_card.py",
    "shell/test_faults.py",
    "bringup/test_qemu.py",
    "shell/test_programs.py",
    "bringup/test_states.py",
    "shell/test_attach.py",
    "test_ssh.py",
    "shell/test_run.py",
    "bringup/test_console.py",
    "examples/test_aesdsocket_board.py",
    "transfer/test_push.py",
    "flash/test_board.py",
    "test_compressed.py",
    "shell/test_uboot.py",
    "test_serviceboot.py",
    "test_relock.py",
    "bringup/test_interfaces.py",
    "sources/test_packages.py",
    "examples/test_network.py",
    "cli/test_exec.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Let the files have the order that they are collected in (pytest-xdist 3.8 and later).

    What a shell begins in the background ignores Ctrl-C, and all that it begins in its turn.
    """
    config.option.loadscopereorder = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For several processes: long files, then those with many tests, down to those with one."""
    if hasattr(config, "workerinput"):
        tests = Counter(item.path for item in items)
        ranks = {CHECKOUT / "tests" / name: rank for rank, name in enumerate(LONG, -len(LONG))}
        items.sort(key=lambda item: (ranks.get(item.path, 0), -tests[item.path]))


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


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return made_keys(tmp_path_factory.mktemp("keys"))
