"""Every Python snippet of docs/gofka.md, and every program of examples/gofka, run as a reader would run it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environments import lines, run_program, start_program
from tests.faults import refused_port
from tests.servers import wait_for
from tests.servers.gofka import GofkaDouble

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "gofka.md").read_text()
EXAMPLES = ROOT / "examples" / "gofka"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
HERE = Path(sys.executable)
ENV = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true", "PYTHONUNBUFFERED": "1"}
WARNINGS = ("-W", "error")
SAYS = {
    "produce": (0, "first at 0\n1000 more, the last at "),
    "produce sync": (0, "one at 0\n1000 together\n"),
    "consume": (10, "0 None order 0\n1 None order 1\n"),
    "poll": (10, "0 order 0\n"),
    "topics": (1, "['orders', 'payments']\n[0, 1, 2] {0: 'b1', 1: 'b1', 2: 'b1'}\n"),
    "failover": (1, "1\n"),
}


@pytest.fixture
def broker():
    with GofkaDouble() as double:
        yield double


@pytest.mark.parametrize(("name", "snippet"), list(zip(SAYS, SNIPPETS, strict=True)), ids=list(SAYS))
def test_a_snippet_does_what_it_says(name: str, snippet: str, broker: GofkaDouble) -> None:
    """GOF-1, GOF-3, GOF-4, GOF-7, GOF-10, GOF-20, GOF-24: each public class as its documentation shows it."""
    records, said = SAYS[name]
    broker.produce("orders", *(b"order %d" % number for number in range(records)))
    ran = run_program(HERE, snippet.replace("localhost:9092", broker.address), env=ENV, options=WARNINGS)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(said), ran.stdout
    if name == "consume":
        assert broker.committed("billing", "orders") == 8
    assert broker.connections_open == 0


def run(name: str, *words: str) -> list[str]:
    """The lines of an example that ends by itself."""
    ran = run_program(HERE, EXAMPLES / name, *words, env=ENV, options=WARNINGS)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.splitlines()


def interrupted(process: subprocess.Popen[str]) -> None:
    """It ends well on Ctrl-C, and has nothing more to say."""
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_every_example_is_run() -> None:
    """GOF-36: six of them."""
    told = Path(__file__).read_text()
    assert len(list(EXAMPLES.glob("*.py"))) == 6
    assert [each.name for each in EXAMPLES.glob("*.py") if f'"{each.name}"' not in told] == []


def test_the_examples_that_produce_and_consume(broker: GofkaDouble) -> None:
    """GOF-36: what the producers say is what the consumer reads."""
    assert run("produce.py", "orders", "apple", "pear", "--brokers", broker.address) == [
        "apple: offset 0, place 0",
        "pear: offset 0, place 1",
    ]
    said = run("produce_sync.py", "orders", "plum", "fig", "--brokers", broker.address)
    assert said[:2] == ["plum: offset 1", "fig: offset 2"]
    assert said[2].startswith("all together: 2 records at offset 3")
    command = ("orders", "printing", "--brokers", broker.address)
    with start_program(HERE, EXAMPLES / "consume.py", *command, env=ENV, options=WARNINGS) as process:
        assert lines(process, 6)[:3] == ["offset 0: b'a' apple", "offset 0: b'p' pear", "offset 1: None plum"]
        wait_for(lambda: broker.committed("printing", "orders") >= 3, "the next one is asked for", 20)
        interrupted(process)
    assert broker.members("printing") == {}


def test_the_example_of_a_group(broker: GofkaDouble) -> None:
    """GOF-36, GOF-27: three members, one of which has the partition; they end together."""
    broker.produce("orders", b"1", b"2")
    command = ("orders", "workers", "--members", "3", "--brokers", broker.address)
    with start_program(HERE, EXAMPLES / "consume_group.py", *command, env=ENV, options=WARNINGS) as process:
        assert sorted({line.split(": ")[1] for line in lines(process, 2)}) == ["1", "2"]
        wait_for(lambda: len(broker.members("workers")) == 3, "all have joined")
        interrupted(process)
    assert broker.members("workers") == {}
    assert broker.committed("workers", "orders") == 2


def test_the_example_of_failover(broker: GofkaDouble) -> None:
    """GOF-36, GOF-19, GOF-20: the first broker of its list is down, the second follows."""
    with refused_port() as port, GofkaDouble(follower=True, cluster=broker) as follower:
        brokers = f"127.0.0.1:{port},{follower.address},{broker.address}"
        command = ("orders", "--count", "3", "--pause", "0", "--brokers", brokers)
        ran = run_program(HERE, EXAMPLES / "failover.py", *command, env=ENV, options=WARNINGS)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[:3] == ["0: offset 0", "1: offset 1", "2: offset 2"]
    assert "Traceback" not in ran.stderr
    assert broker.log("orders") == [b"0", b"1", b"2"]


def test_the_example_of_compression(broker: GofkaDouble) -> None:
    """GOF-36, GOF-10: each codec makes fewer messages of the same records, or says what it needs."""
    said = run("compression.py", "logs", "--brokers", broker.address)
    assert said[0].startswith("None: 1000 records in ")
    assert said[1].startswith("gzip: 1000 records in ")
    assert len(said) == 4
    for line, package in zip(said[2:], ("python-snappy", "lz4"), strict=True):
        assert ": 1000 records in " in line or line.endswith(f"pip install {package}")


@pytest.mark.parametrize("name", ["gofka_producer", "gofka_consumer"])
def test_a_benchmark_prints_its_rates(name: str, broker: GofkaDouble) -> None:
    """GOF-34, GOF-36: both benchmarks run with an address, and say how many records a second each way makes."""
    program = ROOT / "benchmarks" / f"{name}.py"
    words = (broker.address, "--records", "100", "--quick", "--json")
    ran = run_program(HERE, program, *words, env=ENV)
    assert ran.returncode == 0, ran.stderr
    rates = {row["figure"]: row["measured"]["median"] for row in json.loads(ran.stdout)["rows"] if "/s" in row["unit"]}
    assert len(rates) >= 3
    assert all(rate > 0 for rate in rates.values()), rates
