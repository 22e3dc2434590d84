"""A batch as a request: what became of it, what is to be done about it, and how its senders are told. No I/O."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from superclient.gofka.batches import Entry
from superclient.gofka.envelope import is_enveloped
from superclient.gofka.errors import ProduceConnectionError, ProduceError, ProduceTimeoutError, RequestTimeoutError
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.message import StoredAt
from superclient.gofka.wire import BrokerError, Kind, Produce, ProduceReply


@dataclass(slots=True, eq=False)
class Flight:
    """A batch as a request, and who waits for its reply: not a future, which would tell it later.

    Attributes:
        entries: those of the batch that it has, in the order of the envelope.
        cost: the memory of the whole batch, in bytes, to be given back.
        told: called when the last attempt has its reply, or has failed; must not raise.
        delays: seconds to wait before each further attempt, from the first failure on.
        maybe: some attempt may have stored it.
        answered: the last attempt is over; error: how it failed.
    """

    entries: list[Entry]
    cost: int
    request: Produce
    told: Callable[["Flight"], None]
    delays: Iterator[float] | None = None
    maybe: bool = False
    answered: bool = False
    error: Exception | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for it."""
        return any(not entry.done.done() for entry in self.entries)

    def done(self) -> bool:
        """As a future says it."""
        return self.answered

    def set_result(self, reply: ProduceReply) -> None:
        """It is stored: tell the senders, and `told`."""
        self.answered, self.error = True, None
        count = len(self.entries)
        for place, entry in enumerate(self.entries):
            if not entry.done.done():
                entry.done.set_result(StoredAt(reply.offset, place, count))
        self.told(self)

    def set_exception(self, error: Exception) -> None:
        """It failed, which the senders hear once it is clear what that means."""
        self.answered, self.error = True, error
        self.told(self)


class Sorted(NamedTuple):
    """What is to be done about requests of which some failed.

    Attributes:
        again: to be sent again, in order.
        failed: (flight, whether it is stored, whether it fails only because it would follow later ones).
        dropped: to be sent again, but that nobody waits for them any more.
    """

    again: list[Flight]
    failed: list[tuple[Flight, bool, bool]]
    dropped: list[Flight]


def sort(flights: Sequence[Flight]) -> Sorted:
    """Sort requests that are all answered, given in the order in which they went.

    One that is known not to be stored is not to follow those that are, or perhaps are; one that itself perhaps is, goes
    before them.
    """
    found = Sorted([], [], [])
    later: bool | None = False  # whether one behind it is stored; None: perhaps
    for flight in reversed(flights):
        if flight.error is None:
            later = True
            continue
        stored, again = _fate(flight)
        flight.maybe |= stored is None
        overtaken = later is True or (later is None and stored is False)
        if stored or not again or overtaken:
            found.failed.append((flight, bool(stored), again and overtaken))
        else:
            (found.again if flight.wanted else found.dropped).append(flight)
        later = later if stored is False or later else stored
    found.again.reverse()
    return found


def _fate(flight: Flight) -> tuple[bool | None, bool]:
    """(whether its last attempt, which failed, stored it; None: not known; whether it may be sent again).

    What may have been stored may be sent again in an envelope: our consumer leaves the copy out.
    """
    meaning = kind(flight.error)
    if meaning in (Kind.NOT_LEADER, Kind.TIMED_OUT_ENQUEUING):
        return False, True
    if meaning is Kind.STORED:
        return True, False
    return None, meaning is not Kind.POISONED and is_enveloped(flight.request.value)


def kind(error: Exception | None) -> Kind | None:
    """What the broker's error means; None where it is not the broker's."""
    return error.kind if isinstance(error, BrokerError) else None


def delay(flight: Flight, policy: RetryPolicy) -> float | None:
    """Seconds to wait before it is sent again, which is one of its attempts; None: it had the last."""
    flight.delays = flight.delays or policy.delays()
    return next(flight.delays, None)


def refuse(
    topic: str, entries: Iterable[Entry], error: Exception, stored: bool | None, overtaken: bool = False
) -> None:
    """Tell the senders that their records failed; each gets an error of its own, since raising one changes it."""
    made: type[ProduceError] = ProduceError
    if isinstance(error, OSError):
        made = ProduceTimeoutError if isinstance(error, RequestTimeoutError) else ProduceConnectionError
    said = "it was not stored" if stored is False else "it may have been stored"
    if stored:
        said = "it is stored all the same, at an offset that the broker did not tell"
    if overtaken:
        said += "; it is not sent again since later ones are stored, or may be, which it would follow"
    for entry in entries:
        if not entry.done.done():
            failure = made(f"{topic}: {error}; {said}", stored)
            failure.__cause__ = error
            entry.done.set_exception(failure)
