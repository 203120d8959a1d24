"""The end of a server, whatever comes in just then."""

from __future__ import annotations

import os
import time

import pytest

from tests.tftpd.raw import Shelf, server


def test_it_is_not_gone_before_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet in that very moment wakes it as well."""
    ring = os.eventfd_write
    told: list[int] = []

    def late(bell: int, value: int) -> None:
        with running.client() as client:
            client.send(b"no request")
            time.sleep(0.2)
        ring(bell, value)
        told.append(value)

    with server(Shelf()) as running:
        monkeypatch.setattr(os, "eventfd_write", late)
    assert told == [1]
