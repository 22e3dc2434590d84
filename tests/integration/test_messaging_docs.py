"""Every Python snippet of docs/messaging.md, and every program of examples/messaging, run as a reader would run it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments import lines, run_program, start_program
from tests.servers import Broker

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "messaging.md").read_text()
EXAMPLES = ROOT / "examples" / "messaging"
FIRST, TYPES, REQUEST, SERVER, BY_HAND, TESTED = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ENV = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true", "PYTHONUNBUFFERED": "1"}
HERE = Path(sys.executable)
ORDERS = [b'{"number": %d, "price": 9.5}' % number for number in (1, 2, 3)]
TOPICS = ("orders", "refunds", "customers", "price-requests", "price-replies")


@pytest.fixture
def pages(kafka: Broker) -> Iterator[Broker]:
    """A broker with the topics of the page."""
    for topic in TOPICS:
        kafka.create_topic(topic)
    yield kafka
    kafka.delete_topics(*TOPICS)


def interrupted(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """What it prints after the signal; it ends well, and has nothing to complain of."""
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, complaints(stderr)) == (0, []), stderr
    return stdout.strip()


def complaints(stderr: str) -> list[str]:
    """What nobody should read. That a new broker's groups are not ready yet, aiokafka logs as an error; no matter."""
    words = ("superclient", "Traceback", "Unclosed", "Task ")
    return [line for line in stderr.splitlines() if any(word in line for word in words)]


def local(snippet: str, broker: Broker) -> str:
    return snippet.replace("localhost:9092", broker.bootstrap)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_first_listener(pages: Broker) -> None:
    """SDM-1, SDM-11: the listener that the page begins with, twice: what was done with is not seen again."""
    pages.produce("orders", ORDERS)
    assert run(FIRST, pages) == "1 9.5\n2 9.5\n3 9.5\n"
    pages.produce("orders", ORDERS[2:])
    assert run(FIRST, pages) == "3 9.5\n"


def run(snippet: str, broker: Broker) -> str:
    ran = run_program(HERE, local(snippet, broker), env=ENV, options=("-W", "error"))
    assert (ran.returncode, complaints(ran.stderr)) == (0, []), ran.stderr
    return ran.stdout


def test_types(pages: Broker) -> None:
    """SDM-2, SDM-15: two types of one topic; on SIGTERM the streams end, and so does the program."""
    with start_program(HERE, local(TYPES, pages), env=ENV, options=("-W", "error")) as process:
        assert lines(process, 1) == ["ready"]
        pages.produce("orders", ORDERS[:1])
        pages.produce("refunds", [b"a refund"])
        said = lines(process, 3)
        assert sorted(said) == ["orders/0/0 27", "refunds/0/0 8", "to pay: 9.5"]
        assert interrupted(process, signal.SIGTERM).startswith("ListenerStats(records=2, parse_errors=0, ")


@pytest.mark.parametrize(("server", "ready"), [(SERVER, True), (BY_HAND, False)], ids=["ours", "by hand"])
def test_requests_and_replies(pages: Broker, server: str, ready: bool) -> None:
    """SDM-16, SDM-18, SDM-19, SDM-30: the page's requester, with the page's server, and with one by hand."""
    with start_program(HERE, local(server, pages), env=ENV) as process:
        if ready:
            assert lines(process, 1) == ["ready"]
        assert run(REQUEST, pages) == "pear 0.6\nPrice(name='apple', price=0.4)\nNOT_FOUND\n"
        if ready:
            assert interrupted(process, signal.SIGTERM).startswith("ServerStats(")


def test_parsers_are_tested_without_a_broker(pages: Broker) -> None:
    """SDM-1: the page's way to test a parser."""
    assert run(TESTED, pages) == ""


# --- the examples -----------------------------------------------------------------------------------------------------


def test_the_example_with_dataclasses(pages: Broker) -> None:
    """SDM-1, SDM-3, SDM-15: orders are read and summed up, rubbish is told of, and Ctrl-C ends it well."""
    pages.produce("orders", [ORDERS[0], b"rubbish", ORDERS[1]])
    command = ("orders", "billing-examples", "--bootstrap-servers", pages.bootstrap)
    with start_program(HERE, EXAMPLES / "listener_dataclass.py", *command, env=ENV, merge_stderr=True) as process:
        said = lines(process, 3)
        assert [line for line in said if "order " in line] == ["order 1: 9.5, 9.5 in all", "order 2: 9.5, 19.0 in all"]
        assert [line for line in said if line.startswith("WARNING superclient.messaging: orders-0, offset 1: ")]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert rest.startswith("ListenerStats(records=3, parse_errors=1, ")


def test_the_example_with_pydantic(pages: Broker) -> None:
    """SDM-1, SDM-2: models of two topics by one consumer."""
    pages.produce("orders", [b'{"number": 1, "price": "9.50"}'])
    pages.produce("customers", [b'{"name": "Ada", "email": "ada@example.org"}'])
    command = ("orders", "customers", "billing-models-examples", "--bootstrap-servers", pages.bootstrap)
    with start_program(HERE, EXAMPLES / "listener_pydantic.py", *command, env=ENV) as process:
        assert sorted(lines(process, 2)) == ["order 1: 9.50", "welcome, Ada"]
        assert interrupted(process, signal.SIGINT).startswith("ListenerStats(records=2, parse_errors=0, ")


def test_the_example_of_requests(pages: Broker) -> None:
    """SDM-16, SDM-20, SDM-30: prices, an error with its code, and Ctrl-C; without a server, no reply in time."""
    where = ("--bootstrap-servers", pages.bootstrap)
    names = ("price-requests", "price-replies", "apple", "pear", "plum")
    with start_program(
        HERE, EXAMPLES / "rpc_server.py", "price-requests", "prices-examples", *where, env=ENV
    ) as process:
        assert lines(process, 1) == ["ready"]
        asked = run_program(HERE, EXAMPLES / "rpc.py", *names, *where, env=ENV)
        assert (asked.returncode, complaints(asked.stderr)) == (0, []), asked.stderr
        assert asked.stdout.splitlines() == ["apple: 0.4", "pear: 0.6", "plum: NOT_FOUND: we have no plum"]
        assert interrupted(process, signal.SIGINT).startswith("ServerStats(")
    alone = run_program(HERE, EXAMPLES / "rpc.py", *names[:3], *where, "--timeout", "0.5", env=ENV)
    assert (alone.returncode, alone.stdout) == (0, "apple: no reply\n")
