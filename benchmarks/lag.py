"""What lag-aware partitioning saves where two of twelve consumers are five times slower, and costs where none is.

    python -m benchmarks.lag [--quick] [--no-peer]

An unchanged program sends JSON events without keys at 60 % of what the twelve consumers of its topic's twelve
partitions can do together; two of these do a fifth of what the others do. Everybody's plan is zstd, 64 KiB and 20 ms of
linger, written down where no agent is; consumers commit every second, and whoever looks at lag does so every two.
The arms: the library's own partitioner (default), the agent without a group (sticky), the agent with one (lag-aware);
for confluent-kafka the explicit SmartProducer beside them, the product's and its peer's.

Lag is the longest queue by the broker, sampled twice a second (log end − committed, so up to a second's work of a
consumer is always in it). The end-to-end time of a record is from its timestamp to when its consumer has it done, the
makespan until all are done (see programs/consume.py). Healthy: the same with twelve consumers alike, and the producer
at full speed with consumers that keep up. The choice itself is timed alone, per record.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from statistics import median
from typing import Any

from benchmarks._group import Sampler, consuming
from benchmarks._harness import (
    CLIENTS,
    LIBRARIES,
    OTHER,
    Arm,
    Results,
    arms,
    broker,
    configured,
    environment,
    interleave,
    options,
    progress,
    recommendation,
    run,
)
from benchmarks._pictures import PICTURES
from benchmarks._report import Row, compare, publish
from benchmarks._statistics import spread
from benchmarks._svg import Line, Panel, chart
from superclient.partitioning import LagAware, LagState, Queue, Turns
from tests.servers import Broker

DEFAULT, STICKY, AWARE, SMART = "default", "sticky", "lag-aware", "SmartProducer"
COLUMNS = (DEFAULT, STICKY, AWARE, SMART, OTHER)
SMART_PEER = "kafka-smart-producer==0.0.1"
MODULES = {SMART: "superclient", OTHER: "kafka_smart_producer"}
PICTURE = PICTURES / "lag.svg"

PLAN = {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 20}
GROUP, PARTITIONS = "workers", 12
RATE, LOAD, SLOWER = 3_000, 0.6, 5  # records/s of the program, its part of what the consumers can do
COMMIT, INTERVAL, TAIL = 1.0, 2.0, 5.0  # seconds
LIMIT = 60.0  # seconds
FULL = {"kafka-python": 30_000, "aiokafka": 80_000, "confluent-kafka": 800_000}
LAG_GOAL, P99_GOAL, FILL_GOAL, HEALTHY_GOAL, CHOICE_GOAL = 1 / 5, 1 / 3, 0.95, 0.02, 1000.0

_numbers = count(1)


def main() -> None:
    """Measure, print, write; a full run draws the picture of docs/benchmarks.md."""
    chosen = options(__doc__)
    sides = _sides(peer=not chosen.no_peer)
    rounds, seconds = (1, 15) if chosen.quick else (3, 40)
    rows: list[Row] = [_choice()]
    drawn = {}
    with broker() as kafka:
        for library in LIBRARIES:
            mine = [arm for arm in sides if arm.name in (DEFAULT, STICKY, AWARE) or library == "confluent-kafka"]
            progress(f"lag: {library}, two slow consumers, {rounds} rounds")
            found = interleave(mine, rounds, lambda arm, of=library: _paced(kafka, arm, of, seconds, slow=2))
            rows += _skewed(library, found)
            drawn[library] = over_time(found)
            alike = [arm for arm in mine if arm.name in (STICKY, AWARE)]
            progress(f"lag: {library}, all alike, {rounds} rounds")
            found = interleave(alike, rounds, lambda arm, of=library: _paced(kafka, arm, of, seconds / 2, slow=0))
            rows += _healthy(library, found)
            progress(f"lag: {library}, full speed, {3 * rounds} rounds")
            rows += _full_speed(library, interleave(alike, 3 * rounds, lambda arm, of=library: _full(kafka, arm, of)))
    publish("lag", rows, COLUMNS)
    if not chosen.quick:
        PICTURE.write_text(picture(drawn))


def _sides(peer: bool) -> list[Arm]:
    bare, ours = arms(peer=False)
    lag = {"SUPERSTREAM_CONSUMER_GROUP": GROUP, "SUPERSTREAM_LAG_INTERVAL_MS": f"{INTERVAL * 1000:.0f}"}
    explicit = environment(packages=CLIENTS)
    found = [
        replace(bare, name=DEFAULT),
        replace(ours, name=STICKY),
        Arm(AWARE, ours.python, lag),
        Arm(SMART, explicit, {"SUPERSTREAM_DISABLED": "true"}),
    ]
    if peer:
        found.append(Arm(OTHER, environment(packages=[*CLIENTS, SMART_PEER], superclient=False)))
    return found


def rates(slow: int) -> list[float]:
    """What each consumer gets done, records/s, the first `slow` ones less: RATE is LOAD of what they do together."""
    whole = RATE / LOAD
    fast = whole / (PARTITIONS - slow + slow / SLOWER)
    return [fast / SLOWER] * slow + [fast] * (PARTITIONS - slow)


def _paced(kafka: Broker, arm: Arm, library: str, seconds: float, slow: int) -> dict[str, Any] | str:
    """One run at RATE; the figures of programs/consume.py, and `lag`, `fill` (records a batch) and `samples`."""
    topic, records = kafka.create_topic(f"paced-{next(_numbers)}", PARTITIONS), int(RATE * seconds)
    work = {"group": GROUP, "rates": rates(slow), "commit": COMMIT, "records": records + 1, "tail": TAIL}
    try:
        with consuming(kafka.bootstrap, topic, work) as result, Sampler(kafka, topic, PARTITIONS, GROUP) as sampler:
            said = _send(kafka, arm, library, topic, {"records": records, "rate": RATE}, seconds + LIMIT)
            if isinstance(said, str):
                return said
            found = result()
        log = kafka.log_bytes(topic)
        lag = max(longest for _, longest in sampler.samples)
        return {**found, "lag": lag, "fill": log.records / len(log.batches), "samples": sampler.samples}
    finally:
        kafka.delete_topics(topic)


def _full(kafka: Broker, arm: Arm, library: str) -> dict[str, Any] | str:
    """One run at full speed: records/s until all are acknowledged, and the producer's own CPU time, µs a record."""
    topic, records = kafka.create_topic(f"full-{next(_numbers)}", PARTITIONS), FULL[library]
    try:
        with Sampler(kafka, topic, PARTITIONS, GROUP, follow=True):
            said = _send(kafka, arm, library, topic, {"records": records, "rate": 0}, LIMIT)
        if isinstance(said, str):
            return said
        if sum(kafka.end_offsets(topic).values()) != records + 1:
            raise RuntimeError(f"{arm.name}: not all records arrived")
        return {"rate": records / said["seconds"], "cpu": said["cpu"] / records * 1e6}
    finally:
        kafka.delete_topics(topic)


def _send(kafka: Broker, arm: Arm, library: str, topic: str, job: dict[str, Any], limit: float) -> dict[str, Any] | str:
    kafka.publish_metadata(recommendation(PLAN, topic))
    plan = configured(library, PLAN)
    if library == "confluent-kafka":
        del plan["batch.size"]  # its own is larger, and never lowered
    explicit = arm.name in MODULES
    job |= {"library": library, "bootstrap": kafka.bootstrap, "topic": topic}
    job |= {"settings": plan if explicit or arm.name == DEFAULT else {}}
    job |= {"module": MODULES.get(arm.name), "group": GROUP, "interval": INTERVAL}
    return run(arm, "smart" if explicit else "send", job, limit)


def _skewed(library: str, found: Results) -> Iterator[Row]:
    """Two slow consumers: the rows that the agent has goals for, and the explicit producer's beside them."""
    figures = (("largest lag", "lag", LAG_GOAL, ""), ("end to end, p99", "p99", P99_GOAL, "ms"))
    for what, name, goal, unit in figures:
        yield compare(f"{library}, {what}", found, name, goal, unit, ours=AWARE, bare=DEFAULT)
        if SMART in found.found:
            figure = f"{library}, {what}, {SMART}"
            yield compare(figure, found, name, goal, unit, ours=SMART, bare=DEFAULT)
    yield compare(f"{library}, end to end, median", found, "median", None, "ms", ours=AWARE, bare=DEFAULT)
    yield compare(f"{library}, makespan", found, "makespan", None, "s", ours=AWARE, bare=DEFAULT)
    yield _least(compare(f"{library}, records a batch", found, "fill", FILL_GOAL, ours=AWARE, bare=STICKY))


def _healthy(library: str, found: Results) -> Iterator[Row]:
    most = 1 + HEALTHY_GOAL
    yield compare(f"{library}, healthy, end to end, p99", found, "p99", most, "ms", ours=AWARE, bare=STICKY)
    yield _least(compare(f"{library}, healthy, records a batch", found, "fill", FILL_GOAL, ours=AWARE, bare=STICKY))


def _full_speed(library: str, found: Results) -> Iterator[Row]:
    least, most = 1 - HEALTHY_GOAL, 1 + HEALTHY_GOAL
    yield _least(compare(f"{library}, full speed, records/s", found, "rate", least, ours=AWARE, bare=STICKY))
    yield compare(f"{library}, full speed, CPU time a record", found, "cpu", most, "us", ours=AWARE, bare=STICKY)


def _least(row: Row) -> Row:
    return replace(row, at_least=True)


def choice(records: int = 200_000, size: int = 286) -> float:
    """Nanoseconds of CPU time that a record's place costs: Turns, LagAware every 64 KiB, two of twelve lagging."""
    state = LagState()
    state.update("t", {p: Queue(9_000 if p < 2 else 10 * p, 10_000) for p in range(PARTITIONS)}, time.monotonic())
    partitions, value = list(range(PARTITIONS)), bytes(size)
    batch = int(PLAN["batch.size"])
    turns = Turns(LagAware(state.views, random.Random(1)), lambda _: partitions, batch, 10_000, 0.005)
    begun = time.process_time_ns()
    for _ in range(records):
        turns.place("t", value)
    return (time.process_time_ns() - begun) / records


def _choice() -> Row:
    choice()
    found = spread([choice() for _ in range(9)])
    return Row("placing a record, CPU time", {AWARE: found}, found, CHOICE_GOAL, "ns", "added")


def over_time(found: Results) -> dict[str, list[float | None]]:
    """Arm → the longest queue at each whole second of the runs, the median of these; None after the shortest's end."""
    lines = {}
    for arm, runs in found.found.items():
        seconds = range(int(max(one["samples"][-1][0] for one in runs)) + 1)
        lines[arm] = [_middle([near(one["samples"], second) for one in runs]) for second in seconds]
    return lines


def near(samples: Sequence[tuple[float, int]], second: int) -> int | None:
    """The sample that is nearest to that second, and within one."""
    distance, value = min((abs(at - second), value) for at, value in samples)
    return value if distance <= 1 else None


def _middle(values: list[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if len(known) == len(values) else None


def picture(drawn: Mapping[str, Mapping[str, Sequence[float | None]]]) -> str:
    """Lag over time: a panel for each library, a line for each arm."""
    panels = []
    for library, lines in drawn.items():
        last = max(len(values) for values in lines.values())
        ticks = [str(second) if second % 10 == 0 else "" for second in range(last)]
        padded = [Line(arm, [*values, *[None] * (last - len(values))]) for arm, values in lines.items()]
        panels.append(Panel(library, ticks, padded, "seconds", dotted=False))
    return chart("Two of twelve consumers five times slower: the longest queue", "records; less is better", panels)


if __name__ == "__main__":
    main()
