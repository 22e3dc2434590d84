"""KafkaAdmin on a real Kafka: topics are created, described and deleted; errors name the topic and the reason."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from superclient.errors import KafkaAdminError
from superclient.toolkit import AdminConfig, KafkaAdmin
from tests.faults import refused_port, silent_port
from tests.servers import Broker, SecureBroker


@pytest.fixture(scope="module")
def admin(kafka: Broker) -> Any:
    with KafkaAdmin(AdminConfig(kafka.bootstrap)) as found:
        yield found


def name() -> str:
    return f"admin-{os.urandom(4).hex()}"


def test_topics_are_created_listed_described_and_deleted(kafka: Broker, admin: KafkaAdmin) -> None:
    """KLI-9: dicts in, plain values out, which are JSON; what is left out is the broker's default."""
    full, bare = name(), name()
    config = {"retention.ms": 3_600_000, "cleanup.policy": "compact", "preallocate": True}
    wanted = [{"topic": full, "num_partitions": 3, "replication_factor": 1, "config": config}, {"topic": bare}]
    assert admin.create_topics(wanted) == [full, bare]
    assert kafka.topics()[full] == 3
    assert {full, bare} <= set(admin.list_topics())
    second, first = admin.describe_topics([bare, full])
    assert (first.topic, second.topic, first.internal) == (full, bare, False)
    assert first.config == {"cleanup.policy": "compact", "preallocate": "true", "retention.ms": "3600000"}
    assert [(one.partition, one.leader, one.replicas, one.in_sync) for one in first.partitions] == [
        (number, 1, [1], [1]) for number in range(3)
    ]
    assert json.loads(json.dumps(second.to_dict())) == {
        "topic": bare,
        "internal": False,
        "partitions": [{"partition": 0, "leader": 1, "replicas": [1], "in_sync": [1]}],
        "config": {},
    }
    assert admin.topic_exists(full)
    assert admin.delete_topics([full, bare]) == [full, bare]
    assert not admin.topic_exists(full)
    assert not {full, bare} & set(admin.list_topics())


def test_looking_creates_nothing(kafka: Broker, admin: KafkaAdmin) -> None:
    """KLI-9: although this broker creates topics that are asked for."""
    absent = name()
    assert not admin.topic_exists(absent)
    assert not admin.topic_exists("no name")
    with pytest.raises(KafkaAdminError, match=f"describe topic {absent}: .*UNKNOWN_TOPIC_OR_PART") as raised:
        admin.describe_topics([absent])
    assert raised.value.code == "UNKNOWN_TOPIC_OR_PART"
    assert absent not in kafka.topics()


def test_some_succeed_and_some_do_not(kafka: Broker, admin: KafkaAdmin) -> None:
    """KLI-9: the error names each that failed with its reason, and those that were done."""
    there, new, other = kafka.create_topic(name()), name(), name()
    wanted = [{"topic": there}, {"topic": new}, {"topic": other, "config": {"nonsense": 1}}]
    with pytest.raises(KafkaAdminError) as raised:
        admin.create_topics(wanted)
    said = str(raised.value)
    assert f"create topic {there}: " in said
    assert "TOPIC_ALREADY_EXISTS" in said
    assert f"create topic {other}: " in said
    assert "nonsense" in said
    assert said.endswith(f"done: {new}")
    with pytest.raises(KafkaAdminError, match=f"delete topic {other}: .*done: {new}"):
        admin.delete_topics([other, new])
    with pytest.raises(KafkaAdminError, match="INVALID_REPLICATION_FACTOR"):
        admin.create_topics([{"topic": other, "replication_factor": 3}])


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ([{"topic": "a", "partitions": 3}], ValueError, "partitions is nothing a new topic has"),
        ([{"num_partitions": 3}], ValueError, "topic is None"),
        ([{"topic": "a", "num_partitions": 0}], ValueError, "num_partitions of a is 0"),
        ([{"topic": "a", "replication_factor": "2"}], ValueError, "replication_factor of a is '2'"),
        ([{"topic": "a", "config": ["x"]}], ValueError, "config of a"),
        ([{"topic": "a"}, {"topic": "a"}], ValueError, "names a twice"),
        ([], ValueError, "empty"),
        ({"topic": "a"}, TypeError, "a list of dicts"),
        (["a"], TypeError, "it takes dicts"),
    ],
)
def test_descriptions_that_cannot_be_meant(admin: KafkaAdmin, wanted: Any, error: type, said: str) -> None:
    """KLI-9: refused before anything is asked of the brokers."""
    with pytest.raises(error, match=said):
        admin.create_topics(wanted)
    with pytest.raises(TypeError):
        admin.delete_topics("a")


def test_the_cluster(kafka: Broker, admin: KafkaAdmin, topic: str) -> None:
    """KLI-9: its id, controller and brokers; Kafka's own topics count for who asks for them."""
    found = admin.cluster_metadata()
    (broker,) = found.brokers
    assert found.cluster_id
    assert (found.controller, broker.id, f"{broker.host}:{broker.port}") == (1, 1, kafka.bootstrap)
    assert found.topics == len(admin.list_topics())
    assert json.loads(json.dumps(found.to_dict()))["brokers"][0]["port"] == broker.port
    assert topic in {one.topic for one in admin.describe_topics()}


def test_the_asyncio_face(kafka: Broker) -> None:
    """KLI-9: the same answers."""
    new = name()

    async def main() -> None:
        async with KafkaAdmin(AdminConfig(kafka.bootstrap)) as admin:
            assert await admin.acreate_topics([{"topic": new, "num_partitions": 2}]) == [new]
            described, listed, cluster = await asyncio.gather(
                admin.adescribe_topics([new]), admin.alist_topics(), admin.acluster_metadata()
            )
            assert len(described[0].partitions) == 2
            assert new in listed
            assert cluster.topics == len(listed)
            assert await admin.adelete_topics([new]) == [new]
            assert not await admin.atopic_exists(new)
            with pytest.raises(KafkaAdminError, match=new):
                await admin.adescribe_topics([new])
        with pytest.raises(KafkaAdminError, match="closed"):
            await admin.alist_topics()

    asyncio.run(main())


def test_from_env_config(kafka: Broker, tmp_path: Path) -> None:
    """KLI-24: the environment's settings with the section of the admin over them."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"t": {"bootstrap_servers": "x:1", "admin": {"bootstrap.servers": kafka.bootstrap}}}))
    with KafkaAdmin.from_env_config("t", str(file), request_timeout_ms=20_000) as admin:
        assert admin.cluster_metadata().controller == 1
        assert admin.config.request_timeout_ms == 20_000


@pytest.mark.parametrize("fault", [refused_port, silent_port])
def test_nobody_answers(fault: Any) -> None:
    """KLI-9: every call ends within request_timeout_ms, and says what became of the connection."""
    with fault() as port:
        config = AdminConfig(f"127.0.0.1:{port}", request_timeout_ms=400, additional_config={"log_level": 0})
        with KafkaAdmin(config) as admin:
            for call in (admin.list_topics, admin.cluster_metadata, lambda: admin.create_topics([{"topic": "a"}])):
                started = time.monotonic()
                with pytest.raises(KafkaAdminError) as raised:
                    call()
                assert time.monotonic() - started < 20  # far from the 60 s of the library's own default
                assert raised.value.code in ("_TIMED_OUT", "_TRANSPORT")
            assert fault is not refused_port or "refused" in str(raised.value)


def test_wrong_credentials_and_no_rights(secure_kafka: SecureBroker) -> None:
    """KLI-9: wrong credentials are said at once, not after the time-out; the password is in no error."""
    secure_kafka.revoke_all("app")

    def secure(**more: str) -> AdminConfig:
        settings = {**secure_kafka.client_config("confluent"), "log_level": 0, **more}
        return AdminConfig.from_mapping(settings, request_timeout_ms=90_000)

    with KafkaAdmin(secure(**{"sasl.password": "wrong-one"})) as admin:
        started = time.monotonic()
        with pytest.raises(KafkaAdminError) as raised:
            admin.cluster_metadata()
        assert raised.value.code == "_AUTHENTICATION"
        assert "wrong-one" not in str(raised.value)
        assert time.monotonic() - started < 80
    with KafkaAdmin(secure()) as admin, pytest.raises(KafkaAdminError, match=r"create topic denied: .*AUTHORIZATION"):
        admin.create_topics([{"topic": "denied"}])
