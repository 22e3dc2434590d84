"""A producer whose settings may change while it is in use (SUPERSTREAM_LIVE_SWAP): handles behind one object.

The object that the program holds has no handle of its own. All it does goes to the handle in use, which another takes
over from at a moment at which nothing is queued, in flight or waiting to be served: so order per key, exactly-once
delivery reports and idempotence hold without `produce` ever waiting, and what is left has nothing more to say to the
program. `produce` is a C call all the way: a `functools.partial` in the instance dict, whose function is replaced.
"""

import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from itertools import compress
from operator import eq, not_
from typing import Any, NamedTuple

from superclient.agent import log, pipeline
from superclient.agent.adapters.confluent import conf, steering
from superclient.agent.adapters.confluent.coming import Next
from superclient.agent.adapters.confluent.counters import Ledger
from superclient.agent.adapters.confluent.handles import ATTRIBUTE, UNSERVED, Family
from superclient.agent.adapters.confluent.making import Making
from superclient.agent.guard import fail_open, guarded

TURN = 0.1  # seconds that a program's poll stays with one handle
WATCHING = 0.02  # seconds that it watches for a moment of rest, each time it comes
PATIENCE = 60.0  # seconds after which a producer that never rests keeps what it has
REST = 600.0  # seconds until that is tried again
NEGLECT = 1.0  # seconds for which an event waits where nobody polls
AGAIN = 1.0  # seconds until the heartbeat looks again where a handle is to come or to go
PARTING = 0.3  # seconds in which calls that began in a handle have left it
_TICK = 0.001


class Left(NamedTuple):
    """A handle that was left at the moment `at`; it may still owe the figures of its last seconds."""

    handle: Any
    making: Making
    at: float


class Live:
    """One producer's handles, kept in its slot; `making` is what the one in use was built with."""

    exchangeable = False  # by the means of `handles`, which are for producers that are not in use

    def __init__(
        self, family: Family, producer: Any, settings: Mapping[str, Any], changes: Mapping[str, int | str]
    ) -> None:
        self.family = family
        self.ledger = Ledger(producer)
        self.making = Making(settings, changes, exchangeable=True, statistics=True, marked=True)
        self.cell = partial(family.bare.__new__(family.bare).produce)
        self.call = self.cell
        self.steer: steering.Steer | None = None
        self._poll = self.inner.poll
        self.next: Next | None = None
        self._left: deque[Left] = deque()
        self._holds: list[None] = []  # whoever is in here keeps the handle in use where it is
        self._ended = False
        self._turn = threading.Lock()  # never waited for
        self._credentials: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self._given_up: tuple[Mapping[str, int | str], float] | None = None
        self._since = time.monotonic()  # that the handle is in use
        self._pid = os.getpid()
        self._keep()

    def target(self, producer: Any) -> Any:
        """The object that the constructor is to make a handle of."""
        return self.inner

    def adopt(self, producer: Any) -> None:
        """Stand behind a producer, before its first handle is made."""
        object.__setattr__(producer, ATTRIBUTE, self)  # past what a subclass may make of setting attributes
        if type(producer) is self.family.plain:
            producer.__dict__.update(produce=self.cell, poll=self.poll)  # which know nothing of the producer: no cycle

    def follow(self, producer: Any, steer: "steering.Steer | None") -> None:
        """See Handles.follow."""
        self.steer = steer
        if type(producer) is self.family.plain:
            producer.__dict__["produce"] = self.cell if steer is None else steering.function(steer, self.cell)

    @property
    def inner(self) -> Any:
        """The handle in use."""
        return self.cell.func.__self__  # type: ignore[attr-defined]

    def refused(self) -> None:
        """The library refused what was made of the program's settings: they hold as they are, from now on."""
        self.making = Making(self.making.own, {}, exchangeable=False, statistics=False)
        self.ledger.emissions = []
        self.closing()

    def _keep(self) -> None:
        if self.making.emissions is not None:
            self.ledger.emissions.append(self.making.emissions)

    # What the program calls, beside `cell`; any method that is not here goes to the handle in use as it is.

    def produce_batch(self, *args: Any, **kwargs: Any) -> Any:
        self._holds.append(None)
        try:
            return self.inner.produce_batch(*args, **kwargs)
        finally:
            self._holds.pop()

    def poll(self, timeout: Any = -1.0, *more: Any, **others: Any) -> Any:
        if timeout == 0 and not more and not others:
            served = self._poll(0)
        elif more or others or not isinstance(timeout, (int, float)):
            served = self._poll(timeout, *more, **others)  # which says what is wrong
        else:
            served = self._polled(timeout)
        if self.next is not None:
            self.exchange()
        return served

    def _polled(self, timeout: float) -> Any:
        end = time.monotonic() + timeout if timeout >= 0 else math.inf
        while True:
            served = self._poll(max(0.0, min(TURN, end - time.monotonic())))
            if served or self._ended or time.monotonic() >= end:
                return served

    def flush(self, *args: Any, **kwargs: Any) -> Any:
        remaining = self.inner.flush(*args, **kwargs)
        if self.next is not None:
            self.exchange()
        return remaining

    def set_sasl_credentials(self, *args: Any, **kwargs: Any) -> Any:
        outcome = self.inner.set_sasl_credentials(*args, **kwargs)
        self._credentials, self.next = (args, kwargs), None
        return outcome

    def length(self, producer: Any) -> int:
        """What the library would tell without statistics of ours: messages and events that wait."""
        emissions, handle = self.making.emissions, self.inner
        length = len(handle)
        queued = emissions.unserved() if emissions is not None and emissions.ours else 0
        messages = self._messages(handle) if queued else None
        return length if messages is None else max(messages, length - queued)

    def spent(self, producer: Any) -> None:
        """See Handles.spent: being used is no reason to stay."""

    def closing(self) -> None:
        """No exchange any more."""
        self._ended = True
        self._holds.append(None)
        if os.getpid() == self._pid:  # a fork left the threads of these handles behind, which their end would wait for
            self.next = None
            self._left.clear()

    # What the heartbeat calls.

    def tune(self, producer: Any, changes: Mapping[str, int | str]) -> bool:
        """Make these changes hold as soon as the producer rests; whether they do by now."""
        try:
            return self._tuned(changes)
        finally:
            self._come_again()

    def _tuned(self, changes: Mapping[str, int | str]) -> bool:
        if changes == self.making.changes:
            if self.next is not None and self.next.making.changes != changes:
                self.next = None
            return True
        if self._ended or self._resting(changes):
            return False
        if self.next is None or self.next.making.changes != changes:
            self._prepare(changes, statistics=True)
        if self._watched(self._neglected()):
            return True
        if self.next is not None and time.monotonic() - self.next.since > PATIENCE:
            self.next, self._given_up = None, (changes, time.monotonic())
            log.debug(conf.LIBRARY, "a producer never rests: it keeps its settings for now")
        return False

    def _resting(self, changes: Mapping[str, int | str]) -> bool:
        given_up = self._given_up
        return given_up is not None and given_up[0] == changes and time.monotonic() - given_up[1] < REST

    def tend(self, producer: Any) -> None:
        """See that nothing piles up: statistics that nobody serves, and handles that were left."""
        self._part()
        self._come_again()
        emissions = self.making.emissions
        if emissions is None or not emissions.ours or self._ended:
            return
        if time.monotonic() - self._since < UNSERVED * emissions.every or emissions.unserved() < UNSERVED:
            return
        if self._messages(self.inner) != 0:
            return
        if self.next is None and not self._resting(self.making.changes):
            self._prepare(self.making.changes, statistics=False)
        if self.next is not None and self.next.making.emissions is None:
            self._watched(sys.maxsize)

    def _come_again(self) -> None:
        busy = self.next is not None or self._left
        self.ledger.again = time.monotonic() + AGAIN if busy else math.inf

    def _prepare(self, changes: Mapping[str, int | str], statistics: bool) -> None:
        making = Making(self.making.own, changes, exchangeable=True, statistics=statistics, marked=True)
        self.next = None
        self._given_up = (changes, time.monotonic())
        try:
            found = Next(self.family, making)
            if self._credentials is not None:
                found.handle.set_sasl_credentials(*self._credentials[0], **self._credentials[1])
        except Exception as error:
            log.failure(conf.LIBRARY, "making a producer's next handle", error)
            return
        if found.usable:
            self.next, self._given_up = found, None

    def _neglected(self) -> int:
        """How many statistics of ours wait in the queue of a program that has not served it for a while."""
        emissions = self.making.emissions
        queued = emissions.unserved() if emissions is not None and emissions.ours else 0
        return queued if emissions is not None and queued and time.monotonic() - emissions.due > NEGLECT else 0

    def _watched(self, unserved: int) -> bool:
        """Make the next handle ready, then wait for a moment of rest; both for a short while."""
        if (found := self.next) is not None:
            found.prepare(self.ledger.topics)
        if found is None or not found.ready:
            return False
        end = time.monotonic() + WATCHING
        while not self.exchange(unserved):
            if time.monotonic() > end:
                return False
            time.sleep(_TICK)
        return True

    @fail_open(conf.LIBRARY, "exchanging a producer's handle")
    def exchange(self, unserved: int = 0) -> bool:
        """Put the next handle in use if at this very moment nothing is under way in the present one; on any thread.

        `unserved`: as many events may be left in its queue, where the program does not serve it; messages may not.
        """
        if os.getpid() != self._pid or not self._turn.acquire(blocking=False):
            return False
        try:
            found = self.next
            if found is None or not found.ready:
                return False
            old, making = self.inner, self.making
            events = len(old) if unserved and self._messages(old) == 0 else 0
            if events > unserved:
                return False
            if old is not found.handle:  # as an interrupt in the middle of this may have left it
                if not self._moved(old, found.handle, events):
                    return False
                self._since = time.monotonic()
                self._left.append(Left(old, making, self._since))
            making.retired = True
            self._poll, self.making, self.next = found.handle.poll, found.making, None
            self._keep()
            if self._ended:
                self.closing()
        finally:
            self._turn.release()
        pipeline.agent().heartbeat.wake()
        return True

    def _moved(self, old: Any, new: Any, events: int) -> bool:
        # All of it happens inside one call of `next`, in C without a byte code or an allocation that the collector
        # counts after `len`: no other thread runs between the question and the answer, and `produce`, which keeps the
        # GIL from its first step to its last, is either done or goes to the new handle.
        drained = map(eq, map(len, (old,)), (events,))
        free = map(not_, map(len, compress((self._holds,), drained)))
        state: Any = (new.produce, (), {}, None)
        return next(map(self.cell.__setstate__, compress((state,), free)), False) is None  # type: ignore[attr-defined]

    def _messages(self, handle: Any) -> int | None:
        making = self.making
        return self.family.native.messages(handle, making.callback) if making.callback is not None else None

    def _part(self) -> None:
        """End the handles that were left, each when it has told its last figures or will not any more."""
        for left in list(self._left):
            age, emissions = time.monotonic() - left.at, left.making.emissions
            owes = emissions is not None and left.making.mute and age < emissions.every * 1.5 + PARTING
            if emissions is not None and owes:
                with guarded(conf.LIBRARY, "serving a handle that was left"):
                    left.handle.poll(0)  # its statistics; no message, and callbacks that are silent now
                owes = not emissions.cover(left.at)
            if not owes and age > PARTING and left in self._left:
                self._left.remove(left)
