"""What an operator can say, one table for every library on a real broker: watch, try on a few, stay away, so far."""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.contract.programs import CLIENT_ID_OPTION, COMMON
from tests.contract.test_agent import LIBRARIES, RECOMMENDED, ROOT, metadata, of_kind, program, publish
from tests.environments import start_program
from tests.servers import Broker

LINGER = 5000
OWN = {"kafka-python": ("none", 16384, 0), "aiokafka": ("none", 16384, 0), "confluent-kafka": ("none", 1_000_000, 5)}


@dataclass(frozen=True)
class Control:
    """One control: how it is said, what then holds, and a phrase of the agent's about it.

    `holds`: codec and linger in force, None for the program's own. `entry`: of its topic in the metadata.
    """

    env: dict[str, str] = field(default_factory=dict)
    entry: dict[str, Any] = field(default_factory=dict)
    holds: tuple[str | None, int | None] = (None, None)
    action: str = "kept"
    said: str = "unchanged"


CONTROLS = {
    "nothing said": Control(holds=("zstd", 1000), action="set", said="-> zstd"),
    "observe": Control({"SUPERSTREAM_MODE": "observe"}, action="observed", said="SUPERSTREAM_MODE=observe"),
    "rollout": Control({"SUPERSTREAM_ROLLOUT_PERCENT": "0"}, action="observed", said="SUPERSTREAM_ROLLOUT_PERCENT=0"),
    "client id": Control({"SUPERSTREAM_EXCLUDE_CLIENT_IDS": "x,app-*"}, said="app-* of SUPERSTREAM_EXCLUDE_CLIENT_IDS"),
    "topic": Control({"SUPERSTREAM_EXCLUDE_TOPICS": "*-topic"}, said="*-topic of SUPERSTREAM_EXCLUDE_TOPICS"),
    "disabled": Control(entry={"enabled": False}, said="enabled: false"),
    "staged": Control(
        {"SUPERSTREAM_DEFAULTS": "off"}, entry={"rollout_percentage": 0}, action="refused", said="rollout_percentage"
    ),
    "ceilings": Control(
        {"SUPERSTREAM_MAX_LINGER_MS": "30", "SUPERSTREAM_ALLOWED_CODECS": "gzip,lz4"},
        holds=(None, 30),
        action="refused",
        said="not one of SUPERSTREAM_ALLOWED_CODECS",
    ),
}


def topic_of(library: str, name: str) -> str:
    """The topic that this program writes."""
    return f"{library}-{name.replace(' ', '-')}-topic"


@pytest.mark.timeout(300)  # eight programs, one after the other
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_control_holds_and_is_reported(library: str, cluster: Broker) -> None:
    """AGT-60, AGT-63, AGT-64, AGT-65: the same program under each control, beside one under none.

    Where nothing may be changed the broker's log is as without the agent; the report is there all the same, and says
    what would have been done.
    """
    topics = {name: cluster.create_topic(topic_of(library, name)) for name in CONTROLS}
    record = metadata("", interval_ms=60_000)
    (entry,) = record["topics_configuration"]
    wanted = {**RECOMMENDED, "linger.ms": LINGER}
    entries = [
        {**entry, "topic_name": topics[name], "optimized_configuration": wanted, **control.entry}
        for name, control in CONTROLS.items()
    ]
    publish(cluster, {**record, "topics_configuration": entries})
    said: dict[str, str] = {}
    own_settings = {CLIENT_ID_OPTION[library]: "app-1"}
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(
                program(library, cluster.bootstrap, topics[name], 500, own_settings, **env(name, topics[name]))
            )
            for name in CONTROLS
        }
        reports = cluster.wait_for_reports(lambda found: _topics(found) >= set(topics.values()), 60)
        for name, one in running.items():
            said[name] = one.finish()
    infos = {tuple(report["topics"]): report for report in of_kind(reports, "client_info")}
    for name, control in CONTROLS.items():
        _check(library, control, cluster, topics[name], infos[(topics[name],)])
        assert control.said in said[name], f"{name}: {said[name]}"
        would = [line for line in said[name].splitlines() if "INFO optimizer" in line and "would change" in line]
        assert len(would) == (control.action == "observed"), name
        assert "WARNING" not in said[name], name


def env(name: str, topic: str) -> dict[str, str]:
    """What is said to one program; on a busy machine the metadata takes its time."""
    patient = {"SUPERSTREAM_METADATA_TIMEOUT_MS": "30000", "SUPERSTREAM_DEBUG": "true"}
    return {"SUPERSTREAM_TOPICS_LIST": topic, **patient, **CONTROLS[name].env}


def _topics(reports: list[dict[str, Any]]) -> set[str]:
    return {topic for report in of_kind(reports, "client_info") for topic in report["topics"]}


def _check(library: str, control: Control, cluster: Broker, topic: str, info: dict[str, Any]) -> None:
    codec, linger = control.holds
    log, own = cluster.log_bytes(topic), OWN[library]
    assert (log.codecs, log.records) == ({codec or own[0]}, 500), topic
    held = info["optimized_configuration"]
    now = (held["compression.type"], int(held["linger.ms"]))
    assert now == (codec or own[0], own[2] if linger is None else linger), topic
    reasons = {reason["name"]: (reason["action"], reason["value"]) for reason in info["reasons"]}
    untouched = control.holds == (None, None)
    assert (held == info["original_configuration"]) is untouched, topic
    if untouched:
        assert int(held["batch.size"]) == own[1]
        assert library == "confluent-kafka" or max(batch.size for batch in log.batches) <= own[1] + 100
    if control.action == "observed":
        assert reasons["compression.type"] == ("observed", "zstd")
        assert reasons["linger.ms"] == ("observed", 1000)
        assert library == "confluent-kafka" or reasons["partitioner.class"] == ("observed", "sticky")
        assert info["most_impactful_topic"] == topic
    else:
        assert control.action in {action for action, _ in reasons.values()}


AWAITING = {
    "kafka-python": COMMON
    + """
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers=where)
print("ready", flush=True)
while not told():
    producer.send(topic, event(1)).get(30)
producer.close()
""",
    "aiokafka": COMMON
    + """
import asyncio
from aiokafka import AIOKafkaProducer
async def main():
    producer = AIOKafkaProducer(bootstrap_servers=where)
    await producer.start()
    print("ready", flush=True)
    while not told():
        await producer.send_and_wait(topic, event(1))
    await producer.stop()
asyncio.run(main())
""",
}


@pytest.mark.parametrize("library", AWAITING)
def test_a_live_producer_is_seen_to_await_and_then_excluded(library: str, cluster: Broker, topic: str) -> None:
    """AGT-65, AGT-64: 1000 ms until somebody was seen to wait, 100 from then on; its own once the topic is disabled."""
    record = metadata(topic)
    record["topics_configuration"][0]["optimized_configuration"] = {"linger.ms": LINGER}
    publish(cluster, record)
    variables = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_METADATA_TIMEOUT_MS": "30000"}
    arguments = (cluster.bootstrap, topic, "0")
    with start_program(Path(sys.executable), AWAITING[library], *arguments, env=variables) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        cluster.wait_for_reports(lambda reports: _lingers(reports)[-1:] == [100], 60)
        reasons = of_kind(cluster.reports(), "client_info")[-1]["reasons"]
        record["topics_configuration"][0]["enabled"] = False
        cluster.publish_metadata(record)
        cluster.wait_for_reports(lambda reports: _lingers(reports)[-1:] == [0], 60)
        out, err = process.communicate("go on\n", timeout=60)
    assert (out, process.returncode) == ("", 0), err
    lines = [line for line in err.splitlines() if "INFO optimizer" in line]
    assert "linger.ms 0 -> 1000" in lines[0], err
    assert re.search(r"linger.ms 0 -> 100\b", lines[-1]), err
    assert "5000 cut to 100 by SUPERSTREAM_MAX_LINGER_MS where sends are awaited" in next(
        one["why"] for one in reasons if one["name"] == "linger.ms"
    )


def _lingers(reports: list[dict[str, Any]]) -> list[int]:
    return [int(info["optimized_configuration"]["linger.ms"]) for info in of_kind(reports, "client_info")]
