"""`superclient init` and its effect on real brokers."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import ConfigResource, ResourceType

from tests.environments import environment
from tests.faults import refused_port
from tests.integration.cli import document, superclient
from tests.servers import Broker, wait_for
from tests.servers.secure import SecureBroker

LIBRARIES = ("confluent-kafka", "kafka-python", "aiokafka")
METADATA, CLIENTS = "superstream.metadata_v1", "superstream.clients"


def configuration(broker: Broker, topic: str) -> dict[str, str]:
    admin = broker.admin()
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])
    (future,) = asked.values()
    return {name: str(entry.value) for name, entry in future.result(15).items()}


@pytest.mark.parametrize("library", LIBRARIES)
def test_topics_are_created_once(cluster: Broker, library: str):
    """AGT-45: the topics have the partitions, compaction and retention asked for; a second run changes nothing."""
    command = ["init", "--bootstrap-servers", cluster.bootstrap, "--library", library, "--json"]
    first = superclient(*command, "--partitions", "2", "--retention-days", "3")
    assert (first.returncode, first.stderr) == (0, "")
    topics = document(first)["topics"]
    assert [topics[name]["state"] for name in (METADATA, CLIENTS)] == ["created", "created"]
    found = cluster.topics()
    assert (found[METADATA], found[CLIENTS]) == (1, 2)
    assert configuration(cluster, METADATA)["cleanup.policy"] == "compact"
    clients = configuration(cluster, CLIENTS)
    assert (clients["cleanup.policy"], clients["retention.ms"]) == ("delete", str(3 * 86_400_000))
    second = superclient(*command)
    assert second.returncode == 0
    assert document(second)["topics"][CLIENTS] == {"state": "exists", "partitions": 2}
    assert configuration(cluster, CLIENTS) == clients


def test_the_defaults(cluster: Broker):
    """AGT-45: three partitions and seven days for the reports; the text has the commands for the ACLs."""
    done = superclient("init", "--bootstrap-servers", cluster.bootstrap, "--principal", "User:orders")
    assert (done.returncode, done.stderr) == (0, "")
    assert cluster.topics()[CLIENTS] == 3
    assert configuration(cluster, CLIENTS)["retention.ms"] == str(7 * 86_400_000)
    start = f"kafka-acls --bootstrap-server {cluster.bootstrap} --add --allow-principal User:orders --operation"
    assert f"{start} Read --topic {METADATA}" in done.stdout
    assert f"{start} Write --topic {CLIENTS}" in done.stdout


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_dry_run(cluster: Broker, library: str):
    """AGT-45: a dry run asks the broker, which refuses what it would refuse, and creates nothing."""
    command = ["init", "--bootstrap-servers", cluster.bootstrap, "--library", library, "--dry-run"]
    done = superclient(*command, "--json")
    assert document(done)["topics"][METADATA]["state"] == "would be created"
    refused = superclient(*command, "--replication-factor", "3")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert "replication" in refused.stderr.lower()
    assert not {METADATA, CLIENTS} & set(cluster.topics())


def test_nobody_listens():
    """AGT-45: a cluster that is away is one line and status 1; with --json it is in the object too."""
    with refused_port() as port:
        done = superclient("init", "--bootstrap-servers", f"127.0.0.1:{port}", "--json")
    assert done.returncode == 1
    assert done.stderr == f"superclient init: 127.0.0.1:{port} refuses the connection: nothing listens there\n"
    assert document(done)["ok"] is False


@pytest.mark.parametrize("library", LIBRARIES)
def test_rights(secure_kafka: SecureBroker, library: str):
    """AGT-45: without Create it says so; with it, over SASL_SSL with the password in a file, the topics are made."""
    secure_kafka.reset_system_topics()
    secure_kafka.revoke_all("app")
    password = secure_kafka.ca_file.with_name("app.secret")
    password.write_text("app-secret\n")
    command = ["init", "--bootstrap-servers", secure_kafka.secure_bootstrap, "--library", library]
    command += ["--sasl-mechanism", "scram-sha-256", "--sasl-username", "app", "--sasl-password-file", str(password)]
    command += ["--ssl-ca", str(secure_kafka.ca_file)]
    done = superclient(*command)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert f"no right to create {METADATA}" in done.stderr
    try:
        for topic in (METADATA, CLIENTS):
            secure_kafka.grant("app", topic, ("CREATE", "DESCRIBE"))
        # The broker applies new rights a moment after it has taken them.
        wait_for(lambda: superclient(*command).returncode == 0, "the topics are made")
        assert {METADATA, CLIENTS} <= set(secure_kafka.topics())
        assert "--command-config admin.properties --add" in superclient(*command).stdout
    finally:
        secure_kafka.revoke_all("app")


def test_no_library():
    """AGT-45: without any library it gives the pip line."""
    done = superclient("init", "--bootstrap-servers", "a:1", python=environment())
    assert done.returncode == 1
    assert done.stderr.strip().endswith("no Kafka library is installed: pip install 'superclient[confluent]'")
