"""Fail open: what the agent does inside a program's calls may fail, the program's call may not.

Each kind of failure has one name, the component that failed, and is said once per cause. Guards catch Exception and let
KeyboardInterrupt, SystemExit and CancelledError through (AGT-7).
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from superclient.agent import log

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def guarded(component: str, doing: str) -> Iterator[None]:
    """Swallow and report an Exception of the block: "component: doing failed: …; the program goes on without it"."""
    try:
        yield
    except Exception as error:
        log.failure(component, doing, error)


def fail_open(component: str, doing: str) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """A decorator whose function answers None instead of raising an Exception."""

    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                log.failure(component, doing, error)
                return None

        return wrapper

    return decorate
