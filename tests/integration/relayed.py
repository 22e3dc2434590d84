"""The real `superclient relay stream`, what it is given to relay, and whether each record arrived once and in order."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.environments import clean_environment
from tests.integration.cli import full_python
from tests.servers import Broker, Record, wait_for

_BEGAN = int(time.time() * 1000) - 3_600_000  # not the present, and nothing that is old enough to be deleted
# What is special about some of the records, by their number; the others have key, value and a header.
_KINDS: tuple[dict[str, Any], ...] = (
    {"value": None},  # a tombstone
    {"value": b""},
    {"key": None},
    {"key": b""},
    {"headers": [("same", b"1"), ("same", b"2"), ("none", None), ("empty", b""), ("ünïcode", b"\xff\x00")]},
    {"value": b"\xff\xfe\x00 no text"},
)


def fill(bootstrap: str, topic: str, partitions: int, numbers: Sequence[int]) -> None:
    """A record for each number, by turns to each partition; every tenth is one of `_KINDS`."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
    failed: list[object] = []
    for number in numbers:
        record: dict[str, Any] = {
            "value": b"value %d" % number,
            "key": b"key %d" % (number % 50),
            "headers": [("trace", b"%d" % number)],
        }
        if number % 10 == 0:
            record |= _KINDS[number // 10 % len(_KINDS)]
        producer.produce(
            topic,
            partition=number % partitions,
            timestamp=_BEGAN + number,
            on_delivery=lambda error, _: failed.append(error) if error else None,
            **record,
        )
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not failed, failed[:3]


@contextlib.contextmanager
def load(bootstrap: str, topic: str, partitions: int, begin: int, every: int = 50) -> Iterator[None]:
    """Keeps filling for the length of the block, a few records at a time."""
    end = threading.Event()

    def work() -> None:
        number = begin
        while not end.wait(0.1):
            fill(bootstrap, topic, partitions, range(number, number + every))
            number += every

    thread = threading.Thread(target=work, name="load")
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def told(records: Sequence[Record]) -> dict[int, list[tuple[Any, ...]]]:
    """What counts of each record, by partition, in order."""
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for one in sorted(records, key=lambda one: (one.partition, one.offset)):
        found[one.partition].append((one.key, one.value, one.headers, round(one.timestamp * 1000)))
    return found


def differences(source: Sequence[Record], target: Sequence[Record]) -> list[str]:
    """Where the target is not what the source is, partition by partition; [] for a faithful copy."""
    wanted, found, said = told(source), told(target), []
    for partition in sorted({*wanted, *found}):
        ours, theirs = wanted[partition], found[partition]
        if ours == theirs:
            continue
        missing, extra = Counter(ours) - Counter(theirs), Counter(theirs) - Counter(ours)
        first = next((at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), "the end")
        said.append(
            f"partition {partition}: {len(ours)} records became {len(theirs)}; {missing.total()} missing, "
            f"{extra.total()} too many, first difference at {first}"
        )
    return said


class RelayProcess:
    """One start of the command after the other, in one folder; what it says is in `events` and `errors`."""

    def __init__(self, folder: Path, bootstrap: str, source: str, target: str, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        command = [str(full_python().with_name("superclient")), "-b", bootstrap]
        self._command = [*command, "relay", "stream", source, target, *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        with self._stdout.open("wb") as stdout, self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*self._command, *more],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=clean_environment({"SUPERSTREAM_DISABLED": "true"}),
                start_new_session=True,
                cwd=os.path.sep,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float = 120) -> int:
        assert self._process is not None
        return self._process.wait(timeout)

    def run(self, *more: str, timeout: float = 120) -> int:
        """Start it, and wait for its end."""
        self.start(*more)
        return self.wait(timeout)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of this start; a last line that is cut in the middle is left out."""
        said = self._stdout.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in said if line.endswith(b"\n")]

    @property
    def errors(self) -> str:
        """What it said on stderr, of all starts."""
        return self._stderr.read_text()

    def wait_for_commits(self, count: int, timeout: float = 60) -> None:
        """Until so many batches were committed since this start."""

        def enough() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"it ended with {self._process.returncode}: {self.events[-3:]}\n{self.errors}")
            return self._stdout.read_bytes().count(b"relay_batch_committed") >= count

        wait_for(enough, f"{count} batches committed", timeout)


@contextlib.contextmanager
def relays(*processes: RelayProcess) -> Iterator[None]:
    """Whatever happens, none is left."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def seeded(name: str) -> random.Random:
    """The same moments in every run, another with RELAY_SEED; a failing test shows the seed."""
    seed = os.environ.get("RELAY_SEED", name)
    print(f"RELAY_SEED={seed}")
    return random.Random(seed)


def pair(kafka: Broker, name: str, partitions: int) -> tuple[str, str]:
    """Two topics, new ones."""
    mark = os.urandom(4).hex()
    return kafka.create_topic(f"{name}-{mark}", partitions), kafka.create_topic(f"{name}-{mark}-copy", partitions)
