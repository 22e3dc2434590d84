"""The level of gzip in libraries without a setting for it: the agent's own choice has one, a program's has not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.programs import SOURCES
from tests.environments import PATIENT, environment, run_program
from tests.servers import Broker

ROOT = Path(__file__).resolve().parents[2]
SPY = """
import atexit, zlib
levels, real = set(), zlib.compressobj
def compressobj(level=-1, *args, **kwargs):
    if level:  # 0: stored, not compressed
        levels.add(level)
    return real(level, *args, **kwargs)
zlib.compressobj = compressobj
atexit.register(lambda: print("levels", sorted(levels)))
"""
AWAITED = """
import sys
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for value in [b"tiny " * 20] * 5 + [b"large " * 200]:
    producer.send(sys.argv[2], value).get(20)
producer.close()
"""
OWN = '{"compression_type": "gzip"}'


def levels(library: str, python: Path, cluster: Broker, topic: str, conf: str = "{}") -> str:
    """The levels at which the library's program compressed, as it printed them."""
    env = {"PYTHONPATH": str(ROOT), "CONF": conf, "SUPERSTREAM_TOPICS_LIST": topic, **PATIENT}
    ran = run_program(python, SPY + SOURCES[library], cluster.bootstrap, topic, "500", env=env)
    assert ran.returncode == 0, ran.stderr
    assert "gzip" in cluster.log_bytes(topic).codecs
    return ran.stdout.rpartition("levels ")[2].strip()


def recommend(cluster: Broker, topic: str, **configuration: Any) -> None:
    """Metadata with one recommendation; names with _ for dots."""
    wanted = {name.replace("_", "."): value for name, value in configuration.items()}
    cluster.publish_metadata({"topics_configuration": [{"topic_name": topic, "optimized_configuration": wanted}]})


@pytest.mark.parametrize("library", ["kafka-python", "aiokafka"])
def test_gzip_by_default_has_a_level(library: str, cluster: Broker, topic: str) -> None:
    """AGT-32: at the library's own level 9 gzip would cost throughput and block an event loop for 5 ms a batch."""
    assert levels(library, Path(sys.executable), cluster, topic) == "[3]"


@pytest.mark.parametrize("library", ["kafka-python", "aiokafka"])
def test_a_programs_own_gzip_stays_as_it_is(library: str, cluster: Broker, topic: str) -> None:
    """AGT-31: what the program chose keeps the library's level."""
    assert levels(library, Path(sys.executable), cluster, topic, OWN) == "[9]"


@pytest.mark.parametrize("library", ["kafka-python", "aiokafka"])
def test_a_recommended_level_is_taken(library: str, cluster: Broker, topic: str) -> None:
    """AGT-36: compression.level is one of the four settings that metadata may name."""
    recommend(cluster, topic, compression_type="gzip", compression_level=5)
    assert levels(library, Path(sys.executable), cluster, topic) == "[5]"


@pytest.mark.parametrize(
    ("library", "version"),
    [("kafka-python", "2.0.6"), ("kafka-python", "2.3.3"), ("aiokafka", "0.10.0"), ("aiokafka", "0.12.0")],
)
def test_older_versions_take_it_too(library: str, version: str, cluster: Broker, topic: str) -> None:
    """AGT-32: the same hook fits every supported version."""
    python = environment(None, [f"{library}=={version}", "wrapt"], superclient=False)
    assert levels(library, python, cluster, topic) == "[3]"


def test_a_batch_of_one_small_record_goes_as_it_is(cluster: Broker, topic: str) -> None:
    """AGT-34: gzip would take up to a tenth of an awaited send in kafka-python, and save next to nothing."""
    env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_TOPICS_LIST": topic, **PATIENT}
    ran = run_program(Path(sys.executable), AWAITED, cluster.bootstrap, topic, env=env)
    assert ran.returncode == 0, ran.stderr
    found = [(batch.records, batch.codec) for batch in cluster.log_bytes(topic).batches]
    assert found == [(1, "none")] * 5 + [(1, "gzip")]
