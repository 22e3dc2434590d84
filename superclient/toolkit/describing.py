"""What KafkaAdmin takes and answers: topics and the cluster as plain values, and errors that name the topic."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, admin

from superclient.errors import KafkaAdminError
from superclient.toolkit import codes
from superclient.toolkit.texts import held

_library: Any = admin  # its types name less than it has
_FIELDS = ("topic", "num_partitions", "replication_factor", "config")
_TIMED_OUT = codes.named("_TIMED_OUT _TIMED_OUT_QUEUE _TRANSPORT _ALL_BROKERS_DOWN")


class PartitionDescription(NamedTuple):
    """Where a partition is: ids of brokers, `leader` None where there is none."""

    partition: int
    leader: int | None
    replicas: list[int]
    in_sync: list[int]


class TopicDescription(NamedTuple):
    """A topic; `config` has what was set for it alone, None where the rights do not suffice to see it."""

    topic: str
    internal: bool
    partitions: list[PartitionDescription]
    config: dict[str, str | None] | None

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**self._asdict(), "partitions": [one._asdict() for one in self.partitions]}


class BrokerDescription(NamedTuple):
    """One broker and the address at which clients reach it."""

    id: int
    host: str
    port: int
    rack: str | None


class ClusterMetadata(NamedTuple):
    """The cluster; `controller` is a broker's id, None where none is known."""

    cluster_id: str | None
    controller: int | None
    brokers: list[BrokerDescription]
    topics: int

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**self._asdict(), "brokers": [one._asdict() for one in self.brokers]}


def new_topics(topics: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The library's form of `[{"topic": …, "num_partitions": …, "replication_factor": …, "config": {…}}]`.

    Raises:
        TypeError: no list of dicts.
        ValueError: a key or a value that cannot be meant, a topic that is named twice; nothing at all.
    """
    if isinstance(topics, (str, bytes, Mapping)) or not isinstance(topics, Sequence):
        raise TypeError(f"topics is {topics!r}: it takes a list of dicts, also for one")
    found = [_new_topic(one) for one in topics]
    if not found:
        raise ValueError("topics is empty")
    names = [one.topic for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"topics names {', '.join(twice)} twice")
    return found


def description(found: Any, config: dict[str, str | None] | None) -> TopicDescription:
    """Of the library's TopicDescription."""
    partitions = [
        PartitionDescription(
            one.id, _broker(one.leader), [node.id for node in one.replicas], [node.id for node in one.isr]
        )
        for one in sorted(found.partitions, key=lambda one: one.id)
    ]
    return TopicDescription(found.name, bool(found.is_internal), partitions, config)


def cluster(found: Any, topics: int) -> ClusterMetadata:
    """Of the library's DescribeClusterResult."""
    brokers = sorted(BrokerDescription(one.id, one.host, one.port, one.rack) for one in found.nodes)
    return ClusterMetadata(found.cluster_id, _broker(found.controller), brokers, topics)


def outcome(doing: str, asked: Mapping[str, "Future[Any]"], why: Callable[[], str]) -> list[str]:
    """The topics, when all futures have succeeded.

    Raises:
        KafkaAdminError: some have not; each is named with its reason, then those that have.
    """
    failed = {name: future.exception() for name, future in asked.items() if future.exception() is not None}
    if not failed:
        return list(asked)
    succeeded = [name for name in asked if name not in failed]
    errors = [failure(error, f"{doing} {name}", why) for name, error in failed.items()]
    done = f"; done: {', '.join(succeeded)}" if succeeded and not doing.startswith("describe") else ""
    raise KafkaAdminError("; ".join(map(str, errors)) + done, errors[0].code) from next(iter(failed.values()))


def failure(error: KafkaError | BaseException | None, doing: str, why: Callable[[], str] = str) -> KafkaAdminError:
    """What is raised for an error of the library's; `why` adds what was said of the connection to a time-out."""
    found = codes.error_of(error) if isinstance(error, BaseException) else error
    if found is None:
        return KafkaAdminError(f"{doing}: {error}")
    more = why() if found.code() in _TIMED_OUT else ""
    return KafkaAdminError(f"{doing}: {found.str()} ({found.name()}){more}", found.name())


def _new_topic(wanted: Mapping[str, Any]) -> Any:
    if not isinstance(wanted, Mapping):
        raise TypeError(f"topics has {wanted!r}: it takes dicts of {', '.join(_FIELDS)}")
    unknown = sorted(str(name) for name in wanted if name not in _FIELDS)
    if unknown:
        raise ValueError(f"{unknown[0]} is nothing a new topic has: it takes {', '.join(_FIELDS)}")
    name = wanted.get("topic")
    if not isinstance(name, str) or not name:
        raise ValueError(f"topic is {name!r}: it takes a name")
    held(f"topic {name!r}", name)
    config = wanted.get("config") or {}
    if not isinstance(config, Mapping):
        raise ValueError(f"config of {name} is {config!r}: it takes a dict")
    return _library.NewTopic(
        name,
        num_partitions=_count(wanted, "num_partitions", 100_000),
        replication_factor=_count(wanted, "replication_factor", 10_000),
        config={
            held(f"a name in config of {name}", str(key)): held(f"{key} of {name}", _text(value))
            for key, value in config.items()
        },
    )


def _count(wanted: Mapping[str, Any], field: str, most: int) -> int:
    value = wanted.get(field)
    if value is None:
        return -1  # the brokers' default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{field} of {wanted['topic']} is {value!r}: it takes a number from 1 to {most:,}")
    return value


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _broker(node: Any) -> int | None:
    return node.id if node is not None and node.id >= 0 else None
