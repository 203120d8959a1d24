"""kill -9 at any point of up or down, and then down: byte for byte as before."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.conftest import CHECKOUT
from tests.hostnet.lab import lab

MODULE = f"cd '{CHECKOUT}'; exec '{sys.executable}' -m tests.hostnet.killed"
ROUNDS = ("up 1 2", "up 2 2", "down 1 2", "down 2 2")  # each on a host of its own


@pytest.mark.root
def test_whenever_it_is_killed_down_puts_back_what_was(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(len(ROUNDS)) as pool:
        runs = (tmp_path_factory.mktemp("run") for _ in ROUNDS)
        hosts = [
            stack.enter_context(lab(run, mark)) for run, mark in zip(runs, "abcd", strict=True)
        ]
        said = [
            pool.submit(host.sh, f"{MODULE} {what}", timeout=300)
            for host, what in zip(hosts, ROUNDS, strict=True)
        ]
        # anything but a number is what was not put back
        ups, more_ups, downs, more_downs = (int(one.result()) for one in said)
        assert abs(ups - more_ups) == abs(downs - more_downs) == 1
        assert ups > 20
        assert downs > 15
        assert [host.processes() for host in hosts] == [[], [], [], []]
