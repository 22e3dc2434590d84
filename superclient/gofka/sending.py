"""One topic's records on their way: batches become requests on one connection, in order, and again where that may be.

What a reply says of its request decides (`fate`). A request that was not stored for certain is sent again; one that
may have been stored only in an envelope, which tells a copy from its original. None is sent again behind a later one
that is stored. Until a connection has stored something, one request at a time is under way, since those behind it
would overtake it if the broker came to lead, or to its senses, in between.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from superclient.gofka.batches import Batches, Entry
from superclient.gofka.choosing import Choice
from superclient.gofka.cluster import Cluster
from superclient.gofka.codecs import Codec
from superclient.gofka.connection import Connection
from superclient.gofka.envelope import encode
from superclient.gofka.errors import ConnectionError, ProduceError  # noqa: A004
from superclient.gofka.flights import Flight, Reply, fate, kind, outcome, refuse
from superclient.gofka.message import StoredAt
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
        self._connection: Connection | None = None
        self._proven = False  # the connection has stored something, and nothing has failed since
        self._refusals = 0  # brokers that said, one after the other, that they do not lead
        self._choice = Choice(topic, ways.cluster, ways.partitioner)
        self._mending: asyncio.Task[None] | None = None
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, entry: Entry) -> None:
        """Send it by and by."""
        now = self.used = self._loop.time()
        idle = not (self._flying or self._again or self._queue or self._mending)
        self._queue.add(entry, now)
        self._choice.wanted |= entry.undecided
        if idle and not self._ways.linger:
            self._pump()  # an awaited send loses no time; what comes in the same step of the loop goes together
        else:
            self._arm(now)

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
        await self._disconnect()

    # --- the way out -------------------------------------------------------------------------------------------------

    def _arm(self, now: float) -> None:
        """See to it that `_pump` runs when something is due; while there is trouble it runs after that."""
        due = self._queue.due()
        if due is None or self._soon is not None or self._mending is not None:
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
            if len(self._flying) >= (self._ways.max_in_flight if self._proven else 1):
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
        return self._connection is not None and self._connection.is_open and not self._choice.is_due

    def _next(self) -> Flight | None:
        """The first batch as a request; None where nobody waits for it any more."""
        batch = self._queue.take()
        entries = [entry for entry in batch.entries if not entry.done.done()]
        if self._choice.wanted:
            entries = [entry for entry in entries if not entry.undecided or self._choice.made(entry)]
        if not entries:
            self._ways.free(batch.cost)
            return None
        ways = self._ways
        records = [entry.record for entry in entries]
        sequence = ways.sequence(len(records))
        try:
            message = encode(records, codec=ways.codec, producer_id=ways.producer_id, sequence=sequence)
        except Exception as error:  # a codec's own, whatever they are
            refuse(self.topic, entries, error, False)
            self._ways.free(batch.cost)
            return None
        request = Produce(self.topic, records[0].partition, message)
        return Flight(batch, entries, request)

    def _launch(self, flight: Flight | None) -> None:
        if flight is None or self._connection is None:
            return
        flight.reply = Reply(partial(self._answered, flight), self._loop)
        self._flying.append(flight)
        try:
            self._connection.submit(flight.request, reply=flight.reply)
        except WireError as error:
            self._flying.pop()
            flight.error = error
            self._fail(flight)
        except ConnectionError:  # it was never sent
            self._flying.pop()
            self._again.appendleft(flight)
            self._mend()

    def _answered(self, flight: Flight) -> None:
        reply = flight.reply
        if self._closed or reply is None:
            return
        flight.error = outcome(reply)
        if flight.error is None:
            if not self._proven and self._connection is not None and self._connection.is_open:
                self._ways.cluster.leads(self._connection)
                self._proven, self._refusals = self._mending is None, 0
            offset, count = reply.result().offset, len(flight.entries)
            for place, entry in enumerate(flight.entries):
                if not entry.done.done():
                    entry.done.set_result(StoredAt(offset, place, count))
            self._ways.free(flight.batch.cost)
        if self._mending is None:
            if flight.error is None:
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
                await self._connected()
                await self._choice.count()
        except Exception as error:  # whatever it is: nobody who waits for a record may wait for ever
            self._fail_all(error)
        self._mending = None
        self._pump()

    async def _settled(self) -> float:
        """Wait until every request under way has its answer, and sort them; returns seconds to wait before going on."""
        replies = [flight.reply for flight in self._flying if flight.reply is not None]
        if replies:
            await asyncio.wait(replies)
        hopeless = not self._proven  # nothing was stored since the trouble began
        flights = list(self._flying)
        later: bool | None = False
        self._flying.clear()
        error = next((flight.error for flight in flights if flight.error is not None), None)
        self._proven = self._proven and error is None
        for flight in reversed(flights):
            later = self._sort(flight, later)
        if any(kind(flight.error) is Kind.NOT_LEADER for flight in flights) and self._connection is not None:
            self._refusals += 1
            self._ways.cluster.not_leader(self._connection)
            await self._disconnect()
            if self._refusals % len(self._ways.cluster.brokers):
                return 0.0  # another broker of the list may lead
        lost = sum(flight.error is not None and kind(flight.error) is None for flight in flights)
        return max(self._back_off(error, hopeless), lost * _SETTLING)

    def _sort(self, flight: Flight, later: bool | None) -> bool | None:
        """Put it in front of those to be sent again, or fail.

        `later`: whether one behind it is stored, None: perhaps; returned is the same for the one before. One that is
        known not to be stored is not to follow those that perhaps are; one that itself perhaps is, goes before them.
        """
        if flight.error is None:
            return True
        stored, again = fate(flight)
        flight.maybe |= stored is None
        overtaken = later is True or (later is None and stored is False)
        if stored:
            self._fail(flight, stored=True)
        elif not again or overtaken:
            self._fail(flight, overtaken=again)
        elif flight.wanted:
            self._again.appendleft(flight)
        else:  # nobody waits for it
            self._ways.free(flight.batch.cost)
        return later if stored is False or later else stored

    def _back_off(self, error: Exception | None, hopeless: bool) -> float:
        """Take one of the attempts of each that is to be sent again; those without any left have failed."""
        wait = 0.0
        for flight in list(self._again) if error is not None else ():
            flight.delays = flight.delays or self._ways.cluster.retry_policy.delays()
            delay = next(flight.delays, None)
            if delay is not None:
                wait = max(wait, delay)
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
                *(self.topic, error, len(self._again), wait),
                ", of which some may then be there twice: our consumer leaves out the second" if twice else "",
            )
        return wait

    async def _connected(self) -> None:
        """Have a connection; the old one is closed before, so that there never are two of one topic."""
        if self._connection is None or not self._connection.is_open:
            await self._disconnect()
            self._proven = False
            self._connection = await self._ways.cluster.open_leader()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

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
        self._ways.free(flight.batch.cost)
