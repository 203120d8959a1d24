"""One host for the tests of a file, and nothing up on it when a test begins or ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostnet.lab import Lab, lab


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    run = tmp_path_factory.mktemp("run")
    run.chmod(0o755)  # as /run is
    with lab(run) as made:
        yield made


@pytest.fixture
def host(place: Lab) -> Iterator[Lab]:
    yield place
    if list(place.run.glob("rootfs-tool/hostnet-*.json")):
        ran = place.rootfs_tool("hostnet", "down")
        assert ran.status == 0, ran.said
