from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """The board's end of a serial line, and the device that is ours."""
    board, ours = os.openpty()
    os.set_blocking(board, False)
    yield board, os.ttyname(ours)
    os.close(ours)
    os.close(board)
