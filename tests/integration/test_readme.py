"""Every snippet of the README is run as a reader would run it, on a real broker."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments import run_program, start_program
from tests.servers import Broker
from tests.servers.gofka import GofkaDouble

ROOT = Path(__file__).resolve().parents[2]
SNIPPETS = re.findall(r"```(python|console)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
PROGRAM, INSIDE, SMART, TOOLKIT, MESSAGING, GOFKA = (text for kind, text in SNIPPETS if kind == "python")
COMMANDS = [
    line[2:] for kind, text in SNIPPETS if kind == "console" for line in text.splitlines() if line.startswith("$ ")
]
INSTALLING = {"pip install superclient": "tests/boot installs the wheel", "python your_app.py": "the python snippets"}


@pytest.fixture
def orders(cluster: Broker) -> Iterator[Broker]:
    """A cluster that recommends something for the README's topic."""
    cluster.create_topic("orders")
    cluster.publish_metadata(
        {
            "topics_configuration": [
                {
                    "topic_name": "orders",
                    "potential_reduction_percentage": 50,
                    "daily_writes_bytes": 1,
                    "optimized_configuration": {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 20},
                }
            ]
        }
    )
    yield cluster
    cluster.delete_topics("orders")


def _ran(program: str, cluster: Broker) -> subprocess.CompletedProcess[str]:
    env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_TOPICS_LIST": "orders"}
    ran = run_program(Path(sys.executable), program.replace("localhost:9092", cluster.bootstrap), env=env)
    assert ran.returncode == 0, ran.stderr
    assert "compression.type none -> zstd, batch.size 16384 -> 65536, linger.ms 0 -> 20" in ran.stderr
    assert cluster.log_bytes("orders").records == 1000
    return ran


def test_a_program_runs_tuned(orders: Broker) -> None:
    """AGT-20: the README's program, unchanged, is tuned by a recommendation, and its records arrive."""
    assert _ran(PROGRAM, orders).stdout == ""


def test_a_program_looks_inside(orders: Broker) -> None:
    """AGT-62, AGT-67: the same program shows what holds and why, and switches the agent off."""
    before, flush, after = PROGRAM.partition("producer.flush()")
    said = _ran(before + INSIDE + flush + after, orders).stdout
    assert "recommended for topic orders" in said


def test_a_smart_producer_delivers(orders: Broker) -> None:
    """KSP-1, KSP-10: the README's SmartProducer; each key is in one place."""
    env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"}
    ran = run_program(Path(sys.executable), SMART.replace("localhost:9092", orders.bootstrap), env=env)
    assert ran.returncode == 0, ran.stderr
    records = orders.records("orders")
    assert len(records) == 1000
    assert len({(record.key, record.partition) for record in records}) == 50


def test_the_toolkit_commits(orders: Broker) -> None:
    """KLI-1, KLI-11: the README's two transactions, and where the last record is."""
    env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"}
    ran = run_program(Path(sys.executable), TOOLKIT.replace("localhost:9092", orders.bootstrap), env=env)
    assert ran.returncode == 0, ran.stderr
    records = orders.records("orders")
    assert len(records) == 1001
    last = records[-1]
    assert ran.stdout.split() == ["delivered", str(last.partition), str(last.offset)]


def test_a_listener_yields_what_the_program_produces(orders: Broker) -> None:
    """SDM-1, SDM-8: the README's listener, of the records of the README's program, from the first to the last."""
    env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true", "PYTHONUNBUFFERED": "1"}
    with start_program(
        Path(sys.executable), MESSAGING.replace("localhost:9092", orders.bootstrap), env=env, merge_stderr=True
    ) as listener:
        assert listener.stdout is not None
        said = iter(listener.stdout)
        while next(said) != "listening\n":  # aiokafka may say first that a new broker's groups are not ready
            pass
        producing = run_program(Path(sys.executable), PROGRAM.replace("localhost:9092", orders.bootstrap), env=env)
        assert producing.returncode == 0, producing.stderr
        found = [next(said) for _ in range(1000)]
    assert sorted(found) == sorted(f"{number} open\n" for number in range(1000))


def test_gofka_goes_around() -> None:
    """GOF-3, GOF-7: the README's producer and consumer, on a broker that speaks Gofka's protocol."""
    with GofkaDouble() as broker:
        env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"}
        ran = run_program(Path(sys.executable), GOFKA.replace("localhost:9092", broker.address), env=env)
    assert (ran.returncode, ran.stdout) == (0, "stored at 0\nan order\n"), ran.stderr


@pytest.mark.parametrize("command", [line for line in COMMANDS if line not in INSTALLING])
def test_a_command_works(command: str, cluster: Broker, tmp_path: Path) -> None:
    """AGT-51, AGT-2: the README's commands do what it says, with exit status 0."""
    cluster.create_system_topics()
    cluster.publish_metadata({})
    (tmp_path / "your_app.py").write_text("print('it ran')\n")
    words = command.replace("localhost:9092", cluster.bootstrap).replace(" python ", f" {sys.executable} ").split()
    assert words[0] == "superclient"
    source = f"import sys; sys.argv = {words!r}; from superclient.cli import main; sys.exit(main())"
    ran = run_program(Path(sys.executable), source, env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout
