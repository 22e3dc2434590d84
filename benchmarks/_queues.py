"""A topic, its producers and its consumers, simulated: deterministic, seeded, in steps of 50 ms; no broker, no clock.

Every producer looks at the queues now and then, each at its own moment, and sees what the group has committed, which
is behind what it has consumed by up to the commit interval. So all that makes real signals old is in it.
"""

import bisect
import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from superclient.partitioning import LagState, Partitioner, Queue, Rules

STEP = 0.05  # seconds
RECORD = 100  # bytes
TOPIC = "simulated"
BATCH = 180  # records
LINGER = 2.0  # seconds after which a batch goes with what it has


@dataclass(frozen=True)
class World:
    """What is simulated.

    Attributes:
        speeds: records a second that a partition's consumer takes, by partition and second.
        partitions, producers: how many.
        refresh: seconds between two looks of one producer.
        commit: seconds between two commits of one partition's consumer.
        arriving: records a second and partition, over all producers.
        seconds: how long records are produced.
        seed: of all that is left to chance.
    """

    speeds: Callable[[int, float], float]
    partitions: int = 12
    producers: int = 10
    refresh: float = 5.0
    commit: float = 5.0
    arriving: float = 300.0
    seconds: float = 120.0
    seed: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of it: the longest queue of all (records), of the second half of the time, and how long records waited
    (seconds): the 99th percentile and the mean; `given`: partition → records."""

    longest: float
    later: float
    p99: float
    mean: float
    given: Sequence[float]


Making = Callable[[LagState, random.Random, Callable[[], float]], Partitioner]


@dataclass
class _Producer:
    state: LagState
    partitioner: Partitioner


@dataclass
class _Queues:
    """All partitions: how far they are filled, consumed and committed, and when what came to them."""

    world: World
    chance: random.Random
    end: list[float] = field(init=False)
    done: list[float] = field(init=False)
    committed: list[float] = field(init=False)
    history: list[list[float]] = field(init=False)
    arrivals: list[list[tuple[float, float, float]]] = field(init=False)
    longest: float = 0.0
    later: float = 0.0

    def __post_init__(self) -> None:
        count = self.world.partitions
        self.end, self.done, self.committed = [0.0] * count, [0.0] * count, [0.0] * count
        self.history, self.arrivals = [[] for _ in range(count)], [[] for _ in range(count)]
        self._commits = [self.chance.random() * self.world.commit for _ in range(count)]

    def seen(self) -> dict[int, Queue]:
        """What a look at the cluster tells."""
        return {
            partition: Queue(int(end - committed), int(end))
            for partition, (end, committed) in enumerate(zip(self.end, self.committed, strict=True))
        }

    def put(self, partition: int, records: float, now: float) -> None:
        self.end[partition] += records
        self.arrivals[partition].append((now, self.end[partition], records))

    def consume(self, now: float) -> None:
        for partition, end in enumerate(self.end):
            self.done[partition] = min(end, self.done[partition] + self.world.speeds(partition, now) * STEP)
            self.history[partition].append(self.done[partition])
            if now >= self._commits[partition]:
                self.committed[partition] = self.done[partition]
                self._commits[partition] += self.world.commit
            self.longest = max(self.longest, end - self.done[partition])
            if now > self.world.seconds / 2:
                self.later = max(self.later, end - self.done[partition])

    def waits(self) -> list[tuple[float, float]]:
        """(seconds, records) of every batch, from its arrival until its last record is consumed."""
        waits = []
        for partition, arrivals in enumerate(self.arrivals):
            history = self.history[partition]
            speed = self.world.speeds(partition, self.world.seconds)
            for at, position, records in arrivals:
                step = bisect.bisect_left(history, position - 1e-6)
                end = (step + 1) * STEP
                if step == len(history):  # consumed after the end, at the last speed
                    end = self.world.seconds + (position - self.done[partition]) / max(speed, 1e-3)
                waits.append((end - at, records))
        return sorted(waits)


def simulate(world: World, making: Making, rules: Rules | None = None) -> Outcome:
    """Let it run. `making` makes each producer's partitioner of its state, its chance and the simulated clock."""
    chance = random.Random(world.seed)
    now = 0.0
    queues = _Queues(world, chance)
    total = world.arriving * world.partitions
    every = min(LINGER, BATCH * world.producers / total)
    producers = []
    for _ in range(world.producers):
        state = LagState(rules)
        producers.append(_Producer(state, making(state, random.Random(chance.random()), lambda: now)))
    events = [(chance.random() * world.refresh, 0, number) for number in range(world.producers)]
    events += [(chance.random() * every, 1, number) for number in range(world.producers)]
    heapq.heapify(events)
    partitions = range(world.partitions)
    records = total * every / world.producers
    for step in range(1, round(world.seconds / STEP) + 1):
        while events[0][0] <= step * STEP:
            now, kind, number = heapq.heappop(events)
            one = producers[number]
            if kind == 0:
                one.state.update(TOPIC, queues.seen(), now)
                heapq.heappush(events, (now + world.refresh * chance.uniform(0.9, 1.1), 0, number))
            else:
                partition = one.partitioner.choose(TOPIC, partitions)
                queues.put(partition, records, now)
                one.partitioner.batch_full(TOPIC, partition, int(records), int(records * RECORD))
                heapq.heappush(events, (now + every * chance.uniform(0.8, 1.2), 1, number))
        now = step * STEP
        queues.consume(now)
    waits = queues.waits()
    whole = sum(count for _, count in waits)
    given = [sum(count for _, _, count in arrivals) for arrivals in queues.arrivals]
    mean = sum(seconds * count for seconds, count in waits) / whole
    return Outcome(queues.longest, queues.later, _percentile(waits, whole, 0.99), mean, given)


def _percentile(waits: list[tuple[float, float]], whole: float, part: float) -> float:
    seen = 0.0
    for seconds, count in waits:
        seen += count
        if seen >= part * whole:
            return seconds
    return waits[-1][0]
