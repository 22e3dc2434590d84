"""Small reads and writes through aiokafka (0.10 to 0.14), on an event loop of their own.

A program's event loop is never used, with one exception: an asynchronous token provider belongs to it and is asked
there.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any, TypeVar

from superclient.errors import NotAuthorized, TopicMissing, Unreachable
from superclient.kafka import _loop
from superclient.kafka._bounded import Deadline, bounded, translate
from superclient.kafka.connection import Connection, Found, LastRecord, OffsetsReader
from superclient.kafka.internal import CLIENT_ID_PREFIX
from superclient.kafka.pristine import pristine
from superclient.kafka.silence import overhearing, quiet

T = TypeVar("T")

_CLIENT_ID = CLIENT_ID_PREFIX + "aiokafka"
_SLICE_MS = 20  # one wait for records: control batches bring none but move the position, and nothing else tells
_STOP_SECONDS = 0.2


def describe_topic(connection: Connection, topic: str, timeout: float) -> int | None:
    """Number of partitions, or None where the topic does not exist."""
    return _run(timeout, lambda deadline: _describe(connection, topic, deadline))


def last_record(connection: Connection, topic: str, timeout: float) -> LastRecord:
    """The last committed record of partition 0."""
    return _run(timeout, lambda deadline: _last_record(connection, topic, deadline))


def send(connection: Connection, topic: str, records: Sequence[tuple[bytes, bytes]], timeout: float) -> int:
    """Number of acknowledged records; raises where there are some and none was acknowledged."""
    return _run(timeout, lambda deadline: _send(connection, topic, records, deadline))


def offsets_reader(connection: Connection) -> OffsetsReader:
    """What reads offsets again and again; connects when it is first asked to."""
    from superclient.kafka.offsets import aiokafka

    return aiokafka.offsets_reader(connection)


def _run(timeout: float, work: Callable[[Deadline], Awaitable[T]]) -> T:
    def on_a_loop(deadline: Deadline) -> T:
        async def in_time() -> T:
            return await asyncio.wait_for(work(deadline), deadline.left())

        import aiokafka  # noqa: F401  (its loggers exist from here on)

        quiet("aiokafka")
        quiet("asyncio")
        with overhearing() as errors:
            try:
                return _loop.run(in_time)
            except Exception as error:
                # A failed bootstrap is raised without its reason, which goes to the log.
                reasons = (translate(each) for each in [error, *errors])
                raise next((each for each in reasons if isinstance(each, NotAuthorized)), translate(error)) from None

    return bounded(timeout, on_a_loop)


async def _describe(connection: Connection, topic: str, deadline: Deadline) -> int | None:
    from aiokafka.client import AIOKafkaClient

    async with _opened(AIOKafkaClient, connection, {}, deadline) as client:
        return await _partitions(client, topic)


async def _last_record(connection: Connection, topic: str, deadline: Deadline) -> LastRecord:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    own = {
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": 5,
        "max_partition_fetch_bytes": 8 * 1024 * 1024,
    }
    async with _opened(pristine(AIOKafkaConsumer), connection, own, deadline) as consumer:
        if await _partitions(consumer._client, topic) is None:
            return LastRecord(Found.NO_TOPIC)
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        start, upper, step = 0, end, 1
        while upper > start:
            lower = max(start, upper - step)
            newest = await _newest(consumer, partition, lower, upper)
            if newest is not None:
                return newest
            if upper == end:
                start = (await consumer.beginning_offsets([partition]))[partition]
            upper, step = lower, step * 8
        return LastRecord(Found.EMPTY)


async def _newest(consumer: Any, partition: Any, lower: int, upper: int) -> LastRecord | None:
    """The last record from `lower` on, once everything below `upper` is read; None where no record is there."""
    newest: LastRecord | None = None
    consumer.seek(partition, lower)
    while await consumer.position(partition) < upper:
        for records in (await consumer.getmany(partition, timeout_ms=_SLICE_MS)).values():
            newest = LastRecord(Found.RECORD, records[-1].value)
    return newest


async def _send(connection: Connection, topic: str, records: Sequence[tuple[bytes, bytes]], deadline: Deadline) -> int:
    from aiokafka import AIOKafkaProducer

    own = {"acks": 1, "linger_ms": 0, "max_request_size": 8 * 1024 * 1024}
    async with _opened(pristine(AIOKafkaProducer), connection, own, deadline) as producer:
        if await _partitions(producer.client, topic) is None:
            raise TopicMissing(f"there is no topic {topic}")
        sent = [await producer.send(topic, key=key, value=value) for key, value in records]
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
    failures = [each for each in outcomes if isinstance(each, BaseException)]
    if failures and len(failures) == len(records):
        raise translate(failures[0])
    return len(records) - len(failures)


async def _partitions(client: Any, topic: str) -> int | None:
    """Ask for the topic by name in the one form that creates none; the library itself has no use for it."""
    from aiokafka.cluster import ClusterMetadata
    from aiokafka.protocol.metadata import MetadataRequest

    versioned = isinstance(MetadataRequest, list)  # up to 0.12
    request = MetadataRequest[4]([topic], False) if versioned else MetadataRequest([topic], False)
    node = client.get_random_node()
    cluster = ClusterMetadata()
    cluster.update_metadata(await client.send("bootstrap" if node is None else node, request))
    if topic in cluster.unauthorized_topics:
        raise NotAuthorized("TopicAuthorizationFailedError")
    return len(cluster.partitions_for_topic(topic) or ()) or None


@asynccontextmanager
async def _opened(
    kind: Any, connection: Connection, own: Mapping[str, object], deadline: Deadline
) -> AsyncIterator[Any]:
    """A started client of ours, stopped whatever happens, also where its start failed halfway."""
    settings = {**connection.settings, **own, **_common(deadline)}
    known = _parameters(kind)
    if known.get("api_version") is None:
        settings.pop("api_version", None)  # from 0.13 on it does nothing but warn
    if settings.get("sasl_oauth_token_provider") is not None:
        settings["sasl_oauth_token_provider"] = _provider(connection)
    client = kind(**{name: value for name, value in settings.items() if name in known})
    start, stop = getattr(client, "start", None) or client.bootstrap, getattr(client, "stop", None) or client.close
    try:
        await start()
        yield client
    finally:
        with suppress(Exception):
            await asyncio.wait_for(stop(), _STOP_SECONDS)


@cache
def _parameters(kind: Any) -> Mapping[str, object]:
    return {name: each.default for name, each in inspect.signature(kind.__init__).parameters.items()}


def _common(deadline: Deadline) -> dict[str, object]:
    return {
        "client_id": _CLIENT_ID,
        "request_timeout_ms": deadline.left_ms(),
        "retry_backoff_ms": 10,
    }


def _provider(connection: Connection) -> Any:
    """A token provider that asks the program's own on the loop that it is bound to, and holds neither."""
    from aiokafka.abc import AbstractTokenProvider

    def home() -> asyncio.AbstractEventLoop:
        if connection.loop is None or not connection.loop.is_running():
            raise Unreachable("the token provider's event loop is not running")
        return connection.loop

    def program() -> Any:
        return connection.settings["sasl_oauth_token_provider"]

    class OnItsLoop(AbstractTokenProvider):  # type: ignore[misc]
        async def token(self) -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(program().token(), home()))

        def extensions(self) -> Any:
            return program().extensions()

    home()
    return OnItsLoop()
