"""A consumer group beside a benchmark's producer: its work, and its lag as the broker has it.

The lag is read without the product's own reader, which is part of what is measured.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from benchmarks._harness import PROGRAMS
from tests.environments import start_program
from tests.servers import Broker

EVERY = 0.5  # seconds
_SECONDS = 10.0
_LIMIT = 180.0


@contextmanager
def consuming(bootstrap: str, topic: str, work: Mapping[str, Any]) -> Iterator[Callable[[], dict[str, Any]]]:
    """programs/consume.py at work, ready before the block begins; what is yielded waits for its end and its figures."""
    job = json.dumps({"bootstrap": bootstrap, "topic": topic, **work})
    with start_program(
        Path(sys.executable), PROGRAMS / "consume.py", job, env={"SUPERSTREAM_DISABLED": "true"}
    ) as process:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the consumers do not start: {process.communicate()[1]}")

        def result() -> dict[str, Any]:
            stdout, stderr = process.communicate(timeout=_LIMIT)
            if process.returncode:
                raise RuntimeError(f"the consumers failed: {stderr[-2000:]}")
            found: dict[str, Any] = json.loads(stdout)
            return found

        yield result


class Sampler:
    """For the length of a `with` block, on a thread of its own: samples of (seconds, longest queue in records).

    Time begins with the first sample that sees a record beyond the first, which warms the producer up. With `follow`
    it commits the log's end as well: consumers that keep up, at no cost.
    """

    def __init__(self, kafka: Broker, topic: str, partitions: int, group: str, follow: bool = False) -> None:
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]
        connection = {"bootstrap.servers": kafka.bootstrap, "log_level": 0}
        self._admin = AdminClient(connection)
        self._consumer = Consumer({**connection, "group.id": group, "enable.auto.commit": False})
        self._follow, self._over = follow, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: Exception | None = None
        self.samples: list[tuple[float, int]] = []

    def __enter__(self) -> "Sampler":
        if self._follow:
            start = [TopicPartition(one.topic, one.partition, 0) for one in self._partitions]
            self._consumer.commit(offsets=start, asynchronous=False)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(2 * _SECONDS)
        self._consumer.close()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            begun = 0.0
            while not self._over.wait(EVERY):
                now, ends = time.monotonic(), self._ends()
                if sum(ends.values()) > 1:
                    begun = begun or now
                    self.samples.append((now - begun, self._longest(ends)))
        except Exception as error:  # raised again by the thread that measures
            self._error = error

    def _ends(self) -> dict[int, int]:
        asked = self._admin.list_offsets({one: OffsetSpec.latest() for one in self._partitions})
        return {one.partition: future.result(_SECONDS).offset for one, future in asked.items()}

    def _longest(self, ends: dict[int, int]) -> int:
        committed = self._consumer.committed(self._partitions, timeout=_SECONDS)
        if self._follow:
            now = [TopicPartition(one.topic, one.partition, ends[one.partition]) for one in self._partitions]
            self._consumer.commit(offsets=now, asynchronous=False)
        return max(ends[one.partition] - max(0, one.offset) for one in committed)
