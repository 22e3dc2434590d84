"""The toolkit, installed from the wheel, in the versions of confluent-kafka and CPython that it names."""

from __future__ import annotations

import json

import pytest

from tests.environments import environment, run_program
from tests.servers import Broker

VERSIONS = [
    pytest.param("2.12.0", "3.10", id="2.12.0-3.10"),
    pytest.param("2.12.0", "3.13", marks=pytest.mark.matrix_full, id="2.12.0-3.13"),
    pytest.param("2.13.0", "3.12", marks=pytest.mark.matrix_full, id="2.13.0-3.12"),
    pytest.param("2.16.1", "3.11", marks=pytest.mark.matrix_full, id="2.16.1-3.11"),
    pytest.param("2.16.1", "3.13", marks=pytest.mark.matrix_full, id="2.16.1-3.13"),
]
PROGRAM = """
import asyncio, json, sys
from superclient.toolkit import (
    AdminConfig, ConsumerConfig, ExactlyOnceRelay, KafkaAdmin, KafkaConsumer, KafkaProducer, ProducerConfig, metrics,
)

bootstrap, source, target = sys.argv[1:]
found = {}

with KafkaAdmin(AdminConfig(bootstrap)) as admin:
    admin.create_topics([{"topic": name, "num_partitions": 2} for name in (source, target)])
    found["topics"] = admin.topic_exists(source) and admin.topic_exists(target)

with KafkaProducer(ProducerConfig(bootstrap, transactional_id=source)) as producer:
    with producer.transaction():
        found["delivered"] = sum(one.delivered for one in producer.produce_batch(source, ["x"] * 100))
    try:
        with producer.transaction():
            producer.produce(source, "aborted", headers={"a": "b"})
            raise LookupError
    except LookupError:
        found["aborted"] = producer.transactions.last.operation

async def many():
    async with KafkaProducer(ProducerConfig(bootstrap)) as producer:
        sent = await asyncio.gather(*(producer.aproduce(source, b"y", key=str(key)) for key in range(100)))
    async with KafkaConsumer(ConsumerConfig(bootstrap, "one", topics=[source])) as consumer:
        seen = 0
        async for record in consumer.amessage_stream():
            seen += 1
            if seen == 200:
                consumer.stop()
    return sum(one.delivered for one in sent), seen

found["async"] = asyncio.run(many())

config = ProducerConfig(bootstrap, transactional_id=source + "-relay")
with KafkaConsumer(ConsumerConfig(bootstrap, "relay")) as consumer, KafkaProducer(config) as producer:
    relay = ExactlyOnceRelay(consumer, producer)
    found["relayed"] = relay.run(source, target, max_in_flight=2, stop_on_empty=True).forwarded
with KafkaConsumer(ConsumerConfig(bootstrap, "two", topics=[target])) as consumer:
    found["consumed"] = len(consumer.consume_messages(200, timeout=30))
found["metrics"] = metrics.get("relay.messages.forwarded")
print(json.dumps(found))
"""


@pytest.mark.parametrize(("confluent", "python"), VERSIONS)
def test_the_toolkit_works(confluent: str, python: str, kafka: Broker) -> None:
    """KLI-1, KLI-2, KLI-4, KLI-5, KLI-9, KLI-11, KLI-17, KLI-47: every class, sync and asyncio, warnings as errors."""
    where = environment(python, [f"confluent-kafka=={confluent}"])
    source = f"matrix-{confluent}-{python}"
    arguments = (kafka.bootstrap, f"{source}-in", f"{source}-out")
    ran = run_program(where, PROGRAM, *arguments, options=("-W", "error"), env={"SUPERSTREAM_DISABLED": "true"})
    assert ran.returncode == 0, ran.stderr
    assert [line for line in ran.stderr.splitlines() if not line.startswith("%")] == []  # those are librdkafka's own
    assert json.loads(ran.stdout) == {
        "topics": True,
        "delivered": 100,
        "aborted": "abort",
        "async": [100, 200],
        "relayed": 200,
        "consumed": 200,
        "metrics": 200,
    }
