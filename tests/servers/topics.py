"""What tests ask of a broker: topics, records, and the two system topics of the agents."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

METADATA_TOPIC = "superstream.metadata_v1"
REPORTS_TOPIC = "superstream.clients"


@dataclass(frozen=True)
class Record:
    """One record as a consumer sees it; `timestamp` in seconds."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: float


class Topics:
    """Plain administration and reading, by confluent-kafka; each call makes its own client, so a restart harms none."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def _client(self, **more: Any) -> dict[str, Any]:
        # A client that connects when it is first asked (the default) looks for the connection 50 ms later.
        return {"bootstrap.servers": self.bootstrap, "log_level": 0, "enable.sparse.connections": False, **more}

    def admin(self) -> AdminClient:
        return AdminClient(self._client())

    def topics(self) -> dict[str, int]:
        """The name of each topic that exists → its number of partitions."""
        listed = self.admin().list_topics(timeout=10).topics
        return {name: len(topic.partitions) for name, topic in listed.items()}

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Creates it if missing and returns its name once every partition has a leader."""
        admin = self.admin()
        new = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        try:
            admin.create_topics([new], operation_timeout=10)[name].result(15)
        except KafkaException as problem:
            if problem.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise

        def led() -> bool:
            found = admin.list_topics(timeout=10).topics.get(name)
            return (
                found is not None and bool(found.partitions) and all(p.leader >= 0 for p in found.partitions.values())
            )

        wait_for(led, f"topic {name} has leaders")
        return name

    def delete_topics(self, *names: str) -> None:
        """Deletes those that exist and returns when they are gone."""
        admin = self.admin()
        present = [name for name in names if name in admin.list_topics(timeout=10).topics]
        if not present:
            return
        for result in admin.delete_topics(present, operation_timeout=10).values():
            result.result(15)
        wait_for(lambda: not set(present) & set(admin.list_topics(timeout=10).topics), f"{present} are gone")

    def produce(self, topic: str, values: list[bytes], key: bytes | None = None) -> None:
        """Delivers `values` by a plain producer, in order."""
        failed: list[KafkaError] = []
        producer = Producer(self._client(**{"linger.ms": 0, "message.timeout.ms": 15000}))
        for value in values:
            producer.produce(
                topic, value, key=key, on_delivery=lambda error, _: failed.append(error) if error else None
            )
        if producer.flush(20) or failed:
            raise RuntimeError(f"not delivered to {topic}: {failed}")

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Partition → offset of the next record; empty where the topic does not exist."""
        partitions = self.topics().get(topic, 0)
        consumer = Consumer(self._client(**{"group.id": "tests"}))
        found: dict[int, int] = {}

        def answered() -> bool:
            try:
                for number in range(partitions):
                    found[number] = consumer.get_watermark_offsets(TopicPartition(topic, number), 10)[1]
            except KafkaException as problem:  # a new topic's leader may not know yet that it is one
                if not problem.args[0].retriable() and problem.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                    raise
                return False
            return True

        try:
            wait_for(answered, f"the ends of {topic}")
            return found
        finally:
            consumer.close()

    def records(self, topic: str, timeout: float = 20.0) -> list[Record]:
        """Every record of the topic now, by partition and offset; aborted transactions are left out."""
        ends = {p: end for p, end in self.end_offsets(topic).items() if end > 0}
        if not ends:
            return []
        settings = {"group.id": "tests", "enable.auto.commit": False, "enable.partition.eof": True}
        consumer = Consumer(self._client(**settings, **{"fetch.wait.max.ms": 10}))
        consumer.assign([TopicPartition(topic, p, 0) for p in ends])
        found: list[Record] = []
        deadline = time.monotonic() + timeout
        try:
            while ends:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{topic}: partitions {sorted(ends)} were not read to their end in {timeout} s")
                for message in consumer.consume(1000, 0.01):  # which waits as long for less than 1000
                    if message.error() is None:
                        found.append(_record(message))
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        # One that comes before the end is of a fetch that was answered before it was known.
                        if message.offset() >= ends.get(message.partition(), 0):
                            ends.pop(message.partition(), None)
                    else:
                        raise KafkaException(message.error())
        finally:
            consumer.close()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    # --- the system topics -----------------------------------------------------------------------------------------

    def create_system_topics(self) -> None:
        """Both, empty, as `superclient init` makes them for one broker."""
        self.create_topic(METADATA_TOPIC)
        self.create_topic(REPORTS_TOPIC)

    def reset_system_topics(self) -> None:
        """Deletes both: a cluster that has never seen an agent."""
        self.delete_topics(METADATA_TOPIC, REPORTS_TOPIC)

    def publish_metadata(self, metadata: Mapping[str, Any] | bytes) -> None:
        """Makes this the last record of the metadata topic; bytes go out as they are."""
        self.create_topic(METADATA_TOPIC)
        value = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
        self.produce(METADATA_TOPIC, [value])

    def reports(self, since: float = 0.0) -> list[dict[str, Any]]:
        """The agents' reports, oldest first; `since` is a time.time()."""
        records = sorted(self.records(REPORTS_TOPIC), key=lambda record: (record.timestamp, record.offset))
        oldest = int(since * 1000) / 1000  # Kafka's timestamps are whole milliseconds
        return [json.loads(record.value or b"null") for record in records if record.timestamp >= oldest]

    def wait_for_reports(
        self, wanted: Callable[[list[dict[str, Any]]], object], timeout: float = 20.0, since: float = 0.0
    ) -> list[dict[str, Any]]:
        """All reports, as soon as `wanted(reports)` is true of them."""
        seen: list[dict[str, Any]] = []

        def arrived() -> bool:
            seen[:] = self.reports(since)
            return bool(wanted(seen))

        wait_for(arrived, lambda: f"the reports that were wanted; seen {seen}", timeout)
        return seen


def wait_for(condition: Callable[[], object], what: str | Callable[[], str], timeout: float = 20.0) -> None:
    """Returns when `condition()` is true; a TimeoutError names `what` otherwise. In place of a sleep."""
    deadline, pause = time.monotonic() + timeout, 0.005
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what if isinstance(what, str) else what()}")
        time.sleep(pause)
        pause = min(0.05, 2 * pause)


def _record(message: Message) -> Record:
    headers = tuple((name, value) for name, value in message.headers() or ())
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value(),
        headers=headers,
        timestamp=message.timestamp()[1] / 1000,
    )
