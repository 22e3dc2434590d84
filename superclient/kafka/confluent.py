"""Small reads and writes through confluent-kafka (2.3 to 2.16)."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from superclient.errors import ClusterError, NotAuthorized, TopicMissing, Unreachable
from superclient.kafka._bounded import Deadline, bounded
from superclient.kafka.connection import Connection, Found, LastRecord, OffsetsReader
from superclient.kafka.internal import CLIENT_ID_PREFIX

T = TypeVar("T")

_CLIENT_ID = CLIENT_ID_PREFIX + "confluent-kafka"
_FIRST_SLICE, _LAST_SLICE = 0.02, 0.2  # seconds of one blocking call: callbacks are served between two of them

# librdkafka's names of errors.
_DENIED = frozenset({
    "_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED",
    "SECURITY_DISABLED", "UNSUPPORTED_SASL_MECHANISM",
})  # fmt: skip
_GROUP = frozenset({"GROUP_AUTHORIZATION_FAILED"})  # a right that we can do without: the group is never joined
_MISSING = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "TOPIC_EXCEPTION"})
_AWAY = frozenset({
    "_ALL_BROKERS_DOWN", "_TRANSPORT", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "_MSG_TIMED_OUT", "_RESOLVE", "_SSL",
    "_WAIT_COORD", "_NOENT", "_PURGE_QUEUE", "_PURGE_INFLIGHT", "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION",
    "LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION", "BROKER_NOT_AVAILABLE",
})  # fmt: skip


def describe_topic(connection: Connection, topic: str, timeout: float) -> int | None:
    """Number of partitions, or None where the topic does not exist."""
    return bounded(timeout, lambda deadline: _describe(connection, topic, deadline))


def last_record(connection: Connection, topic: str, timeout: float) -> LastRecord:
    """The last committed record of partition 0."""
    return bounded(timeout, lambda deadline: _last_record(connection, topic, deadline))


def send(connection: Connection, topic: str, records: Sequence[tuple[bytes, bytes]], timeout: float) -> int:
    """Number of acknowledged records; raises where there are some and none was acknowledged."""
    return bounded(timeout, lambda deadline: _send(connection, topic, records, deadline))


def offsets_reader(connection: Connection) -> OffsetsReader:
    """What reads offsets again and again; connects when it is first asked to."""
    from superclient.kafka.offsets import confluent

    return confluent.offsets_reader(connection)


def _describe(connection: Connection, topic: str, deadline: Deadline) -> int | None:
    # Not by a consumer: its group, which it must have, is looked up, which needs a right and creates a topic on a new
    # cluster. Not by list_topics: asked by name, an admin client's or producer's creates the topic.
    from concurrent.futures import TimeoutError as NotYet  # up to Python 3.10 not the built-in one

    from confluent_kafka import KafkaException, TopicCollection
    from confluent_kafka.admin import AdminClient

    watch = _Watch()
    settings: dict[str, Any] = {**connection.settings, **_common(watch)}
    admin = AdminClient(settings)
    futures = admin.describe_topics(TopicCollection([topic]), request_timeout=max(deadline.left(), 0.01))
    while True:
        try:
            return len(futures[topic].result(min(_FIRST_SLICE, deadline.left())).partitions) or None
        except NotYet:
            admin.poll(0)
            watch.check()
        except KafkaException as error:
            failure = _translate(error.args[0])
            if isinstance(failure, TopicMissing):
                return None
            raise failure from None


def _last_record(connection: Connection, topic: str, deadline: Deadline) -> LastRecord:
    if _describe(connection, topic, deadline) is None:
        return LastRecord(Found.NO_TOPIC)
    return _Reader(connection, deadline).last_record(topic)


def _send(connection: Connection, topic: str, records: Sequence[tuple[bytes, bytes]], deadline: Deadline) -> int:
    if _describe(connection, topic, deadline) is None:
        raise TopicMissing(f"there is no topic {topic}")
    from confluent_kafka.cimpl import Producer  # what others put in its place stands one level up

    outcomes: list[Any] = []
    watch = _Watch()
    own = {"linger.ms": 0, "acks": 1, "message.timeout.ms": deadline.left_ms(), "message.max.bytes": 8 * 1024 * 1024}
    producer = Producer({**connection.settings, **own, **_common(watch)})
    for key, value in records:
        producer.produce(topic, value=value, key=key, on_delivery=lambda error, _: outcomes.append(error))
    while len(outcomes) < len(records):
        producer.poll(min(_LAST_SLICE, deadline.left()))
        watch.check()
    acknowledged = outcomes.count(None)
    if records and not acknowledged:
        raise _translate(outcomes[0])
    return acknowledged


class _Watch:
    """What librdkafka says about the connection while a call is waiting."""

    def __init__(self) -> None:
        self._fatal: ClusterError | None = None

    def __call__(self, error: Any) -> None:
        """Take an error as `error_cb` does; the first that waiting will not mend is kept."""
        found = _translate(error)
        if self._fatal is None and (isinstance(found, NotAuthorized) or error.name() == "_ALL_BROKERS_DOWN"):
            self._fatal = found

    def check(self) -> None:
        """Raise what was kept."""
        if self._fatal is not None:
            raise self._fatal


class _Reader:
    """A consumer without a group: it only ever assigns itself, and commits nothing."""

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        from confluent_kafka.cimpl import Consumer

        self._deadline = deadline
        self._watch = _Watch()
        own = {
            "group.id": _CLIENT_ID,  # required, never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 5,
            "max.partition.fetch.bytes": 8 * 1024 * 1024,
        }
        self._consumer = Consumer({**connection.settings, **own, **_common(self._watch)})

    def last_record(self, topic: str) -> LastRecord:
        """The last committed record of partition 0: read from ever further back to the end until there is one."""
        from confluent_kafka import TopicPartition

        partition = TopicPartition(topic, 0)
        start, end = self._repeat(lambda slice_: self._consumer.get_watermark_offsets(partition, timeout=slice_))
        lower, step = end, 1
        while lower > start:
            lower, step = max(start, lower - step), step * 8
            self._consumer.assign([TopicPartition(topic, 0, lower)])
            newest = self._newest()
            if newest is not None:
                return newest
        return LastRecord(Found.EMPTY)

    def _newest(self) -> LastRecord | None:
        """The last record from the assigned offset on; None where no record is there."""
        newest: LastRecord | None = None
        while True:
            message = self._consumer.poll(min(_LAST_SLICE, self._deadline.left()))
            self._watch.check()
            if message is None:
                continue
            error: Any = message.error()
            if error is None:
                newest = LastRecord(Found.RECORD, message.value())
            elif error.name() == "_PARTITION_EOF":
                return newest
            elif error.name() not in _GROUP:
                raise _translate(error)

    def _repeat(self, call: Callable[[float], T]) -> T:
        """Make a blocking call in slices, because callbacks, which know of a refused connection, run between them."""
        from confluent_kafka import KafkaException

        slice_ = _FIRST_SLICE
        while True:
            try:
                return call(min(slice_, self._deadline.left()))
            except KafkaException as error:
                self._consumer.poll(0)
                self._watch.check()
                failure = _translate(error.args[0])
                if not isinstance(failure, Unreachable):
                    raise failure from None
            slice_ *= 2  # each slice asks anew: one has to outlast the round trip of a cluster that is far away


def _common(watch: _Watch) -> dict[str, object]:
    return {
        "client.id": _CLIENT_ID,
        "error_cb": watch,
        "log_level": 0,  # nothing is so urgent that it belongs on the program's stderr
        "log.connection.close": False,
        # librdkafka lets half of this pass between a new client's first connection attempts, with the default 50 ms.
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 1000,
    }


def _translate(error: Any) -> ClusterError:
    name = error.name()
    if name in _DENIED:
        return NotAuthorized(name)
    if name in _MISSING:
        return TopicMissing(name)
    return Unreachable(name) if name in _AWAY else ClusterError(name)
