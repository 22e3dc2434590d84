"""`superclient produce` and `load` against real Kafka: what arrives, what is refused, what Ctrl-C leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer

from superclient.toolkit import KafkaProducer
from tests.environments import clean_environment
from tests.faults import refused_port
from tests.integration.cli import document, full_python, inside
from tests.integration.terminal import terminal
from tests.servers import wait_for


def committed(kafka, topic) -> list[bytes | None]:
    """The values that a reader of committed records sees now."""
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": "reader", "enable.partition.eof": True}
    consumer = Consumer({**settings, "isolation.level": "read_committed", "enable.auto.commit": False})
    from confluent_kafka import OFFSET_BEGINNING, TopicPartition

    values, left = [], set(kafka.end_offsets(topic))
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in left])
    try:
        while left:
            message = consumer.poll(10)
            assert message is not None
            if message.error():
                left.discard(message.partition())
            else:
                values.append(message.value())
    finally:
        consumer.close()
    return values


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The real command, its stdin and stdout pipes."""
    command = [str(full_python().with_name("superclient")), *arguments]
    with subprocess.Popen(
        command, stdin=-1, stdout=-1, stderr=-1, env=clean_environment({}), start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


# --- send -------------------------------------------------------------------------------------------------------------


def test_one_record(kafka):
    """KLI-33: key, value, headers and partition as given; the answer has partition and offset."""
    topic = kafka.create_topic("cli-send-one", partitions=3)
    words = ["send", topic, "-k", "kéy", "-v", "välue", "-H", "a=1=2", "-H", "b", "-H", "a=", "-p", "2"]
    done = inside("produce", *words, "-b", kafka.bootstrap)
    assert done.returncode == 0, done.stderr
    answer = document(done)
    assert (answer["status"], answer["topic"], answer["partition"], answer["offset"]) == ("delivered", topic, 2, 0)
    [record] = kafka.records(topic)
    assert (record.partition, record.key, record.value) == (2, "kéy".encode(), "välue".encode())
    assert list(record.headers) == [("a", b"1=2"), ("b", None), ("a", b"")]


def test_tombstones_and_empty_values(kafka, topic, tmp_path):
    """KLI-33: an empty value is a tombstone with -Z alone; a file is a value, byte for byte."""
    file = tmp_path / "value"
    file.write_bytes(b"\0\xff\r\n")
    for words in (["-v", ""], ["-v", "", "-Z"], ["--value-file", str(file)]):
        assert inside("produce", "send", topic, "-k", "k", *words, "-b", kafka.bootstrap).returncode == 0
    assert [record.value for record in kafka.records(topic)] == [b"", None, b"\0\xff\r\n"]


@pytest.mark.parametrize(
    ("options", "stdin", "records"),
    [
        ([], b"a\n\n\xff\r\nlast", [(None, b"a"), (None, b""), (None, b"\xff\r"), (None, b"last")]),
        (["-K", r"\t"], b"k\tv\tw\nnone\n\t\n", [(b"k", b"v\tw"), (None, b"none"), (b"", b"")]),
        (["-K", ":", "-k", "dflt", "-Z"], b"k:\nx\n\n", [(b"k", None), (b"dflt", b"x"), (b"dflt", None)]),
        (["-D", r"\0"], b"two\nlines\0next\0", [(None, b"two\nlines"), (None, b"next")]),
        ([], b"", []),
    ],
)
def test_values_from_stdin(kafka, topic, options, stdin, records):
    """Issue item 3: without -v a record for each line of stdin, as kcat -P; bytes stay as they are."""
    done = inside("produce", "send", topic, *options, "-b", kafka.bootstrap, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert document(done)["delivered"] == len(records)
    assert [(record.key, record.value) for record in kafka.records(topic)] == records


def test_lines_are_sent_as_they_come(kafka, topic):
    """Issue item 3: a line reaches Kafka while stdin is still open; SIGTERM delivers what was read, and says so."""
    with running("produce", "send", topic, "-b", kafka.bootstrap) as process:
        process.stdin.write(b"first\n")
        process.stdin.flush()
        wait_for(lambda: kafka.end_offsets(topic) == {0: 1}, "the first line")
        process.stdin.write(b"second\n")
        process.stdin.flush()
        wait_for(lambda: kafka.end_offsets(topic) == {0: 2}, "the second line")
        process.send_signal(signal.SIGTERM)
        out = process.stdout.read()
        assert process.wait(30) == 130
        assert json.loads(out)["delivered"] == 2
        assert b"interrupted" in process.stderr.read()


def test_a_record_that_is_too_large(kafka, topic):
    """Issue: one line, status 1, which line it was and how many are delivered."""
    lines = b"a\nb\n" + b"x" * 2000 + b"\nc\n"
    done = inside("produce", "send", topic, "-b", kafka.bootstrap, "-X", "message.max.bytes=1500", stdin=lines)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "line 3" in line
    assert "2 of " in line
    assert [record.value for record in kafka.records(topic)] == [b"a", b"b"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["send", "{topic}", "-v", "x", "-p", "7"], 1, "has no partition 7, only 0 to 0"),
        (["send", "{topic}", "-v", "x", "--value-file", __file__], 2, "it takes one of them"),
        (["send", "{topic}", "-v", "x", "-H", "=y"], 2, "no name"),
        (["send", "{topic}", "-D", ""], 2, "it is empty"),
        (["send", "no topic", "-v", "x"], 2, "topic is 'no topic'"),
        (["transaction", "{topic}", "--count", "0", "-v", "x"], 2, "0 is not in the range"),
        (["from-file", "{topic}", "/nonexistent"], 2, "does not exist"),
        (["from-file", "{topic}", "-", "--key-field", "a", "--headers-field", "a"], 2, "one field cannot be two"),
    ],
)
def test_what_is_refused(kafka, topic, words, status, said):
    """Issue: a mistake is one line and the right status, and nothing is sent."""
    done = inside("produce", *(word.format(topic=topic) for word in words), "-b", kafka.bootstrap)
    assert (done.returncode, said in done.stderr, len(done.stderr.splitlines())) == (status, True, 1), done.stderr
    assert kafka.end_offsets(topic) == {0: 0}


def test_no_broker():
    """Issue: brokers that are away are one line, status 1."""
    with refused_port() as port:
        done = inside("produce", "send", "any", "-v", "x", "-b", f"127.0.0.1:{port}", "--timeout", "1")
    assert done.returncode == 1
    assert done.stderr == f"superclient produce send: no broker at 127.0.0.1:{port} (Connection refused)\n"


@pytest.mark.parametrize(
    ("password", "said"), [("wrong", "refuses the connection"), (None, "Topic authorization failed")]
)
def test_no_rights(secure_kafka, password, said):
    """Issue: a wrong password, and a topic without rights, are one line at once; the password is in none."""
    settings = {**secure_kafka.client_config("confluent", user="other")}
    if password:
        settings["sasl.password"] = password
    words = [
        word for name, value in settings.items() if name != "bootstrap.servers" for word in ("-X", f"{name}={value}")
    ]
    topic = secure_kafka.create_topic("cli-no-rights")
    done = inside("produce", "send", topic, "-v", "x", "-b", secure_kafka.secure_bootstrap, *words, "--timeout", "60")
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert settings["sasl.password"] not in done.stderr


# --- transaction ------------------------------------------------------------------------------------------------------


def test_a_transaction(kafka, topic):
    """KLI-34: N records, all together."""
    words = ["transaction", topic, "--count", "3", "--transactional-id", "cli-tx", "-k", "k", "-v", "v"]
    done = inside("produce", *words, "-b", kafka.bootstrap)
    assert done.returncode == 0, done.stderr
    answer = document(done)
    assert (answer["transactional_id"], answer["transactions"], answer["delivered"]) == ("cli-tx", 1, 3)
    assert committed(kafka, topic) == [b"v"] * 3


@pytest.mark.parametrize(("options", "transactions"), [([], 1), (["-c", "10"], 3)])
def test_lines_in_transactions(kafka, topic, options, transactions):
    """KLI-14, KLI-34: stdin in one transaction, or in one for each N lines, the rest in the last."""
    lines = [b"%d" % number for number in range(25)]
    done = inside("produce", "transaction", topic, *options, "-b", kafka.bootstrap, stdin=b"\n".join(lines))
    assert done.returncode == 0, done.stderr
    assert document(done)["transactions"] == transactions
    assert committed(kafka, topic) == lines


def test_a_transaction_that_fails_leaves_the_earlier_ones(kafka, topic):
    """KLI-14: what was committed before stays, the one that failed is not seen, and the line says how many are."""
    lines = b"".join(b"%d\n" % number for number in range(7)) + b"x" * 2000 + b"\n8\n"
    words = ["transaction", topic, "-c", "3", "-b", kafka.bootstrap, "-X", "message.max.bytes=1500"]
    done = inside("produce", *words, stdin=lines)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "line 8" in line
    assert "6 of " in line
    assert committed(kafka, topic) == [b"%d" % number for number in range(6)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_a_transaction_finish(kafka, topic, number, monkeypatch):
    """KLI-15: a signal in the middle of a transaction of records that are all there: it is committed, status 0."""
    produce, calls = KafkaProducer.produce, []

    def produce_and_signal(producer, *record):
        calls.append(1)
        if len(calls) == 500:
            assert producer.in_transaction
            signal.raise_signal(number)
        return produce(producer, *record)

    monkeypatch.setattr(KafkaProducer, "produce", produce_and_signal)
    done = inside("produce", "transaction", topic, "--count", "1000", "-v", "x", "-b", kafka.bootstrap)
    assert (done.returncode, done.stderr) == (0, "")
    assert document(done)["delivered"] == 1000
    assert len(committed(kafka, topic)) == 1000


def test_a_second_signal_aborts(kafka, topic, monkeypatch):
    """KLI-15: whoever presses Ctrl-C twice means it: nothing of the transaction is seen, status 130, one line."""
    produce, calls = KafkaProducer.produce, []

    def produce_and_signal(producer, *record):
        calls.append(1)
        if len(calls) in (300, 500):
            signal.raise_signal(signal.SIGINT)
        return produce(producer, *record)

    monkeypatch.setattr(KafkaProducer, "produce", produce_and_signal)
    done = inside("produce", "transaction", topic, "--count", "1000", "-v", "x", "-b", kafka.bootstrap)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "superclient produce transaction: interrupted; 0 of 499 records were committed\n"
    assert committed(kafka, topic) == []


def test_a_signal_between_batches_of_a_file(kafka, topic, tmp_path, monkeypatch):
    """KLI-14, KLI-15: with a transaction for each batch the current one is committed, and none is begun after it."""
    file = tmp_path / "many.json"
    file.write_text(json.dumps([{"number": number} for number in range(100)]))
    produce, calls = KafkaProducer.produce, []

    def produce_and_signal(producer, *record):
        calls.append(1)
        if len(calls) == 25:
            signal.raise_signal(signal.SIGINT)
        return produce(producer, *record)

    monkeypatch.setattr(KafkaProducer, "produce", produce_and_signal)
    words = ["from-file", topic, str(file), "--transactional-id", f"tx-{topic}", "--batch-size", "10"]
    done = inside("produce", *words, "-b", kafka.bootstrap)
    assert done.returncode == 130
    seen = committed(kafka, topic)
    assert (len(seen), document(done)["delivered"]) == (len(calls), len(calls))
    assert seen == [b'{"number":%d}' % number for number in range(len(seen))]
    assert 25 <= len(seen) < 100


@pytest.mark.parametrize(("options", "seen"), [(["-c", "2"], 5), ([], 0)])
def test_ctrl_c_while_lines_come(kafka, topic, options, seen):
    """KLI-15: with a transaction for each N lines what was read is committed, as at the end of the input; of a
    transaction that was to have all lines nothing is seen."""
    with running("produce", "transaction", topic, *options, "-b", kafka.bootstrap) as process:
        for number in range(5):
            process.stdin.write(b"%d\n" % number)
        process.stdin.flush()
        if seen:
            wait_for(lambda: committed(kafka, topic)[:4] == [b"0", b"1", b"2", b"3"], "two transactions")
        else:
            wait_for(lambda: _waits_for_input(process), "five lines read")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert b"interrupted" in process.stderr.read()
    assert committed(kafka, topic) == [b"%d" % number for number in range(seen)]


def _waits_for_input(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has taken all that was written to it; the first thing it does after its handlers are in place."""
    import fcntl
    import struct
    import termios

    left = fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, b"\0" * 4)
    return struct.unpack("i", left) == (0,)


# --- from-file --------------------------------------------------------------------------------------------------------

ORDERS = b"""[
  {"id": 7, "total": 12.500, "where": 1, "meta": {"source": "shop", "n": 1.10, "gone": null}, "name": "J\\u00f6rg"},
  {"id": "x y", "total": 1e400, "where": 0},
  {"id": null}
]"""


@pytest.mark.parametrize("options", [[], ["--transactional-id", "cli-file"], ["--batch-size", "2"], ["--no-check"]])
def test_a_file(kafka, tmp_path, options):
    """KLI-35: a record for each object; key, partition and headers are taken out of the value."""
    topic = kafka.create_topic("cli-from-file", partitions=2)
    file = tmp_path / "orders.json"
    file.write_bytes(ORDERS)
    fields = ["--key-field", "id", "--partition-field", "where", "--headers-field", "meta"]
    done = inside("produce", "from-file", topic, str(file), *fields, *options, "-b", kafka.bootstrap)
    assert done.returncode == 0, done.stderr
    assert document(done)["delivered"] == 3
    found = {record.key: record for record in kafka.records(topic)}
    assert found[b"7"].value == '{"total":12.500,"name":"Jörg"}'.encode()
    assert list(found[b"7"].headers) == [("source", b"shop"), ("n", b"1.10"), ("gone", None)]
    assert [found[key].partition for key in (b"7", b"x y")] == [1, 0]
    assert found[b"x y"].value == b'{"total":1e400}'
    assert found[None].value == b"{}"


BAD = [
    (b"no JSON", [], "which is no JSON"),
    (b'{"a": 1}', [], "an object instead of an array"),
    (b"[1, 2]", [], "element 1 (line 1) is a number"),
    (b'[{"a": 1},\n["b"]]', [], "element 2 (line 2) is an array"),
    (b'[{"a": 1},\n{"a": 2}', [], "it ends in the middle"),
    (b'[{"a": 1}] {', [], "follows the end"),
    (b'[{"p": 0},\n {"p": "0"}]', ["--partition-field", "p"], 'element 2 (line 2): p is "0"'),
    (b'[{"p": true}]', ["--partition-field", "p"], "a partition is a number"),
    (b'[{"p": 0}, {"p": 9}]', ["--partition-field", "p"], "has no partition 9"),
    (b'[{"h": {}},\n {"h": [1]}]', ["--headers-field", "h"], "element 2 (line 2): h is [1]: headers are an object"),
    (b'[{"id": 1}]', ["--key-field", "idd"], "no object has a field 'idd'"),
    (b'{"a": 1}\n{"a":', ["--lines"], "line 2 is no JSON"),
]


@pytest.mark.parametrize(("text", "options", "said"), BAD)
def test_a_file_that_is_wrong_somewhere(kafka, topic, tmp_path, text, options, said):
    """KLI-35, issue: anything but an array of objects is refused in one line, and nothing of it is sent."""
    file = tmp_path / "bad.json"
    file.write_bytes(text)
    done = inside("produce", "from-file", topic, str(file), *options, "-b", kafka.bootstrap)
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (1, 1, "")
    assert said in done.stderr
    assert kafka.end_offsets(topic) == {0: 0}


@pytest.mark.parametrize(
    ("options", "said", "seen"),
    [([], "2 of 2 records were delivered", 2), (["--transactional-id", "cli-bad"], "nothing was sent", 0)],
)
def test_stdin_that_is_wrong_somewhere(kafka, topic, options, said, seen):
    """KLI-35: of a stream what was sent is said; of a transaction nothing is seen."""
    done = inside("produce", "from-file", topic, "-", *options, "-b", kafka.bootstrap, stdin=b'[{"a":1},{"a":2},3]')
    assert done.returncode == 1
    assert said in done.stderr
    assert len(committed(kafka, topic)) == seen


def test_json_lines(kafka, topic):
    """KLI-35: an object a line, where that is said."""
    done = inside(
        "produce", "from-file", topic, "-", "--lines", "-b", kafka.bootstrap, stdin=b'{"a": 1.0}\n\n{"b": 2}\n'
    )
    assert done.returncode == 0, done.stderr
    assert [record.value for record in kafka.records(topic)] == [b'{"a":1.0}', b'{"b":2}']


def test_a_large_file_is_streamed(kafka, topic, tmp_path):
    """Issue: memory does not grow with the file."""
    peaks = []
    for count in (50, 2000):
        file = tmp_path / f"{count}.json"
        file.write_text(json.dumps([{"number": number, "text": "x" * 20_000} for number in range(count)]))
        words = [
            "produce",
            "from-file",
            topic,
            str(file),
            "-b",
            kafka.bootstrap,
            "-X",
            "queue.buffering.max.messages=50",
        ]
        # Linux counts to a child what its parent had when it was forked: so not this process, which is large.
        measure = (
            "import os,sys; _, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0); "
        )
        measure += "print(usage.ru_maxrss); sys.exit(os.waitstatus_to_exitcode(status))"
        command = [sys.executable, "-c", measure, str(full_python().with_name("superclient")), *words]
        ran = subprocess.run(command, capture_output=True, text=True, env=clean_environment({}), timeout=100)
        assert ran.returncode == 0, ran.stderr
        peaks.append(int(ran.stdout.split()[-1]) // 1024)
    assert kafka.end_offsets(topic) == {0: 2050}
    assert peaks[1] < peaks[0] + 25, f"{peaks} MB for files of 1 and 40 MB"


# --- load -------------------------------------------------------------------------------------------------------------


def test_test_data(kafka, topic):
    """The table of the spec: so many JSON records, with keys, of a size; the same seed gives the same."""
    words = ["load", "test-data", topic, "--count", "200", "--keys", "20", "--size", "400", "-b", kafka.bootstrap]
    first, second = inside(*words), inside(*words, "--rate", "2000")
    answer = document(first)
    assert (answer["delivered"], answer["bytes"] > 200 * 400) == (200, True)
    assert {"records_per_second", "mb_per_second"} <= answer.keys()
    assert second.returncode == 0, second.stderr
    values = [(record.key, record.value) for record in kafka.records(topic)]
    assert values[:200] == values[200:]
    assert all(json.loads(value)["event_id"] for _, value in values)
    assert {len(value) for _, value in values} == {400}
    assert 1 < len({key for key, _ in values}) <= 20


def test_progress_where_a_person_watches(kafka, topic):
    """Issue item 3: a progress bar on a terminal, and an answer in words; elsewhere nothing on stderr."""
    with terminal("load", "test-data", topic, "--count", "20000", "-b", kafka.bootstrap) as shown:
        assert shown.wait() == 0
        assert "sending" in shown.text
        assert "/20000" in shown.text
        assert "records/s" in shown.text
    assert inside("load", "test-data", topic, "--count", "10", "-b", kafka.bootstrap).stderr == ""


def test_ctrl_c_ends_a_load(kafka, topic):
    """A load that is stopped says what was delivered; nothing that was sent is lost."""
    with running("load", "test-data", topic, "--rate", "50", "--count", "1000000", "-b", kafka.bootstrap) as process:
        wait_for(lambda: kafka.end_offsets(topic)[0] > 0, "the first records")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert json.loads(process.stdout.read())["delivered"] == kafka.end_offsets(topic)[0]
        assert process.stderr.read() == b""
