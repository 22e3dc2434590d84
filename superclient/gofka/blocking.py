"""Producer, Consumer and AdminClient for programs without an event loop: the asyncio ones, on a loop of their own.

Each client has a thread for its loop, so that heartbeats go out while the program is busy. Any thread may call.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from superclient.gofka.admin import AsyncAdminClient
from superclient.gofka.consumer import AsyncConsumer
from superclient.gofka.errors import GofkaError
from superclient.gofka.message import Message, StoredAt, Value
from superclient.gofka.producer import AsyncProducer, Headers
from superclient.gofka.wire import Broker, MetadataReply, Topic

T = TypeVar("T")
Client = TypeVar("Client", bound="_Closing")
Self = TypeVar("Self", bound="_Blocking[Any]")


class _Closing(Protocol):
    def close(self) -> Coroutine[Any, Any, None]: ...


class _Blocking(Generic[Client]):
    """A client of asyncio's, made and run on the loop of a thread of its own."""

    def __init__(self, kind: Callable[..., Client], args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="superclient.gofka", daemon=True)
        self._closing = threading.Lock()
        self._closed = False
        self._thread.start()

        async def make() -> Client:
            return kind(*args, **options)

        try:
            self._client = self._run(make())
        except BaseException:
            self._end()
            raise

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """What it returns. Interrupted (Ctrl-C), it is cancelled."""
        if self._closed:
            work.close()
            raise GofkaError("the client is closed")
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def close(self) -> None:
        """End the client as its asyncio twin does, then its thread. May be called again."""
        with self._closing:
            if not self._closed:
                try:
                    self._run(self._client.close())
                finally:
                    self._end()

    def _end(self) -> None:
        self._closed = True
        asyncio.run_coroutine_threadsafe(_rest(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Producer(_Blocking[AsyncProducer]):
    """AsyncProducer without an event loop; its arguments are the same. `with` closes it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(AsyncProducer, args, options)

    def send(
        self,
        topic: str,
        message: bytes,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers = None,
    ) -> StoredAt:
        """As `AsyncProducer.send`: returns once the record is stored. For many at once there is `send_batch`."""
        return self._run(self._client.send(topic, message, partition, key, headers))

    def send_string(
        self,
        topic: str,
        message: str,
        partition: int | None = None,
        key: bytes | str | None = None,
        headers: Headers = None,
        encoding: str = "utf-8",
    ) -> StoredAt:
        """As `AsyncProducer.send_string`."""
        return self._run(self._client.send_string(topic, message, partition, key, headers, encoding))

    def send_batch(
        self,
        topic: str,
        messages: Iterable[bytes],
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers = None,
    ) -> list[StoredAt]:
        """As `AsyncProducer.send_batch`: many records go together."""
        return self._run(self._client.send_batch(topic, messages, partition, key, headers))

    def flush(self) -> None:
        """As `AsyncProducer.flush`; other threads may be sending."""
        self._run(self._client.flush())


class Consumer(_Blocking[AsyncConsumer]):
    """AsyncConsumer without an event loop; its arguments are the same. `with` subscribes and closes it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(AsyncConsumer, args, options)

    def subscribe(self, topics: str | Sequence[str] = ()) -> None:
        """As `AsyncConsumer.subscribe`: join the group."""
        self._run(self._client.subscribe(topics))

    def poll(self, max_messages: int | None = None, timeout: float | None = 1.0) -> list[Message]:
        """As `AsyncConsumer.poll`: up to so many records, waiting for the first at most `timeout` seconds."""
        return self._run(self._client.poll(max_messages, timeout))

    def commit(self, message: Message | Value | None = None) -> None:
        """As `AsyncConsumer.commit`."""
        self._run(self._client.commit(message))

    @property
    def assignment(self) -> list[tuple[str, int]]:
        """The (topic, partition) that are ours now."""
        return self._client.assignment

    def __iter__(self) -> Iterator[Value]:
        """The values of all records, for ever; waits at the end. Each is committed when the next is asked for."""
        while True:
            for message in self.poll(1, None):
                yield Value(message)


class AdminClient(_Blocking[AsyncAdminClient]):
    """AsyncAdminClient without an event loop; its arguments are the same. `with` closes it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(AsyncAdminClient, args, options)

    def get_cluster_metadata(self, topics: Sequence[str] = ()) -> MetadataReply:
        """As `AsyncAdminClient.get_cluster_metadata`."""
        return self._run(self._client.get_cluster_metadata(topics))

    def list_brokers(self) -> list[Broker]:
        """As `AsyncAdminClient.list_brokers`."""
        return self._run(self._client.list_brokers())

    def list_topics(self) -> list[str]:
        """As `AsyncAdminClient.list_topics`."""
        return self._run(self._client.list_topics())

    def describe_topic(self, topic: str) -> Topic:
        """As `AsyncAdminClient.describe_topic`."""
        return self._run(self._client.describe_topic(topic))

    def get_topic_partitions(self, topic: str) -> list[int]:
        """As `AsyncAdminClient.get_topic_partitions`."""
        return self._run(self._client.get_topic_partitions(topic))

    def get_partition_count(self, topic: str) -> int:
        """As `AsyncAdminClient.get_partition_count`."""
        return self._run(self._client.get_partition_count(topic))

    def get_topic_leaders(self, topic: str) -> dict[int, str]:
        """As `AsyncAdminClient.get_topic_leaders`."""
        return self._run(self._client.get_topic_leaders(topic))

    def create_topic(self, topic: str, partitions: int = 1) -> None:
        """As `AsyncAdminClient.create_topic`."""
        self._run(self._client.create_topic(topic, partitions))


async def _rest() -> None:
    """End what an interrupted call has left running."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
