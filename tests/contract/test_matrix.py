"""The compatibility matrix: the wheel, really installed, with each library and Python version, on a real broker."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.programs import QUICK_FIGURES, SOURCES
from tests.contract.test_agent import ROOT, metadata, of_kind, publish
from tests.environments import environment, start_program
from tests.servers import Broker

# Sparse where no wheel exists. The first of each library's rows and the newest Python run with every change.
VERSIONS = {
    ("kafka-python", "2.0.6"): ("3.10", "3.11"),
    ("kafka-python", "2.2.21"): ("3.11", "3.12"),
    ("kafka-python", "2.3.3"): ("3.12", "3.13"),
    ("kafka-python", "3.0.12"): ("3.13", "3.10", "3.11", "3.12"),
    ("aiokafka", "0.10.0"): ("3.10", "3.11", "3.12"),
    ("aiokafka", "0.12.0"): ("3.12", "3.10", "3.11", "3.13"),
    ("aiokafka", "0.14.0"): ("3.13", "3.10", "3.11", "3.12"),
    ("confluent-kafka", "2.3.0"): ("3.10", "3.11", "3.12"),
    ("confluent-kafka", "2.12.0"): ("3.12", "3.10", "3.11", "3.13"),
    ("confluent-kafka", "2.16.1"): ("3.13", "3.10", "3.11", "3.12"),
}
CASES = [
    pytest.param(library, version, python, marks=[] if index == 0 else [pytest.mark.matrix_full])
    for (library, version), pythons in VERSIONS.items()
    for index, python in enumerate(pythons)
]
CODECS = {"kafka-python": ["zstandard"], "aiokafka": ["cramjam"], "confluent-kafka": []}


@pytest.mark.parametrize(("library", "version", "python"), CASES)
def test_the_wheel_tunes_and_reports(library: str, version: str, python: str, cluster: Broker, topic: str) -> None:
    """AGT-1, AGT-20, AGT-40, AGT-41: autoloaded from the wheel, tuned on the wire, counted to the byte."""
    publish(cluster, metadata(topic))
    interpreter = environment(python, [f"{library}=={version}", *CODECS[library]], constrained=False)
    conf = json.dumps(QUICK_FIGURES[library])
    env = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_METADATA_TIMEOUT_MS": "20000", "CONF": conf}
    arguments = (cluster.bootstrap, topic, "3000")
    with start_program(interpreter, SOURCES[library], *arguments, env=env) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        if first == "sent\n":
            cluster.wait_for_reports(lambda reports: _bytes(reports, topic) > 0)
        out, err = process.communicate("go on\n", timeout=60)
    assert (first + out, process.returncode) == ("sent\nclosed\n", 0), err
    log = cluster.log_bytes(topic)
    assert (log.codecs, log.records) == ({"zstd"}, 3000), err
    assert _bytes(cluster.reports(), topic) == pytest.approx(log.bytes, rel=0.01)
    infos = of_kind(cluster.reports(), "client_info")
    assert infos[-1]["optimized_configuration"]["compression.type"] == "zstd"
    assert "WARNING" not in err


def _bytes(reports: list[dict[str, Any]], topic: str) -> float:
    """Bytes on the wire by the last report that has them, once all records are in it."""
    for report in reversed(of_kind(reports, "client_stats")):
        figures = report.get("topic_metrics", {}).get(topic, {})
        if figures.get("record-send-total") == 3000 and "byte-total" in figures:
            return float(figures["byte-total"])
    return 0.0


IMPORTS = {
    "kafka-python": "from kafka import KafkaProducer",
    "aiokafka": "from aiokafka import AIOKafkaProducer",
    "confluent-kafka": "from confluent_kafka import Producer, SerializingProducer",
}


@pytest.mark.parametrize("library", sorted(SOURCES))
def test_importing_it_by_hand_covers_what_is_loaded(library: str, cluster: Broker, topic: str) -> None:
    """AGT-6: `import superclient` after the library was imported: the program that follows is tuned and reported on."""
    publish(cluster, metadata(topic))
    interpreter = environment(None, [library, "wrapt", *CODECS[library]], superclient=False)
    program = f"{IMPORTS[library]}\nimport sys\nsys.path.append({str(ROOT)!r})\nimport superclient\n{SOURCES[library]}"
    env = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_METADATA_TIMEOUT_MS": "20000"}
    with start_program(interpreter, program, cluster.bootstrap, topic, "100", env=env) as process:
        out, err = process.communicate("go on\n", timeout=60)
    assert (out, process.returncode) == ("sent\nclosed\n", 0), err
    assert cluster.log_bytes(topic).codecs == {"zstd"}
    cluster.wait_for_reports(lambda reports: of_kind(reports, "client_info"))
