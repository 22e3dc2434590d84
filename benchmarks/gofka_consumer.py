"""What superclient.gofka's consumer gets out of a Gofka broker: records/s in each way of reading.

    python benchmarks/gofka_consumer.py [HOST:PORT] [--records N] [--size B] [--quick] [--json]

Without an address it is the tests' double, in a process of its own. Batched is as the producer batches by itself;
unbatched are raw messages, each of which takes a request, and a commit about as often. The ways take turns, each as a
group of its own. `cpu` is what this process alone would do on a core of its own: the broker takes the rest.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by its path, of this tree
os.environ.setdefault("SUPERSTREAM_DISABLED", "true")

from benchmarks._statistics import Spread, spread
from benchmarks.gofka_producer import at_broker, tell
from superclient.gofka.blocking import Consumer
from superclient.gofka.consumer import AsyncConsumer
from superclient.gofka.producer import AsyncProducer

GOAL = 30_000.0  # records/s, batched, by `async for`
UNBATCHED = 10  # such a share of the records
Way = Callable[[str, str, str, int], tuple[float, float]]


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?", help="HOST:PORT of the broker that leads")
    parser.add_argument("--records", type=int, default=100_000, help="of each way of reading, in each round")
    parser.add_argument("--size", type=int, default=100, help="bytes of a record")
    parser.add_argument("--quick", action="store_true", help="3 rounds of a fifth of the records instead of 7")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rounds, records = (3, chosen.records // 5) if chosen.quick else (7, chosen.records)
    with at_broker(chosen.address, 0.0) as address:
        found = _measured(address, records, chosen.size, rounds)
    _shown(found, vars(chosen))


# --- measuring --------------------------------------------------------------------------------------------------------


def _measured(address: str, records: int, size: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    run = f"bench_{os.getpid()}_{time.time_ns() % 10**9}"
    few = max(records // UNBATCHED, 1)
    asyncio.run(_filled(address, f"{run}_batched", os.urandom(size), records, 16384))
    asyncio.run(_filled(address, f"{run}_unbatched", os.urandom(size), few, 0))
    ways: dict[str, Way] = {
        "async for": partial(_in_loop, _each),
        "await poll(500)": partial(_in_loop, _polled),
        "for": _blocking_each,
        "poll(500)": _blocking_polled,
    }
    arms = {f"{kind}, {name}": (way, kind) for kind in ("batched", "unbatched") for name, way in ways.items()}
    found: dict[str, dict[str, list[float]]] = {name: {"rate": [], "cpu": []} for name in arms}
    for number in range(rounds):
        names = list(arms)
        for place, name in enumerate(names[number % len(names) :] + names[: number % len(names)]):
            way, kind = arms[name]
            rate, cpu = way(address, f"{run}_{kind}", f"{run}_{number}_{place}", records if kind == "batched" else few)
            found[name]["rate"].append(rate)
            found[name]["cpu"].append(cpu)
    return found


async def _filled(address: str, topic: str, value: bytes, count: int, batch_size: int) -> None:
    async with AsyncProducer(address, batch_size=batch_size, max_in_flight=50) as producer:
        await producer.send_batch(topic, (value for _ in range(count)))


class _Clock:
    """Records/s from here on, by the clock and by this process's own time."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def rates(self, count: int) -> tuple[float, float]:
        return count / (time.perf_counter() - self._start[0]), count / (time.process_time() - self._start[1])


def _in_loop(read: Any, address: str, topic: str, group: str, count: int) -> tuple[float, float]:
    async def run() -> tuple[float, float]:
        async with AsyncConsumer(address, group, topic) as consumer:
            clock = _Clock()
            await read(consumer, count)
            return clock.rates(count)

    return asyncio.run(run())


async def _each(consumer: AsyncConsumer, count: int) -> None:
    async for _ in consumer:
        count -= 1
        if not count:
            return


async def _polled(consumer: AsyncConsumer, count: int) -> None:
    while count > 0:
        count -= len(await consumer.poll(500))


def _blocking_each(address: str, topic: str, group: str, count: int) -> tuple[float, float]:
    with Consumer(address, group, topic) as consumer:
        clock = _Clock()
        for number, _ in enumerate(consumer, 1):
            if number == count:
                break
        return clock.rates(count)


def _blocking_polled(address: str, topic: str, group: str, count: int) -> tuple[float, float]:
    with Consumer(address, group, topic) as consumer:
        clock, left = _Clock(), count
        while left > 0:
            left -= len(consumer.poll(500))
        return clock.rates(count)


# --- showing ----------------------------------------------------------------------------------------------------------


def _shown(found: dict[str, dict[str, list[float]]], chosen: dict[str, Any]) -> None:
    rows: list[dict[str, Any]] = []
    for name, measured in found.items():
        rate = spread(measured["rate"])
        goal = GOAL if name == "batched, async for" else None
        met = None if goal is None else rate.median >= goal
        cpu = asdict(spread(measured["cpu"]))
        rows.append(
            {"figure": name, "unit": "records/s", "measured": asdict(rate), "cpu": cpu, "goal": goal, "met": met}
        )
    if chosen.pop("json"):
        about = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        print(json.dumps({"benchmark": "gofka_consumer", **chosen, **about, "rows": rows}, indent=2))
        return
    for row in rows:
        met = {None: "", True: "goal met", False: "GOAL MISSED"}[row["met"]]
        told = tell(Spread(**row["measured"]), row["unit"])
        print(f"{row['figure']:28} {told:48} cpu {row['cpu']['median']:10,.0f}  {met}")


if __name__ == "__main__":
    main()
