"""What the tests of ``flash`` write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loop import SIZE


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image without a map, none of whose blocks is like another."""
    path = tmp_path / "the image.img"
    path.write_bytes(b"".join(number.to_bytes(8, "big") for number in range(SIZE // 8)))
    return path
