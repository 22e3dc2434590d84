"""Bad luck: the broker refuses, is silent, pauses, restarts, or does not let the program in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import pytest

from tests.differential.conftest import new_topics, recommendation
from tests.differential.program import FOLDER, Program, read
from tests.differential.runner import FIRST_CONTACT, NOISE, Pair, Run, compare, proceed
from tests.faults import black_hole, refused_port, silent_port
from tests.servers import Broker, SecureBroker, wait_for

LIBRARIES = ("kafka_python", "aiokafka", "confluent")
OWN_LIMIT = {"SUPERSTREAM_METADATA_TIMEOUT_MS": "500"}


def program(library: str, what: str) -> Program:
    return read(FOLDER / "faults" / f"{library}_{what}.py")


def same(pair: Pair, warnings: int = 1) -> None:
    """The program could not tell, and at most one line says what the agent could not do."""
    found = pair.differences()
    found = [each for each in found if not each.startswith("more warnings")]
    if len(pair.agent.warnings) > warnings:
        found.append(f"more than {warnings} warnings: {pair.agent.warnings}")
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("fault", [refused_port, black_hole, silent_port], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("library", LIBRARIES)
def test_unreachable(library: str, fault: Callable[[], AbstractContextManager[int]], kafka: Broker) -> None:
    """TST-5, AGT-21, AGT-23: a broker that is not there is the program's error, in its words and at its time."""
    one = program(library, "unreachable")
    with fault() as port:
        pair = compare(one, kafka, new_topics(kafka, one), bootstrap=f"127.0.0.1:{port}", env=OWN_LIMIT)

    same(pair)
    assert pair.agent.seconds < pair.bare.seconds + FIRST_CONTACT + NOISE


def interrupted(library: str, broker: Broker, between: Callable[[Sequence[Run]], None]) -> Pair:
    one = program(library, "interrupted")
    topics = new_topics(broker, one)
    broker.create_system_topics()
    broker.publish_metadata(recommendation(topics[1]))
    return compare(one, broker, topics, between)


@pytest.mark.parametrize("library", LIBRARIES)
def test_paused(library: str, fresh_kafka: Broker) -> None:
    """TST-5: a broker that is silent for a while costs nothing: every record arrives, in order."""

    def between(runs: Sequence[Run]) -> None:
        fresh_kafka.pause()
        proceed(runs)
        wait_for(lambda: all(run.says("sent") for run in runs), "both have sent into the silence")
        fresh_kafka.resume()

    same(interrupted(library, fresh_kafka, between))


@pytest.mark.parametrize("library", LIBRARIES)
def test_restarted(library: str, fresh_kafka: Broker) -> None:
    """TST-5: a broker that crashes and comes back: every record arrives, in order."""

    def between(runs: Sequence[Run]) -> None:
        fresh_kafka.kill()
        proceed(runs)
        wait_for(lambda: all(run.says("sent") for run in runs), "both have sent into the void")
        fresh_kafka.start()

    same(interrupted(library, fresh_kafka, between))


def secure(library: str, broker: SecureBroker, rights: bool, password: str | None = None) -> Pair:
    one = program(library, "secure")
    topics = new_topics(broker, one)
    for topic in topics if rights else ():
        broker.grant("app", topic, ("WRITE", "DESCRIBE"))
    config = broker.client_config(library.replace("_", "-"), password=password)
    config.pop("ssl_context", None)
    if library == "aiokafka":
        config["ssl_cafile"] = str(broker.ca_file)
    try:
        # A cluster with TLS and SASL takes its time to answer the first question.
        return compare(one, broker, topics, bootstrap=broker.secure_bootstrap, args=[json.dumps(config)])
    finally:
        broker.revoke_all("app")


@pytest.mark.parametrize("library", LIBRARIES)
def test_wrong_password(library: str, secure_kafka: SecureBroker) -> None:
    """TST-5: wrong credentials are the program's error, once."""
    same(secure(library, secure_kafka, rights=True, password="wrong"))


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_rights_on_the_topic(library: str, secure_kafka: SecureBroker) -> None:
    """TST-5: no right to write the program's topic is the program's error, as without the agent."""
    same(secure(library, secure_kafka, rights=False))


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_rights_on_the_system_topics(library: str, secure_kafka: SecureBroker) -> None:
    """TST-5, AGT-43: without rights on superstream.* the record arrives, and the agent says so once."""
    secure_kafka.create_system_topics()
    pair = secure(library, secure_kafka, rights=True)

    same(pair)
    assert len(pair.agent.records) == 1
