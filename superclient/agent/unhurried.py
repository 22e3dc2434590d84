"""Work of the one thread in small pieces: between them, the program's threads get the interpreter."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

AT_A_STRETCH, BREATH = 0.001, 0.0002  # seconds of work before others get the interpreter, and that they get it for

T = TypeVar("T")


def unhurried(items: Iterable[T]) -> Iterator[T]:
    """One after the other, with a breath in between: a hundred plans in one go would block a program's event loop."""
    began = time.monotonic()
    for item in items:
        yield item
        if time.monotonic() - began > AT_A_STRETCH:
            time.sleep(BREATH)
            began = time.monotonic()
