"""The command line where things are odd: bytes that are no text, closed descriptors, a full disk, early signals."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from superclient.cli import _errors, _quiet, _sending, _writing
from superclient.cli._session import Session, Stop
from superclient.cli._stdin import Stdin
from tests.environments import clean_environment
from tests.faults import refused_port
from tests.integration.cli import document, full_python, inside
from tests.integration.test_cli_consume import position
from tests.integration.test_cli_produce import running
from tests.servers import Broker

BYTE = "\udcff"  # as Python has a byte of the command line that is no UTF-8


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, in which $S is the command."""
    env = clean_environment({"S": str(full_python().with_name("superclient"))})
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=env, timeout=60, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ["admin", "create-topic", BYTE],
        ["admin", "create-topic", "x", "-c", f"{BYTE}=1"],
        ["admin", "describe-topic", BYTE],
        ["admin", "delete-topic", BYTE],
        ["admin", "list-topics", "-X", f"{BYTE}=1"],
        ["admin", "list-topics", "-X", f"client.id={BYTE}"],
        ["consume", "poll", "x", "--group", BYTE],
        ["consume", "poll", BYTE],
        ["produce", "send", "x", "-v", "x", "-H", f"{BYTE}=1"],
        ["produce", "transaction", "x", "-v", "x", "--transactional-id", BYTE],
        ["relay", "stream", "x", BYTE],
        ["relay", "stream", "x", "y", "--group", BYTE],
    ],
)
def test_bytes_that_are_no_text(words: list[str]):
    """Issue item 3: one line, status 2, where librdkafka would end the process by a segmentation fault."""
    ran = inside(*words, "-b", "127.0.0.1:1")
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (2, "", 1), ran.stderr
    assert "mistake" not in ran.stderr


@pytest.mark.parametrize("command", ["lag x --group y", "doctor", "init"])
def test_bytes_in_the_commands_of_the_agents_side(command: str):
    """The same there, and a usage error is one line, as everywhere else."""
    ran = shell(f"""LC_ALL=C.UTF-8 "$S" {command} --bootstrap-servers $'\\xff:9'""")
    line = f"superclient {command.split(maxsplit=1)[0]}: bootstrap.servers has something in it that is no UTF-8"
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"{line} (see superclient {command.split(maxsplit=1)[0]} --help)\n"


def test_bytes_stay_as_they_are_where_they_may(kafka: Broker, topic: str):
    """Issue item 3: a key and a value are any bytes; a header's name is read as UTF-8 in a locale with few letters."""
    line = f"""LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 "$S" produce send {topic} -b {kafka.bootstrap} """
    ran = shell(line + r"-k $'\xff' -v $'\xfe\n' -H 'имя=знач'")
    assert (ran.returncode, ran.stderr) == (0, "")
    [found] = kafka.records(topic)
    assert (found.key, found.value) == (b"\xff", b"\xfe\n")
    assert list(found.headers) == [("имя", "знач".encode())]


# --- descriptors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["--help", "--version"])
def test_a_full_disk(words: str):
    """Issue item 3: one line and status 1, also for what needs no click, buffered or not."""
    for unbuffered in ("", "1"):
        ran = shell(f'PYTHONUNBUFFERED={unbuffered} "$S" {words} > /dev/full')
        assert (ran.returncode, ran.stderr) == (1, "superclient: No space left on device\n")


@pytest.mark.parametrize("words", ["lag {topic} --group g", "lag {topic} --group g --json"])
def test_a_reader_of_the_agents_side_that_has_had_enough(kafka: Broker, topic: str, words: str):
    """Issue item 3: a closed pipe is no error, and leaves no trace."""
    words = f"{words.format(topic=topic)} --bootstrap-servers {kafka.bootstrap}"
    ran = shell(f'sleep 0 | "$S" {words} | head -c 0; exit "${{PIPESTATUS[1]}}"')
    assert ran.stderr == ""
    assert ran.returncode == 0


def test_stdin_that_is_closed(monkeypatch: pytest.MonkeyPatch):
    """Issue item 3: `<&-` is said in a line."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(OSError, match="stdin is closed"):
        Stdin(Stop())


@pytest.mark.parametrize(
    "words",
    [
        ["produce", "send", "x", "-v", "x"],
        ["produce", "transaction", "x", "-v", "x"],
        ["load", "test-data", "x"],
        ["admin", "create-topic", "x"],
        ["admin", "delete-topic", "x"],
    ],
)
def test_nothing_is_done_whose_answer_cannot_be_written(words: list[str], tmp_path: Path):
    """KLI-29: the output is opened before the cluster is asked for anything: status 2 says that nothing was done."""
    with refused_port() as port:
        ran = inside(*words, "-b", f"127.0.0.1:{port}", "--output-file", str(tmp_path / "missing" / "out"))
    assert ran.returncode == 2
    assert "cannot be written: No such file or directory" in ran.stderr


# --- transactional ids, errors ----------------------------------------------------------------------------------------


def test_whose_transactional_id(kafka: Broker, topic: str):
    """KLI-34: -X says which one as well; an empty one, of a variable that is not set, is refused."""
    words = ["produce", "transaction", topic, "-v", "x", "-b", kafka.bootstrap]
    assert document(inside(*words, "-X", f"transactional.id={topic}"))["transactional_id"] == topic
    assert document(inside(*words, "-X", "transactional.id=x", "--transactional-id", f"{topic}-2"))[
        "transactional_id"
    ] == (f"{topic}-2")
    refused = inside(*words, "--transactional-id", "")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "transactional_id is empty" in refused.stderr


def test_a_setting_that_librdkafka_refuses():
    """Issue item 3: its words, without the struct around them."""
    ran = inside("admin", "list-topics", "-b", "127.0.0.1:1", "-X", "no.such=1")
    line = 'No such configuration property: "no.such" (_INVALID_ARG)'
    assert (ran.returncode, ran.stderr) == (2, f"superclient admin list-topics: {line}\n")


@pytest.mark.parametrize("address", ["user:hunter@host:1", "SASL_SSL://user:hunter@host:1"])
def test_a_password_in_an_address(address: str):
    """KLI-28: it is refused before librdkafka has it, which would write it into each of its lines; -v shows them."""
    for words in (["admin", "list-topics"], ["produce", "send", "x", "-v", "x"], ["--show-config"]):
        ran = inside("-b", address, "--verbose", *words)
        assert ran.returncode == 2
        assert ran.stderr.splitlines()[-1].endswith("credentials go into sasl.username and sasl.password")
        assert "hunter" not in ran.stdout + ran.stderr


def test_servers_that_are_none():
    """Issue item 3: what librdkafka knows no scheme of is said, instead of a time-out."""
    ran = inside("admin", "list-topics", "-b", "http://localhost:9092", "--timeout", "1")
    assert ran.returncode == 1
    assert ran.stderr == "superclient admin list-topics: no broker at http://localhost:9092 (No brokers configured)\n"


@pytest.mark.parametrize(
    ("name", "value", "coloured"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False), ("TERM", "xterm", True)],
)
def test_colours(name: str, value: str, coloured: bool, monkeypatch: pytest.MonkeyPatch):
    """Issue item 3: NO_COLOR and TERM=dumb are obeyed by records as well; an empty NO_COLOR says nothing."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert _writing._colours() is coloured


@pytest.mark.parametrize("words", [["poll", "x", "-c", "5"], ["batch", "x", "-n", "5"], ["stream", "x", "-c", "5"]])
def test_so_many(words: list[str]):
    """Issue item 3: kcat's -c and rpk's -n are the number of records, whichever way one consumes."""
    ran = inside("consume", *words, "--seek-to-partition", "1", "-b", "127.0.0.1:1")
    assert (ran.returncode, "--seek-to-partition needs an offset" in ran.stderr) == (2, True)


def test_one_line_is_said_once():
    """Issue: what ends a command is not logged as well; -v shows the log."""
    session = Session()
    toolkit = logging.getLogger("superclient.toolkit")
    with _quiet.quiet(session):
        assert not toolkit.isEnabledFor(logging.ERROR)
    session.options["verbose"] = True
    with _quiet.quiet(session):
        assert toolkit.isEnabledFor(logging.ERROR)


def test_a_relay_looks_before_it_starts(kafka: Broker, topic: str):
    """Issue: a topic that is misspelt is one line, and nothing else."""
    for words in ([topic, "not-there"], ["not-there", topic], [topic, f"{topic}-2", "--dead-letter", "not-there"]):
        if f"{topic}-2" in words:
            kafka.create_topic(f"{topic}-2")
        ran = inside("relay", "stream", *words, "-b", kafka.bootstrap)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr == "superclient relay stream: there is no topic not-there\n"


# --- signals ----------------------------------------------------------------------------------------------------------


def test_an_interrupt_that_the_library_loses():
    """Issue item 3: KeyboardInterrupt in a callback of librdkafka's leaves a SystemError: status 130, and no line."""
    session = Session()
    error = SystemError("<method 'consume'> returned NULL without setting an exception")
    assert _errors.told(session, error)[0] == 1
    session.begin("superclient x")
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert _errors.told(session, error) == (130, "")
    finally:
        session.end()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("options", [["-v", "x"], [], ["--count", "2"]])
def test_a_signal_before_the_transaction_begins(kafka: Broker, topic: str, options: list[str], monkeypatch):
    """KLI-15: nothing was sent, so the status is not 0."""
    look = _sending.partitions_of

    def interrupted(*arguments: object) -> int:
        found = look(*arguments)
        signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(_sending, "partitions_of", interrupted)
    ran = inside("produce", "transaction", topic, *options, "-b", kafka.bootstrap, stdin="a\nb\n")
    assert ran.returncode == 130
    assert kafka.end_offsets(topic) == {0: 0}


def test_a_batch_that_is_asked_to_end(kafka: Broker, topic: str):
    """KLI-36: SIGTERM too: what was shown is committed, and the group is left at once, so that the next one need not
    wait until its session has ended."""
    kafka.produce(topic, [b"a", b"b"])
    words = ["consume", "batch", topic, "--group", f"g-{topic}", "--timeout", "600", "-b", kafka.bootstrap]
    with running(*words) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [b"a\n", b"b\n"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert position(kafka, topic, f"g-{topic}") == 2
