"""Reader over a consumer that does what a real one does once in a thousand runs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError

from superclient.messaging.lanes import Lane, Partition
from superclient.messaging.reader import Reader

ONE, TWO = TopicPartition("orders", 0), TopicPartition("orders", 1)


class Consumer:
    """Has records of two partitions at once, and an error for whoever asks again."""

    def __init__(self) -> None:
        self.calls = 0
        self.third = asyncio.Event()

    async def getmany(self, *partitions: Any, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        self.calls += 1
        if self.calls == 1:
            found = [SimpleNamespace(offset=offset, topic="orders") for offset in range(3)]
            return {ONE: found, TWO: list(found)}
        if self.calls == 2:
            raise GroupAuthorizationFailedError("its rights were withdrawn a moment ago")
        self.third.set()
        await asyncio.Event().wait()
        raise AssertionError

    def assignment(self) -> set[Any]:
        return {ONE, TWO}


class Sink:
    """Has room for one record of each partition."""

    def __init__(self) -> None:
        self.taken: list[tuple[Any, int]] = []

    def take(self, lane: Lane) -> None:
        if lane.name not in {name for name, _ in self.taken}:
            self.taken.append((lane.name, lane.backlog.popleft().offset))

    async def settle(self) -> None: ...

    def assigned(self, kept: Collection[Lane], lost: Collection[Lane]) -> None: ...

    async def finish(self) -> None: ...


def test_an_error_between_the_records_of_two_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """SDM-6, SDM-32: it is counted, and costs none of the records that came before it, of whatever partition."""
    monkeypatch.setattr("superclient.messaging.reader.broken", lambda consumer: False)

    async def main() -> None:
        sink, consumer = Sink(), Consumer()
        reader = Reader(["orders"], lambda: consumer, sink, auto_commit=None)
        reader.consumer = consumer
        reader.lanes = {name: Lane(name, tracked=False) for name in (Partition(*ONE), Partition(*TWO))}
        reading = asyncio.create_task(reader._read())
        await asyncio.wait_for(consumer.third.wait(), 30)
        reading.cancel()
        await asyncio.wait({reading})
        assert sink.taken == [(ONE, 0), (TWO, 0)]
        assert [[each.offset for each in lane.backlog] for lane in reader.lanes.values()] == [[1, 2], [1, 2]]
        assert (reader.counts.read_errors, reader.counts.records) == (1, 6)

    asyncio.run(main())
