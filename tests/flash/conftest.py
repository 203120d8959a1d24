"""A good card, a bad one on a file system of our own, and a board that has either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rootfs_tool.console.base import Console
from rootfs_tool.shell import Shell
from tests.flash.cards import MIB, Card, an_image, bad_card, compiled, loop, with_map
from tests.flash.onboard import Start, board_of
from tests.shell.boards import attached

CARD = 16 * MIB


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    """A loop device."""
    backing = tmp_path / "card"
    with backing.open("wb") as file:
        file.truncate(CARD)
    with loop(backing) as device:
        yield Card(device=device, backing=backing)


@pytest.fixture(scope="session")
def shared_bad_card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Card]:
    directory = tmp_path_factory.mktemp("bad")
    with bad_card(compiled(directory), directory, CARD) as bad:
        yield bad


@pytest.fixture
def bad(shared_bad_card: Card) -> Iterator[Card]:
    """A loop device that has every fault it is told to have."""
    shared_bad_card.fault("")
    yield shared_bad_card
    shared_bad_card.fault("")


@pytest.fixture
def board() -> Iterator[Start]:
    """What starts one, and attaches a shell to it."""
    with ExitStack() as stack:

        def start(
            setup: str = "", relay: Callable[[Console], Console] = lambda console: console
        ) -> Shell:
            return stack.enter_context(attached(board_of(setup), relay))

        yield start


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with its map."""
    path = tmp_path / "sdcard.img"
    return with_map(path, an_image(path))
