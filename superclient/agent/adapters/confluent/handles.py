"""What stands behind one producer: the handle it was built with, or one that was put in its place.

librdkafka's settings cannot change in a live handle. But a handle that has sent nothing yet, or nothing that is still
under way, can be left for another: the other's bound C methods go into the producer's instance dict, so that `produce`
is as fast as ever. The exchange happens on the heartbeat's thread. A producer that may be exchanged has for that time a
class whose methods take a lock (see `classes`), and whoever took a bound method from it holds one that follows.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from superclient.agent import log
from superclient.agent.adapters.confluent import conf
from superclient.agent.adapters.confluent.counters import Ledger
from superclient.agent.adapters.confluent.making import Making
from superclient.agent.adapters.confluent.native import Native

if TYPE_CHECKING:
    from superclient.agent.adapters.confluent.steering import Steer

ATTRIBUTE = "_superclient"
UNSERVED = 3  # emissions that a program may leave in the queue before they stop
SETTLING = 1.0  # seconds in which a C call that began before the lock was there has ended


class Family:
    """The library's own class and ours in its place, as `classes` makes them."""

    def __init__(self, bare: Any, native: Native, live: bool = False) -> None:
        self.bare = bare
        self.native = native
        self.live = live  # producers may get other handles while they are in use
        self.public: Any = None  # what is in the place of the library's own
        self.plain: Any = None  # the exact class of what the program makes of `Producer` itself
        self.unused: Any = None  # the same until it produces, where its plan is still to come
        self.watched: Any = None  # the same while its `produce` waits for an exchange
        self.steered: Any = None  # the same while its records without a key are steered
        self.base: Any = None  # what a program's own subclass has for `public` once one of its producers is steered
        self.methods = tuple(name for name in vars(bare) if not name.startswith("_") and name != "close")


class Handles:
    """One producer's handles, kept in its slot; `making` is what the current one was built with."""

    def __init__(
        self, family: Family, producer: Any, settings: Mapping[str, Any], changes: Mapping[str, int | str]
    ) -> None:
        self.family = family
        self.lock = threading.RLock()  # a signal's handler may produce in the middle of a produce
        self.calls = 0  # under way in the first handle of an unused producer
        self.inner: Any | None = None
        self.ledger = Ledger(producer)
        self.exchangeable = type(producer) is family.plain and not conf.transactional(settings)
        self.making = self.first = Making(settings, changes, exchangeable=self.exchangeable, statistics=True)
        self._keep()
        self._watched_since = 0.0
        self._refused = False
        self._closable = False  # the first handle was left, and nobody can hold a C method of it
        self.steer: Steer | None = None
        self.call: Callable[..., Any] | None = None  # the C method, where the producer is not in its first handle

    def target(self, producer: Any) -> Any:
        """The object that the constructor is to make a handle of."""
        return producer

    def adopt(self, producer: Any) -> None:
        """Stand behind a producer."""
        setattr(producer, ATTRIBUTE, self)

    def refused(self) -> None:
        """The library refused what was made of the program's settings: they hold as they are, from now on."""
        self.making = self.first = Making(self.making.own, {}, exchangeable=False, statistics=False)
        self.exchangeable, self._refused, self.ledger.emissions = False, True, []

    def _keep(self) -> None:
        if self.making.emissions is not None:
            self.ledger.emissions.append(self.making.emissions)

    def length(self, producer: Any) -> int:
        """What the library would tell without statistics of ours: messages and events that wait."""
        first: int = self.family.bare.__len__(producer)
        if self.inner is None:
            emissions = self.making.emissions
            if emissions is None or time.monotonic() < emissions.due:
                return first
            return self._corrected(producer, first)
        left = self._messages(producer, self.first) if not self._closable else 0
        return self._corrected(self.inner, len(self.inner)) + (left or 0)

    def _corrected(self, handle: Any, length: int) -> int:
        emissions = self.making.emissions
        queued = emissions.unserved() if emissions is not None and emissions.ours else 0
        messages = self._messages(handle, self.making) if queued else None
        # Never less than the messages: a program that waits for zero must not stop waiting too early.
        return length if messages is None else max(messages, length - queued)

    def _messages(self, handle: Any, making: Making) -> int | None:
        return self.family.native.messages(handle, making.callback) if making.callback is not None else None

    def tune(self, producer: Any, changes: Mapping[str, int | str]) -> bool:
        """Make these changes hold; only a producer that has not produced can be exchanged for one that has them."""
        if changes == self.making.changes:
            return True
        return type(producer) is self.family.unused and self._exchange(producer, changes, statistics=True)

    def tend(self, producer: Any) -> None:
        """See that nothing piles up: statistics that nobody serves, and the handle that was left."""
        self._tidy(producer)
        emissions = self.making.emissions
        if emissions is None or not emissions.ours or self._refused:
            return
        family, kind = self.family, type(producer)
        ignored = emissions.unserved() >= UNSERVED
        if kind is family.unused:
            if ignored:
                self._exchange(producer, self.making.changes, statistics=False)
        elif kind is family.watched:
            if not ignored:
                self._watch(producer, False)
            elif time.monotonic() - self._watched_since > SETTLING:
                self._exchange(producer, self.making.changes, statistics=False)
        elif (
            kind in (family.plain, family.steered)
            and ignored
            and self._messages(self.inner or producer, self.making) == 0
        ):
            self._watch(producer, True)

    def _watch(self, producer: Any, on: bool) -> None:
        with self.lock:
            if self.inner is not None:
                for name in self.family.methods:
                    if "produce" in name:
                        producer.__dict__.pop(name, None)
                        if not on:
                            producer.__dict__[name] = getattr(self.inner, name)
            if on:
                producer.__class__ = self.family.watched
            else:
                self._rest(producer)
            self._watched_since = time.monotonic()

    def _exchange(self, producer: Any, changes: Mapping[str, int | str], statistics: bool) -> bool:
        kind = type(producer)
        making = Making(self.making.own, changes, exchangeable=True, statistics=statistics)
        try:
            inner = self.family.bare(making.settings)
        except Exception as error:
            self._refused = True
            log.failure(conf.LIBRARY, "exchanging a producer's handle", error)
            return False
        with self.lock:
            if type(producer) is not kind or self._refused or not self._idle(producer):
                return False
            producer.__dict__.update({name: getattr(inner, name) for name in self.family.methods})
            self._closable = self._closable or kind is self.family.unused
            left, self.inner, self.making.retired = self.inner, inner, True
            self.making, self.call = making, inner.produce
            self._keep()
            self._rest(producer)
        del left  # ends here, outside the lock, unless the program holds one of its methods
        self._tidy(producer)
        return True

    def _idle(self, producer: Any) -> bool:
        if type(producer) is self.family.unused:
            return True
        return self._messages(self.inner or producer, self.making) == 0

    def spent(self, producer: Any) -> None:
        """The program uses or closes the producer: it stays with the handle that it has."""
        with self.lock:
            if type(producer) is self.family.unused:
                self._rest(producer)

    def follow(self, producer: Any, steer: "Steer | None") -> None:
        """Steer the producer's records from now on, or not; what is unused or watched comes to it afterwards."""
        with self.lock:
            before, self.steer = self.steer, steer
            if (before is None) != (steer is None) and type(producer) in (self.family.plain, self.family.steered):
                self._rest(producer)

    def _rest(self, producer: Any) -> None:
        """The class in which a producer stays; in between, a `produce` on another thread finds either way."""
        if self.steer is not None:
            producer.__class__ = self.family.steered
            if self.inner is not None:
                producer.__dict__.pop("produce", None)
            return
        if self.inner is not None:
            producer.__dict__["produce"] = self.inner.produce
        producer.__class__ = self.family.plain

    def closing(self) -> None:
        """No exchange any more."""
        with self.lock:
            self._refused = True

    def _tidy(self, producer: Any) -> None:
        """End the first handle once it was left, where the library can; else keep its queue empty."""
        if self.inner is None or not self.first.retired:
            return
        bare, emissions = self.family.bare, self.first.emissions
        if self._closable and hasattr(bare, "close"):
            with self.lock:
                ready = self.calls == 0
            if ready:
                self.first.retired = False  # once
                bare.close(producer)
        elif emissions is not None and emissions.ours and self._messages(producer, self.first) == 0:
            bare.poll(producer, 0)  # our statistics, and events whose callbacks are mute now
