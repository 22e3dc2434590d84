"""`superclient admin` on real brokers: topics and the cluster, and what it says when it cannot."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.environments import clean_environment
from tests.faults import refused_port, silent_port
from tests.integration.cli import document, full_python, inside
from tests.integration.terminal import terminal
from tests.servers import Broker, wait_for
from tests.servers.secure import SecureBroker


def answer(broker: Broker, *words: str) -> Any:
    ran = inside("admin", *words, "-b", broker.bootstrap)
    assert (ran.returncode, ran.stderr) == (0, "")
    return document(ran)


def refused(*words: str) -> str:
    """The one line of a command that fails."""
    ran = inside("admin", *words)
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (1, "", 1), ran.stderr
    return ran.stderr


def test_a_topic_from_its_beginning_to_its_end(kafka: Broker):
    """KLI-9: created with partitions and settings, listed, described, deleted; the brokers agree."""
    options = ["-p", "3", "-r", "1", "-c", "cleanup.policy=compact", "--config", "retention.ms=60000"]
    assert answer(kafka, "create-topic", "cli-life", *options) == {"created": ["cli-life"]}
    assert kafka.topics()["cli-life"] == 3
    assert "cli-life" in answer(kafka, "list-topics")
    found = answer(kafka, "describe-topic", "cli-life")
    assert (found["topic"], found["internal"]) == ("cli-life", False)
    assert found["config"] == {"cleanup.policy": "compact", "retention.ms": "60000"}
    broker = found["partitions"][0]["leader"]
    assert found["partitions"][2] == {"partition": 2, "leader": broker, "replicas": [broker], "in_sync": [broker]}
    details = {one["topic"]: one for one in answer(kafka, "list-topics", "--details")}
    assert details["cli-life"] == found
    assert answer(kafka, "delete-topic", "cli-life") == {"deleted": ["cli-life"]}
    assert "cli-life" not in kafka.topics()


def test_several_topics(kafka: Broker):
    """KLI-9: several at once; what is there already, or is not, is an error unless somebody says otherwise."""
    names = ["cli-one", "cli-two"]
    assert answer(kafka, "create-topic", "cli-one", "cli-one", "-p", "2")["created"] == ["cli-one"]
    line = refused("create-topic", *names, "-b", kafka.bootstrap)
    assert "cli-one" in line
    assert "already exists" in line
    assert "done: cli-two" in line
    assert answer(kafka, "create-topic", *names, "--if-not-exists") == {"created": []}
    assert [one["topic"] for one in answer(kafka, "describe-topic", *names)] == names
    assert answer(kafka, "delete-topic", *names, "cli-three", "--if-exists", "--yes")["deleted"] == names
    assert answer(kafka, "delete-topic", *names, "--if-exists") == {"deleted": []}
    for command in ("describe-topic", "delete-topic"):
        assert "cli-one" in refused(command, "cli-one", "-b", kafka.bootstrap)
    assert "cli-one" not in kafka.topics()


def test_the_cluster(kafka: Broker):
    """Spec, CLI table: id, controller and brokers, as the admin client of the library sees them."""
    found = answer(kafka, "cluster-metadata")
    host, _, port = kafka.bootstrap.partition(":")
    (broker,) = found["brokers"]
    assert (broker["host"], broker["port"]) == (host, int(port))
    assert found["controller"] == broker["id"]
    assert found["cluster_id"] == kafka.admin().list_topics(timeout=10).cluster_id


def test_filters(kafka: Broker, topic: str):
    """KLI-31, KLI-32: of a list the names that match, of a description the partitions, as valid JSON."""
    assert answer(kafka, "list-topics", "-f", f"^{topic.upper()}$") == [topic]
    name = kafka.create_topic("cli-filtered", 3)
    found = answer(kafka, "describe-topic", name, "--filter", "partition:^1$")
    assert [one["partition"] for one in found["partitions"]] == [1]
    assert set(found) == {"partitions"}


def test_internal_topics(cluster: Broker):
    """Kafka's own topics are shown to who asks for them."""
    assert not [name for name in answer(cluster, "list-topics") if name.startswith("__")]
    assert isinstance(answer(cluster, "list-topics", "--internal"), list)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["create-topic", "a b"], "a b"),
        (["create-topic", "x", "-r", "9"], "replication"),
        (["create-topic", "x", "-c", "no.such=1"], "no.such"),
        (["describe-topic", ".."], ".."),
    ],
)
def test_what_the_brokers_refuse(kafka: Broker, words: list[str], part: str):
    """Issue: one line that names the topic and the reason, status 1."""
    assert part in refused(*words, "-b", kafka.bootstrap).lower()
    assert "x" not in kafka.topics()


@pytest.mark.parametrize(
    "words",
    [
        ["create-topic"],
        ["create-topic", "x", "-p", "0"],
        ["create-topic", "x", "-c", "=1"],
        ["list-topics", "--timeout", "0"],
    ],
)
def test_what_cannot_be_meant(words: list[str]):
    """Issue item 3: status 2, before anybody is asked."""
    ran = inside("admin", *words, "-b", "127.0.0.1:1")
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (2, "", 1)


@pytest.mark.parametrize("words", [["list-topics"], ["delete-topic", "x"]])
def test_nobody_listens(words: list[str]):
    """Issue: a broker that is away is one line with the servers and the reason, within the time-out; librdkafka itself
    says nothing unless -v is given."""
    with refused_port() as port:
        line = refused(*words, "-b", f"127.0.0.1:{port}", "--timeout", "1")
        assert line == f"superclient admin {words[0]}: no broker at 127.0.0.1:{port} (Connection refused)\n"
        loud = inside("admin", *words, "-b", f"127.0.0.1:{port}", "--timeout", "1", "-v")
    assert "FAIL" in loud.stderr
    assert "Traceback" in loud.stderr
    assert loud.stderr.endswith(line)


def test_nobody_answers():
    """Issue: the time-out bounds a broker that takes the connection and says nothing."""
    with silent_port() as port:
        line = refused("cluster-metadata", "-b", f"127.0.0.1:{port}", "--timeout", "1")
    assert f"127.0.0.1:{port}" in line


def test_no_such_host():
    """Issue: a name that nobody knows is said to be one."""
    line = refused("list-topics", "-b", "no-such-host.invalid:9092", "--timeout", "1")
    assert line.startswith("superclient admin list-topics: no broker at no-such-host.invalid:9092 (Failed to resolve")


def test_a_setting_that_the_library_does_not_take():
    """Issue item 3: a setting of -X that librdkafka does not know is a usage error, in one line."""
    ran = inside("admin", "list-topics", "-b", "a:1", "-X", "no.such.setting=1")
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (2, "", 1)
    assert "no.such.setting" in ran.stderr


@pytest.fixture
def credentials(secure_kafka: SecureBroker, tmp_path: Path) -> Iterator[list[str]]:
    """Options for the user `app`, by a file."""
    settings = {
        "bootstrap.servers": secure_kafka.secure_bootstrap,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "app",
        "sasl.password": "app-secret",
        "ssl.ca.location": str(secure_kafka.ca_file),
    }
    file = tmp_path / "kafka.json"
    file.write_text(json.dumps({"default": settings}))
    file.chmod(0o600)
    secure_kafka.revoke_all("app")
    yield ["-C", str(file), "--timeout", "15"]
    secure_kafka.revoke_all("app")


def test_rights(secure_kafka: SecureBroker, credentials: list[str]):
    """Issue: over SASL_SSL, by a configuration file; a topic without rights is one line; with them it goes."""
    assert "cli-secure" in refused("create-topic", "cli-secure", *credentials)
    secure_kafka.grant("app", "cli-secure", ("CREATE", "DESCRIBE", "DESCRIBE_CONFIGS", "DELETE"))

    def created() -> bool:
        return inside("admin", "create-topic", "cli-secure", "--if-not-exists", *credentials).returncode == 0

    wait_for(created, "the topic is created")
    assert document(inside("admin", "list-topics", *credentials)) == ["cli-secure"]
    assert document(inside("admin", "delete-topic", "cli-secure", *credentials)) == {"deleted": ["cli-secure"]}


@pytest.mark.parametrize("extra", [[], ["-v"]])
def test_a_wrong_password(credentials: list[str], extra: list[str]):
    """Issue: one line about the credentials, long before the time-out; the password is nowhere, not even with -v."""
    ran = inside("admin", "list-topics", *credentials, "-X", "sasl.password=guessed", "--show-config", *extra)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "refuses the connection" in ran.stderr.splitlines()[-1]
    assert "uthentication failed" in ran.stderr.splitlines()[-1]
    assert "guessed" not in ran.stderr
    assert "app-secret" not in ran.stderr
    assert '"sasl.password": "********"' in ran.stderr


def test_a_wrong_certificate(credentials: list[str], tmp_path: Path):
    """Issue: a broker whose certificate is not to be trusted is one line."""
    line = refused("list-topics", *credentials, "-X", "ssl.ca.location=/etc/ssl/certs/ca-certificates.crt")
    assert "certificate" in line.lower()


# --- real processes, real terminals -----------------------------------------------------------------------------------


def test_ctrl_c():
    """Issue item 3: Ctrl-C while a broker is silent ends it at once, with status 130 and no trace."""
    with silent_port() as port:
        command = [str(full_python().with_name("superclient")), "admin", "list-topics", "-b", f"127.0.0.1:{port}"]
        process = subprocess.Popen(
            [*command, "--timeout", "600", "-v", "-X", "debug=broker"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment({}),
        )
        assert process.stderr is not None
        wait_for(lambda: "Connected" in process.stderr.readline(), "it is connected")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said


def test_a_person_is_asked(kafka: Broker):
    """Issue item 3: at a terminal delete-topic asks first; no and Ctrl-C delete nothing, yes deletes."""
    name = kafka.create_topic("cli-asked")
    command = ["admin", "delete-topic", name, "-b", kafka.bootstrap]
    with terminal(*command) as screen:
        screen.shows(f"Delete {name} with all records on {kafka.bootstrap}? [y/N]")
        screen.type("n\n")
        assert screen.wait() == 1
        assert screen.text.endswith("superclient admin delete-topic: nothing deleted\r\n")
    assert name in kafka.topics()
    with terminal(*command) as screen:
        screen.shows("[y/N]")
        screen.type("\x03")
        assert screen.wait() == 130
        assert "Traceback" not in screen.text
    assert name in kafka.topics()
    with terminal(*command) as screen:
        screen.shows("[y/N]")
        screen.type("y\n")
        assert screen.wait() == 0
        assert f"deleted {name}" in screen.text
    assert name not in kafka.topics()


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_table_for_a_person(kafka: Broker, env: dict[str, str]):
    """Issue item 3: a terminal gets a table; no colours where NO_COLOR forbids them, nothing but text on a dumb one."""
    name = kafka.create_topic(f"cli-table-{'-'.join(env)}", 2, {"retention.ms": "77000"})
    with terminal("admin", "describe-topic", name, "-b", kafka.bootstrap, env=env) as screen:
        assert screen.wait() == 0
        assert f"{name}: 2 partitions" in screen.text
        assert "retention.ms=77000" in screen.text
        assert ("\x1b[" in screen.sent) == ("TERM" not in env)
        assert ("\x1b[36m" in screen.sent) == (not env)


def test_a_list_for_a_person(kafka: Broker, topic: str):
    """KLI-31: at a terminal names are lines, and a filter keeps those that match; --json is JSON there too."""
    with terminal("admin", "list-topics", "-b", kafka.bootstrap, "-f", f"^{topic}$") as screen:
        assert screen.wait() == 0
        assert screen.text.split() == [topic]
    with terminal("admin", "list-topics", "-b", kafka.bootstrap, "-f", f"^{topic}$", "--json") as screen:
        assert screen.wait() == 0
        assert json.loads(screen.text) == [topic]
