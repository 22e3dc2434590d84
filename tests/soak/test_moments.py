"""AGT-35: settings that change while a producer closes, a process forks, or a transaction is open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.environments import PATIENT, environment, run_program
from tests.servers import Broker
from tests.soak.test_retunes import PACKAGES, PROGRAMS, in_order, prepared

PROGRAM = PROGRAMS / "moments.py"


def moment(kafka: Broker, library: str, name: str) -> tuple[str, dict[str, Any]]:
    """The topic, and what the program said."""
    topic = prepared(kafka, "direct")
    python: Path = environment(packages=PACKAGES[library])
    arguments = (kafka.bootstrap, topic, f"{library.replace('-', '_')}_{name}")
    done = run_program(python, PROGRAM, *arguments, env={**PATIENT, "SUPERSTREAM_TOPICS_LIST": topic}, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1].removeprefix("result "))
    assert said["left"] == []
    return topic, said


@pytest.mark.parametrize("library", ["kafka-python", "aiokafka"])
def test_in_the_middle_of_a_close(cluster: Broker, library: str) -> None:
    """AGT-35: what was sent before the close is delivered by it, once and in order."""
    topic, said = moment(cluster, library, "closes")
    assert said["acknowledged"] == 5000
    in_order(cluster, topic, 5000)


def test_in_the_middle_of_a_fork(cluster: Broker) -> None:
    """AGT-24, AGT-35: parent and child go on, each with its own producer."""
    topic, said = moment(cluster, "kafka-python", "forks")
    assert said["acknowledged"] == 2000
    assert said["children"] == [0] * 10
    in_order(cluster, topic, 2000, others={b"of a child": 10})


def test_in_the_middle_of_a_transaction(cluster: Broker) -> None:
    """AGT-26, AGT-35: what was committed is there, once and in order; what was aborted is not."""
    topic, said = moment(cluster, "aiokafka", "commits")
    assert said["acknowledged"] == 1000
    in_order(cluster, topic, 1000)
