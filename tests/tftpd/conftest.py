"""What the tests of the TFTP server share.

``served`` is a server over a directory of the test's own, which takes uploads; see served.py for
one with other limits or on another address, and clients.py for the programs of others that fetch
from it and send to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tftpd.served import Served, directory_served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with directory_served(tmp_path / "served") as server:
        yield server
