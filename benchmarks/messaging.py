"""What superclient.messaging costs over aiokafka by hand: a request and its reply, many requests at once, a listener.

    python -m benchmarks.messaging [--quick] [--requests | --listening | --memory]

Requests: KafkaRPC and KafkaRPCServer against two clients of aiokafka's written by hand, on topics of their own; with
one side ours and the other by hand, one sees on which side the time goes. Two servers, a process each, are asked by one
process by turns, after every request or every thousand: what disturbs a machine for longer disturbs all. Listening: the
records of one topic, parsed, against `async for` over AIOKafkaConsumer. Memory: a reader that is slower than the
records come, against the same `async for`; resident memory after a tenth of the records, and at most from then on.
The clients have aiokafka's own settings, the same everywhere. See programs/messaging_*.py.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from confluent_kafka import Producer

from benchmarks._harness import (
    BARE,
    CLIENTS,
    OURS,
    PROGRAMS,
    Arm,
    Results,
    broker,
    environment,
    interleave,
    options,
    progress,
    run,
    run_all,
)
from benchmarks._report import Row, compare, publish
from benchmarks._statistics import spread
from benchmarks.programs.orders import document
from tests.environments import start_program
from tests.servers import Broker

PARTITIONS = 4
QUIET = {"SUPERSTREAM_DISABLED": "true"}  # the agent is another benchmark's

# Who asks, and who answers.
SIDES = {BARE: (BARE, BARE), OURS: (OURS, OURS), "ours asks": (OURS, BARE), "ours answers": (BARE, OURS)}
SIZE = {"alone": 50, "together": 1000, "at_once": 100}  # requests of each arm in a round
ROUND_TRIP, RATE = 1.1, 0.9  # goals
LIMIT = 900.0  # seconds

# A way of listening, what it is compared with, and the goal.
LISTENING = (
    ("listener", "async for", 0.8),
    ("listener, auto_commit", "async for, auto commit", 0.8),
    ("listener, queue_maxsize", "async for", 0.8),
    ("listener, both", "async for, auto commit", 0.8),
    ("two subscribers", "async for, parsed twice", None),
    ("two subscribers", "async for", None),
    ("listener", "getmany", None),
)
QUEUE = 1000
SLOW = {"every": 200, "pause": 0.01}  # a reader that rests for 10 ms after 200 records
GROWTH = 1.1  # of the memory after a tenth of the records

_numbers = count(1)


def main() -> None:
    """Measure, print, write."""
    parts = {"requests": _requests, "listening": _listening, "memory": _memory}
    chosen = options(__doc__, **{name: f"only the figures of {name}" for name in parts})
    wanted = [part for name, part in parts.items() if getattr(chosen, name)] or list(parts.values())
    python = environment(
        packages=CLIENTS, extras=["messaging"]
    )  # for every arm: the same interpreter, the same aiokafka
    rows: list[Row] = []
    with broker() as kafka:
        for part in wanted:
            rows += part(kafka, python, chosen.quick)
    publish("messaging", rows, (BARE, OURS))


# --- requests ---------------------------------------------------------------------------------------------------------


def _requests(kafka: Broker, python: Path, quick: bool) -> Iterator[Row]:
    rounds = 20 if quick else 80
    progress(f"messaging: requests, {rounds} rounds of {len(SIDES)} arms")
    found, servers = _asked(kafka, Arm("requests", python, QUIET), {"rounds": rounds, **SIZE})
    goals = {"round_trip": ROUND_TRIP, "rate": RATE}
    for name, unit, figure in (
        ("round_trip", "ms", "round trip, one at a time"),
        ("rate", "requests/s", "1,000 requests, 100 at once"),
        ("cpu", "µs", "CPU time of who asks, 100 at once"),
    ):
        for side in list(SIDES)[1:]:
            title = figure if side == OURS else f"{figure}: {side} alone"
            row = compare(title, found, name, goals.get(name) if side == OURS else None, unit, ours=side)
            yield replace(row, arms={BARE: row.arms[BARE], OURS: row.arms[side]}, at_least=name == "rate")
    yield compare("CPU time of who answers, over all requests", servers, "cpu", None, "µs")


def _asked(kafka: Broker, arm: Arm, job: dict[str, Any]) -> tuple[Results, Results]:
    """What who asks has measured, by arm; and what the two servers cost."""
    number = next(_numbers)
    asked = {way: kafka.create_topic(f"requests-{number}-{way}", PARTITIONS) for way in (BARE, OURS)}
    answered = {way: kafka.create_topic(f"replies-{number}-{way}", 1) for way in (BARE, OURS)}
    arms = {name: (asks, asked[answers]) for name, (asks, answers) in SIDES.items()}
    job = {**job, "bootstrap": kafka.bootstrap, "role": "ask", "answered": answered, "arms": arms}
    found, servers = Results(), Results()
    with ExitStack() as stack:
        costs = {way: stack.enter_context(_serving(arm, kafka, way, topic)) for way, topic in asked.items()}
        said = run_all(arm, "messaging_requests", job, LIMIT)
        if isinstance(said, str):
            raise RuntimeError(f"the requests took {said}")
        for way, cost in costs.items():
            servers.found[way].append(cost())
    for one in said:
        for name, figures in one.items():
            found.found[name].append({**figures, "round_trip": median(figures["took"]) * 1000})
    kafka.delete_topics(*asked.values(), *answered.values())
    return found, servers


@contextmanager
def _serving(arm: Arm, kafka: Broker, way: str, topic: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """A server that is ready; what is yielded ends it, and answers what it cost."""
    program = PROGRAMS / "messaging_requests.py"
    job = {"bootstrap": kafka.bootstrap, "role": "serve", "way": way, "asked": topic}
    with start_program(arm.python, program, json.dumps(job), env=arm.env) as server:
        if server.stdout is None or server.stdout.readline() != "ready\n":
            raise RuntimeError(f"no server, {way}: {server.communicate()[1]}")

        def cost() -> dict[str, Any]:
            said, errors = server.communicate("", 30)
            if server.returncode:
                raise RuntimeError(f"the server failed, {way}: {errors}")
            found: dict[str, Any] = json.loads(said)
            return found

        yield cost


# --- listening --------------------------------------------------------------------------------------------------------


def _listening(kafka: Broker, python: Path, quick: bool) -> Iterator[Row]:
    rounds, records = (3, 100_000) if quick else (9, 300_000)
    topic = _filled(kafka, "listening", records)
    ways = dict.fromkeys(way for figure in LISTENING for way in figure[:2])
    arms = [Arm(way, python, QUIET) for way in ways]
    progress(f"messaging: {records:,} records in {len(arms)} ways, {rounds} rounds")
    job: dict[str, Any] = {"bootstrap": kafka.bootstrap, "topic": topic, "records": records}
    found = interleave(arms, rounds, lambda arm: run(arm, "messaging_listening", {**job, "way": arm.name}))
    for way, other, goal in LISTENING:
        for name, unit, wanted in (("rate", "records/s", goal), ("cpu", "µs", None)):
            row = compare(f"{way} ÷ {other}, {name}", found, name, wanted, unit, ours=way, bare=other)
            shown = {BARE: row.arms[other], OURS: row.arms[way]}
            yield replace(row, arms=shown, at_least=name == "rate")


def _filled(kafka: Broker, name: str, records: int) -> str:
    """A topic with the orders 0 … records - 1, dealt to the partitions."""
    topic = kafka.create_topic(name, PARTITIONS)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 2**20})
    for number in range(records):
        producer.produce(topic, document(number), partition=number % PARTITIONS)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("the topic could not be filled")
    return topic


# --- memory -----------------------------------------------------------------------------------------------------------


def _memory(kafka: Broker, python: Path, quick: bool) -> Iterator[Row]:
    records = 100_000 if quick else 1_000_000
    topic = _filled(kafka, "memory", records)
    progress(f"messaging: {records:,} records for a slow reader")
    job = {"bootstrap": kafka.bootstrap, "topic": topic, "records": records, "queue": QUEUE, **SLOW}
    ways = {BARE: "async for", OURS: "listener", "unbounded": "unbounded"}
    arms = [Arm(name, python, QUIET) for name in ways]
    found = interleave(arms, 1, lambda arm: run(arm, "messaging_memory", {**job, "way": ways[arm.name]}, 600.0))
    for name in ("start", "tenth", "most", "end"):
        row = compare(f"slow reader, memory, {name}", found, name, None, "MB")
        unbounded = found.found["unbounded"][0]
        note = f"{unbounded[name]:.0f} MB with queue_maxsize=0"
        yield row.with_note(note)
    for arm in (BARE, OURS):
        mine = found.found[arm]
        grown = spread([one["most"] / one["tenth"] for one in mine])
        goal = GROWTH if arm == OURS else None
        yield Row(f"slow reader, memory, most ÷ after a tenth: {arm}", {arm: grown}, grown, goal)


if __name__ == "__main__":
    main()
