"""One topic's records on their way: batches become requests on one connection, in order, and again where that may be.

What a reply says of its request decides (`flights.sort`). A request that was not stored for certain is sent again; one
that may have been stored only in an envelope, which tells a copy from its original. None is sent again behind a later
one that is stored. Until a connection has stored something, one request at a time is under way, since those behind it
would overtake it if the broker came to lead, or to its senses, in between.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from superclient.gofka.batches import Batches, Entry
from superclient.gofka.choosing import Choice
from superclient.gofka.cluster import Cluster
from superclient.gofka.codecs import Codec
from superclient.gofka.envelope import encode
from superclient.gofka.errors import ConnectionError, ProduceError, RequestTimeoutError  # noqa: A004
from superclient.gofka.flights import Flight, delay, kind, refuse, sort
from superclient.gofka.line import Line
from superclient.gofka.partitioning import Partitioner
from superclient.gofka.wire import Kind, Produce, WireError

logger = logging.getLogger("superclient.gofka")

# Seconds for each request that was lost with its connection. What the broker has read of a closed connection it still
# stores, and meanwhile gives the offsets of that to another connection too.
_SETTLING = 0.02


class Ways(NamedTuple):
    """What all topics of a producer have in common.

    Attributes:
        sequence: numbers for that many records, the first of which it returns.
        free: told how much memory is given back, in bytes.
    """

    cluster: Cluster
    codec: Codec | None
    producer_id: int
    batch_size: int
    linger: float
    max_in_flight: int
    partitioner: Partitioner
    sequence: Callable[[int], int]
    free: Callable[[int], None]


class Sender:
    """The records of one topic; `add` and `withdraw` do not wait, each record's future tells the rest."""

    def __init__(self, topic: str, ways: Ways) -> None:
        self.topic = topic
        self._ways = ways
        self._loop = asyncio.get_running_loop()
        self.used = self._loop.time()
        self._queue = Batches(ways.batch_size, ways.linger)
        self._again: deque[Flight] = deque()  # to be sent before anything of the queue
        self._flying: deque[Flight] = deque()  # in the order of their replies
        self._line = Line(ways.cluster)
        self._choice = Choice(topic, ways.cluster, ways.partitioner)
        self._mending: asyncio.Task[None] | None = None
        self._told = asyncio.Event()  # something that was under way has its answer, while there is trouble
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, entry: Entry) -> None:
        """Send it: at once where nothing is under way, so that an awaited send loses no time; else by and by."""
        self.used = now = self._loop.time()
        self._choice.wanted |= entry.undecided
        if self._ways.linger or not self.idle:
            self._queue.add(entry, now)
            self._arm(now)
        elif self._is_ready():
            self._launch(self._flight([entry], entry.cost))
        else:
            self._queue.add(entry, now)
            self._mend()

    def withdraw(self, entry: Entry) -> None:
        """Whoever sent it does not wait any more: it is left out, but where it is on its way already."""
        if self._queue.discard(entry):
            self._ways.free(entry.cost)

    def entries(self) -> list[Entry]:
        """All whose fate is open."""
        flights = [*self._flying, *self._again]
        return [entry for each in (*flights, *self._queue) for entry in each.entries if not entry.done.done()]

    def hurry(self) -> None:
        """What waits for its linger goes now."""
        self._queue.hurry()
        self._arm(self._loop.time())

    @property
    def idle(self) -> bool:
        """Whether nothing is to be done."""
        return not (self._flying or self._again or self._queue or self._mending)

    async def aclose(self) -> None:
        """End at once; what is still here fails, and may have been stored if it was under way."""
        self._closed = True
        self._disarm()
        mending, self._mending = self._mending, None
        if mending is not None:
            mending.cancel()
            await asyncio.wait([mending])
        for flight in self._flying:
            flight.maybe = True
        self._again.extendleft(reversed(self._flying))
        self._flying.clear()
        self._fail_all(ProduceError("the producer was closed before it was acknowledged"))
        await self._line.close()

    # --- the way out -------------------------------------------------------------------------------------------------

    def _arm(self, now: float) -> None:
        """See to it that `_pump` runs when something is due; while there is trouble it runs after that."""
        if self._soon is not None or self._mending is not None or (due := self._queue.due()) is None:
            return
        if due <= now:
            self._soon = self._loop.call_soon(self._pump)
        elif self._timer is None or self._timer.when() > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._pump)

    def _pump(self) -> None:
        """Send what is due, as far as it may be under way; replies, time and `add` call it again."""
        self._disarm()
        while self._mending is None and (self._again or self._due()):
            if len(self._flying) >= (self._ways.max_in_flight if self._line.proven else 1):
                return
            if not self._is_ready():
                self._mend()
                return
            self._launch(self._again.popleft() if self._again else self._next())
        if self._queue:
            self._arm(self._loop.time())

    def _disarm(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._soon = self._timer = None

    def _due(self) -> bool:
        due = self._queue.due()
        return due is not None and due <= self._loop.time()

    def _is_ready(self) -> bool:
        return self._line.is_open and not (self._choice.wanted and self._choice.is_due)

    def _next(self) -> Flight | None:
        """The first batch as a request."""
        batch = self._queue.take()
        return self._flight([entry for entry in batch.entries if not entry.done.done()], batch.cost)

    def _flight(self, entries: list[Entry], cost: int) -> Flight | None:
        """These as a request; None where there are none, or they cannot be one."""
        ways = self._ways
        if self._choice.wanted:
            entries = [entry for entry in entries if not entry.undecided or self._choice.made(entry)]
        if not entries:
            ways.free(cost)
            return None
        records = [entry.record for entry in entries]
        sequence = ways.sequence(len(records))
        try:
            message = encode(records, codec=ways.codec, producer_id=ways.producer_id, sequence=sequence)
        except Exception as error:  # a codec's own, whatever they are
            refuse(self.topic, entries, error, False)
            ways.free(cost)
            return None
        return Flight(entries, cost, Produce(self.topic, records[0].partition, message), self._answered)

    def _launch(self, flight: Flight | None) -> None:
        connection = self._line.connection
        if flight is None or connection is None:
            return
        flight.answered = False
        self._flying.append(flight)
        try:
            connection.send(flight.request, flight)
        except WireError as error:
            self._flying.pop()
            flight.error = error
            self._fail(flight)
        except ConnectionError:  # it was never sent
            self._flying.pop()
            self._again.appendleft(flight)
            self._mend()

    def _answered(self, flight: Flight) -> None:
        if self._closed:
            return
        if flight.error is None:
            if not self._line.proven:
                self._line.stored(proven=self._mending is None)
            self._ways.free(flight.cost)
        if self._mending is not None:
            self._told.set()
        elif flight.error is None:
            self._flying.popleft()
            if self._again or self._queue:
                self._pump()
        else:
            self._mend()

    # --- trouble -----------------------------------------------------------------------------------------------------

    def _mend(self) -> None:
        """Nothing more is sent until it is clear what became of the rest, and there is a connection."""
        self._mending = self._loop.create_task(self._mended())

    async def _mended(self) -> None:
        await asyncio.sleep(0)  # an eager task must not end before it is known as the one that mends
        try:
            wait = await self._settled()
            if wait:
                await asyncio.sleep(wait)
            if self._again or self._queue:
                await self._line.open()
                await self._choice.count()
        except Exception as error:  # whatever it is: nobody who waits for a record may wait for ever
            self._fail_all(error)
        self._mending = None
        self._pump()

    async def _settled(self) -> float:
        """Wait until every request under way has its answer, and sort them; returns seconds to wait before going on."""
        while not all(flight.answered for flight in self._flying):
            self._told.clear()
            await self._told.wait()
        flights = list(self._flying)
        self._flying.clear()
        errors = [flight.error for flight in flights if flight.error is not None]
        hopeless = not self._line.proven  # nothing was stored since the trouble began
        if errors:
            self._line.proven = False
        found = sort(flights)
        for flight, stored, overtaken in found.failed:
            self._fail(flight, stored=stored, overtaken=overtaken)
        for flight in found.dropped:
            self._ways.free(flight.cost)
        self._again.extendleft(reversed(found.again))
        kinds = [kind(error) for error in errors]
        if Kind.NOT_LEADER in kinds and await self._line.refused():
            return 0.0
        if hopeless or any(isinstance(error, RequestTimeoutError) for error in errors):
            self._line.useless()
        wait = self._back_off(errors[0], hopeless) if errors else 0.0
        return max(wait, kinds.count(None) * _SETTLING)

    def _back_off(self, error: Exception, hopeless: bool) -> float:
        """Take one of the attempts of each that is to be sent again; those without any left have failed."""
        longest = 0.0
        for flight in list(self._again):
            wait = delay(flight, self._ways.cluster.retry_policy)
            if wait is not None:
                longest = max(longest, wait)
                continue
            self._again.remove(flight)
            self._fail(flight)
            if hopeless and kind(flight.error) is not Kind.OTHER:
                self._fail_all(flight.error or ProduceError("it was given up"))
                return 0.0
        if self._again:
            twice = any(flight.maybe for flight in self._again)
            logger.warning(
                "%s: %s; %d messages are sent again in %.1f s%s",
                *(self.topic, error, len(self._again), longest),
                ", of which some may then be there twice: our consumer leaves out the second" if twice else "",
            )
        return longest

    # --- failures ----------------------------------------------------------------------------------------------------

    def _fail_all(self, error: Exception) -> None:
        """Nothing of what is here can be sent."""
        for flight in self._again:
            flight.error = error
            self._fail(flight)
        self._again.clear()
        while self._queue:
            batch = self._queue.take()
            refuse(self.topic, batch.entries, error, False)
            self._ways.free(batch.cost)

    def _fail(self, flight: Flight, *, stored: bool | None = False, overtaken: bool = False) -> None:
        error = flight.error or ProduceError("it was given up")
        refuse(self.topic, flight.entries, error, stored or (None if flight.maybe else False), overtaken)
        self._ways.free(flight.cost)
