"""The Gofka client, installed from the wheel beside the agent, in every CPython that it promises."""

from __future__ import annotations

import pytest

from tests.environments import PYTHONS, environment, run_program
from tests.servers.gofka import GofkaDouble

PROGRAM = """
import sys
from superclient.gofka import AdminClient, Consumer, Producer

address = sys.argv[1]
with AdminClient(address) as admin, Producer(address, compression="gzip") as producer:
    admin.create_topic("orders", 12)
    stored = producer.send_batch("orders", [b"%d" % number for number in range(100)], key=b"k")
with Consumer(address, "billing", "orders") as consumer:
    found = []
    while len(found) < 100:
        found += consumer.poll(timeout=20)
assert [(each.key, int(each.value)) for each in found] == [(b"k", number) for number in range(100)]
assert [(each.offset, each.offset.index) for each in found] == [(each, each.index) for each in stored]
print(found[0].partition)
"""


@pytest.mark.parametrize(
    "python", [PYTHONS[0], *(pytest.param(each, marks=pytest.mark.matrix_full) for each in PYTHONS[1:])]
)
def test_records_go_around(python: str) -> None:
    """GOF-31, GOF-32, GOF-16: nothing else is installed; a key's partition is the same everywhere; no warnings."""
    with GofkaDouble() as broker:
        ran = run_program(environment(python), PROGRAM, broker.address, options=("-W", "error"))
        assert broker.connections_open == 0
    assert (ran.returncode, ran.stdout) == (0, "8\n"), ran.stderr
    assert "superclient.gofka" not in ran.stderr
    assert "Traceback" not in ran.stderr
