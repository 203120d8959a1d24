"""A good card, and a bad one that lies on a file system of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flash.cards import MIB, Card, bad_card, compiled, loop

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
