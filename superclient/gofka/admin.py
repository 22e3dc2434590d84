"""AsyncAdminClient: what brokers and topics there are, and new topics."""

import asyncio
from collections.abc import Sequence
from ssl import SSLContext
from types import TracebackType

from superclient.gofka.cluster import Cluster
from superclient.gofka.errors import ConnectionError, MetadataError  # noqa: A004
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.names import check_topic
from superclient.gofka.wire import Broker, BrokerError, CreateTopic, Metadata, MetadataReply, Topic, WireError


class AsyncAdminClient:
    """Asks the brokers of a list; for one event loop. `async with` closes it.

    Topics are those of the first broker that answers: each keeps its own.

    Args:
        brokers: "host:port", several with commas or as a list.
        client_id: what they are told.
        timeout: seconds for connecting, and for each request.
        use_ssl, ssl_context: encrypt, verifying as the context says (by default the system's authorities and the name).
        retry_policy: how often the whole list is tried before it is an error.

    All methods raise ConnectionError where no broker answers.
    """

    def __init__(
        self,
        brokers: str | Sequence[str],
        client_id: str = "superclient",
        timeout: float = 30.0,
        use_ssl: bool = False,
        ssl_context: SSLContext | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self._cluster = Cluster(
            brokers,
            client_id=client_id,
            timeout=timeout,
            use_ssl=use_ssl,
            ssl_context=ssl_context,
            retry_policy=retry_policy,
        )

    async def get_cluster_metadata(self, topics: Sequence[str] | None = None) -> MetadataReply:
        """All brokers of the list that answer, by id; and these topics (none named: all), by name, partitions in order.

        A topic that there is not has no partitions.
        """
        if isinstance(topics, str):
            raise TypeError("topics is a list of names")
        found = await self._ask(tuple(topics or ()))
        told = await asyncio.gather(*map(self._brokers, range(len(self._cluster.brokers))))
        brokers = {each.id: each for answer in told for each in answer}
        ordered = tuple(sorted((_ordered(each) for each in found.topics), key=lambda each: each.name))
        return MetadataReply(tuple(brokers[each] for each in sorted(brokers)), ordered)

    async def list_brokers(self) -> list[Broker]:
        """Those of the list that answer; `address` is "host:port"."""
        return list((await self.get_cluster_metadata()).brokers)

    async def list_topics(self) -> list[str]:
        """The names of all topics, in order."""
        return sorted(each.name for each in (await self._ask()).topics)

    async def describe_topic(self, topic: str) -> Topic:
        """Its partitions, in order. Raises MetadataError where there is no such topic."""
        for each in (await self._ask((topic,))).topics:
            if each.name == topic and each.partitions:
                return _ordered(each)
        raise MetadataError(f"there is no topic {topic}")

    async def get_topic_partitions(self, topic: str) -> list[int]:
        """The numbers of its partitions, in order. Raises MetadataError where there is no such topic."""
        return [each.id for each in (await self.describe_topic(topic)).partitions]

    async def get_partition_count(self, topic: str) -> int:
        """How many partitions it has. Raises MetadataError where there is no such topic."""
        return len((await self.describe_topic(topic)).partitions)

    async def get_topic_leaders(self, topic: str) -> dict[int, str]:
        """The id of each partition's leader. Raises MetadataError where there is no such topic."""
        return {each.id: each.leader for each in (await self.describe_topic(topic)).partitions}

    async def create_topic(self, topic: str, partitions: int = 1) -> None:
        """Make a topic. The broker keeps all records in partition 0; the others are for clients that reckon with them.

        Raises MetadataError where there is such a topic (the broker would replace its number of partitions), or it
        cannot be made; ValueError for a name or number that cannot be meant.
        """
        check_topic(topic)
        if not isinstance(partitions, int) or not 0 < partitions < 2**31:
            raise ValueError(f"partitions is a number above 0; it is {partitions!r}")
        for each in (await self._ask((topic,))).topics:
            if each.name == topic and each.partitions:
                raise MetadataError(f"there is a topic {topic}, with {len(each.partitions)} partitions")
        try:
            await self._cluster.request(CreateTopic(topic, partitions))
        except BrokerError as error:
            raise MetadataError(f"the topic {topic} was not made: {error}") from error

    async def _ask(self, topics: Sequence[str] = ()) -> MetadataReply:
        return await self._cluster.ask(Metadata(topics))

    async def _brokers(self, index: int) -> list[Broker]:
        """What a broker of the list says of itself; nothing, where it is not part of the cluster now."""
        try:
            async with await self._cluster.open(index) as connection:
                reply = await connection.request(Metadata(("superclient",)))  # none named would be all
        except (ConnectionError, WireError):
            return []
        host = connection.address.rpartition(":")[0]  # where we reach one that was not told its host
        return [
            each._replace(address=host + each.address) if each.address[:1] == ":" else each for each in reply.brokers
        ]

    async def close(self) -> None:
        """Close the connection."""
        await self._cluster.aclose()

    async def __aenter__(self) -> "AsyncAdminClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _ordered(topic: Topic) -> Topic:
    return topic._replace(partitions=tuple(sorted(topic.partitions, key=lambda each: each.id)))
