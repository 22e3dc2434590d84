"""A batch as a request: what became of it, and how that is told to whoever sent its records. No I/O."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from superclient.gofka.batches import Batch, Entry
from superclient.gofka.envelope import is_enveloped
from superclient.gofka.errors import (
    ConnectionError,  # noqa: A004  the name that the built-in one has
    ProduceConnectionError,
    ProduceError,
    ProduceTimeoutError,
    RequestTimeoutError,
)
from superclient.gofka.wire import BrokerError, Kind, Produce, ProduceReply


class Reply(asyncio.Future[ProduceReply]):
    """A future that tells `then` at once when it is done, not in the loop's next step: an awaited send waits for that.

    `then` must not raise: it runs in the middle of what a connection does with its bytes.
    """

    def __init__(self, then: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._then = then

    def set_result(self, result: ProduceReply) -> None:
        super().set_result(result)
        self._then()

    def set_exception(self, exception: type[BaseException] | BaseException) -> None:
        super().set_exception(exception)
        self._then()


@dataclass(slots=True, eq=False)
class Flight:
    """A batch as a request.

    Attributes:
        entries: those of the batch that it has, in the order of the envelope.
        delays: seconds to wait before each further attempt, from the first failure on.
        maybe: some attempt may have stored it.
        error: how the last one failed.
    """

    batch: Batch
    entries: list[Entry]
    request: Produce
    delays: Iterator[float] | None = None
    maybe: bool = False
    error: Exception | None = None
    reply: Reply | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for it."""
        return any(not entry.done.done() for entry in self.entries)


def outcome(reply: Reply) -> Exception | None:
    """How a request failed; None where it did not."""
    error = reply.exception()
    return error if error is None or isinstance(error, Exception) else ConnectionError(str(error))


def kind(error: Exception | None) -> Kind | None:
    """What the broker's error means; None where it is not the broker's."""
    return error.kind if isinstance(error, BrokerError) else None


def fate(flight: Flight) -> tuple[bool | None, bool]:
    """(whether its last attempt, which failed, stored it; None: not known; whether it may be sent again).

    What may have been stored may be sent again in an envelope: our consumer leaves the copy out.
    """
    meaning = kind(flight.error)
    if meaning in (Kind.NOT_LEADER, Kind.TIMED_OUT_ENQUEUING):
        return False, True
    if meaning is Kind.STORED:
        return True, False
    return None, meaning is not Kind.POISONED and is_enveloped(flight.request.value)


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
