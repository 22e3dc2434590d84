"""Producer, Consumer and AdminClient for programs without an event loop: the asyncio ones, on a loop of their own.

Each client has a thread for its loop, so that heartbeats go out while the program is busy. Any thread may call; a call
that is interrupted (Ctrl-C) is cancelled. A client that is dropped, or is open when the interpreter ends, closes as
after an exception: what the program may not have been done with is not committed.
"""

import atexit
import time
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from functools import update_wrapper
from threading import Lock
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from superclient.gofka.admin import AsyncAdminClient
from superclient.gofka.consumer import AsyncConsumer
from superclient.gofka.errors import GofkaError
from superclient.gofka.message import Message, StoredAt, Value
from superclient.gofka.producer import AsyncProducer
from superclient.gofka.sendable import Headers
from superclient.gofka.threaded import LoopThread
from superclient.gofka.wire import Broker, MetadataReply, Topic

T = TypeVar("T")
P = ParamSpec("P")
Client = TypeVar("Client", bound="_Closing")
Self = TypeVar("Self", bound="_Blocking[Any]")

_AT_EXIT = 2.0  # seconds that all clients which are open then have together


class _Closing(Protocol):
    def close(self) -> Coroutine[Any, Any, None]: ...

    def __aenter__(self) -> Coroutine[Any, Any, Any]: ...

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Coroutine[Any, Any, None]: ...


class _Blocking(Generic[Client]):
    """A client of asyncio's on the loop of a thread of its own."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._thread = LoopThread("superclient.gofka")
        self._closing = Lock()
        self._dropped = weakref.finalize(self, _abandon, self._thread, client)
        self._dropped.atexit = False  # `_abandon_all` does it for all at once
        _open.add(self)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.run(work)

    def close(self) -> None:
        """End the client as its asyncio twin does, then its thread. May be called again."""
        self._end(self._client.close())

    def _end(self, last: Coroutine[Any, Any, None]) -> None:
        if self._thread.is_forked:  # it is the other process's; its connections are too
            last.close()
            return
        with self._closing:
            if self._thread.ended:
                last.close()
                return
            try:
                self._run(last)
            finally:
                self._dropped.detach()
                self._thread.end()
                self._thread.join()

    def __enter__(self: Self) -> Self:
        try:
            self._run(self._client.__aenter__())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(self._client.__aexit__(kind, error, trace))


_open: "weakref.WeakSet[_Blocking[Any]]" = weakref.WeakSet()


def _abandon(thread: LoopThread, client: _Closing) -> None:
    if not thread.is_forked:
        thread.end(client.__aexit__(SystemExit, SystemExit(), None))


@atexit.register
def _abandon_all() -> None:
    deadline = time.monotonic() + _AT_EXIT
    clients = list(_open)
    for client in clients:
        _abandon(client._thread, client._client)
    for client in clients:
        if not client._thread.is_forked:
            client._thread.join(max(0.0, deadline - time.monotonic()))


def _arguments_of(kind: Callable[P, object]) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """An `__init__` that takes those of another class, for type checkers and `help` to see."""

    def told(init: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        return update_wrapper(init, vars(kind)["__init__"], assigned=(), updated=())

    return told


class Producer(_Blocking[AsyncProducer]):
    """AsyncProducer without an event loop; its arguments are the same. `with` closes it."""

    @_arguments_of(AsyncProducer)
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(AsyncProducer(*args, **options))

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

    @_arguments_of(AsyncConsumer)
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(AsyncConsumer(*args, **options))
        self._kept = self._client._unseen  # taken, and not handed out

    def subscribe(self, topics: str | Sequence[str] = ()) -> None:
        """As `AsyncConsumer.subscribe`: join the group."""
        self._run(self._client.subscribe(topics))

    def poll(self, max_messages: int | None = None, timeout: float | None = 1.0) -> list[Message]:
        """As `AsyncConsumer.poll`: up to so many records, waiting for the first at most `timeout` seconds."""
        self._run(self._take(max_messages, timeout))
        found: list[Message] = []
        while self._kept and (max_messages is None or len(found) < max_messages):
            found.append(self._kept.popleft())
        return found

    async def _take(self, max_messages: int | None, timeout: float | None) -> None:
        """Of what a call took that was interrupted, nothing is lost: the next one hands it out."""
        if not self._kept:
            self._kept.extend(await self._client.poll(max_messages, timeout))

    def commit(self, message: Message | Value | None = None) -> None:
        """As `AsyncConsumer.commit`; what an interrupted `poll` had taken is not handed out yet."""
        self._run(self._client.commit(message))

    @property
    def assignment(self) -> list[tuple[str, int]]:
        """The (topic, partition) that are ours now."""
        return self._client.assignment

    @property
    def duplicates(self) -> int:
        """Records that were left out, since their producer had sent them twice."""
        return self._client.duplicates

    def __iter__(self) -> Iterator[Value]:
        """The values of all records; waits at the end, until the consumer is closed. Each is committed when the next is
        asked for.
        """
        while True:
            try:
                found = self.poll(1, None)
            except GofkaError:
                if self._thread.ended:
                    return
                raise
            yield from map(Value, found)


class AdminClient(_Blocking[AsyncAdminClient]):
    """AsyncAdminClient without an event loop; its arguments are the same. `with` closes it."""

    @_arguments_of(AsyncAdminClient)
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(AsyncAdminClient(*args, **options))

    def get_cluster_metadata(self, topics: Sequence[str] | None = None) -> MetadataReply:
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
