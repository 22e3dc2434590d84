"""Creates one topic through whichever of the libraries' admin clients is there.

Every function says whether the topic is new, and raises the ClusterError family alone, with the broker's own words.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from superclient.errors import ClusterError, NotAuthorized
from superclient.kafka._bounded import Deadline, bounded
from superclient.kafka.connection import Connection
from superclient.kafka.internal import CLIENT_ID_PREFIX
from superclient.kafka.silence import quiet

_CLIENT_ID = CLIENT_ID_PREFIX + "init"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is to be; a replication factor of -1 leaves it to the broker."""

    name: str
    partitions: int
    replication: int
    configuration: Mapping[str, str]


def create(connection: Connection, topic: Topic, timeout: float, *, validate_only: bool) -> bool:
    """Create it, or only have the broker check that it could be; False where it exists already."""
    by_library = {"confluent-kafka": _confluent, "kafka-python": _kafka_python, "aiokafka": _aiokafka}

    def work(deadline: Deadline) -> bool:
        return by_library[connection.library](connection, topic, deadline, validate_only)

    return bounded(timeout, work)


def _confluent(connection: Connection, topic: Topic, deadline: Deadline, validate_only: bool) -> bool:
    from confluent_kafka import KafkaException, admin

    api: Any = admin  # some of its names are re-exported without saying so
    client = api.AdminClient({**connection.settings, "client.id": _CLIENT_ID, "log_level": 0})
    new = api.NewTopic(topic.name, topic.partitions, topic.replication, config=dict(topic.configuration))
    left = deadline.left()
    asked = client.create_topics([new], validate_only=validate_only, operation_timeout=left, request_timeout=left)
    try:
        asked[topic.name].result(left)
    except KafkaException as error:
        reason: Any = error.args[0]
        return _outcome(reason.name(), reason.str())
    return True


def _kafka_python(connection: Connection, topic: Topic, deadline: Deadline, validate_only: bool) -> bool:
    import kafka
    from kafka.admin import KafkaAdminClient, NewTopic
    from kafka.errors import KafkaError

    quiet("kafka")
    own = {"client_id": _CLIENT_ID, "request_timeout_ms": deadline.left_ms()}
    client = KafkaAdminClient(**{**connection.settings, **own})
    new: Any
    if int(kafka.__version__.partition(".")[0]) >= 3:
        shape = {"num_partitions": topic.partitions, "replication_factor": topic.replication}
        new = {topic.name: {**shape, "configs": dict(topic.configuration)}}
    else:
        new = [NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=dict(topic.configuration))]
    try:
        client.create_topics(new, timeout_ms=deadline.left_ms(), validate_only=validate_only)
    except KafkaError as error:
        return _outcome(type(error).__name__, str(error))
    finally:
        client.close()
    return True


def _aiokafka(connection: Connection, topic: Topic, deadline: Deadline, validate_only: bool) -> bool:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    from aiokafka.errors import for_code

    quiet("aiokafka")

    async def ask() -> Any:
        client = AIOKafkaAdminClient(
            **{**connection.settings, "client_id": _CLIENT_ID, "request_timeout_ms": deadline.left_ms()}
        )
        try:
            await client.start()
            new = NewTopic(topic.name, topic.partitions, 1, topic_configs=dict(topic.configuration))
            new.replication_factor = (
                topic.replication
            )  # -1, the broker's own, is known to brokers, not to the constructor
            return await client.create_topics([new], validate_only=validate_only)
        finally:
            await client.close()

    answer = asyncio.run(ask())
    _, code, *message = answer.topic_errors[0]
    return True if code == 0 else _outcome(for_code(code).__name__, str((message or [None])[0] or ""))


def _outcome(name: str, message: str) -> bool:
    """False for a topic that exists; everything else is raised as what it is."""
    plain = name.replace("_", "").lower()
    if "alreadyexists" in plain:
        return False
    text = f"{name}: {message}" if message else name
    if "authorization" in plain:
        raise NotAuthorized(text)
    raise ClusterError(text)
