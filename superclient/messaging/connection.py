"""The program's consumers and producers: checked before use, closed whatever happens, and a producer to match."""

import asyncio
import inspect
from collections.abc import Callable, Iterable
from traceback import walk_tb
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection

from superclient.messaging.tasks import each, through
from superclient.messaging.told import logger

ConsumerFactory = Callable[[], Any]  # makes an AIOKafkaConsumer, or is awaited for one

_CLOSING = 5.0  # seconds that a client may take to say good-bye to its brokers
_HANGING_UP = 1.0  # seconds that a connection may take to be closed


async def made(factory: ConsumerFactory, *, warn: bool = True) -> Any:
    """A new consumer of the program's, ready to be subscribed by us; its own commits are turned off.

    Raises RuntimeError where it has no group, or was subscribed, assigned or started already.
    """
    consumer = factory()
    if inspect.isawaitable(consumer):
        consumer = await consumer
    problem = _problem(consumer)
    if problem:
        if getattr(consumer, "_fetcher", None) is None and hasattr(consumer, "stop"):
            await closed(consumer)
        raise RuntimeError(problem)
    for name in ("_key_deserializer", "_value_deserializer"):
        deserializer = getattr(consumer, name)
        if deserializer is not None:
            setattr(consumer, name, _unfailing(deserializer))
    if consumer._enable_auto_commit:
        consumer._enable_auto_commit = False
        if warn:
            logger.warning(
                "aiokafka's own auto-commit is turned off, since it would commit records before anybody has read them; "
                "give the consumer enable_auto_commit=False, and auto_commit here where offsets are to be committed"
            )
    return consumer


class Undecodable:
    """Stands for a key or value that its deserializer did not take: raised in the consumer, that would never end."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _unfailing(deserializer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def deserialize(data: Any) -> Any:
        try:
            return deserializer(data)
        except Exception as error:
            return Undecodable(error)

    return deserialize


def undecodable(record: Any) -> Exception | None:
    """What a deserializer of the consumer's raised for this record."""
    for part in (record.value, record.key):
        if type(part) is Undecodable:
            return part.error
    return None


def _problem(consumer: Any) -> str:
    if not hasattr(consumer, "_subscription"):
        return f"consumer_factory has to return an AIOKafkaConsumer; it returned {type(consumer).__name__}"
    if consumer._fetcher is not None or consumer._closed:
        return "consumer_factory has to make a new consumer at each call, and to leave it to us to start it"
    if not consumer._group_id:
        return "the consumer has no group: give it a group_id, by which its instances share the partitions"
    if consumer._subscription.subscription is not None or consumer._subscription.subscribed_pattern is not None:
        return (
            "the consumer is subscribed or assigned already: make it without topics, they come from the parsers "
            "and are subscribed here"
        )
    return ""


def broken(consumer: Any) -> bool:
    """Whether one of the tasks by which it lives has ended: then it will not read again.

    The tasks of a membership end in each rebalance; one that has failed would be told of for ever after.
    """
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    lasting = (getattr(coordinator, "_coordination_task", None), getattr(fetcher, "_fetch_task", None))
    passing = [getattr(coordinator, name, None) for name in ("_heartbeat_task", "_commit_refresh_task")]
    return (
        consumer._closed
        or any(task is not None and task.done() for task in lasting)
        or any(task is not None and task.done() and not task.cancelled() and task.exception() for task in passing)
    )


async def started(client: Any) -> None:
    """Start a consumer or producer; where that fails, or is cancelled, close what it was to learn its brokers from.

    That connection is in no list of aiokafka's yet: nobody has it but the coroutine that waits for an answer on it, and
    up to 0.12 that one forgets it where it is cancelled.
    """
    try:
        await client.start()
    except BaseException as error:
        await through(_all_closed(_held(error)), _HANGING_UP, insist=True)
        raise


def _held(error: BaseException) -> list[AIOKafkaConnection]:
    """The connections that were in the hands of the functions which an exception came through."""
    local = [value for frame, _ in walk_tb(error.__traceback__) for value in frame.f_locals.values()]
    return [value for value in local if isinstance(value, AIOKafkaConnection)]


async def _all_closed(connections: Iterable[AIOKafkaConnection]) -> None:
    closing = [future for connection in connections if (future := connection.close()) is not None]
    if closing:
        await asyncio.wait(closing)


async def closed(client: Any) -> None:
    """Stop a consumer or producer within seconds, however often we are cancelled meanwhile; raises nothing else.

    One that does not end in time (its broker does not answer) is taken apart: its tasks and connections end at once.
    """
    parts = [getattr(client, name, None) for name in ("_fetcher", "_sender", "_client", "client")]
    rest = [through(part.close(), 1.0, insist=True) for part in parts if part is not None]
    await each(through(_hung_up(parts), 1.0, insist=True), through(client.stop(), _CLOSING, insist=True), *rest)


async def _hung_up(parts: Iterable[Any]) -> None:
    """Close the connections on which nobody listens: at the end of asyncio.run() the tasks that do are cancelled too.

    To leave its group, the client opens another one; it would wait for an answer on the old one.
    """
    for _ in range(2):
        await asyncio.sleep(0)  # a task that was cancelled when we were has ended after that
    for connection in [found for part in parts for found in getattr(part, "_conns", {}).values()]:
        if connection._read_task is not None and connection._read_task.done():
            connection.close()


def producer_like(consumer: Any) -> Any:
    """A producer that reaches the consumer's cluster as the consumer does: same servers, same security; not started."""
    client = consumer._client
    settings = {
        name: getattr(client, f"_{name}")
        for name in (
            "bootstrap_servers",
            "client_id",
            "metadata_max_age_ms",
            "request_timeout_ms",
            "security_protocol",
            "ssl_context",
            "connections_max_idle_ms",
            "sasl_mechanism",
            "sasl_plain_username",
            "sasl_plain_password",
            "sasl_kerberos_service_name",
            "sasl_kerberos_domain_name",
            "sasl_oauth_token_provider",
        )
    }
    return AIOKafkaProducer(retry_backoff_ms=round(client._retry_backoff * 1000), acks="all", **settings)
