"""The operator's controls while a program runs, one table for every library on a real broker."""

from __future__ import annotations

from typing import Any

import pytest

from superclient.agent.selfcheck import MIN_ANSWERS_BEFORE
from tests.contract.programs import CLIENT_ID_OPTION, CODEC_OPTION, QUICK_FIGURES
from tests.contract.test_agent import metadata, publish
from tests.contract.told import SOURCES, told
from tests.faults import Proxy
from tests.servers import Broker, wait_for

LIBRARIES = sorted(SOURCES)
LIVE = ["kafka-python", "aiokafka"]  # whose producers change while they are in use


def last_info(broker: Broker, wanted: Any) -> dict[str, Any]:
    """The last client_info, once it is one that is wanted."""
    found: list[dict[str, Any]] = []

    def arrived(reports: list[dict[str, Any]]) -> bool:
        found[:] = [report for report in reports if report["message_type"] == "client_info"]
        return bool(found) and wanted(found[-1])

    broker.wait_for_reports(arrived, timeout=60)
    return found[-1]


def codec(info: dict[str, Any]) -> str:
    return str(info["optimized_configuration"]["compression.type"])


@pytest.mark.parametrize("library", LIBRARIES)
def test_inactive_restores_live_producers(library: str, cluster: Broker, topic: str) -> None:
    """AGT-62: after `active: false` a producer that was tuned has its own settings back, and says so."""
    publish(cluster, metadata(topic))
    env = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_LIVE_SWAP": "true"}
    with told(library, cluster.bootstrap, topic, **env) as program:
        program("send 10 100")
        assert cluster.log_bytes(topic).codecs == {"zstd"}
        cluster.publish_metadata(metadata(topic, active=False))
        info = last_info(cluster, lambda info: codec(info) == "none")
        assert info["optimized_configuration"] == info["original_configuration"]
        before = len(cluster.log_bytes(topic).batches)
        program("send 10 100")
        assert {batch.codec for batch in cluster.log_bytes(topic).batches[before:]} == {"none"}
        program.end()


@pytest.mark.parametrize("library", LIBRARIES)
def test_deactivate(library: str, cluster: Broker, topic: str) -> None:
    """AGT-62: at once for producers in use, and for those built later; one last report says so, and the thread ends."""
    publish(cluster, metadata(topic, interval_ms=300_000))
    with told(library, cluster.bootstrap, topic, SUPERSTREAM_TOPICS_LIST=topic) as program:
        program("send 10 100")
        last_info(cluster, lambda info: codec(info) == "zstd")
        program("deactivate")
        program("deactivate")
        if library in LIVE:
            before = len(cluster.log_bytes(topic).batches)
            program("send 10 100")
            assert {batch.codec for batch in cluster.log_bytes(topic).batches[before:]} == {"none"}
            assert program("explain")["compression.type"][:2] == ["none", "library"]
        info = last_info(cluster, lambda info: "deactivate" in str(info["reasons"]) + info["error"])
        assert codec(info) == ("none" if library in LIVE else "zstd")
        before = len(cluster.log_bytes(topic).batches)
        program("new")
        program("send 10 100")
        assert {batch.codec for batch in cluster.log_bytes(topic).batches[before:]} == {"none"}
        status = program("status")
        while status["alive"]:  # the suite's time-out bounds it
            status = program("status")
        assert not status["active"]
        reported = len(cluster.reports())
        err = program.end()
    assert len(cluster.reports()) == reported, "a producer that was built after deactivate() is not reported on"
    assert "WARNING" not in err


@pytest.mark.parametrize("library", LIBRARIES)
def test_explain_and_status(library: str, cluster: Broker, topic: str) -> None:
    """AGT-67: every tunable setting with who it is from and why, and the process; a secret in neither."""
    publish(cluster, metadata(topic))
    own = {CLIENT_ID_OPTION[library]: "mine", CODEC_OPTION[library]: "lz4"}
    with told(library, cluster.bootstrap, topic, own, SUPERSTREAM_TOPICS_LIST=topic) as program:
        program("send 10 100")
        found = program("explain")
        assert found["compression.type"] == ["zstd", "recommendation", f"recommended for topic {topic}"]
        assert found["linger.ms"][:2] == [20, "recommendation"]
        assert found["client.id"] == ["mine", "user", "written by the program"]
        assert found["max.request.size"][1] == "library"
        assert list(found)[:4] == ["compression.type", "compression.level", "batch.size", "linger.ms"]
        if library == "confluent-kafka":
            assert found["batch.size"][1] == "library"
            assert "already larger" in found["batch.size"][2]
        last_info(cluster, lambda info: codec(info) == "zstd")
        status = program("status")
        assert (status["active"], status["alive"], status["patched"]) == (True, True, [library])
        assert status["clusters"][0][0] == "known"
        assert f"recommended for topic {topic}" in status["text"]
        program.end()


@pytest.mark.parametrize("library", LIVE)
def test_errors_withdraw_a_plan(library: str, cluster: Broker) -> None:
    """AGT-66: where most records fail after a plan was applied, the program's own settings are back, and it is said."""
    topic = cluster.create_topic(f"refuses-{library}", config={"max.message.bytes": "2000"})
    publish(cluster, metadata(topic))
    # An idempotent producer of kafka-python's sends nothing more after the first record that is refused.
    with told(
        library, cluster.bootstrap, topic, {"enable_idempotence": False}, SUPERSTREAM_TOPICS_LIST=topic
    ) as program:

        def withdrawn(info: dict[str, Any]) -> bool:
            program("send 200 6000")
            return bool(info["error"])

        info = last_info(cluster, withdrawn)
        assert info["error"] == "plan withdrawn: 100% of its records failed"
        assert info["optimized_configuration"] == info["original_configuration"]
        assert "the plan was withdrawn" in program("explain")["compression.type"][2]
        cluster.publish_metadata(metadata(topic, more="news"))
        before = len(cluster.reports())
        cluster.wait_for_reports(lambda reports: len(reports) > before + 2)
        assert program("explain")["compression.type"][:2] == ["none", "library"], "not tried again for an hour"
        err = program.end()
    assert err.count("made things worse") == 1
    last = next(report for report in reversed(cluster.reports()) if "producer_metrics" in report)["producer_metrics"]
    assert last["record-send-total"] == cluster.log_bytes(topic).records == 0  # AGT-41: what was refused was not sent
    assert last["record-error-total"] >= 300


def test_slow_answers_withdraw_a_plan(behind_proxy: tuple[Broker, Proxy]) -> None:
    """AGT-66: confluent-kafka does not tell of records that brokers refuse; answers that take far longer it does."""
    broker, proxy = behind_proxy
    topic = broker.create_topic("slow")
    advice = metadata(topic)
    advice["topics_configuration"][0]["optimized_configuration"] = {"compression.type": "zstd"}
    publish(broker, {**advice, "active": False})
    conf = {"linger.ms": 0, **QUICK_FIGURES["confluent-kafka"]}
    env = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_LIVE_SWAP": "true"}
    with told("confluent-kafka", proxy.bootstrap, topic, conf, **env) as program:
        broker.wait_for_reports(lambda reports: program("send 100 100") and _answers(reports) > 2 * MIN_ANSWERS_BEFORE)
        broker.publish_metadata({**advice, "report_interval_ms": 300_000})
        last_info(broker, lambda info: codec(info) == "zstd")
        proxy.delay(1.0)  # far longer than any answer takes on a busy machine, and than a report of the agent's may
        try:
            wait_for(
                lambda: program("send 150 100") and "withdrawn" in program("explain")["compression.type"][2],
                "the verdict",
                timeout=90,
            )
        finally:
            proxy.restore()
        wait_for(lambda: program("explain")["compression.type"][1] == "library", "the program's own settings", 40)
        info = last_info(broker, lambda info: codec(info) == "none" and info["error"])
        assert info["error"].startswith("plan withdrawn: brokers took ")
        err = program.end()
    assert err.count("made things worse") == 1


def _answers(reports: list[dict[str, Any]]) -> float:
    last = next((report for report in reversed(reports) if "producer_metrics" in report), {})
    return float(last.get("producer_metrics", {}).get("request-total", 0))
