"""`superclient consume` against real Kafka: what is written, where it begins, how it ends, and what is committed."""

from __future__ import annotations

import fcntl
import json
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Producer, TopicPartition

from superclient.cli import _stream
from superclient.cli._session import Session
from superclient.cli.app import root
from superclient.toolkit import metrics
from tests.environments import clean_environment
from tests.faults import refused_port
from tests.integration.cli import full_python, inside
from tests.integration.terminal import terminal
from tests.servers import wait_for


@pytest.fixture(scope="module")
def orders(kafka) -> str:
    """A topic of two partitions: 0 to 9 in the first, 100 to 104 in the second; keys, headers and times."""
    # Their times are of the past: the broker would soon delete them.
    topic = kafka.create_topic("cli-orders", partitions=2, config={"retention.ms": "-1"})
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for partition, numbers in ((0, range(10)), (1, range(100, 105))):
        for number in numbers:
            headers = [("n", b"%d" % number), ("none", None)]
            value, stamp = b"%d" % number, 1_767_225_600_000 + number * 1000
            producer.produce(topic, value, key=b"k%d" % number, partition=partition, headers=headers, timestamp=stamp)
    assert producer.flush(30) == 0
    return topic


@pytest.fixture
def group(topic) -> str:
    """A group of this test's own."""
    return f"group-of-{topic}"


def consume(kafka, *words: str) -> subprocess.CompletedProcess[str]:
    return inside("consume", *words, "-b", kafka.bootstrap)


def position(kafka, topic: str, group: str, partition: int = 0) -> int:
    """Where the group goes on; -1001 where it has committed nothing."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    try:
        [found] = consumer.committed([TopicPartition(topic, partition)], timeout=30)
        return int(found.offset)
    finally:
        consumer.close()


@contextmanager
def running(kafka, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """The real `superclient consume`, its stdout a pipe that nobody reads yet."""
    command = [str(full_python().with_name("superclient")), "consume", *words, "-b", kafka.bootstrap]
    with subprocess.Popen(command, stdout=-1, stderr=-1, env=clean_environment({}), start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


# --- what is written --------------------------------------------------------------------------------------------------


def test_poll_goes_on_where_it_was(kafka, topic, group):
    """KLI-36: poll writes one record, its value and a newline, and commits it."""
    kafka.produce(topic, [b"a", b"b\xff\0", b"c"])
    written = [
        CliRunner().invoke(root, ["consume", "poll", topic, "--group", group, "-b", kafka.bootstrap, "-n", count])
        for count in ("1", "2")
    ]
    assert [ran.stdout_bytes for ran in written] == [b"a\n", b"b\xff\0\nc\n"]
    assert [(ran.exit_code, ran.stderr) for ran in written] == [(0, ""), (0, "")]
    assert position(kafka, topic, group) == 3


def test_batch(kafka, orders, group):
    """KLI-36: batch writes as many as were asked for, or what there is; JSON is a line each."""
    first = consume(kafka, "batch", orders, "--count", "12", "--group", group, "--json")
    records = [json.loads(line) for line in first.stdout.splitlines()]
    assert len(records) == 12
    rest = consume(kafka, "batch", orders, "--count", "12", "--group", group, "--json", "--exit-at-end")
    records += [json.loads(line) for line in rest.stdout.splitlines()]
    assert (rest.returncode, rest.stderr) == (0, "")
    assert sorted(int(record["value"]) for record in records) == [*range(10), *range(100, 105)]
    one = next(record for record in records if record["value"] == "103")
    assert one == {
        "topic": orders, "partition": 1, "offset": 3, "timestamp": 1_767_225_703_000,
        "key": "k103", "value": "103", "headers": [["n", "103"], ["none", None]],
    }  # fmt: skip


def test_a_format(kafka, orders, group):
    """Issue item 3: --format with key, value, headers, offset; nothing is added to it."""
    template = r"{topic}/{partition}@{offset}\t{key}={value} [{headers}] {timestamp} {time}\n"
    done = consume(kafka, "poll", orders, "--group", group, "-p", "1", "-o", "3", "--format", template)
    assert done.stdout == f"{orders}/1@3\tk103=103 [n=103,none] 1767225703000 2026-01-01T00:01:43.000Z\n"


def test_a_filter_and_an_output_file(kafka, orders, group, tmp_path):
    """KLI-29, KLI-31: the lines that match go to the file; -o takes it where it is no offset."""
    file = tmp_path / "out.txt"
    words = ["stream", orders, "--group", group, "--exit-at-end", "-o", "beginning", "-o", str(file), "-f", "^10[13]$"]
    done = consume(kafka, *words)
    assert (done.returncode, done.stdout) == (0, "")
    assert file.read_text() == "101\n103\n"


def test_a_person_sees_one_line_a_record(kafka, topic, group):
    """On a terminal: partition, offset, time, key, value; a value cannot move the cursor."""
    kafka.produce(topic, [b"\x1b[2Jnew\nline \xe2\x82\xac"], key=b"k")
    with terminal("consume", "poll", topic, "--group", group, "-b", kafka.bootstrap) as shown:
        assert shown.wait() == 0
        assert "0@0" in shown.text
        assert r"\x1b[2Jnew\nline €" in shown.text
        assert "\x1b[2J" not in shown.sent


# --- where it begins --------------------------------------------------------------------------------------------------

ALL = {*range(10), *range(100, 105)}
PLACES = [
    (["-o", "beginning"], ALL),
    (["-o", "-2"], {8, 9, 103, 104}),
    (["-o", "3"], {*range(3, 10), 103, 104}),
    (["-o", "100"], set()),
    (["-o", "stored"], ALL),
    (["-o", "@1767225604000"], {*range(4, 10), *range(100, 105)}),
    (["-o", "@2026-01-01T00:01:42"], {102, 103, 104}),
    (["-o", "@2030-01-01"], set()),
    (["--seek-to-offset", "4"], {*range(4, 10), 104}),
    (["--seek-to-offset", "7", "--seek-to-partition", "0"], {7, 8, 9, *range(100, 105)}),
    (["-p", "1", "-o", "-1"], {104}),
]


@pytest.mark.parametrize(("where", "numbers"), PLACES, ids=lambda one: " ".join(one) if isinstance(one, list) else "")
def test_where_it_begins(kafka, orders, group, where, numbers):
    """KLI-37, issue item 3: offsets, counts from the end and times; -e ends where everything was read. Past the end
    is the end, not the beginning."""
    done = consume(kafka, "stream", orders, "--group", group, "--exit-at-end", *where)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(map(int, done.stdout.split())) == sorted(numbers)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--seek-to-partition", "0"], 2, "--seek-to-partition needs an offset"),
        (["-o", "1", "--seek-to-offset", "2"], 2, "it takes one of them"),
        (["-o", "begining"], 2, "is no offset"),
        (["-o", "@soon"], 2, "is no time"),
        (["--offset", "middle"], 2, "is no offset"),
        (["-p", "0", "--seek-to-partition", "1", "-o", "0"], 2, "does not read"),
        (["--seek-to-offset", "0", "--seek-to-partition", "7"], 1, "has no partition 7, only 0 to 1"),
        (["-p", "7"], 1, "has no partition 7, only 0 to 1"),
        (["--format", "{nope}"], 2, "it takes {key}, {value}"),
        (["--format", "{key.__class__}"], 2, "it takes {key}, {value}"),
        (["--format", "{key}", "--json"], 2, "it takes one of them"),
        (["--isolation", "none"], 2, "is not one of"),
    ],
)
def test_what_is_refused(kafka, orders, group, words, status, said):
    """KLI-37, issue item 3: a mistake is one line, an unknown key of a format a usage error."""
    done = consume(kafka, "poll", orders, "--group", group, *words)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (status, "", 1), done.stderr
    assert said in done.stderr


def test_isolation(kafka, topic, group):
    """KLI-26, KLI-27: records of an aborted transaction are left out unless they are asked for; -e ends behind them."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": group})
    producer.init_transactions(30)
    for value, end in ((b"seen", producer.commit_transaction), (b"aborted", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(30)
        end(30)
    words = ["batch", topic, "--exit-at-end", "-o", "beginning"]
    default = consume(kafka, *words, "--group", f"{group}-1")
    everything = consume(kafka, *words, "--group", f"{group}-2", "--isolation", "read_uncommitted")
    assert (default.stdout, everything.stdout) == ("seen\n", "seen\naborted\n")


# --- what is not there ------------------------------------------------------------------------------------------------


def test_nothing_there(kafka, topic, group):
    """KLI-36: a topic with nothing in it: status 0, and a line on stderr."""
    done = consume(kafka, "poll", topic, "--group", group, "-p", "0", "--timeout", "1")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "superclient consume poll: 0 of 1 records: nothing more came within 1 s\n"


@pytest.mark.parametrize("command", ["poll", "batch", "stream"])
def test_no_such_topic(kafka, command):
    """Issue: a topic that does not exist is one line, status 1."""
    done = consume(kafka, command, "cli-no-such-topic")
    assert (done.returncode, done.stderr) == (
        1,
        f"superclient consume {command}: there is no topic cli-no-such-topic\n",
    )


def test_no_broker():
    """Issue: no broker by the time-out is one line that says why, status 1."""
    with refused_port() as port:
        done = inside("consume", "poll", "any", "-b", f"127.0.0.1:{port}", "--timeout", "1")
    assert done.returncode == 1
    assert done.stderr == f"superclient consume poll: no broker at 127.0.0.1:{port} (Connection refused)\n"


@pytest.mark.parametrize(
    ("password", "said"), [("wrong", "refuses the connection"), (None, "authorization failed")]
)  # fmt: skip
def test_no_rights(secure_kafka, password, said):
    """Issue: a wrong password, and a topic without rights, end a stream at once, in one line."""
    settings = {**secure_kafka.client_config("confluent", user="other")}
    if password:
        settings["sasl.password"] = password
    settings.pop("bootstrap.servers")
    words = [word for name, value in settings.items() for word in ("-X", f"{name}={value}")]
    topic = secure_kafka.create_topic("cli-consume-no-rights")
    done = inside("consume", "stream", topic, "-b", secure_kafka.secure_bootstrap, *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert said in done.stderr


def test_a_stream_outlives_its_brokers(fresh_kafka):
    """Issue: while the brokers are away a stream waits for them, says so once, and says when they are back."""
    topic = fresh_kafka.create_topic("cli-outage")
    fresh_kafka.produce(topic, [b"before"])
    with running(fresh_kafka, "stream", topic) as process:
        assert process.stdout.readline() == b"before\n"
        fresh_kafka.kill()
        assert b"warning: no broker at" in process.stderr.readline()
        fresh_kafka.start()
        assert b"the brokers are back" in process.stderr.readline()
        fresh_kafka.produce(topic, [b"after"])
        assert process.stdout.readline() == b"after\n"
        process.send_signal(signal.SIGINT)
        events = [json.loads(line)["event"] for line in process.stdout.read().splitlines()]
        assert events == ["shutdown_requested", "stream_ended"]
        assert (process.wait(30), process.stderr.read()) == (0, b"")


# --- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "grace"), [(signal.SIGINT, "5"), (signal.SIGTERM, "0")])
def test_a_signal_ends_a_stream(kafka, topic, group, number, grace):
    """KLI-53, KLI-54: both events on stdout, what was written is committed, status 0."""
    kafka.produce(topic, [b"%d" % one for one in range(50)])
    with running(kafka, "stream", topic, "--group", group, "--grace-period", grace) as process:
        lines = [process.stdout.readline() for _ in range(50)]
        process.send_signal(number)
        events = [json.loads(line) for line in process.stdout.read().splitlines()]
        assert (process.wait(30), process.stderr.read()) == (0, b"")
    assert lines == [b"%d\n" % one for one in range(50)]
    assert events == [
        {"event": "shutdown_requested"},
        {"event": "stream_ended", "records": 50, "committed": True},
    ]
    assert position(kafka, topic, group) == 50


class _Reading:
    """A reader with one batch in hand when the signal comes."""

    def __init__(self, during_fetch: bool) -> None:
        self.during_fetch, self.done, self.committed = during_fetch, [], 0

    def fetch(self, most: int, wait: float) -> list[str]:
        if self.during_fetch:
            signal.raise_signal(signal.SIGTERM)
        return ["record"]

    def written(self, messages: list[str]) -> None:
        self.done += messages

    def commit(self) -> None:
        self.committed = len(self.done)

    def tell_of_outage(self, idle: bool) -> None:
        pass

    def at_end(self, stopped: object) -> bool:
        return False


@pytest.mark.parametrize(
    ("during_fetch", "grace", "written"), [(True, 30.0, 1), (True, 0.0, 0), (False, 0.0, 1), (False, 30.0, 1)]
)
def test_what_is_in_hand(during_fetch, grace, written, capfdbinary):
    """KLI-53, KLI-54: what was fetched is written within the grace period, without one only what is being written; the
    counters count both moments, and nothing but what was written is committed."""
    session, reading = Session(), _Reading(during_fetch)
    before = {name: metrics.get(f"consumer.shutdown.{name}") for name in ("signal", "complete")}

    def write(messages: list[str]) -> None:
        session.output.write(b"record\n")
        session.output.flush()
        if not during_fetch:
            signal.raise_signal(signal.SIGINT)

    _stream.run(session, reading, write, None, grace, 0.1, False)
    session.end()
    lines = capfdbinary.readouterr().out.splitlines()
    assert lines.count(b"record") == reading.committed == written
    assert [json.loads(line)["event"] for line in lines if line != b"record"] == ["shutdown_requested", "stream_ended"]
    assert {name: metrics.get(f"consumer.shutdown.{name}") - count for name, count in before.items()} == {
        "signal": 1,
        "complete": 1,
    }


def test_what_could_not_be_written_is_not_committed():
    """Issue item 3: a reader that has gone leaves what it did not take to the next one of the group."""

    def write(messages: list[str]) -> None:
        raise BrokenPipeError

    reading = _Reading(False)
    with pytest.raises(BrokenPipeError):
        _stream.run(Session(), reading, write, None, 5.0, 0.1, False)
    assert reading.done == []


def test_a_reader_that_has_had_enough(kafka, orders, group):
    """Issue item 3: `| head -3` ends it silently, with status 0."""
    command = f'"$S" consume stream {orders} --group {group} -o beginning -b {kafka.bootstrap} | head -3'
    produced = threading.Event()

    def feed() -> None:  # so that there is a write after head has gone
        while not produced.wait(0.2):
            kafka.produce(orders_copy, [b"more"])

    orders_copy = kafka.create_topic("cli-head")
    kafka.produce(orders_copy, [b"1", b"2", b"3"])
    command = command.replace(orders, orders_copy)
    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        env = clean_environment({"S": str(full_python().with_name("superclient"))})
        words = ["bash", "-c", command + '; exit "${PIPESTATUS[0]}"']
        ran = subprocess.run(words, capture_output=True, text=True, env=env, timeout=100)
    finally:
        produced.set()
        feeder.join()
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "1\n2\n3\n", "")


def test_a_reader_that_does_not_read(kafka, topic, group):
    """KLI-53: a full pipe does not hold a stream that was asked to end; what was not written is not committed."""
    kafka.produce(topic, [b"x" * 1000] * 5000)
    with running(kafka, "stream", topic, "--group", group, "--grace-period", "0") as process:
        filled, same = [0], [0]

        def is_stuck() -> bool:
            # Asked every few milliseconds: so long without a change means that nobody can write.
            before, filled[0] = filled[0], _unread(process)
            same[0] = same[0] + 1 if before == filled[0] else 0
            return filled[0] > 0 and same[0] > 20

        wait_for(is_stuck, "a pipe that takes no more")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, 1)
        kept = process.stdout.read().count(b"\n")
    assert position(kafka, topic, group) <= kept < 5000


def _unread(process: subprocess.Popen[bytes]) -> int:
    """The bytes in the pipe."""
    found = fcntl.ioctl(process.stdout.fileno(), termios.FIONREAD, b"\0" * 4)
    return int(struct.unpack("i", found)[0])


def test_ctrl_c_leaves_no_trace(kafka, topic, group):
    """KLI-36: Ctrl-C in a batch: what was shown is committed, no trace."""
    kafka.produce(topic, [b"a", b"b"])
    with terminal("consume", "batch", topic, "--group", group, "--timeout", "600", "-b", kafka.bootstrap) as shown:
        shown.shows("0@1")
        shown.type("\x03")
        assert shown.wait() == 130
        assert "Traceback" not in shown.text
    assert position(kafka, topic, group) == 2


def test_a_limit(kafka, orders, group):
    """KLI-36: a stream ends after so many records, with nothing on stdout but these; the next goes on behind them."""
    words = ["stream", orders, "--group", group, "-p", "0", "--limit", "4"]
    assert [consume(kafka, *words).stdout.split() for _ in range(2)] == [["0", "1", "2", "3"], ["4", "5", "6", "7"]]
