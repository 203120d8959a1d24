"""Run what makes things in a thread of its own, a few things ahead of whoever takes them."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _End: ...


@contextmanager
def ahead(maker: Generator[T, None, None], depth: int) -> Iterator[Iterator[T]]:
    """What ``maker`` yields, made in a thread, at most ``depth`` things ahead.

    An error of the maker is raised where its next thing would have been taken. When the block ends,
    however that happens, the maker is closed and its thread has ended.
    """
    made: SimpleQueue[T | _Failure | _End] = SimpleQueue()
    places = threading.Semaphore(depth)
    stopped = threading.Event()

    def work() -> None:
        last: _Failure | _End = _End()
        try:
            for thing in maker:
                places.acquire()
                if stopped.is_set():
                    break
                made.put(thing)
        except BaseException as error:
            last = _Failure(error)
        finally:
            maker.close()
            made.put(last)

    def taken() -> Iterator[T]:
        while not isinstance(thing := made.get(), _End):
            if isinstance(thing, _Failure):
                raise thing.error
            places.release()
            yield thing

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        places.release()
        thread.join()
