from __future__ import annotations

from pathlib import Path

import pytest

from tests.filesystem import card as cards


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card with a FAT and an ext4, which no test changes."""
    here = tmp_path_factory.mktemp("card")
    boot, root = cards.boot_files(here / "boot"), cards.root_files(here / "root")
    return cards.make(here / "card.img", boot, root)
