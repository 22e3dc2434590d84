"""AGT-29: programs on frameworks that bring a producer of their own cannot tell that there is an agent, and gain by it.

Each framework is really installed, in an environment of its own, and pinned here: what it makes of its Kafka library
changes from version to version.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.differential.program import read
from tests.differential.runner import CODEC, Outcome, Pair, Run, arms, compare, proceed
from tests.environments import ROOT, environment, run_program
from tests.frameworks.libraries import CODECS, LIBRARIES
from tests.frameworks.reports import counted, recommend
from tests.servers import Broker, wait_for

PYTHON = "3.12"
COUNT = 100
PATIENCE = 60.0  # seconds; two frameworks start side by side, on a machine that may be busy
PROGRAMS = Path(__file__).parent / "programs"
pytestmark = pytest.mark.timeout(240)

AIOKAFKA = ("aiokafka==0.14.0", "cramjam==2.11.0")
FASTSTREAM = ("faststream[kafka,confluent]==0.7.8", "confluent-kafka==2.16.1", *AIOKAFKA)
CELERY = ("celery==5.7.0", "kombu[confluentkafka]==5.7.0", "confluent-kafka==2.15.1")


@dataclass(frozen=True)
class Framework:
    """What to install for a program, whether its library counts every record unasked, and the oldest CPython for it."""

    packages: Sequence[str]
    counts: bool
    oldest: str = "3.10"


FRAMEWORKS = {
    "faststream_aiokafka": Framework(FASTSTREAM, counts=True),
    "faststream_confluent": Framework(FASTSTREAM, counts=False),
    "faust_worker": Framework(("faust-streaming==0.15.3", *AIOKAFKA), counts=True),
    "quix_streams": Framework(("quixstreams==3.28.1", "confluent-kafka==2.12.2"), counts=False, oldest="3.11"),
    "kombu_queue": Framework(CELERY, counts=False),
    "celery_tasks": Framework(CELERY, counts=False),
    "fastapi_service": Framework(("fastapi==0.165.0", "uvicorn==0.54.0", *AIOKAFKA), counts=True, oldest="3.11"),
}
OTHERS = [
    pytest.param(name, python, marks=pytest.mark.matrix_full)
    for name, framework in FRAMEWORKS.items()
    for python in (framework.oldest, "3.13")
]

# What differs between any two runs: identifiers made by chance, and kombu's of the sending process.
CHANCE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\bgen\d+@")


@pytest.mark.parametrize(("name", "python"), [*((name, PYTHON) for name in FRAMEWORKS), *OTHERS])
@pytest.mark.usefixtures("coordinator")
def test_a_framework(name: str, python: str, cluster: Broker) -> None:
    """AGT-29: the same output, exit status and records as without the agent; optimised, and reported on."""
    topics = _topics(cluster, name)
    recommend(cluster, topics[1])

    pair = _run(name, python, cluster, topics)

    found = _alike(pair, topics).differences()
    if found:
        pytest.fail("\n".join(found), pytrace=False)
    assert [len(run.records) for run in (pair.bare, pair.agent)] == [COUNT, COUNT]
    assert [cluster.log_bytes(topic).codecs for topic in topics] == [{"none"}, {CODEC}]
    for report in _last(cluster, name):
        assert topics[1] in report["topics"]
        assert _codec(report) == CODEC
        assert report["optimized_configuration"]["linger.ms"] == 20


@pytest.mark.usefixtures("coordinator")
def test_a_confluent_broker_keeps_its_linger(cluster: Broker) -> None:
    """AGT-29, AGT-34: FastStream awaits its records by callbacks, unseen; no linger without `allow_linger`."""
    name = "faststream_confluent"
    topics = _topics(cluster, name)
    recommend(cluster, topics[1], allow_linger=False)

    pair = _run(name, PYTHON, cluster, topics)

    assert pair.agent.status == 0
    assert [len(run.records) for run in (pair.bare, pair.agent)] == [COUNT, COUNT]
    for report in _last(cluster, name):
        assert _codec(report) == CODEC
        assert report["optimized_configuration"]["linger.ms"] == report["original_configuration"]["linger.ms"]


AWAITED = """
import asyncio, sys
from faststream.kafka import KafkaBroker

async def main():
    async with KafkaBroker(sys.argv[1]) as broker:
        sent = []
        for number in range(20):
            sent.append(await broker.publish(f"{number}", sys.argv[2], no_confirm=True))
            await asyncio.sleep(0.01)
        await asyncio.gather(*sent)
        for number in range(20):
            await broker.publish(f"{number}", sys.argv[2])
        await broker.publish_batch(*(f"{number}" for number in range(20)), topic=sys.argv[2])

asyncio.run(main())
"""


def test_an_awaited_publish_waits_for_no_linger(cluster: Broker, topic: str) -> None:
    """AGT-29, AGT-34: what FastStream does not await is kept together; what it awaits goes at once.

    With this linger, twenty publishes one after another would take ten minutes if their waiting were not seen.
    """
    recommend(cluster, topic, **{"linger.ms": 30000})
    env = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_MAX_LINGER_MS": "30000"}

    done = run_program(_python("faststream_aiokafka"), AWAITED, cluster.bootstrap, topic, env=env, timeout=90)

    assert done.returncode == 0, done.stderr
    assert "linger.ms 0 -> 30000" in done.stderr
    assert [batch.records for batch in cluster.log_bytes(topic).batches] == [20, *[1] * 20, 20]


def test_the_documents_name_them() -> None:
    """AGT-29: operators find the versions that are tested."""
    text = " ".join((ROOT / "docs" / "operations.md").read_text().split())
    for framework in FRAMEWORKS.values():
        for name, version in (package.split("==") for package in framework.packages):
            if name not in (*LIBRARIES, *CODECS):
                assert f"{name.partition('[')[0]} {version}" in text.lower()


def _python(name: str, python: str = PYTHON) -> Path:
    return environment(python, FRAMEWORKS[name].packages, constrained=False)


def _run(name: str, python: str, cluster: Broker, topics: tuple[str, str]) -> Pair:
    """Both arms of the program, which go on once the agent's has been reported as optimised, with its counts."""

    def complete() -> bool:
        optimised = any(_codec(report) == CODEC for report in _last(cluster, name))
        return optimised and (not FRAMEWORKS[name].counts or counted(_reports(cluster), name) >= COUNT)

    def between(runs: Sequence[Run]) -> None:
        wait_for(complete, lambda: f"all is reported: {_last(cluster, name)} {runs[1].stderr}", PATIENCE)
        proceed(runs)

    program, both = read(PROGRAMS / f"{name}.py"), arms(_python(name, python))
    return compare(program, cluster, topics, between, both=both, timeout=PATIENCE)


def _topics(cluster: Broker, name: str) -> tuple[str, str]:
    """One for each arm, of equal length: frameworks print their names in columns."""
    stem = f"{name.replace('_', '-')}-{os.urandom(3).hex()}"
    return cluster.create_topic(f"{stem}-one"), cluster.create_topic(f"{stem}-two")


@pytest.fixture(scope="module")
def coordinator(kafka: Broker) -> None:
    """The first group that a broker sees has to wait for one, which some libraries complain about."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "first", "log_level": 0})
    topic = kafka.create_topic("first")

    def answers() -> bool:
        try:
            consumer.committed([TopicPartition(topic, 0)], timeout=5)
        except KafkaException:
            return False
        return True

    wait_for(answers, "a coordinator", 60)
    consumer.close()


def _codec(report: dict[str, Any]) -> str:
    return str(report["optimized_configuration"]["compression.type"])


def _alike(pair: Pair, topics: tuple[str, str]) -> Pair:
    """The two outcomes, without what differs by chance and without their time, which a busy machine decides."""
    bare, agent = (_general(run, topic) for run, topic in zip((pair.bare, pair.agent), topics, strict=True))
    return replace(pair, bare=bare, agent=agent)


def _general(run: Outcome, topic: str) -> Outcome:
    records = [
        replace(one, value=CHANCE.sub("CHANCE", (one.value or b"").decode().replace(topic, "TOPIC")).encode())
        for one in run.records
    ]
    text = {name: CHANCE.sub("CHANCE", getattr(run, name)) for name in ("stdout", "stderr")}
    return replace(run, records=records, seconds=0.0, **text)


def _last(cluster: Broker, client: str) -> list[dict[str, Any]]:
    """The last report of each of the client's producers."""
    reports = sorted(_reports(cluster), key=lambda report: report["sequence"])
    return list({one["superstream_client_uid"]: one for one in reports if one["client_id"] == client}.values())


def _reports(cluster: Broker) -> list[dict[str, Any]]:
    """All of them; a broker that is too busy to tell where its log ends is asked again."""
    found: list[dict[str, Any]] = []

    def answers() -> bool:
        try:
            found[:] = cluster.reports()
        except KafkaException:
            return False
        return True

    wait_for(answers, "the reports can be read")
    return found
