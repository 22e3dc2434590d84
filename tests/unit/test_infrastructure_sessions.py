"""What a whole test session does: without servers, and next to another one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import Broker
from tests.servers.ports import free_port, release_port

ROOT = Path(__file__).parents[2]


def _session(ci: str, cache: Path) -> subprocess.CompletedProcess[str]:
    test = "tests/unit/test_infrastructure_kafka.py::test_a_started_broker_answers_from_its_own_process_group"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"CI": ci, "SUPERCLIENT_TEST_CACHE": str(cache)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=60, check=False)


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 error"), ("", "1 skipped")])
def test_a_missing_server_is_a_skip_and_under_ci_a_failure(tmp_path: Path, ci: str, outcome: str):
    """TST-3: under CI a missing server is a failure; elsewhere the skip says how to get it."""
    done = _session(ci, tmp_path)
    assert outcome in done.stdout, done.stdout + done.stderr
    assert "install_servers.py --kafka" in done.stdout


def test_two_sessions_never_get_one_port():
    """TST-1: sessions side by side do not collide: a port that one has reserved is not given to another."""
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    code = "from tests.servers.ports import free_port; print(*[free_port() for _ in range(200)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not set(ports) & {int(port) for port in done.stdout.split()}
    for port in ports:
        release_port(port)


def test_two_brokers_are_two_clusters(kafka: Broker, own_kafka: Broker):
    """TST-1: side by side on one machine, with ports, data and a cluster id of their own."""
    assert kafka.bootstrap != own_kafka.bootstrap
    own_kafka.create_topic("mine")
    assert "mine" not in kafka.topics()
    ids = {broker.admin().list_topics(timeout=10).cluster_id for broker in (kafka, own_kafka)}
    assert len(ids) == 2


@pytest.mark.matrix_full
def test_an_older_broker_serves_too(old_kafka: Broker):
    """TST-1: the same fixture starts a broker of an older Kafka."""
    old_kafka.create_topic("old")
    old_kafka.produce("old", [b"value"])
    assert old_kafka.log_bytes("old").records == 1
