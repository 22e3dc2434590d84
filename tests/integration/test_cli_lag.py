"""`superclient lag` on real brokers: exact figures, live in a terminal of its own, and what it says when it cannot."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.environments import environment
from tests.faults import refused_port
from tests.integration.cli import document, superclient
from tests.integration.terminal import MOVES, Terminal, terminal
from tests.servers import Broker, wait_for
from tests.servers.secure import SecureBroker

LIBRARIES = ("confluent-kafka", "kafka-python", "aiokafka")
GROUP = "billing"


def fill(broker: Broker, topic: str, counts: Mapping[int, int]) -> None:
    """So many records more in these partitions."""
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for partition, count in counts.items():
        for number in range(count):
            producer.produce(topic, b"%d" % number, partition=partition)
    assert producer.flush(15) == 0


def commit(broker: Broker, topic: str, offsets: Mapping[int, int], group: str = GROUP) -> None:
    """What the group has read."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    found = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
    consumer.commit(offsets=found, asynchronous=False)
    consumer.close()


@pytest.mark.parametrize("library", LIBRARIES)
def test_exact_figures(kafka: Broker, library: str):
    """LAG-1, LAG-3: the lag of each partition is what was produced and not committed, whichever library asks."""
    topic = kafka.create_topic(f"lag-json-{library}", 4)
    fill(kafka, topic, {0: 300, 1: 40, 2: 7})
    commit(kafka, topic, {0: 100, 1: 40, 2: 0})
    command = ["lag", topic, "--group", GROUP, "--bootstrap-servers", kafka.bootstrap, "--library", library]
    done = superclient(*command, "--json", "--max-lag", "400")
    assert (done.returncode, done.stderr) == (0, "")
    found = document(done)
    assert (found["ok"], found["group"], list(found["topics"])) == (True, GROUP, [topic])
    one = found["topics"][topic]
    assert one["lag"] == {"total": 207, "max": 200, "median": 3.5}
    assert one["uncommitted"] == [3]
    figures = [(row["committed"], row["end"], row["lag"], row["score"], row["state"]) for row in one["partitions"]]
    assert figures == [
        (100, 300, 200, 0.5, "healthy"),
        (40, 40, 0, 1.0, "healthy"),
        (0, 7, 7, 0.9825, "healthy"),
        (None, 0, 0, 1.0, "healthy"),
    ]
    assert sum(row["share"] for row in one["partitions"]) == pytest.approx(1, abs=0.001)


def test_one_table_where_there_is_no_terminal(kafka: Broker):
    """LAG-1, LAG-4: two topics, a partition far behind: two tables, once; who lags gets the smallest share."""
    slow, fine = (kafka.create_topic(f"lag-table-{name}", 3) for name in ("slow", "fine"))
    fill(kafka, slow, {0: 900, 1: 5, 2: 5})
    commit(kafka, slow, {0: 0, 1: 5, 2: 5})
    commit(kafka, fine, {0: 0, 1: 0, 2: 0})
    command = ["lag", slow, fine, "--group", GROUP, "--bootstrap-servers", kafka.bootstrap]
    done = superclient(*command, "--max-lag", "100")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{slow}, group {GROUP}: 3 partitions, lag 900, largest 900" in " ".join(done.stdout.split())
    assert f"{fine}, group {GROUP}: 3 partitions, lag 0, largest 0" in " ".join(done.stdout.split())
    assert done.stdout.count("lagging") == 1
    assert done.stdout.count("healthy") == 5
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_group_that_has_committed_nothing(kafka: Broker):
    """LAG-1: measured from the log start, which retention may have moved, or from the end; it says so, and creates no
    group."""
    topic = kafka.create_topic("lag-nothing", 2)
    fill(kafka, topic, {0: 30, 1: 10})
    admin = kafka.admin()  # must outlive its results
    for deleted in admin.delete_records([TopicPartition(topic, 0, 25)]).values():
        deleted.result(15)
    command = ["lag", topic, "--group", "never-seen", "--bootstrap-servers", kafka.bootstrap]
    done = superclient(*command, "--once")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "lag 15, largest 10" in said
    assert (
        f"group never-seen has committed nothing for {topic} (is its name right?): measured from the log start" in said
    )
    latest = document(superclient(*command, "--reset", "latest", "--json"))["topics"][topic]
    assert (latest["lag"]["total"], latest["uncommitted"]) == (0, [0, 1])
    assert "never-seen" not in {group.group_id for group in admin.list_consumer_groups().result(15).valid}


def frame(screen: Terminal) -> str:
    """The picture that was drawn last, in one line without colours and movements."""
    plain = " ".join(MOVES.sub(" ", screen.sent).replace("─", "").split())
    return plain[max(0, plain.rfind(f"group {GROUP}:")) :]


def shows(screen: Terminal, *parts: str) -> None:
    """Wait until a picture has these; the command draws it as long as it runs."""
    wait_for(
        lambda: screen.process.poll() is None and all(part in frame(screen) for part in parts), " and ".join(parts), 30
    )


def end(screen: Terminal, sign: signal.Signals) -> int:
    """The exit status after a signal."""
    screen.process.send_signal(sign)
    return screen.wait()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_live(kafka: Broker, sign: signal.Signals):
    """LAG-1, LAG-2: on a terminal the figures follow the group, up to the topic's end; Ctrl-C is status 0, the last
    ones stay, and the cursor comes back."""
    topic = kafka.create_topic(f"lag-live-{sign.name.lower()}", 2)
    fill(kafka, topic, {0: 10})
    commit(kafka, topic, {0: 4, 1: 0})
    command = ["lag", topic, "--group", GROUP, "--bootstrap-servers", kafka.bootstrap, "--interval", "0.2"]
    with terminal(*command) as screen:
        shows(screen, "2 partitions, lag 6, largest 6", "every 0.2 s; Ctrl-C ends")
        fill(kafka, topic, {1: 33})
        shows(screen, "lag 39, largest 33")
        commit(kafka, topic, {0: 10, 1: 33})
        shows(screen, "lag 0, largest 0")
        kafka.delete_topics(topic)
        shows(screen, f"{topic} is not on the cluster any more: these are its last figures")
        assert end(screen, sign) == 0
        assert "Traceback" not in screen.sent
        assert screen.sent.rfind("\x1b[?25h") > screen.sent.rfind("\x1b[?25l") >= 0
        assert "lag 0, largest 0" in frame(screen)


def test_the_broker_goes_away_and_comes_back(fresh_kafka: Broker):
    """LAG-2: the last figures stay, with their age and the reason, until the broker answers again."""
    topic = fresh_kafka.create_topic("lag-away", 1)
    fill(fresh_kafka, topic, {0: 12})
    commit(fresh_kafka, topic, {0: 5})
    command = ["lag", topic, "--group", GROUP, "--bootstrap-servers", fresh_kafka.bootstrap]
    with terminal(*command, "--interval", "0.2", "--timeout", "2") as screen:
        shows(screen, "lag 7, largest 7")
        fresh_kafka.stop()
        shows(screen, "lag 7, largest 7", "s old:", "refuses the connection: nothing listens there")
        fresh_kafka.start()
        wait_for(lambda: "s old:" not in frame(screen) and "lag 7" in frame(screen), "the figures are new again", 60)
        fill(fresh_kafka, topic, {0: 1})
        shows(screen, "lag 8, largest 8")
        assert end(screen, signal.SIGINT) == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_topic_that_is_not_there(kafka: Broker, library: str):
    """LAG-2: one line, status 1, and it is not created; in JSON as well."""
    command = ["lag", "no-such-topic", "--group", GROUP, "--bootstrap-servers", kafka.bootstrap, "--library", library]
    done = superclient(*command, "--json")
    message = "no-such-topic: no such topic on the cluster, or no right to see it"
    assert (done.returncode, done.stderr) == (1, f"superclient lag: {message}\n")
    assert document(done) == {"ok": False, "error": message}
    assert "no-such-topic" not in kafka.topics()


def test_nobody_listens():
    """LAG-2: a cluster that is away is one line and status 1."""
    with refused_port() as port:
        done = superclient("lag", "orders", "--group", GROUP, "--bootstrap-servers", f"127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"superclient lag: 127.0.0.1:{port} refuses the connection: nothing listens there\n"


@pytest.mark.parametrize("library", LIBRARIES)
def test_rights(secure_kafka: SecureBroker, tmp_path: Path, library: str):
    """LAG-1: over SASL_SSL; without the right to the topic, then to the group, it says which; with both it answers."""
    topic = secure_kafka.create_topic(f"lag-secure-{library}", 2)
    fill(secure_kafka, topic, {0: 9})
    commit(secure_kafka, topic, {0: 2, 1: 0})
    secure_kafka.revoke_all("app")
    password = tmp_path / "app.secret"
    password.write_text("app-secret\n")
    command = ["lag", topic, "--group", GROUP, "--bootstrap-servers", secure_kafka.secure_bootstrap, "--json"]
    command += ["--library", library, "--sasl-username", "app", "--sasl-password-file", str(password)]
    command += ["--ssl-ca", str(secure_kafka.ca_file), "--timeout", "15"]

    def refused(part: str) -> bool:
        done = superclient(*command)
        return done.returncode == 1 and len(done.stderr.splitlines()) == 1 and part in done.stderr

    try:
        wait_for(lambda: refused("no right to see"), "it is refused")
        secure_kafka.grant("app", topic, ("DESCRIBE",))
        wait_for(lambda: refused(f"no right to see group {GROUP}"), "the group is refused")
        secure_kafka.grant("app", GROUP, ("DESCRIBE",), group=True)
        wait_for(lambda: superclient(*command).returncode == 0, "it answers")
        assert document(superclient(*command))["topics"][topic]["lag"] == {"total": 7, "max": 7, "median": 3.5}
    finally:
        secure_kafka.revoke_all("app")


def test_a_wrong_password(secure_kafka: SecureBroker):
    """LAG-2: one line about the credentials, without the password."""
    command = ["lag", "orders", "--group", GROUP, "--bootstrap-servers", secure_kafka.secure_bootstrap]
    command += ["--sasl-username", "app", "--sasl-password", "guessed", "--ssl-ca", str(secure_kafka.ca_file)]
    done = superclient(*command)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "credentials" in done.stderr
    assert "guessed" not in done.stderr


def test_what_is_missing():
    """AGT-51: without rich the extra is named, without a Kafka library the pip line of one."""
    done = superclient("lag", "orders", "--group", GROUP, "--bootstrap-servers", "a:1", python=environment())
    assert (done.returncode, "pip install 'superclient[cli]'" in done.stderr) == (1, True)
    rich = environment(packages=["rich"])
    done = superclient("lag", "orders", "--group", GROUP, "--bootstrap-servers", "a:1", python=rich)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("no Kafka library is installed: pip install 'superclient[confluent]'")
