"""AsyncProducer: records in, the offsets at which they are stored out."""

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Sequence
from ssl import SSLContext
from types import TracebackType

from superclient.gofka.batches import Entry
from superclient.gofka.cluster import Cluster
from superclient.gofka.codecs import codec
from superclient.gofka.envelope import MAX_RECORDS, packed
from superclient.gofka.errors import ProduceError
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.message import StoredAt
from superclient.gofka.names import check_topic
from superclient.gofka.partitioning import Partitioner, by_key
from superclient.gofka.sendable import Headers, record
from superclient.gofka.sending import Sender, Ways

_LARGEST = MAX_RECORDS - 2**16  # what is around a record takes the rest
_IDLE = 300.0  # seconds after which the connection of a topic that is not sent to is closed
_PATIENT = RetryPolicy(max_retries=5)  # 3 s: a broker leads nothing in the first 2 s after its start


class AsyncProducer:
    """Sends records to topics; for one event loop. `async with` closes it.

    Each topic has a connection of its own, over which its records go in the order of the calls of `send`. Use one
    producer per topic in the whole system: the broker gives one offset to two records that come by two connections.

    Args:
        brokers: "host:port", several with commas or as a list: the one that leads is found by trying them in order.
        client_id: what the broker is told.
        timeout: seconds for connecting, and for each request.
        use_ssl, ssl_context: encrypt, verifying as the context says (by default the system's authorities and the name).
        compression: "gzip", "snappy", "lz4" or None; other clients than this one do not read compressed records.
        batch_size: bytes of records that go together at most; 0: each goes alone. A batch of more than one record is
            for this client's consumer alone.
        linger_ms: milliseconds that a record waits for others; with 0 those that are queued together go together.
        max_in_flight: requests of one topic under way. With 1 a record that the broker refused for the moment can
            always be sent again; with more it fails if a later one was stored, rather than be out of order.
        partitioner: (topic, key, number of partitions) → partition; by default the one of Kafka's Java client for
            records with a key, and 0 for the others. What it raises is raised by `send`.
        retry_policy: how often what was not stored is tried again; by default for three seconds.
        buffer_memory: bytes of records, and of what they take besides, that are queued and under way at most; further
            ones wait where they are sent from.

    Raises ValueError for numbers that cannot be meant, ProduceError for a compression that is not there.
    """

    def __init__(
        self,
        brokers: str | Sequence[str],
        client_id: str = "superclient",
        timeout: float = 30.0,
        use_ssl: bool = False,
        ssl_context: SSLContext | None = None,
        compression: str | None = None,
        batch_size: int = 16384,
        linger_ms: float = 0,
        max_in_flight: int = 5,
        partitioner: Partitioner | None = None,
        retry_policy: RetryPolicy | None = None,
        *,
        buffer_memory: int = 32 * 2**20,
    ) -> None:
        for name, number, least in (
            ("batch_size", batch_size, 0),
            ("linger_ms", linger_ms, 0),
            ("max_in_flight", max_in_flight, 1),
            ("buffer_memory", buffer_memory, 1),
        ):
            if not number >= least:
                raise ValueError(f"{name} is {least} or more; it is {number!r}")
        self._cluster = Cluster(
            brokers,
            client_id=client_id,
            timeout=timeout,
            use_ssl=use_ssl,
            ssl_context=ssl_context,
            retry_policy=retry_policy or _PATIENT,
        )
        self._sequence = 0
        self._ways = Ways(
            cluster=self._cluster,
            codec=None if compression is None else codec(compression),
            producer_id=int.from_bytes(os.urandom(8), "big"),
            batch_size=min(batch_size, _LARGEST),
            linger=linger_ms / 1000,
            max_in_flight=max_in_flight,
            partitioner=partitioner or by_key,
            sequence=self._numbered,
            free=self._freed,
        )
        self._always_chosen = partitioner is not None
        self._memory, self._used = buffer_memory, 0
        self._waiting: deque[tuple[Sender, Entry]] = deque()  # for memory, in order
        self._senders: dict[str, Sender] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._ends: set[asyncio.Task[None]] = set()
        self._flushing = 0
        self._closed = False

    async def send(
        self,
        topic: str,
        message: bytes,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers = None,
    ) -> StoredAt:
        """Store a record, and return the offset at which it is.

        A record without key, headers and partition that goes alone and uncompressed is written as it is, for any client
        to read. Cancelled, the record is left out if it is not on its way yet.

        Args:
            topic: made by the broker, with one partition, where there is none.
            partition: 0 and up; None: the partitioner chooses.
            headers: pairs of a name and bytes (text is sent as UTF-8), or a mapping.

        Raises ProduceError, whose `stored` tells whether the record may be there all the same (ProduceConnectionError,
        also a ConnectionError, where no broker is reached); ValueError, TypeError for what cannot be sent.
        """
        sender, entry = self._accepted(topic, message, partition, key, packed(headers))
        try:
            stored: StoredAt = await entry.done
        except asyncio.CancelledError:
            self._withdraw(sender, entry)
            raise
        return stored

    async def send_string(
        self,
        topic: str,
        message: str,
        partition: int | None = None,
        key: bytes | str | None = None,
        headers: Headers = None,
        encoding: str = "utf-8",
    ) -> StoredAt:
        """The same for a text, and a key that may be one."""
        told = key.encode(encoding) if isinstance(key, str) else key
        return await self.send(topic, message.encode(encoding), partition, told, headers)

    async def send_batch(
        self,
        topic: str,
        messages: Iterable[bytes],
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers = None,
    ) -> list[StoredAt]:
        """Store many records, and return their offsets, in order.

        The messages are asked for as there is memory for them. Raises the first failure, as `send` does, once the fate
        of all is known: others may be stored. Cancelled, those are left out that are not on their way yet.
        """
        sent: list[tuple[Sender, Entry]] = []
        told = packed(headers)
        try:
            for message in messages:  # of one that is bytes these are numbers, which are refused
                sent.append(self._accepted(topic, message, partition, key, told))
                if self._waiting:
                    await asyncio.wait([sent[-1][1].done])
            if sent:
                await asyncio.wait([entry.done for _, entry in sent])
        except BaseException:
            for sender, entry in sent:
                entry.done.cancel()
                self._withdraw(sender, entry)
            raise
        failures = [error for _, entry in sent if (error := entry.done.exception()) is not None]
        if failures:
            raise failures[0]
        return [entry.done.result() for _, entry in sent]

    async def flush(self) -> None:
        """Send what lingers, and wait until the fate of all that was sent before is known; their `send` tells it."""
        self._flushing += 1
        try:
            self._hurry()
            entries = [entry for sender in self._senders.values() for entry in sender.entries()]
            entries += [entry for _, entry in self._waiting]
            if entries:
                await asyncio.wait([entry.done for entry in entries])
        finally:
            self._flushing -= 1

    async def close(self) -> None:
        """Flush, then close the connections; further sends are refused. Cancelled, it ends at once: what was not
        acknowledged fails.
        """
        self._closed = True
        try:
            await self.flush()
        finally:
            if self._sweeping is not None:
                self._sweeping.cancel()
            waiting, self._waiting = self._waiting, deque()
            for _, entry in waiting:
                if not entry.done.done():
                    entry.done.set_exception(ProduceError("the producer was closed before it was sent"))
            senders, self._senders = self._senders, {}
            ends = [asyncio.ensure_future(each.aclose()) for each in senders.values()]
            await asyncio.gather(*ends, *self._ends, self._cluster.aclose())

    async def __aenter__(self) -> "AsyncProducer":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- what is sent ------------------------------------------------------------------------------------------------

    def _accepted(
        self, topic: str, message: bytes, partition: int | None, key: bytes | None, headers: bytes
    ) -> tuple[Sender, Entry]:
        """Check it and put it in its place, without waiting: the order of the calls is the order of the records."""
        if self._closed:
            raise ProduceError("the producer is closed")
        undecided = partition is None and (key is not None or self._always_chosen)
        made = record(message, partition, key, headers)
        loop = asyncio.get_running_loop()
        sender = self._senders.get(topic)
        if sender is None or loop is not self._loop:
            sender = self._begun(topic, loop)
        entry = Entry(made, loop.create_future(), undecided)
        if entry.size > _LARGEST:
            raise ProduceError(f"a record of {entry.size} bytes; the broker takes {_LARGEST}")
        if self._waiting or not self._has_room(entry):
            self._waiting.append((sender, entry))
            self._hurry()
        else:
            self._admit(sender, entry)
        return sender, entry

    def _begun(self, topic: str, loop: asyncio.AbstractEventLoop) -> Sender:
        """A topic's first record. Raises RuntimeError in another loop, where no reply would ever come."""
        check_topic(topic)
        if self._loop is None:
            self._loop = loop
            self._sweeping = loop.call_later(_IDLE, self._sweep)
        elif self._loop is not loop:
            raise RuntimeError("a producer is for one event loop")
        self._senders[topic] = sender = Sender(topic, self._ways)
        return sender

    def _withdraw(self, sender: Sender, entry: Entry) -> None:
        if entry.batch is not None:
            sender.withdraw(entry)
        elif (sender, entry) in self._waiting:
            self._waiting.remove((sender, entry))

    def _has_room(self, entry: Entry) -> bool:
        """A record that is larger than all the memory goes when there is nothing else."""
        return not self._used or self._used + entry.cost <= self._memory

    def _admit(self, sender: Sender, entry: Entry) -> None:
        self._used += entry.cost
        sender.add(entry)
        if self._flushing or self._waiting:
            sender.hurry()

    def _hurry(self) -> None:
        """Nothing lingers while somebody waits for it, or for its memory."""
        for sender in self._senders.values():
            sender.hurry()

    def _admit_waiting(self) -> None:
        while self._waiting and self._has_room(self._waiting[0][1]):
            self._admit(*self._waiting.popleft())

    def _freed(self, cost: int) -> None:
        self._used -= cost
        if self._waiting and self._loop is not None:
            self._loop.call_soon(self._admit_waiting)  # not at once: whoever frees is in the middle of something

    def _numbered(self, count: int) -> int:
        first = self._sequence
        self._sequence += count
        return first

    def _sweep(self) -> None:
        """Close the connections of topics that nothing was sent to for long."""
        if self._loop is None:
            return
        self._sweeping = self._loop.call_later(_IDLE, self._sweep)
        waited_for = {sender.topic for sender, _ in self._waiting}
        for topic, sender in list(self._senders.items()):
            if sender.idle and topic not in waited_for and self._loop.time() - sender.used > _IDLE:
                del self._senders[topic]
                end = self._loop.create_task(sender.aclose())
                self._ends.add(end)
                end.add_done_callback(self._ends.discard)
