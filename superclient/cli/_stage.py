"""The cluster on which the demo plays: librdkafka's mock cluster in this process, or a real one that is left as it was.

A real cluster gets topics of the demo's own and, while it plays, recommendations for them; one that has recommendations
already is refused, because publishing replaces them.
"""

import json
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from superclient import contract
from superclient.cli import _topics
from superclient.errors import ClusterError
from superclient.kafka import face, security
from superclient.kafka.connection import Connection, Found
from superclient.kafka.internal import CLIENT_ID_PREFIX

PARTITIONS = 4
BROKERS = 3

_SECONDS = 10.0


class Stage:
    """A cluster for the length of a `with` block."""

    def __init__(self, bootstrap: str | None) -> None:
        self.mock = bootstrap is None
        self.brokers: list[tuple[str, int]] = []
        self._settings: dict[str, Any] = {"log_level": 0, "client.id": CLIENT_ID_PREFIX + "demo"}
        self._settings["error_cb"] = lambda _: None
        self._bootstrap = bootstrap or "mock"
        self._created: list[str] = []
        self._producer: Any = None

    def __enter__(self) -> "Stage":
        """Start or find the cluster; its brokers' addresses are known then.

        Raises:
            ClusterError: it cannot be reached, or has recommendations that the demo would replace.
        """
        from confluent_kafka import KafkaException, Producer

        brokers = {"test.mock.num.brokers": BROKERS} if self.mock else {}
        self._producer = Producer({**self._settings, "bootstrap.servers": self._bootstrap, **brokers})
        try:
            found = self._producer.list_topics(timeout=_SECONDS).brokers.values()
        except KafkaException as error:
            raise ClusterError(f"{self._bootstrap} cannot be reached: {error.args[0].str()}") from None
        self.brokers = [(broker.host, broker.port) for broker in found]
        if not self.mock:
            last = face("confluent-kafka").last_record(self._connection(), contract.METADATA_TOPIC, _SECONDS)
            if last.found is Found.RECORD:
                raise ClusterError("this cluster has recommendations, and the demo would replace them; try another one")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._created:
            from confluent_kafka.admin import AdminClient

            admin = AdminClient({**self._settings, "bootstrap.servers": self._bootstrap})
            for done in admin.delete_topics(self._created, request_timeout=_SECONDS).values():
                done.exception(_SECONDS)
        self._producer = None  # ends the mock cluster

    def _connection(self) -> Connection:
        return security.connection("confluent-kafka", {"bootstrap.servers": self._bootstrap})

    def prepare(self, topics: Sequence[str]) -> None:
        """Make the demo's topics, and the system topics where there are none."""
        for topic in (*topics, contract.METADATA_TOPIC, contract.CLIENTS_TOPIC):
            if self.mock:
                self._producer.list_topics(topic, timeout=_SECONDS)  # which creates it there, with four partitions
                continue
            partitions = 1 if topic == contract.METADATA_TOPIC else PARTITIONS
            new = _topics.Topic(topic, partitions, -1, {})
            if _topics.create(self._connection(), new, _SECONDS, validate_only=False):
                self._created.append(topic)

    def publish(self, recommendations: Mapping[str, Mapping[str, object]]) -> None:
        """Make these, by topic, the cluster's recommendations."""
        entries = [
            {"topic_name": topic, "potential_reduction_percentage": 60, "daily_writes_bytes": 10**9}
            | {"optimized_configuration": dict(configuration), "allow_linger": True}
            for topic, configuration in recommendations.items()
        ]
        metadata = {"active": True, "report_interval_ms": 60_000, "topics_configuration": entries}
        self._producer.produce(contract.METADATA_TOPIC, json.dumps(metadata).encode(), key=b"demo", partition=0)
        if self._producer.flush(_SECONDS):
            raise ClusterError(f"{contract.METADATA_TOPIC} could not be written")

    def records(self, topic: str) -> int:
        """How many records the topic has, by its end offsets."""
        consumer = self._consumer()
        try:
            return sum(self._ends(consumer, topic).values())
        finally:
            consumer.close()

    def reports(self) -> list[dict[str, Any]]:
        """What agents reported so far."""
        consumer = self._consumer()
        try:
            return self._read(consumer)
        finally:
            consumer.close()

    def _consumer(self) -> Any:
        from confluent_kafka import Consumer

        own = {"bootstrap.servers": ",".join(f"{host}:{port}" for host, port in self.brokers), "group.id": "demo"}
        return Consumer({**self._settings, **own, "enable.auto.commit": False, "fetch.wait.max.ms": 10})

    def _ends(self, consumer: Any, topic: str) -> dict[int, int]:
        from confluent_kafka import TopicPartition

        partitions = consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_SECONDS)[1]
            for number in partitions
        }

    def _read(self, consumer: Any) -> list[dict[str, Any]]:
        from confluent_kafka import TopicPartition

        ends = self._ends(consumer, contract.CLIENTS_TOPIC)
        consumer.assign([TopicPartition(contract.CLIENTS_TOPIC, number, 0) for number, end in ends.items() if end])
        left, found, deadline = sum(ends.values()), [], time.monotonic() + _SECONDS
        while left > 0 and time.monotonic() < deadline:
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                left -= 1
                found.append(json.loads(message.value()))
        return found
