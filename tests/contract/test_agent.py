"""The agent's promises, one table for every library on a real broker: unchanged programs, optimised and reported on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.programs import CLIENT_ID_OPTION, CODEC_OPTION, QUICK_FIGURES, SOURCES
from tests.environments import PATIENT, start_program
from tests.faults import Proxy
from tests.servers import Broker, SecureBroker, wait_for

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = sorted(SOURCES)
RECOMMENDED = {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 20}


def metadata(topic: str, interval_ms: int = 1000, **more: Any) -> dict[str, Any]:
    """A metadata record that recommends RECOMMENDED for one topic."""
    advice = {
        "topic_name": topic,
        "potential_reduction_percentage": 60,
        "daily_writes_bytes": 10**9,
        "optimized_configuration": RECOMMENDED,
        "allow_linger": True,
    }
    return {"active": True, "report_interval_ms": interval_ms, "topics_configuration": [advice], **more}


def publish(cluster: Broker, record: dict[str, Any]) -> None:
    """Both system topics, and this as the last metadata record."""
    cluster.create_system_topics()
    cluster.publish_metadata(record)


class Running:
    """A program under test, between "sent" and its end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def tell(self, line: str) -> None:
        """Give it a line to go on by."""
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def finish(self) -> str:
        """Tell it to end; what it said on stderr. Its stdout and exit status are as without the agent."""
        out, err = self.process.communicate("go on\n", timeout=60)
        assert (out, self.process.returncode) == ("closed\n", 0), err
        return err


@contextmanager
def program(
    library: str, bootstrap: str, topic: str, count: int = 500, conf: dict[str, Any] | None = None, **env: str
) -> Iterator[Running]:
    """The library's program with the agent, from the moment when everything it sent is acknowledged."""
    variables = {"PYTHONPATH": str(ROOT), "CONF": json.dumps(conf or {}), **PATIENT, **env}
    arguments = (bootstrap, topic, str(count))
    with start_program(Path(sys.executable), SOURCES[library], *arguments, env=variables) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if line != "sent\n":
            pytest.fail(f"{line!r} instead of sent: {process.communicate(timeout=20)}")
        yield Running(process)


def of_kind(reports: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The reports of one message type."""
    return [report for report in reports if report["message_type"] == kind]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_recommendation_is_applied_and_reported(library: str, cluster: Broker, topic: str) -> None:
    """AGT-20, AGT-30, AGT-40, AGT-46: zstd batches in the broker's log, client_info with both configurations."""
    publish(cluster, metadata(topic))
    with program(library, cluster.bootstrap, topic, SUPERSTREAM_TOPICS_LIST=topic) as running:
        info = of_kind(cluster.wait_for_reports(lambda reports: of_kind(reports, "client_info")), "client_info")[-1]
        err = running.finish()
    assert cluster.log_bytes(topic).codecs == {"zstd"}
    assert cluster.log_bytes(topic).records == 500
    assert info["original_configuration"]["compression.type"] == "none"
    assert info["optimized_configuration"]["compression.type"] == "zstd"
    assert info["optimized_configuration"]["linger.ms"] == 20
    assert int(info["optimized_configuration"]["batch.size"]) >= 65536
    assert (info["most_impactful_topic"], info["topics"]) == (topic, [topic])
    assert (info["language"], info["type"]) == (f"Python ({library})", "producer")
    assert (info["schema_version"], info["sequence"], info["error"]) == (1, 0, "")
    assert info["environment_variables"] == {"SUPERSTREAM_TOPICS_LIST": topic, **PATIENT}
    assert len([line for line in err.splitlines() if "INFO optimizer" in line and "->" in line]) == 1
    assert err.splitlines()[0] == (
        f"[superstream] INFO agent: Superstream Agent initialized with environment variables: "
        f"{ {**PATIENT, 'SUPERSTREAM_TOPICS_LIST': topic} }"
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_bytes_are_counted_not_estimated(library: str, cluster: Broker, topic: str) -> None:
    """AGT-41, AGT-25: within 1 % of the broker's own log files, by topic, in the last report of a closed producer."""
    publish(cluster, metadata(topic))
    conf = QUICK_FIGURES[library]
    with program(library, cluster.bootstrap, topic, 20_000, conf, SUPERSTREAM_TOPICS_LIST=topic) as running:
        cluster.wait_for_reports(lambda reports: _counted(reports, topic) >= 20_000)
        running.finish()
    stats = of_kind(cluster.wait_for_reports(lambda reports: _counted(reports, topic) >= 20_000), "client_stats")
    last, log = stats[-1], cluster.log_bytes(topic)
    figures = last["topic_metrics"][topic]
    assert figures["record-send-total"] == log.records == 20_000
    assert figures["byte-total"] == pytest.approx(log.bytes, rel=0.01)
    assert last["producer_metrics"]["record-send-total"] == 20_000
    assert last["producer_metrics"]["outgoing-byte-total"] >= log.bytes
    assert last["producer_metrics"]["record-error-total"] == 0
    assert sum(one["write_after_compression_delta"] for one in stats) == pytest.approx(log.bytes, rel=0.01)
    raw = sum(one["write_before_compression_delta"] for one in stats)
    assert raw == pytest.approx(20_000 * 230, rel=0.1)
    assert figures["compression-rate"] == pytest.approx(log.bytes / raw, rel=0.02)
    assert [one["sequence"] for one in stats] == sorted({one["sequence"] for one in stats})
    assert len({one["superstream_client_uid"] for one in stats}) == 1


def _counted(reports: list[dict[str, Any]], topic: str) -> float:
    stats = of_kind(reports, "client_stats")
    return stats[-1].get("topic_metrics", {}).get(topic, {}).get("record-send-total", 0) if stats else 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_short_job_reports_its_volume(library: str, cluster: Broker, topic: str) -> None:
    """AGT-25: a producer that is closed long before its first interval has one last client_stats, without waiting."""
    publish(cluster, metadata(topic, interval_ms=300_000))
    with program(library, cluster.bootstrap, topic, 100, STAY="1") as running:
        running.tell("go on\n")
        last = of_kind(cluster.wait_for_reports(lambda reports: of_kind(reports, "client_stats")), "client_stats")[-1]
        running.tell("\n")
        running.finish()
    if library != "confluent-kafka":  # librdkafka hands its figures out by the clock: absent, not guessed
        assert last["topic_metrics"][topic]["record-send-total"] == 100


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_a_producer_writes_is_learned(library: str, cluster: Broker, topic: str) -> None:
    """AGT-30, AGT-35: without SUPERSTREAM_TOPICS_LIST the topics it is seen to write are in its reports."""
    publish(cluster, metadata(topic))
    with program(library, cluster.bootstrap, topic, 2000, QUICK_FIGURES[library]) as running:
        cluster.wait_for_reports(lambda reports: any(report["topics"] == [topic] for report in reports))
        running.finish()


@pytest.mark.parametrize("library", LIBRARIES)
def test_without_a_metadata_topic_sensible_defaults_hold(library: str, cluster: Broker, topic: str) -> None:
    """AGT-32, AGT-45: no metadata topic: defaults, said in one line with the way to better; no topic was created."""
    with program(library, cluster.bootstrap, topic) as running:
        err = running.finish()
    codecs = cluster.log_bytes(topic).codecs - {"none"}  # kafka-python leaves the smallest batches as they are
    assert codecs == (set() if library == "confluent-kafka" else {"gzip"})
    assert "superclient advise --publish" in err
    assert not {"superstream.metadata_v1", "superstream.clients"} & set(cluster.topics())


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("record", "env", "codec"),
    [
        ({"active": False}, {}, "none"),
        ({}, {"SUPERSTREAM_DEFAULTS": "off"}, "none"),
        ({}, {"SUPERSTREAM_DEFAULT_CODEC": "zstd"}, "zstd"),
        ({"topics_configuration": "broken"}, {}, "none"),
        ({}, {"SUPERSTREAM_DISABLED": "YES"}, "none"),
        ({}, {"SUPERSTREAM_DISABLED_LIBRARIES": "kafka-python,aiokafka,confluent-kafka"}, "none"),
    ],
)
def test_the_cases_without_a_recommendation(
    library: str, cluster: Broker, topic: str, record: dict[str, Any], env: dict[str, str], codec: str
) -> None:
    """AGT-32, AGT-36, AGT-5: inactive, switched off, broken metadata: the program's own configuration holds."""
    publish(cluster, record)
    with program(library, cluster.bootstrap, topic, **env) as running:
        err = running.finish()
    assert cluster.log_bytes(topic).codecs == {codec}
    assert err.count("WARNING") == (1 if "topics_configuration" in record else 0)
    if "SUPERSTREAM_DISABLED" in env:
        assert err == ""


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_programs_own_codec_yields_to_a_recommendation_alone(library: str, cluster: Broker, topic: str) -> None:
    """AGT-31: a codec the program wrote stands against the defaults, and gives way to a recommendation."""
    own = {CODEC_OPTION[library]: "lz4", CLIENT_ID_OPTION[library]: "mine"}
    with program(library, cluster.bootstrap, topic, conf=own) as running:
        running.finish()
    assert cluster.log_bytes(topic).codecs == {"lz4"}
    publish(cluster, metadata(topic))
    with program(library, cluster.bootstrap, topic, conf=own, SUPERSTREAM_TOPICS_LIST=topic) as running:
        info = of_kind(cluster.wait_for_reports(lambda reports: of_kind(reports, "client_info")), "client_info")[-1]
        running.finish()
    assert cluster.log_bytes(topic).codecs == {"lz4", "zstd"}
    assert (info["client_id"], info["original_configuration"]["compression.type"]) == ("mine", "lz4")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_slow_cluster_gets_its_plan_late(library: str, behind_proxy: tuple[Broker, Proxy]) -> None:
    """AGT-23: past the deadline the program goes on with its own, and what comes late is applied live."""
    broker, proxy = behind_proxy
    topic = broker.create_topic(f"late-{library}")
    publish(broker, metadata(topic))
    proxy.delay(0.15)
    try:
        env = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_METADATA_TIMEOUT_MS": "0"}
        with program(library, proxy.bootstrap, topic, 0, **env) as running:
            broker.wait_for_reports(lambda reports: _late(of_kind(reports, "client_info"), topic))
            running.finish()
    finally:
        proxy.restore()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_secure_cluster_with_rights(library: str, secure_kafka: SecureBroker) -> None:
    """AGT-43, AGT-42: SASL_SSL with ACLs: optimised and reported; no secret in a report or a line."""
    topic = secure_kafka.create_topic(f"secure-{library}")
    publish(secure_kafka, metadata(topic))
    secure_kafka.grant("app", topic, ("WRITE", "DESCRIBE"))
    secure_kafka.grant("app", "superstream.metadata_v1", ("READ", "DESCRIBE"))
    secure_kafka.grant("app", "superstream.clients", ("WRITE", "DESCRIBE"))
    try:
        before = len(secure_kafka.reports())
        env = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_DEBUG": "true"}
        with program(
            library, secure_kafka.secure_bootstrap, topic, 500, _secure(secure_kafka, library), **env
        ) as running:
            secure_kafka.wait_for_reports(lambda reports: of_kind(reports[before:], "client_info"))
            err = running.finish()
    finally:
        secure_kafka.revoke_all("app")
    assert secure_kafka.log_bytes(topic).codecs == {"zstd"}
    assert "app-secret" not in err + json.dumps(secure_kafka.reports())


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_secure_cluster_without_rights(library: str, secure_kafka: SecureBroker) -> None:
    """AGT-43, AGT-32: without rights on superstream.* it says so once, and the program's own configuration holds."""
    topic = secure_kafka.create_topic(f"bare-{library}")
    publish(secure_kafka, metadata(topic))
    secure_kafka.grant("other", topic, ("WRITE", "DESCRIBE"))
    try:
        conf = _secure(secure_kafka, library, "other")
        with program(
            library, secure_kafka.secure_bootstrap, topic, 500, conf, SUPERSTREAM_TOPICS_LIST=topic
        ) as running:
            err = running.finish()
    finally:
        secure_kafka.revoke_all("other")
    assert secure_kafka.log_bytes(topic).codecs == {"none"}
    assert err.count("no right to read superstream.metadata_v1") <= 1
    assert err.count("WARNING") <= 2


def _late(infos: list[dict[str, Any]], topic: str) -> bool:
    own = [info["optimized_configuration"]["compression.type"] for info in infos if info["topics"] == [topic]]
    return own[-1:] == ["zstd"]


def _secure(broker: SecureBroker, library: str, user: str = "app") -> dict[str, Any]:
    conf = broker.client_config("confluent" if library == "confluent-kafka" else library, user)
    conf.pop("bootstrap_servers", None), conf.pop("bootstrap.servers", None)
    if conf.pop("ssl_context", None) is not None:
        conf["cafile"] = str(broker.ca_file)  # an SSLContext does not travel as JSON
    return conf


@pytest.mark.parametrize("library", LIBRARIES)
def test_figures_survive_a_broker_that_restarts(library: str, fresh_kafka: Broker) -> None:
    """AGT-44, AGT-46: reports that could not be sent are in later ones: no volume is lost, no sequence is left out."""
    topic = fresh_kafka.create_topic("through-a-restart")
    publish(fresh_kafka, metadata(topic))
    with program(library, fresh_kafka.bootstrap, topic, 3000, QUICK_FIGURES[library]) as running:
        fresh_kafka.wait_for_reports(lambda reports: _counted(reports, topic) >= 3000)
        fresh_kafka.kill()
        fresh_kafka.start()
        before = len(fresh_kafka.reports())
        fresh_kafka.wait_for_reports(lambda reports: len(reports) > before, timeout=60)
        running.finish()
    stats = of_kind(fresh_kafka.reports(), "client_stats")
    assert sum(one["write_before_compression_delta"] for one in stats) > 0
    assert stats[-1]["topic_metrics"][topic]["record-send-total"] == 3000
    wait_for(lambda: running.process.returncode == 0, "the program's end")
