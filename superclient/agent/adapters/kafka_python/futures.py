"""What tells that somebody waits for a record of kafka-python's: get(), and whoever looks whether it is done.

`get()` of a record that is not done waits on the future that all records of its batch share. One that is done tells
too: what went along with an awaited batch was rightly let go. A program that looks (`is_done`, `succeeded()`,
`failed()`) at a record that is not done waits for it as well, in its own way. `add_callback` waits for nothing.

`get` and `is_done` are hooked with the first linger that the agent adds; a process without one has the library's own.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any, Protocol

_LOOKS = ("succeeded", "failed", "retriable")
_LINGERING = "_superclient_lingering"


class Listener(Protocol):
    """Who is told, with the future of a batch."""

    @property
    def listens(self) -> bool:
        """Whether any producer's linger was raised."""

    def awaited(self, future: Any) -> None:
        """Somebody waits for this batch."""

    def collected(self, future: Any) -> None:
        """Somebody asks for a record of this batch, which is done."""


def patch_wait(futures: dict[str, Any], listener: Listener) -> None:
    """Hook what blocks; once more after a reload, for each producer class has producers of its own."""
    batch = futures["FutureProduceResult"]
    batch.wait = _waiting(batch.wait, listener)


def patch_looks(futures: dict[str, Any], listener: Listener) -> None:
    """Hook a record's get() and is_done, once."""
    record = futures.get("FutureRecordMetadata")
    if record is None or _LINGERING in vars(record) or "_produce_future" not in _names(record):
        return
    setattr(record, _LINGERING, True)
    slot: Any = getattr(record, "is_done", None)  # 3.0; an entry of the instance before
    done = slot.__get__ if slot is not None else lambda self: self.__dict__["is_done"]
    record.get = _getting(record.get, done, listener)
    record.is_done = _looked_at(record, slot, done, listener)


def _names(record: Any) -> tuple[str, ...]:
    return (*vars(record).get("__slots__", ()), *record.__init__.__code__.co_names)


def _waiting(original: Callable[..., Any], listener: Listener) -> Callable[..., Any]:
    @functools.wraps(original)
    def wait(self: Any, timeout: float | None = None) -> Any:
        if listener.listens:
            listener.awaited(self)
        return original(self, timeout)

    return wait


def _getting(original: Callable[..., Any], done: Callable[[Any], bool], listener: Listener) -> Callable[..., Any]:
    @functools.wraps(original)
    def get(self: Any, timeout: float | None = None) -> Any:
        if done(self):
            listener.collected(self._produce_future)
        return original(self, timeout)

    return get


def _looked_at(record: Any, slot: Any, done: Callable[[Any], bool], listener: Listener) -> Any:
    """The attribute as it was, which tells when a program reads it."""
    library = record.__module__.partition(".")[0] + "."

    def read(self: Any) -> bool:
        found = done(self)
        if not found:
            caller = sys._getframe(1)
            inside = str(caller.f_globals.get("__name__")).startswith(library)
            if not inside or caller.f_code.co_name in _LOOKS:
                listener.awaited(self._produce_future)
        return found

    def write(self: Any, value: bool) -> None:
        if slot is not None:
            slot.__set__(self, value)
        else:
            self.__dict__["is_done"] = value

    return property(read, write)
