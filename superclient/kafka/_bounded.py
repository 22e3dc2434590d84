"""Runs one small read or write with a hard deadline and turns every failure into the ClusterError family."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from superclient.errors import ClusterError, NotAuthorized, TopicMissing, Unreachable
from superclient.kafka.internal import CLIENT_ID_PREFIX, internal

T = TypeVar("T")


_LAST_STEPS = 0.1  # seconds that a worker which has done its work gets to end


class Deadline:
    """A moment by which something must be over."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._at = time.monotonic() + timeout

    def left(self) -> float:
        """Seconds until then.

        Raises:
            Unreachable: there are none left.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise Unreachable(f"no answer within {self.timeout:g} s")
        return left

    def left_ms(self) -> int:
        """Milliseconds until then, at least one; raises like `left`."""
        return max(1, int(self.left() * 1000))


class _Job(Generic[T]):
    def __init__(self, work: Callable[[Deadline], T], deadline: Deadline) -> None:
        self._work = work
        self._deadline = deadline
        self.done = threading.Event()
        self.result: list[T] = []
        self.error: ClusterError | None = None

    def run(self) -> None:
        try:
            with internal():
                self.result.append(self._work(self._deadline))
        except Exception as error:
            # Without its traceback and context, which would keep the library's client alive and tell what it was told.
            self.error = translate(error).with_traceback(None)
            self.error.__cause__ = self.error.__context__ = None
        finally:
            self.done.set()


def bounded(timeout: float, work: Callable[[Deadline], T]) -> T:
    """What `work` returns, or its failure as a ClusterError, after `timeout` seconds at the latest.

    The work runs on a thread of its own, because name resolution, a proxy or a token provider may block for longer than
    any library can be told; such a thread is left to end by itself. The work keeps to the deadline wherever it can.
    """
    job = _Job(work, Deadline(timeout))
    worker = threading.Thread(target=job.run, name=CLIENT_ID_PREFIX + "worker", daemon=True)
    try:
        worker.start()
    except RuntimeError:  # an interpreter that is ending starts no thread
        job.run()
    if not job.done.wait(timeout):
        raise Unreachable(f"no answer within {timeout:g} s")
    if worker.ident is not None:
        worker.join(_LAST_STEPS)  # a fork that comes right after this should not find it
    if job.error is not None:
        raise job.error
    return job.result[0]


# By name, because the three libraries (and their versions) share the names but not the classes.
_DENIED = ("Authorization", "Authentication", "SaslMechanism", "SecurityDisabled")
_MISSING = ("UnknownTopicOrPartition", "InvalidTopic", "UnknownTopicId")
_AWAY = (
    "NoBrokersAvailable", "Timeout", "TimedOut", "Connection", "NodeNotReady", "NotAvailable", "Disconnect",
    "NotLeader", "NotCoordinator", "StaleMetadata", "MetadataEmptyBrokerList",
)  # fmt: skip


def translate(error: BaseException) -> ClusterError:
    """The ClusterError that says what this is, by the names of its classes.

    The message holds those names alone: the libraries' own messages quote configuration.
    """
    if isinstance(error, ClusterError):
        return error
    names = [kind.__name__ for kind in type(error).__mro__]
    name = names[0]
    if any(mark in name for mark in _DENIED):
        return NotAuthorized(name)
    if any(mark in name for mark in _MISSING):
        return TopicMissing(name)
    if isinstance(error, OSError) or any(mark in each for each in names for mark in _AWAY):
        return Unreachable(name)
    return ClusterError(name)
