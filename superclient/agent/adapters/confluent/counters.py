"""What librdkafka's statistics say: queued in its callback as they come, parsed on the heartbeat's thread.

Messages and their bytes are cumulative per handle; batches on the wire, and round trips, are windows between two
emissions, which are therefore added up. Everything is librdkafka's own figure; what was not emitted, or not served by
the program, is not known here.
"""

import json
import math
import re
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from superclient.agent import pipeline
from superclient.agent.adapters.confluent.conf import LIBRARY
from superclient.agent.guard import guarded
from superclient.agent.model import Counters

INTERVAL_MS = 30_000
WAITING = 64  # texts that may wait for the heartbeat
_WAKE_AT = 8
_CLOCK = re.compile(r'"ts": ?(\d+)')  # microseconds of CLOCK_MONOTONIC, which is Python's time.monotonic()


class Ledger:
    """Where one producer's figures come from: the statistics of every handle it has had."""

    def __init__(self, producer: Any) -> None:
        self.producer: Callable[[], Any] = weakref.ref(producer)
        self.emissions: list[Emissions] = []
        self.again = math.inf  # see model.Counters.again
        self.topics: list[str] = []
        self.noted: dict[str, float] = {}  # topic → when its first record was seen, where records are looked at

    def post(self, into: Counters) -> None:
        """Bring the counters up to date; on the heartbeat's thread alone."""
        for emissions in list(self.emissions):
            if emissions.parse(into):
                into.counted = True
        self.topics, into.noted = list(into.topics), self.noted


class Emissions:
    """One handle's statistics; they outlive the producer until its last report, so they know nothing of the program."""

    def __init__(self, every_ms: float, ours: bool) -> None:
        self.every = every_ms / 1000
        self.ours = ours  # the library emits for us alone: without us there would be none
        self.lost = False
        self._waiting: deque[str] = deque(maxlen=WAITING)
        self._last = self._head = ""
        self.due = self._since = time.monotonic() + self.every  # when the next emission is to be expected
        self._seen: dict[tuple[str, str], int] = {}

    def keep(self, text: str) -> None:
        """Queue what the library emitted."""
        if len(self._waiting) == WAITING:
            self.lost = True
        self._waiting.append(text)
        self._last, self._head = text, text[:500]
        self.due = 0.0  # to be worked out where it matters
        with guarded(LIBRARY, "waking the heartbeat"):
            pipeline.beating()
            if len(self._waiting) % _WAKE_AT == 0:
                pipeline.agent().heartbeat.wake()

    def unserved(self) -> int:
        """Emissions that should have happened since the last one served; at most that many are in the queue."""
        now = time.monotonic()
        if now < self.due:
            return 0
        if self._last:
            clock, self._last = _CLOCK.search(self._last[:500]), ""
            self._since = (int(clock.group(1)) / 1e6 if clock else now) + self.every
        self.due = self._since
        return max(0, 1 + int((now - self._since) // self.every))

    def cover(self, moment: float) -> bool:
        """Whether the last emission was made after this moment (time.monotonic())."""
        clock = _CLOCK.search(self._head)
        return clock is not None and int(clock.group(1)) / 1e6 > moment

    def parse(self, into: Counters) -> bool:
        """Add what waits to the counters; whether there was anything."""
        found = False
        while self._waiting:
            document = json.loads(self._waiting.popleft())
            for name, topic in document.get("topics", {}).items():
                self._topic(into, name, topic)
            for broker in document.get("brokers", {}).values():
                if broker.get("nodeid", -1) >= 0:  # not an address to start from, which gets no produce request
                    self._broker(into, broker)
            found = True
        return found

    def _topic(self, into: Counters, name: str, topic: Mapping[str, Any]) -> None:
        partitions = topic.get("partitions", {}).values()
        records = self._since_last(("txmsgs", name), sum(one["txmsgs"] for one in partitions))
        before = self._since_last(("txbytes", name), sum(one["txbytes"] for one in partitions))
        window = topic.get("batchsize")
        if not records and not (window and window["cnt"]):
            return
        one = into.topic(name)
        one.records += records
        one.bytes_before = (one.bytes_before or 0) + before
        if window is None or self.lost:
            one.bytes_after = None  # not known any more, and not guessed
        elif one.bytes_after is not None or not one.batches:
            one.bytes_after = (one.bytes_after or 0) + window["sum"]
        one.batches += window["cnt"] if window else 0

    def _broker(self, into: Counters, broker: Mapping[str, Any]) -> None:
        node = str(broker["nodeid"])
        requests = self._since_last(("Produce", node), broker.get("req", {}).get("Produce", 0))
        sent = self._since_last(("txbytes of", node), broker["txbytes"])
        into.retries += self._since_last(("txretries", node), broker["txretries"])
        into.errors += self._since_last(("txerrs", node), broker["txerrs"])
        one = into.node(node)
        one.requests += requests
        one.bytes = (one.bytes or 0) + sent
        one.latency_ms += broker["rtt"]["sum"] / 1000
        one.latencies += broker["rtt"]["cnt"]

    def _since_last(self, key: tuple[str, str], total: int) -> int:
        before = self._seen.get(key, 0)
        self._seen[key] = total
        return total - before if total >= before else total
