"""When a monitor looks where: rounds, calls that are under way, and calls that are overdue. Pure: no thread, no task.

A shell (`monitor`, `async_monitor`) asks `due` which looks to start now, starts them wherever it likes, says `done`
when one of them comes back, and comes again after `wait` seconds. One topic at a time has one look at most: a call that
hangs is given up but never doubled, so that a collector that hangs for ever costs a bounded number of threads.
"""

import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from superclient._backoff import delays
from superclient.partitioning import Queue
from superclient.smart.health import Health

AT_ONCE = 16
"""Calls of a collector that takes one topic at a time, at once."""
MOST_LOST = 64
"""Calls that hang beyond their time-out, after which no further ones are made."""
PUBLISHED_SECONDS = 3.0
"""For how long Redis is waited for before Kafka is asked."""
LONGEST_BACKOFF = 30.0
"""Seconds between two rounds of failures, or one refresh interval if that is longer."""
SOONEST = 1.0
"""Seconds between two rounds when topics are met on the way."""
_GRACE = 0.5  # seconds beyond its time-out for a collector that is told of it: its own error says more than ours


class Kind(Enum):
    """Where a look goes: to what others published, to a collector for all topics together, or for one alone."""

    PUBLISHED = "published"
    TOGETHER = "together"
    ALONE = "alone"


@dataclass(slots=True, eq=False)
class Look:
    """A call to be made; `began` and `deadline` are time.monotonic(), `timeout` is seconds."""

    kind: Kind
    topics: tuple[str, ...]
    began: float
    timeout: float
    deadline: float


@dataclass(slots=True)
class Published:
    """What another process published of a topic, `age` seconds ago, for `lasts` seconds."""

    queues: Mapping[int, Queue]
    age: float
    lasts: float


@dataclass(slots=True)
class Outcome:
    """What a look brought: queues (none: no such topic), why others could not be read, and what was published."""

    found: Mapping[str, Mapping[int, Queue]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Published] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Ticket:
    """Somebody's wish that all topics, or the one named, be read after `asked`; `done` is told whether they were."""

    asked: float
    done: Callable[[bool], None]
    only: str | None = None
    left: set[str] | None = None
    ok: bool = True


class Rounds:
    """The looks of one monitor, from one thread. See the module."""

    def __init__(
        self,
        health: Health,
        interval: float,
        timeout: float,
        *,
        together: bool,
        published: bool,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._health, self._timeout, self._uniform = health, timeout, uniform
        self._kind, self._published = Kind.TOGETHER if together else Kind.ALONE, published
        self._interval, self._cap = interval, max(interval, min(LONGEST_BACKOFF, 8 * interval))
        self._pauses = self._fresh_pauses()
        self._due = float("-inf")
        self._opened = float("-inf")
        self._any_good = self._any_bad = False
        self._waiting: deque[tuple[Kind, tuple[str, ...]]] = deque()
        self._running: set[Look] = set()
        self._lost: set[Look] = set()
        self._busy: set[str] = set()
        self._again: set[str] = set()  # busy with a look that began before somebody asked for a new one
        self._tickets: list[Ticket] = []

    def due(self, now: float) -> list[Look]:
        """The looks to start now; the caller says `done` for each, also for one that could not be started."""
        self._give_up(now)
        if now >= self._due:
            self._open(now)
        if len(self._lost) >= MOST_LOST:
            self._refuse_waiting()
        looks = []
        while self._waiting and len(self._running) < AT_ONCE:
            kind, topics = self._waiting.popleft()
            timeout = min(self._timeout, PUBLISHED_SECONDS) if kind is Kind.PUBLISHED else self._timeout
            grace = 0.0 if kind is Kind.ALONE else _GRACE
            look = Look(kind, topics, now, timeout, now + timeout + grace)
            self._running.add(look)
            looks.append(look)
        return looks

    def done(self, look: Look, outcome: Outcome) -> None:
        """A look is over. What comes after it was given up is not used: nobody knows how old it is."""
        if look in self._lost:
            self._lost.remove(look)
            if look.kind is not Kind.PUBLISHED:  # else its topics have gone on without it
                self._free(look.topics)
            return
        if look not in self._running:
            return
        self._running.remove(look)
        if look.kind is Kind.PUBLISHED:
            self._take_published(look, outcome)
            return
        errors = {topic: outcome.errors[topic] for topic in look.topics if topic in outcome.errors}
        found = {topic: outcome.found.get(topic, {}) for topic in look.topics if topic not in errors}
        self._take(found, errors, look.began)
        self._free(look.topics)

    def wait(self, now: float) -> float:
        """Seconds until `due` has something new to say, unless `done`, `request` or `hasten` come first."""
        return max(0.0, min([self._due, *(look.deadline for look in self._running)]) - now)

    def request(self, ticket: Ticket) -> None:
        """Begin a round now, and tell when it is over."""
        self._tickets.append(ticket)
        self._due = float("-inf")

    def hasten(self) -> None:
        """There is a new topic: begin the next round soon."""
        self._due = min(self._due, self._opened + SOONEST)

    def stop(self) -> None:
        """There will be no further rounds."""
        tickets, self._tickets = self._tickets, []
        for ticket in tickets:
            ticket.done(False)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way, but for what was given up."""
        return not self._running and not self._waiting

    # --- a round ------------------------------------------------------------------------------------------------------

    def _open(self, now: float) -> None:
        self._health.forget_idle()
        topics = self._health.topics()
        if self._any_good or not self._any_bad:
            self._pauses = self._fresh_pauses()
        self._any_good = self._any_bad = False
        self._opened, self._due = now, now + next(self._pauses)
        for ticket in [each for each in self._tickets if each.left is None]:
            wanted = set(topics if ticket.only is None else [ticket.only])
            ticket.left = wanted.intersection(topics)
            ticket.ok = ticket.left == wanted
            self._again |= self._busy
        lost = {topic for look in self._lost if look.kind is not Kind.PUBLISHED for topic in look.topics}
        self._take({}, {topic: "an earlier call has not come back yet" for topic in topics if topic in lost})
        self._enqueue([topic for topic in topics if topic not in self._busy])
        self._settle((), {})  # where there is no topic at all, a wish is fulfilled at once

    def _enqueue(self, topics: Collection[str]) -> None:
        if not topics:
            return
        self._busy.update(topics)
        if self._published and not any(look.kind is Kind.PUBLISHED for look in self._lost):
            self._waiting.append((Kind.PUBLISHED, tuple(topics)))
        else:
            self._collect(topics)

    def _collect(self, topics: Collection[str]) -> None:
        if self._kind is Kind.TOGETHER:
            self._waiting.append((Kind.TOGETHER, tuple(topics)))
        else:
            self._waiting.extend((Kind.ALONE, (topic,)) for topic in topics)

    def _take_published(self, look: Look, outcome: Outcome) -> None:
        for topic, each in outcome.published.items():
            self._health.take_published(topic, each.queues, each.age, each.lasts)
        self._any_good = self._any_good or bool(outcome.published)
        self._settle(outcome.published, {}, look.began)
        rest = [topic for topic in look.topics if topic not in outcome.published]
        if rest:
            self._collect(rest)
        self._free(outcome.published)

    def _take(
        self, found: Mapping[str, Mapping[int, Queue]], errors: Mapping[str, str], began: float | None = None
    ) -> None:
        self._health.take(found, errors)
        self._any_good, self._any_bad = self._any_good or bool(found), self._any_bad or bool(errors)
        missing = {topic: "" for topic, queues in found.items() if not queues}
        self._settle((*found, *errors), {**missing, **errors}, began)

    def _give_up(self, now: float) -> None:
        for look in [each for each in self._running if now >= each.deadline]:
            self._running.remove(look)
            self._lost.add(look)
            if look.kind is Kind.PUBLISHED:
                self._collect(look.topics)
            else:
                self._take({}, dict.fromkeys(look.topics, f"no answer within {look.timeout:g} s"))

    def _refuse_waiting(self) -> None:
        while self._waiting:
            _, topics = self._waiting.popleft()
            self._take({}, dict.fromkeys(topics, f"{len(self._lost)} earlier calls have not come back yet"))
            self._busy.difference_update(topics)

    def _free(self, topics: Iterable[str]) -> None:
        topics = set(topics)
        self._busy -= topics
        again = topics & self._again
        self._again -= again
        self._enqueue(sorted(again))

    def _settle(self, topics: Iterable[str], errors: Mapping[str, str], began: float | None = None) -> None:
        """Take these off the wishes that were made before the look began; `began` None: there will be no better one."""
        topics = set(topics)
        for ticket in list(self._tickets):
            if ticket.left is None:
                continue
            hit = ticket.left & topics if began is None or began >= ticket.asked else set()
            ticket.left -= hit
            ticket.ok = ticket.ok and not hit & errors.keys()
            if not ticket.left:
                self._tickets.remove(ticket)
                ticket.done(ticket.ok)

    def _fresh_pauses(self) -> Iterator[float]:
        return delays(self._interval, self._cap, uniform=self._uniform)
