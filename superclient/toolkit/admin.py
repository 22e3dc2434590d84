"""KafkaAdmin: topics and the cluster, as plain values; sync and asyncio over one core.

    with KafkaAdmin(AdminConfig("localhost:9092")) as admin:
        admin.create_topics([{"topic": "orders", "num_partitions": 6, "config": {"retention.ms": "86400000"}}])
        print(admin.describe_topics(["orders"])[0].to_dict())

No call creates a topic by looking at it, and each ends within `request_timeout_ms`. A call is written once, as a
generator that yields the futures it waits for; the two faces differ in how they wait.
"""

import asyncio
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, admin

from superclient.errors import KafkaAdminError
from superclient.toolkit import codes, describing
from superclient.toolkit.ahead import done
from superclient.toolkit.config import AdminConfig, topic_list
from superclient.toolkit.describing import ClusterMetadata, TopicDescription, failure, outcome

T = TypeVar("T")
_library: Any = admin  # its types name less than it has
Steps = Generator[Iterable["Future[Any]"], None, T]
Self = Any  # typing's own is of Python 3.11

_SLICE = 0.1  # seconds between two looks at what the library says of the connection
_SETTLED = 5.0  # seconds until a broker that is asked knows what the controller has done
_INTERNAL = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"})
_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION})
_DENIED = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})
_HOPELESS = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})


class KafkaAdmin:
    """Creates, describes and deletes topics. Each call has a twin for asyncio, named with an `a` before it.

    Every call raises KafkaAdminError: its message names the topic and the reason.
    """

    def __init__(self, config: AdminConfig) -> None:
        self.config = config
        settings = config.to_library()
        self._error_cb = settings.get("error_cb")
        self._said: KafkaError | None = None  # of the connection, by the library
        self._executor: ThreadPoolExecutor | None = None
        self._closed = False
        self.client: Any = _library.AdminClient({**settings, "error_cb": self._on_error})
        """The library's own, for whatever is not here."""

    @classmethod
    def from_env_config(cls, env: str | None = None, path: str | None = None, **overrides: Any) -> "KafkaAdmin":
        """From an environment of the configuration file; `overrides` are fields of AdminConfig.

        Raises:
            ConfigFileError: the file named is absent, or one that is there is malformed.
        """
        return cls(AdminConfig.from_env_config(env, path, **overrides))

    def create_topics(self, topics: Sequence[Mapping[str, Any]]) -> list[str]:
        """Create them: `[{"topic": …, "num_partitions": …, "replication_factor": …, "config": {…}}]`; their names.

        What is left out is the brokers' own default. Where some cannot be created, the others are, and the error says
        so. When it returns, the brokers know the topics.

        Raises:
            ValueError, TypeError: a description that cannot be meant.
        """
        return self._run(self._create(topics))

    async def acreate_topics(self, topics: Sequence[Mapping[str, Any]]) -> list[str]:
        """See create_topics."""
        return await self._arun(self._create(topics))

    def delete_topics(self, topics: Sequence[str]) -> list[str]:
        """Delete them with all their records; their names. Where some cannot be deleted, the others are.

        Raises:
            TypeError: one text instead of a list.
        """
        return self._run(self._delete(topics))

    async def adelete_topics(self, topics: Sequence[str]) -> list[str]:
        """See delete_topics."""
        return await self._arun(self._delete(topics))

    def list_topics(self, internal: bool = False) -> list[str]:
        """The names of all topics one may see, sorted; with `internal` those of Kafka's own as well."""
        return self._run(self._list(internal))

    async def alist_topics(self, internal: bool = False) -> list[str]:
        """See list_topics."""
        return await self._arun(self._list(internal))

    def describe_topics(self, topics: Sequence[str] | None = None) -> list[TopicDescription]:
        """Partitions, leaders, replicas and configuration, in the order asked for; None: of all topics."""
        return self._run(self._describe(topics))

    async def adescribe_topics(self, topics: Sequence[str] | None = None) -> list[TopicDescription]:
        """See describe_topics."""
        return await self._arun(self._describe(topics))

    def topic_exists(self, topic: str) -> bool:
        """Whether it does; one that may not be seen raises."""
        return self._run(self._exists(topic))

    async def atopic_exists(self, topic: str) -> bool:
        """See topic_exists."""
        return await self._arun(self._exists(topic))

    def cluster_metadata(self) -> ClusterMetadata:
        """The cluster's id, controller and brokers, and how many topics it has."""
        return self._run(self._cluster())

    async def acluster_metadata(self) -> ClusterMetadata:
        """See cluster_metadata."""
        return await self._arun(self._cluster())

    def close(self) -> None:
        """Take no more calls; once more does nothing."""
        self._closed = True
        if self._executor is not None:
            self._executor.shutdown(wait=True)

    async def aclose(self) -> None:
        """See close."""
        await asyncio.get_running_loop().run_in_executor(None, self.close) if self._executor else self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- The calls ---

    def _create(self, topics: Sequence[Mapping[str, Any]]) -> Steps[list[str]]:
        wanted = describing.new_topics(topics)
        until = self._until()
        asked = self._ask(self.client.create_topics, wanted, until)
        yield asked.values()
        created = outcome("create topic", asked, self._why)
        yield from self._settle(created, until, there=True)
        return created

    def _delete(self, topics: Sequence[str]) -> Steps[list[str]]:
        until = self._until()
        asked = self._ask(self.client.delete_topics, topic_list(topics), until)
        yield asked.values()
        deleted = outcome("delete topic", asked, self._why)
        yield from self._settle(deleted, until, there=False)
        return deleted

    def _list(self, internal: bool) -> Steps[list[str]]:
        listing = yield from self._metadata(self._until())
        return sorted(name for name in listing.topics if internal or name not in _INTERNAL)

    def _describe(self, topics: Sequence[str] | None) -> Steps[list[TopicDescription]]:
        until = self._until()
        if topics is None:
            listing = yield from self._metadata(until)
            names = sorted(set(listing.topics) - _INTERNAL)
        else:
            names = topic_list(topics)
        if not names:
            return []
        asked = self._ask(self.client.describe_topics, TopicCollection(list(dict.fromkeys(names))), until)
        yield asked.values()
        outcome("describe topic", asked, self._why)
        resources = [_library.ConfigResource(_library.ResourceType.TOPIC, name) for name in asked]
        configs = self._ask(self.client.describe_configs, resources, until)
        yield configs.values()
        found = {resource.name: self._config(resource.name, future) for resource, future in configs.items()}
        return [describing.description(asked[name].result(), found[name]) for name in names]

    def _exists(self, topic: str) -> Steps[bool]:
        asked = self._ask(self.client.describe_topics, TopicCollection(topic_list([topic])), self._until())
        yield asked.values()
        if codes.is_any(asked[topic].exception(), _MISSING):
            return False
        outcome("describe topic", asked, self._why)
        return True

    def _cluster(self) -> Steps[ClusterMetadata]:
        until = self._until()
        asked = self.client.describe_cluster(request_timeout=_left(until))
        yield [asked]
        try:
            found = asked.result()
        except KafkaException as error:
            raise failure(error, "describe the cluster", self._why) from error
        listing = yield from self._metadata(until)
        return describing.cluster(found, len(set(listing.topics) - _INTERNAL))

    def _metadata(self, until: float) -> Steps[Any]:
        """All topics. There is no future for it in the library: it is asked on a thread, in slices that can be left."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="superclient-admin")
        asked = self._executor.submit(self._list_topics, until)
        yield [asked]
        try:
            return asked.result()
        except KafkaException as error:
            raise failure(error, "list topics", self._why) from error

    def _list_topics(self, until: float) -> Any:
        patience = 0.5
        while True:
            try:
                return self.client.list_topics(timeout=min(patience, _left(until)))
            except KafkaException:
                if self._closed or time.monotonic() >= until:
                    raise
                patience *= 2  # seconds: a slow cluster gets its answer through

    def _settle(self, topics: list[str], until: float, there: bool) -> Steps[None]:
        """Wait until the brokers know of what was done; where they do not say, that is no error."""
        until = min(until, time.monotonic() + _SETTLED)
        while topics and time.monotonic() < until:
            asked = self._ask(self.client.describe_topics, TopicCollection(topics), until)
            yield asked.values()
            missing = [name for name, future in asked.items() if codes.is_any(future.exception(), _MISSING)]
            topics = missing if there else [name for name, future in asked.items() if future.exception() is None]

    def _config(self, topic: str, asked: "Future[Any]") -> dict[str, str | None] | None:
        try:
            entries = asked.result()
        except KafkaException as error:
            if codes.is_any(error, _DENIED):
                return None
            raise failure(error, f"configuration of topic {topic}", self._why) from error
        own = _library.ConfigSource.DYNAMIC_TOPIC_CONFIG.value  # the library answers its number
        return {name: one.value for name, one in sorted(entries.items()) if one.source == own}

    # --- Waiting ---

    def _ask(self, call: Any, what: Any, until: float) -> dict[Any, "Future[Any]"]:
        if self._closed:
            raise KafkaAdminError("the admin client is closed")
        found: dict[Any, Future[Any]] = call(what, request_timeout=_left(until))
        return found

    def _run(self, steps: Steps[T]) -> T:
        try:
            while True:
                for future in next(steps):
                    while not futures.wait([future], _SLICE).done:
                        self._look()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _arun(self, steps: Steps[T]) -> T:
        try:
            while True:
                for future in next(steps):
                    while not await done(future, _SLICE):
                        self._look()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _look(self) -> None:
        """What waiting will not mend ends it.

        Raises:
            KafkaAdminError: wrong credentials, or a certificate that one side refuses.
        """
        self.client.poll(0)  # serves error_cb
        if codes.is_any(self._said, _HOPELESS):
            raise failure(self._said, "connect")

    def _on_error(self, error: KafkaError) -> None:
        self._said = error
        if self._error_cb is not None:
            self._error_cb(error)

    def _why(self) -> str:
        """What the library said of the connection, for a call that timed out."""
        self.client.poll(0)
        return "" if self._said is None else f": {self._said.str()}"

    def _until(self) -> float:
        if self._closed:
            raise KafkaAdminError("the admin client is closed")
        self._said = None
        return time.monotonic() + self.config.request_timeout_ms / 1000


def _left(until: float) -> float:
    return max(0.01, until - time.monotonic())
