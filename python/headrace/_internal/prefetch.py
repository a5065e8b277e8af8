"""Makes the items of an iterator in a thread of its own, some ahead of the consumer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_END = object()


class Prefetcher(Generic[T]):
    """An iterator over what `make(cancelled)` yields, at most `depth` items ahead.

    The inner iterator should end soon once the event `cancelled` is set. Leaving it (`close()`, or
    dropping it) ends the thread and closes the inner iterator there. An error of the inner
    iterator is raised at its place in the order.
    """

    def __init__(self, make: Callable[[threading.Event], Iterator[T]], depth: int) -> None:
        self._make = make
        self._queue: queue.Queue[object] = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="headrace-prefetch", daemon=True)

    def __iter__(self) -> Iterator[T]:
        # Not before the first item is asked for: an iterator that is never used costs nothing.
        self._thread.start()
        try:
            while (item := self._take()) is not _END:
                if isinstance(item, _Failure):
                    raise item.error
                yield item  # type: ignore[misc]
        finally:
            self.close()

    def _take(self) -> object:
        # In short waits, so that Ctrl-C is answered.
        while True:
            try:
                return self._queue.get(timeout=0.2)
            except queue.Empty:
                if not self._thread.is_alive() and self._queue.empty():
                    return _END

    def close(self) -> None:
        """Ends the thread. Idempotent."""
        self._closed.set()
        if self._thread.ident is None:
            return
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.01)
            except queue.Empty:
                pass
        self._thread.join()

    def _put(self, item: object) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return True
            except queue.Full:
                pass
        return False

    def _fill(self) -> None:
        inner = self._make(self._closed)
        try:
            for item in inner:
                if not self._put(item):
                    return
        except BaseException as error:
            self._put(_Failure(error))
        finally:
            close = getattr(inner, "close", None)
            if close is not None:
                close()
        self._put(_END)


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error
