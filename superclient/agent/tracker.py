"""The weak registry of live producers, and what each has done.

Nothing here keeps a producer alive: a record holds a weak reference, and counters that the library's sending side
writes into without knowing the producer. A producer that was closed or collected stays until its last report has gone
out.
"""

import threading
import time
import uuid
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from superclient.agent.adapters.base import Adapter
from superclient.agent.linger import Watch
from superclient.agent.model import Advice, Counters, Plan, ProducerRequest
from superclient.agent.selfcheck import Trial


class Tracked:
    """One producer under the agent's care; `applied` tells whether its plan holds in the live producer now."""

    __slots__ = (
        "__weakref__",
        "adapter",
        "applied",
        "attempts",
        "closed",
        "considered",
        "counters",
        "created",
        "error",
        "identity",
        "info_due",
        "lingering",
        "plan",
        "ref",
        "reported",
        "request",
        "sequence",
        "trial",
        "uid",
    )

    def __init__(self, adapter: Adapter, request: ProducerRequest, plan: Plan) -> None:
        self.uid = str(uuid.uuid4())
        self.adapter = adapter
        self.ref: Callable[[], Any] = _nobody
        self.identity = 0
        self.request = request
        self.plan = plan
        self.applied = False
        self.considered: tuple[Advice, frozenset[str], bool, tuple[str, str]] | None = None  # what the plan was made of
        self.trial = Trial()
        self.lingering = Watch()
        self.counters = Counters()
        self.reported = Counters()
        self.created = time.monotonic()
        self.closed = False
        self.info_due = True
        self.sequence = 0
        self.attempts = 0
        self.error = ""

    def topics(self, configured: tuple[str, ...] = ()) -> frozenset[str]:
        """The topics it is seen to write, and those it is said to write."""
        return frozenset(configured).union(list(self.counters.topics), list(self.counters.noted))


def _nobody() -> None:
    return None


class Tracker:
    """All tracked producers of the process, by identity, without owning one."""

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone  # reentrant: the garbage collector calls it in the middle of anything
        self._by_identity: dict[int, Tracked] = {}
        self._leaving: list[Tracked] = []
        self._lock = threading.RLock()

    def add(self, tracked: Tracked, producer: Any) -> None:
        """Register a producer, weakly."""

        def collected(_: object) -> None:
            # No lock here: the collector may run this while this very thread holds it. Appending is atomic.
            tracked.closed = True
            self._on_gone()

        tracked.ref = weakref.ref(producer, collected)
        tracked.identity = id(producer)
        with self._lock:
            previous = self._by_identity.get(tracked.identity)
            if previous is not None:  # its object is gone and its address in use again
                previous.closed = True
                self._leaving.append(previous)
            self._by_identity[tracked.identity] = tracked

    def find(self, producer: Any) -> Tracked | None:
        """The record of a live producer; None for one that is not tracked."""
        tracked = self._by_identity.get(id(producer))
        return tracked if tracked is not None and tracked.ref() is producer else None

    def retire(self, producer: Any) -> bool:
        """A producer is being closed: its figures go out in one last report, then it is forgotten.

        Returns whether there is such a report to come; False for one that is not tracked, or was closed before.
        """
        tracked = self.find(producer)
        if tracked is None or tracked.closed:
            return False
        tracked.closed = True
        self._on_gone()
        return True

    def forget(self, tracked: Tracked) -> None:
        """Its last report is out, or never will be."""
        with self._lock:
            if self._by_identity.get(tracked.identity) is tracked:
                del self._by_identity[tracked.identity]
            elif tracked in self._leaving:
                self._leaving.remove(tracked)

    def everyone(self) -> list[Tracked]:
        """All records: live, and waiting for their last report."""
        with self._lock:
            return [*self._leaving, *self._by_identity.values()]

    def after_fork_in_child(self) -> None:
        """The child inherited objects, not connections or threads: it tracks what it makes itself."""
        self._lock = threading.RLock()
        self._by_identity = {}
        self._leaving = []


def copied(counters: Counters) -> Counters:
    """A copy to compute differences from; another thread counts meanwhile, so the last batch may be half in."""
    return replace(
        counters,
        topics={name: replace(one) for name, one in list(counters.topics.items())},
        nodes={name: replace(one) for name, one in list(counters.nodes.items())},
    )
