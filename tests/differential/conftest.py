"""The broker of the comparisons: it recommends a codec, a batch size and a linger for what the agent's arm writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.differential.program import Program
from tests.differential.runner import CODEC, Pair, compare
from tests.servers import Broker

Compare = Callable[..., Pair]


def recommendation(topic: str) -> dict[str, object]:
    """Metadata that recommends something for one topic."""
    wanted = {"compression.type": CODEC, "batch.size": 65536, "linger.ms": 20}
    one = {"topic_name": topic, "potential_reduction_percentage": 50, "daily_writes_bytes": 10**9, "allow_linger": True}
    return {"active": True, "topics_configuration": [{**one, "optimized_configuration": wanted}]}


def new_topics(broker: Broker, program: Program) -> tuple[str, str]:
    """A topic for each arm, by one request."""
    stem = f"{program.path.stem.replace('_', '-')}-{os.urandom(3).hex()}"
    names = (f"{stem}-one", f"{stem}-two")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    made = admin.create_topics([NewTopic(name, program.partitions, 1) for name in names], operation_timeout=10)
    for result in made.values():
        result.result(15)
    return names


@pytest.fixture(scope="module")
def advised(kafka: Broker) -> Iterator[Broker]:
    """The session's broker with both system topics."""
    kafka.reset_system_topics()
    kafka.create_system_topics()
    yield kafka
    kafka.reset_system_topics()


@pytest.fixture
def differ(advised: Broker) -> Compare:
    """Compares a program's two runs on fresh topics, for which something is recommended."""

    def run(program: Program, *args: object, **kwargs: object) -> Pair:
        topics = new_topics(advised, program)
        advised.publish_metadata(recommendation(topics[1]))
        return compare(program, advised, topics, *args, **kwargs)  # type: ignore[arg-type]

    return run
