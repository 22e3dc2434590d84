"""The relay over ten million records: every one arrives, and memory stays where it was."""

from __future__ import annotations

import os
import random
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer

from tests.integration.relayed import RelayProcess, pair, relays
from tests.servers import Broker, wait_for

RECORDS = int(os.environ.get("RELAY_SOAK_RECORDS", "10000000"))
PARTITIONS, BATCH = 4, 500
GROWTH = 1.15  # of the memory after a tenth of the records; librdkafka's buffers come and go


@pytest.mark.soak
def test_the_memory_of_a_relay_is_flat(fresh_kafka: Broker, tmp_path: Path) -> None:
    """KLI-17: millions of records of some hundred bytes, four transactions in flight; the second half costs no more."""
    source, target = pair(fresh_kafka, "soak", PARTITIONS)
    producer = Producer({"bootstrap.servers": fresh_kafka.bootstrap, "linger.ms": 50, "compression.type": "lz4"})
    noise = random.Random(1).randbytes(4096).hex().encode()
    for number in range(RECORDS):
        at = number % 8000
        while True:
            try:
                producer.produce(source, noise[at : at + 100], partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(120) == 0
    names = ("--group", source, "--transactional-id", source, "--max-in-flight", "4", "--batch-size", str(BATCH))
    command = RelayProcess(tmp_path, fresh_kafka.bootstrap, source, target, *names)
    sizes: list[int] = []
    with relays(command):
        command.start("--stop-on-empty")
        process = psutil.Process(command.pid)
        for tenth in range(1, 10):
            wanted = RECORDS // 10 * tenth
            wait_for(lambda wanted=wanted: relayed(fresh_kafka, target) >= wanted, f"{wanted} records", 3600)
            sizes.append(process.memory_info().rss)
        assert command.wait(3600) == 0, command.errors
    print([size >> 20 for size in sizes], "MiB")
    assert command.events[-1]["forwarded"] == RECORDS
    assert max(sizes[4:]) <= GROWTH * max(sizes[:4]), [size >> 20 for size in sizes]


def relayed(kafka: Broker, target: str) -> int:
    """Of the end offsets, which count the marks of transactions too: one for each batch."""
    return sum(kafka.end_offsets(target).values()) * BATCH // (BATCH + 1)
