"""AsyncConsumer: the records of some topics, shared with the other members of a group."""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Sequence
from ssl import SSLContext
from types import TracebackType

from superclient.gofka.assignment import STRATEGIES, Place
from superclient.gofka.cluster import Cluster
from superclient.gofka.errors import ConsumeError, OffsetError
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.membership import Member
from superclient.gofka.message import Message, StoredAt, Value
from superclient.gofka.names import check_group, check_topic
from superclient.gofka.subscription import Subscription

_YIELD = 0.005  # seconds for which a program may find one record after the other without the loop's taking a step


class AsyncConsumer:
    """Reads topics as a member of a group; for one event loop. `async with` subscribes and closes it.

    Each record is handed out at least once to somebody in the group: what was not committed is read again by whoever
    gets its partition. Copies that a producer sent twice are left out. The broker has no real partitions: all records
    are in partition 0, and its owner reads them all.

    Args:
        brokers: "host:port", several with commas or as a list; groups and offsets are those of the first that answers.
        group_id: the group's name.
        topics: what is read.
        auto_commit: commit a record when the next one is asked for, and on close.
        auto_offset_reset: where to begin without a committed offset, or with one that the log does not have any more:
            "earliest" or "latest".
        session_timeout: milliseconds without a sign of life after which the group shares our partitions out.
        max_poll_records: records that one `poll` returns at most.
        assignment_strategy: "range" or "roundrobin"; the same for the whole group.
        client_id: what the broker is told.
        timeout: seconds for connecting, and for each request.
        use_ssl, ssl_context: encrypt, verifying as the context says (by default the system's authorities and the name).
        retry_policy: how often the whole list of brokers is tried before it is an error.

    Raises ValueError for what cannot be meant.
    """

    def __init__(
        self,
        brokers: str | Sequence[str],
        group_id: str,
        topics: str | Sequence[str] = (),
        auto_commit: bool = True,
        auto_offset_reset: str = "earliest",
        session_timeout: int = 30_000,
        max_poll_records: int = 500,
        assignment_strategy: str = "range",
        *,
        client_id: str = "superclient",
        timeout: float = 30.0,
        use_ssl: bool = False,
        ssl_context: SSLContext | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        if auto_offset_reset not in ("earliest", "latest"):
            raise ValueError(f'auto_offset_reset is "earliest" or "latest"; it is {auto_offset_reset!r}')
        if assignment_strategy not in STRATEGIES:
            raise ValueError(f"assignment_strategy is one of {', '.join(STRATEGIES)}; it is {assignment_strategy!r}")
        for name, number in (("session_timeout", session_timeout), ("max_poll_records", max_poll_records)):
            if not isinstance(number, int) or not 0 < number < 2**31:
                raise ValueError(f"{name} is a whole number, 1 to {2**31 - 1}; it is {number!r}")
        self._group = check_group(group_id)
        self._topics = _checked(topics)
        self._session = session_timeout
        self._most = max_poll_records
        self._strategy = STRATEGIES[assignment_strategy]
        self._auto_commit = auto_commit
        self._latest = auto_offset_reset == "latest"
        self._cluster = Cluster(
            brokers,
            client_id=client_id,
            timeout=timeout,
            use_ssl=use_ssl,
            ssl_context=ssl_context,
            retry_policy=retry_policy,
        )
        self._id = f"{client_id[:100]}-{os.urandom(16).hex()}"
        self._subscription: Subscription | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unseen: deque[Message] = deque()  # taken by a call of the sync face that was interrupted
        self._yielded = 0.0
        self._left_out = 0
        self._closed = False

    async def subscribe(self, topics: str | Sequence[str] = ()) -> None:
        """Join the group, and return once our partitions are known, and where each is read.

        In a `with` block, after a `poll` or when called again there is nothing to join, only to wait for; the topics
        are the same then. Raises MetadataError for a topic that there is not, ConnectionError, GroupCoordinationError,
        ConsumeError (it may be tried again then), and ValueError for other topics than those it is subscribed to.
        """
        wanted, before = _checked(topics), self._joined()
        if before is None:
            self._topics = wanted or self._topics
        elif wanted and {*wanted} != {*self._topics}:
            raise ValueError("it is subscribed; make a new consumer for other topics")
        subscription = before or self._begun()
        try:
            while self._subscription is subscription and not subscription.is_placed:
                await subscription.news()
        except BaseException:
            if before is None:
                await self._end(done=False)
            raise

    def __aiter__(self) -> "AsyncConsumer":
        return self

    async def __anext__(self) -> Value:
        """The value of the next record, as bytes that know their `message`; waits for it. Raises as `poll` does."""
        found = await self.poll(1, None)
        if not found:
            raise StopAsyncIteration
        return Value(found[0])

    async def poll(self, max_messages: int | None = None, timeout: float | None = 1.0) -> list[Message]:
        """Up to `max_messages` (and `max_poll_records`) records; waits for the first of them. Subscribes at first.

        At most `timeout` seconds; None: for ever. Empty: there was none in time, or the consumer is closed.

        Raises ConsumeError where a log cannot be read, ConnectionError where a connection is lost or no broker answers,
        MetadataError and GroupCoordinationError. Each is raised once and works on behind it: asking again goes on.
        """
        if max_messages is not None and max_messages < 1:
            raise ValueError(f"max_messages is above 0; it is {max_messages!r}")
        if self._closed:
            return []
        subscription = self._joined() or self._begun()
        subscription.settle(list(self._unseen))
        most = self._most if max_messages is None else min(max_messages, self._most)
        loop = asyncio.get_running_loop()
        now = loop.time()
        deadline = None if timeout is None else now + timeout
        if subscription.is_due or now > self._yielded + _YIELD:
            await asyncio.sleep(0)  # heartbeats and commits go on under a program that always finds a record
            self._yielded = loop.time()
        while self._subscription is subscription:  # not after a close
            if found := subscription.take(most):
                return found
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                await asyncio.sleep(0)  # whoever asks again and again without waiting lets the loop take its steps too
                return subscription.take(most)
            await subscription.news(left)
        return []

    async def commit(self, message: Message | Value | None = None) -> None:
        """Commit behind this record, or (None) behind all that were handed out, the last ones too.

        In the middle of a batch its own offset is stored, so that after a crash its first records come again.
        A message made by hand, whose offset is an `int` without a place in a batch, is of the partition that it says.
        Raises OffsetError where the broker does not store it, or must not; ConnectionError; ConsumeError when not
        subscribed.
        """
        subscription = self._joined()
        if subscription is None:
            raise ConsumeError("the consumer is closed" if self._closed else "the consumer is not subscribed")
        if message is None:
            subscription.settle(list(self._unseen))
            await subscription.commit_all()
            return
        told = message.message if isinstance(message, Value) else message
        if told.topic not in self._topics:
            raise OffsetError(f"{told.topic!r} is not among the topics of this consumer")
        at = told.offset if isinstance(told.offset, StoredAt) else StoredAt(told.offset, partition=told.partition)
        await subscription.commit((told.topic, at.partition), at.behind)

    async def close(self) -> None:
        """Commit (with auto_commit), leave the group, close. What was handed out counts as done with."""
        self._closed = True
        await self._end(done=True)

    async def __aenter__(self) -> "AsyncConsumer":
        if self._topics:
            await self.subscribe()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        await self._end(done=error is None)  # whoever raised is not done with what it has

    async def _end(self, done: bool) -> None:
        subscription = self._joined()
        self._subscription = None
        try:
            if subscription is not None:
                subscription.settle(list(self._unseen)) if done else subscription.drop()
                try:
                    await subscription.end()
                finally:
                    self._left_out += subscription.duplicates
        finally:
            await self._cluster.aclose()

    @property
    def assignment(self) -> list[Place]:
        """The (topic, partition) that are ours now."""
        return [] if self._subscription is None else self._subscription.places

    @property
    def duplicates(self) -> int:
        """Records that were left out, since their producer had sent them twice."""
        return self._left_out + (self._subscription.duplicates if self._subscription else 0)

    def _joined(self) -> Subscription | None:
        """The membership at work, if there is one; it works in the loop in which it was begun."""
        if self._subscription is not None and self._loop is not asyncio.get_running_loop():
            raise RuntimeError("a consumer is for one event loop")
        return self._subscription

    def _begun(self) -> Subscription:
        if self._closed:
            raise ConsumeError("the consumer is closed")
        if not self._topics:
            raise ValueError("at least one topic is needed")
        member = Member(
            self._group, self._id, self._cluster.client_id, socket.gethostname(), self._session, self._topics
        )
        self._loop = asyncio.get_running_loop()
        self._subscription = Subscription(
            self._cluster,
            member,
            self._strategy,
            auto_commit=self._auto_commit,
            latest=self._latest,
            most=self._most,
        )
        return self._subscription


def _checked(topics: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check_topic(topic) for topic in ([topics] if isinstance(topics, str) else topics)))
