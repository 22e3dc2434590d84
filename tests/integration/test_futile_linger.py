"""A linger that buys nothing in confluent-kafka, where waiting cannot be seen, on a real broker."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.environments import run_program
from tests.frameworks.reports import recommend
from tests.servers import Broker

ROOT = Path(__file__).resolve().parents[2]

# Each record is waited for before the next: by polling, as librdkafka's flush() heeds no linger.
WAITING = """
import json, sys, time, superclient
from confluent_kafka import Producer

where, topic = sys.argv[1:]
settings = {"bootstrap.servers": where, "client.id": "waiting", "statistics.interval.ms": 100}

def linger(producer):
    found = superclient.explain(producer)["linger.ms"]
    return [found.value, found.origin, found.reason]

first = Producer(settings)
said = [linger(first)]
end = time.monotonic() + 60
while time.monotonic() < end:
    for _ in range(25):
        first.produce(topic, b"x")
        while len(first):
            first.poll(0.01)
    second = Producer(settings)
    if linger(second)[0] != said[0][0]:
        break
    del second
said.append(linger(second))
said.append(linger(Producer({**settings, "client.id": "another"})))
print(json.dumps(said))
"""


def test_a_linger_that_buys_nothing_is_given_back(cluster: Broker, topic: str) -> None:
    """AGT-34: after hundreds of batches of one record, the next producer of that client id has its own linger."""
    recommend(cluster, topic, **{"linger.ms": 10})
    env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_METADATA_TIMEOUT_MS": "10000"}
    ran = run_program(Path(sys.executable), WAITING, cluster.bootstrap, topic, env=env, timeout=90)
    assert ran.returncode == 0, ran.stderr
    first, second, another = json.loads(ran.stdout)
    assert first == another
    assert (first[0], first[1]) == (10, "recommendation")
    assert (second[0], second[1]) == (5, "library")
    assert "kept expiring on batches" in second[2]
