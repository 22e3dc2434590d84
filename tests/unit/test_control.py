"""explain, status and deactivate where there is nothing to see, nothing to know, or nothing to tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.agent import control, pipeline
from superclient.agent.model import Action, Origin, Plan, ProducerRequest, Reason, Treatment
from superclient.agent.optimizer import own_plan
from superclient.agent.tracker import Tracked
from superclient.agent.withdrawal import Withdrawals
from superclient.errors import NotTracked, SuperclientError
from superclient.kafka.connection import Connection
from superclient.kafka.vocabulary import reportable
from tests.environments import run_program

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = {"linger.ms": 0, "batch.size": 16384, "compression.type": "none", "acks": 1}


def request(client_id: str = "app", **written: Any) -> ProducerRequest:
    connection = Connection("kafka-python", ("a:1",), "PLAINTEXT", dict(written))
    tunable = frozenset({"compression.type", "batch.size", "linger.ms"})
    known = reportable("kafka-python", written)
    return ProducerRequest("kafka-python", "3", client_id, connection, known, DEFAULTS, frozenset(), tunable)


def tracked(plan: Plan, asked: ProducerRequest | None = None, applied: bool = True) -> Tracked:
    one = Tracked(None, asked or request(), plan)  # type: ignore[arg-type]  # no library is asked anything
    one.applied = applied
    return one


def program(source: str, **env: str) -> str:
    """What a program of its own prints; the agent is switched off until the program asks for it."""
    done = run_program(Path(sys.executable), source, env={"PYTHONPATH": str(ROOT), **env})
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_origins_and_reasons() -> None:
    """AGT-67: user, library and recommendation, each with its reason; a refusal and an observed value are told."""
    reasons = (
        Reason("compression.type", Action.SET, "zstd", "recommendation"),
        Reason("batch.size", Action.REFUSED, 65536, "larger than max.request.size 1000"),
        Reason("linger.ms", Action.KEPT, 5, "already larger"),
    )
    plan = Plan({"compression.type": "zstd"}, reasons, Origin.RECOMMENDATION, "t", "recommended for topic t")
    found = control._explained(tracked(plan, request(linger_ms=5)))
    assert found["compression.type"].origin == "recommendation"
    assert found["batch.size"].reason == "kafka-python's own default; 65536 refused: larger than max.request.size 1000"
    assert (found["linger.ms"].value, found["linger.ms"].origin) == (5, "user")
    assert found["linger.ms"].reason == "written by the program; already larger"
    assert found["compression.level"].reason == "this version has no such setting"
    assert "zstd" in str(found)
    with pytest.raises(KeyError):
        found["sasl.jaas.config"]


def test_what_is_only_observed_or_still_to_come() -> None:
    """AGT-67, AGT-60: a value that would hold, and one that holds from the next construction on, are not in force."""
    seen = (Reason("batch.size", Action.OBSERVED, 65536, "defaults"),)
    plan = Plan({}, seen, Origin.DEFAULTS, why="sensible defaults", treatment=Treatment.OBSERVED)
    found = control._explained(tracked(plan))
    assert (found["batch.size"].value, found.treatment) == (16384, "observed")
    assert found["batch.size"].reason == "kafka-python's own default; would be 65536"
    late = Plan({"batch.size": 65536}, (Reason("batch.size", Action.SET, 65536, "x"),), Origin.DEFAULTS)
    setting = control._explained(tracked(late, applied=False))["batch.size"]
    assert (setting.value, setting.reason.endswith("65536 from the next construction on")) == (16384, True)


SECRETS = st.text(alphabet="ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=12, max_size=20)


@given(
    secret=SECRETS,
    name=st.sampled_from(
        ["sasl_plain_password", "ssl_password", "ssl_keyfile", "sasl_oauth_token_provider", "x_token"]
    ),
)
def test_no_secret_is_told(secret: str, name: str) -> None:
    """AGT-42, AGT-67: neither str nor repr of any answer has what a program wrote into a setting of its own."""
    one = tracked(own_plan(request(**{name: secret, "bootstrap_servers": f"app:{secret}@a:1"}), "said"))
    found = control._explained(one)
    assert secret not in f"{found!r} {found}"


def test_an_object_that_is_no_producer() -> None:
    """AGT-67: an error of its own, which names the type and no value, and is a LookupError."""
    with pytest.raises(NotTracked, match="does not watch this str") as caught:
        control.explain("secret")
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, SuperclientError)
    assert "secret" not in str(caught.value)


def test_withdrawn_for_an_hour_by_client_id() -> None:
    """AGT-66: the next producer of that client id keeps its own settings too; after an hour a plan is tried again."""
    now = [0.0]
    kept = Withdrawals("the plan was withdrawn: ", clock=lambda: now[0])
    kept.add(request(), "worse")
    assert kept.holds(request()) == "the plan was withdrawn: worse"
    assert kept.holds(request("other")) == ""
    now[0] = 3599.0
    assert kept.holds(request())
    now[0] = 3600.0
    assert not kept.holds(request())
    for number in range(3000):
        kept.add(request(str(number)), "worse")
    assert len(kept._until) <= 1001


def test_a_program_without_a_library() -> None:
    """AGT-67, AGT-62: status and deactivate work before any Kafka library is there, and import none."""
    said = program("""
        import sys, superclient
        print(superclient.status())
        superclient.deactivate()
        print(superclient.status())
        assert not {"kafka", "aiokafka", "confluent_kafka"} & set(sys.modules)
        from kafka import KafkaProducer
        assert not hasattr(KafkaProducer.__init__, "__wrapped__")
        print(superclient.status().libraries)
        superclient.deactivate()
        """)
    assert "no Kafka library was imported yet; mode optimize" in said
    assert "switched off" in said
    assert "patched=False" in said
    assert "[superstream]" not in said, "an agent that does nothing says nothing"


def test_a_program_whose_agent_is_disabled() -> None:
    """AGT-62, AGT-5: deactivate does nothing where there is nothing to do, and status says why."""
    said = program(
        """
        import superclient, kafka
        superclient.deactivate()
        print(superclient.status())
        """,
        SUPERSTREAM_DISABLED="true",
    )
    assert "switched off by SUPERSTREAM_DISABLED" in said


UNKNOWN = """
    import os, sys
    import {module}
    {spoil}
    del os.environ["SUPERSTREAM_DISABLED"]
    from superclient import _boot
    _boot.activate()
    import superclient
    status = superclient.status()
    print([(one.library, one.feature) for one in status.features_off], [one.patched for one in status.libraries])
    """


@pytest.mark.parametrize(
    ("module", "spoil", "off"),
    [
        ("kafka.producer.kafka", "del kafka.producer.sender.Sender._create_produce_requests", "counting"),
        ("kafka.producer.kafka", "del kafka.producer.record_accumulator.RecordAccumulator.drain", "linger.ms"),
        ("kafka.producer.kafka", "del kafka.record.default_records.gzip_encode", "compression.level"),
        ("kafka.producer.kafka", "del kafka.KafkaProducer._COMPRESSORS", "compression.type"),
        ("aiokafka.producer.producer", "del aiokafka.producer.message_accumulator.MessageBatch.failure", "counting"),
        ("aiokafka.producer.producer", "del aiokafka.producer.sender.Sender._sender_routine", "linger"),
    ],
)
def test_an_unknown_version(module: str, spoil: str, off: str) -> None:
    """AGT-61: a version without a private name that a feature uses loses that feature alone, with one warning."""
    said = program(UNKNOWN.format(module=module, spoil=spoil), SUPERSTREAM_DISABLED="true")
    library = "aiokafka" if module.startswith("aiokafka") else "kafka-python"
    assert f"('{library}', '{off}')" in said
    assert "[True]" in said, "the rest works"
    assert said.count(f"the agent leaves {off} alone") == 1


def test_the_public_names_are_typed() -> None:
    """AGT-67: as a user's type checker sees them."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "tests/typing/api.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110)
    assert done.stdout == "", done.stdout + done.stderr


def test_no_agent_is_made_by_asking() -> None:
    """AGT-67: asking does not start anything."""
    before = pipeline._agent
    control.status()
    assert pipeline._agent is before
