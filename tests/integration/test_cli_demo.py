"""`superclient demo` from end to end: on the mock cluster, on a real one, and stopped halfway."""

from __future__ import annotations

import signal
import subprocess
import time

import psutil
import pytest

from tests.environments import clean_environment, environment
from tests.integration.cli import document, full_python, superclient
from tests.servers import Broker, wait_for

LIBRARIES = {"confluent-kafka", "kafka-python", "aiokafka"}


def test_the_whole_loop():
    """AGT-52: in under a minute each library's program sends far fewer bytes, and its agent reported what it did."""
    start = time.monotonic()
    done = superclient("demo", "--json", "--records", "2000")
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - start < 60
    found = document(done)
    assert found["cluster"] == "mock"
    assert set(found["libraries"]) == LIBRARIES
    for name, one in found["libraries"].items():
        without, with_agent = one["without"], one["with"]
        assert without["records"] == with_agent["records"] == 2040
        assert 500_000 < without["bytes"] < 1_000_000, name  # 285 bytes of JSON each, and Kafka's own
        assert with_agent["bytes"] < 0.6 * without["bytes"], name
        assert 40 < with_agent["requests"] <= 2040, name
        assert without["agent_bytes"] == 0 < with_agent["agent_bytes"] < 100_000
        assert 0 < with_agent["awaited_ms"] < 1000
        assert one["ratio"]["bytes"] == pytest.approx(with_agent["bytes"] / without["bytes"], abs=0.001)
        assert one["client_info"]["optimized_configuration"]["compression.type"] == "zstd"
        assert one["client_info"]["original_configuration"]["compression.type"] == "none"


def test_the_table():
    """AGT-52: the figures are side by side, and what the agent sent and reported is below them."""
    done = superclient("demo", "--records", "200")
    assert done.returncode == 0, done.stderr
    for word in (*LIBRARIES, "bytes on the wire", "produce requests", "ratio", "client_info", "none -> zstd"):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def own_topics(broker: Broker) -> set[str]:
    """Those that somebody made; the broker makes its own when it is first asked about a consumer group."""
    return {name for name in broker.topics() if not name.startswith("__")}


def test_a_real_cluster(cluster: Broker):
    """AGT-52: a real cluster gives the same picture, and is left as it was."""
    before = own_topics(cluster)
    done = superclient("demo", "--json", "--records", "500", "--bootstrap-servers", cluster.bootstrap)
    assert (done.returncode, done.stderr) == (0, "")
    for one in document(done)["libraries"].values():
        assert one["without"]["records"] == one["with"]["records"] == 540
        assert one["ratio"]["bytes"] < 0.7
    wait_for(lambda: own_topics(cluster) == before, "the demo's topics are gone")


def test_recommendations_are_not_replaced(cluster: Broker):
    """AGT-52: a cluster that has recommendations is refused, and keeps them."""
    cluster.publish_metadata({"active": True, "topics_configuration": []})
    done = superclient("demo", "--bootstrap-servers", cluster.bootstrap)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "superclient demo: this cluster has recommendations, and the demo would replace them; try another one"
    )
    assert len(cluster.records("superstream.metadata_v1")) == 1


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_stopped_halfway(sign: signal.Signals):
    """AGT-52: Ctrl-C, or a SIGTERM, ends it with status 130, without a traceback and with nothing left running."""
    command = [str(full_python().with_name("superclient")), "demo", "--records", "100000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()
    ) as process:
        try:
            demo = psutil.Process(process.pid)
            wait_for(demo.children, "a sample program runs")
            children = demo.children(recursive=True)
            process.send_signal(sign)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in out + err
    wait_for(lambda: not any(child.is_running() for child in children), "the sample program is gone")


def test_what_is_missing():
    """AGT-52, AGT-51: a library that is not installed is left out, with its pip line; so is the extra named."""
    done = superclient("demo", python=environment())
    assert (done.returncode, "pip install 'superclient[demo]'" in done.stderr) == (1, True)
    done = superclient("demo", "--json", "--records", "200", python=environment(packages=["confluent-kafka", "rich"]))
    found = document(done)
    assert set(found["libraries"]) == {"confluent-kafka"}
    assert found["left_out"]["aiokafka"] == "pip install 'superclient[aiokafka]'"
