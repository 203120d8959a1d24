"""Threads that work ahead, and that are gone when nobody wants their work any more."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator

import pytest

from rootfs_tool.flash.ahead import ahead


def counted(end: int, made: list[int], closed: list[bool]) -> Generator[int, None, None]:
    try:
        for number in range(end):
            made.append(number)
            yield number
    finally:
        closed.append(True)


def doubled(numbers: Iterator[int]) -> Generator[int, None, None]:
    for number in numbers:
        yield number * 2


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_everything_comes_in_order() -> None:
    with ahead(counted(1000, [], []), 3) as numbers, ahead(doubled(numbers), 2) as even:
        assert list(even) == list(range(0, 2000, 2))


def test_no_more_is_made_than_is_asked_for() -> None:
    """What is taken, what waits, and the one that is in the maker's hand."""
    made: list[int] = []
    with ahead(counted(1000, made, []), 3) as numbers:
        for taken in numbers:
            assert len(made) <= taken + 1 + 3 + 2
            if taken == 100:
                break


def test_an_error_comes_where_the_thing_would_have() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        raise KeyError("gone")

    with ahead(failing(), 2) as numbers, ahead(doubled(numbers), 2) as even:
        assert next(even) == 2
        with pytest.raises(KeyError, match="gone"):
            next(even)


@pytest.mark.parametrize("taken", [0, 1, 7])
def test_who_stops_early_leaves_no_thread(taken: int) -> None:
    closed: list[bool] = []

    def stopping() -> None:
        with (
            ahead(counted(1000, [], closed), 2) as numbers,
            ahead(doubled(numbers), 2) as even,
        ):
            for _ in range(taken):
                next(even)
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        stopping()
    assert closed == [True]
