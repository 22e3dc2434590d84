"""What superclient.gofka's producer does to a Gofka broker: records/s in each way of sending, and what awaiting costs.

    python benchmarks/gofka_producer.py [HOST:PORT] [--records N] [--size B] [--commit-ms MS] [--quick] [--json]

Without an address it is the tests' double, in a process of its own. The ways take turns, on topics of their own, since
a topic gets slower as it grows. Bare is a blocking socket that writes a request that was made before and reads its
reply: no record can be acknowledged sooner. Ratios are of the same round. Where records are not batched the figure is
the broker's own: a real one does about 2,500 requests a second.
"""

import argparse
import asyncio
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by its path, of this tree
os.environ.setdefault("SUPERSTREAM_DISABLED", "true")

from benchmarks._statistics import Spread, ratio, spread
from superclient.gofka.producer import AsyncProducer
from superclient.gofka.wire import FIRST_CORRELATION, Produce, frame

AT_ONCE = 1000  # sends that are gathered
UNBATCHED = 10  # such a share of the records, and
AWAITED = 2000  # so many awaited sends at most, since each takes a request
Found = dict[str, list[float]]
GOALS = (  # title, what, compared with, goal, and whether more is better
    ("batched ÷ unbatched", "batched", "unbatched", 5.0, True),
    ("gathered ÷ unbatched", "gathered", "unbatched", None, True),
    ("awaited send ÷ bare round trip", "awaited", "bare", 1.3, False),
    ("awaited send ÷ bare asyncio round trip", "awaited", "bare asyncio", None, False),
)
RATE = 30_000.0


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?", help="HOST:PORT of the broker that leads")
    parser.add_argument("--records", type=int, default=100_000, help="of each way of sending, in each round")
    parser.add_argument("--size", type=int, default=100, help="bytes of a record")
    parser.add_argument("--commit-ms", type=float, default=0.0, help="what a request takes the double (a real one 0.4)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of a tenth of the records instead of 7")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rounds, records = (3, chosen.records // 10) if chosen.quick else (7, chosen.records)
    with at_broker(chosen.address, chosen.commit_ms) as address:
        found = asyncio.run(_measured(address, records, chosen.size, rounds))
    _shown(found, vars(chosen))


def at_broker(address: str | None, commit_ms: float) -> Any:
    if address is not None:
        return nullcontext(address)
    from tests.servers.gofka import GofkaProcess

    class Double(GofkaProcess):
        def __enter__(self) -> str:  # type: ignore[override]
            return super().__enter__().address

    return Double(commit_ms=commit_ms)


# --- measuring --------------------------------------------------------------------------------------------------------


async def _measured(address: str, records: int, size: int, rounds: int) -> Found:
    value = os.urandom(size)
    few = max(records // UNBATCHED, 1)
    ways: dict[str, tuple[Callable[..., Awaitable[float]], int]] = {
        "batched": (_batched, records),
        "gathered": (_gathered, records),
        "unbatched": (_unbatched, few),
        "awaited": (_awaited, min(few, AWAITED)),
        "bare": (_bare, min(few, AWAITED)),
        "bare asyncio": (_bare_asyncio, min(few, AWAITED)),
    }
    found: Found = {name: [] for name in ways}
    run = f"bench_{os.getpid()}_{time.time_ns() % 10**9}"
    for number in range(rounds):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            way, count = ways[name]
            topic = f"{run}_{name.replace(' ', '_')}_{number}"
            found[name].append(await way(address, topic, value, count))
    return found


async def _batched(address: str, topic: str, value: bytes, count: int) -> float:
    async with AsyncProducer(address) as producer:
        await producer.send(topic, value)
        start = time.perf_counter()
        await producer.send_batch(topic, (value for _ in range(count)))
        return count / (time.perf_counter() - start)


async def _gathered(address: str, topic: str, value: bytes, count: int) -> float:
    return await _in_tasks(AsyncProducer(address), topic, value, count)


async def _unbatched(address: str, topic: str, value: bytes, count: int) -> float:
    return await _in_tasks(AsyncProducer(address, batch_size=0), topic, value, count)


async def _in_tasks(producer: AsyncProducer, topic: str, value: bytes, count: int) -> float:
    async with producer:
        await producer.send(topic, value)
        start = time.perf_counter()
        for done in range(0, count, AT_ONCE):
            await asyncio.gather(*(producer.send(topic, value) for _ in range(min(AT_ONCE, count - done))))
        return count / (time.perf_counter() - start)


async def _awaited(address: str, topic: str, value: bytes, count: int) -> float:
    async with AsyncProducer(address) as producer:
        await producer.send(topic, value)
        times = []
        for _ in range(count):
            start = time.perf_counter()
            await producer.send(topic, value)
            times.append(time.perf_counter() - start)
    return median(times) * 1e6


async def _bare(address: str, topic: str, value: bytes, count: int) -> float:
    request = frame(Produce(topic, 0, value), FIRST_CORRELATION, "superclient")
    host, _, port = address.rpartition(":")
    times = []
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            start = time.perf_counter()
            connection.sendall(request)
            read = 0
            while read < 20:
                read += len(connection.recv(65536))
            times.append(time.perf_counter() - start)
    return median(times) * 1e6


async def _bare_asyncio(address: str, topic: str, value: bytes, count: int) -> float:
    request = frame(Produce(topic, 0, value), FIRST_CORRELATION, "superclient")
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    times = []
    for _ in range(count):
        start = time.perf_counter()
        writer.write(request)
        await reader.readexactly(20)
        times.append(time.perf_counter() - start)
    writer.close()
    await writer.wait_closed()
    return median(times) * 1e6


# --- showing ----------------------------------------------------------------------------------------------------------


def _shown(found: Found, chosen: dict[str, Any]) -> None:
    units = {name: "µs" if name.startswith(("awaited", "bare")) else "records/s" for name in found}
    rows: list[dict[str, Any]] = [
        {"figure": name, "unit": units[name], "measured": asdict(spread(values))} for name, values in found.items()
    ]
    rows[0] |= {"goal": RATE, "met": spread(found["batched"]).median >= RATE}
    for title, ours, other, goal, at_least in GOALS:
        compared = ratio(found[ours], found[other])
        met = None if goal is None else compared.median >= goal if at_least else compared.median <= goal
        rows.append({"figure": title, "unit": "×", "measured": asdict(compared), "goal": goal, "met": met})
    if chosen.pop("json"):
        about = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        print(json.dumps({"benchmark": "gofka_producer", **chosen, **about, "rows": rows}, indent=2))
        return
    for row in rows:
        met = {None: "", True: "goal met", False: "GOAL MISSED"}[row.get("met")]
        print(f"{row['figure']:40} {tell(Spread(**row['measured']), row['unit']):44} {met}")


def tell(found: Spread, unit: str) -> str:
    if unit == "×":
        return f"× {found.median:.2f}  ({found.low:.2f} … {found.high:.2f})"
    return f"{found.median:,.0f} {unit}  ({found.low:,.0f} … {found.high:,.0f})"


if __name__ == "__main__":
    main()
