"""What it costs to give new settings to many live producers at once, and what the agent's thread costs by itself.

Argument: JSON {library, bootstrap, topic, count, turns}. Makes `count` producers on one cluster, then changes the
recommendation `turns` times, by putting it where the agent keeps it and waking its thread, as a fetch that finds news
does. Prints milliseconds for each turn: the CPU time of planning and applying, of the whole beat (reports included),
of a beat that finds nothing to do, and the longest time for which an event loop of the program got no turn, in the
retunes and in pauses of the same length.
"""

import asyncio
import json
import logging
import sys
import threading
import time

kept = []


def main() -> None:
    job = json.loads(sys.argv[1])
    logging.getLogger("superclient").setLevel(logging.WARNING)  # stderr is a pipe here; a line a producer is its price
    run = {"kafka-python": kafka_python, "aiokafka": aiokafka}[job["library"]]
    print(json.dumps(asyncio.run(run(job))), flush=True)
    import os

    os._exit(0)  # closing a hundred producers is not what is timed here


async def kafka_python(job: dict) -> dict:
    from kafka import KafkaProducer

    def make() -> None:
        for _ in range(job["count"]):
            kept.append(KafkaProducer(bootstrap_servers=job["bootstrap"]))
            kept[-1].send(job["topic"], b"a value")

    await asyncio.to_thread(make)
    return await measured(job)


async def aiokafka(job: dict) -> dict:
    from aiokafka import AIOKafkaProducer

    for _ in range(job["count"]):
        producer = AIOKafkaProducer(bootstrap_servers=job["bootstrap"])
        await producer.start()
        await producer.send(job["topic"], b"a value")
        kept.append(producer)
    return await measured(job)


async def measured(job: dict) -> dict:
    from superclient.agent import pipeline

    agent = pipeline.agent()
    taken: dict[str, list[float]] = {"retune": [], "beat": [], "nothing": [], "blocked": [], "blocked without": []}
    changed = threading.Event()

    def timed(function, note):
        def call(*args, **kwargs):
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                note((time.thread_time() - start) * 1000)

        return call

    spent: list[float] = []
    beats: list[tuple[bool, float]] = []

    def beat_done(milliseconds: float) -> None:
        beats.append((bool(spent), milliseconds))
        taken["retune"] += spent
        spent.clear()
        changed.set()

    def reconsidered(milliseconds: float) -> None:
        if any(tracked.info_due for tracked in agent.tracker.everyone()):
            spent.append(milliseconds)

    await quiet(agent)
    agent.rounds._reconsider_all = timed(agent.rounds._reconsider_all, reconsidered)
    agent.heartbeat._beat = timed(agent.heartbeat._beat, beat_done)
    for turn in range(job["turns"]):
        watching = asyncio.ensure_future(lag())
        await asyncio.sleep(0.3)
        watching.cancel()
        taken["blocked without"].append(await ended(watching))
        watching = asyncio.ensure_future(lag())
        settle(agent, job["topic"], turn)
        await asyncio.sleep(0.3)
        watching.cancel()
        taken["blocked"].append(await ended(watching))
        await quiet(agent)
        agent.heartbeat.wake()
        await asyncio.sleep(0.2)
    taken["beat"] = [milliseconds for news, milliseconds in beats if news]
    taken["nothing"] = [milliseconds for news, milliseconds in beats if not news]
    return taken


def settle(agent, topic: str, turn: int) -> None:
    from superclient.agent.model import Advice, State
    from superclient.contract import parse_metadata

    wanted = {"compression.type": ("gzip", "none")[turn % 2], "batch.size": 32768 + turn, "linger.ms": 5 + turn}
    entry = {"topic_name": topic, "potential_reduction_percentage": 50, "daily_writes_bytes": 1000}
    record = {"topics_configuration": [{**entry, "optimized_configuration": wanted}]}
    advice = Advice(State.KNOWN, "read", parse_metadata(json.dumps(record).encode()))
    for each in list(agent.store._entries.values()):
        each.settle(advice)
    agent.heartbeat.wake()


async def quiet(agent) -> None:
    """Until every report is out."""
    while any(tracked.info_due for tracked in agent.tracker.everyone()):  # noqa: ASYNC110 - told by a thread
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.6)  # the pause after a report


gaps: list[float] = []


async def lag() -> None:
    gaps.clear()
    last = time.perf_counter()
    while True:
        await asyncio.sleep(0.0005)
        now = time.perf_counter()
        gaps.append(now - last - 0.0005)
        last = now


async def ended(watching: asyncio.Future) -> float:
    await asyncio.wait([watching])
    return max(gaps) * 1000


if __name__ == "__main__":
    main()
