"""Requests and replies over Kafka, by superclient.messaging or by hand over two clients of aiokafka's, on either side.

Argument: JSON {bootstrap, role, …}. A server (role "serve", way "superclient" or "bare", asked: its topic) says
"ready", answers until its stdin ends, and says {cpu}: µs for each request.

Who asks (role "ask") has both ways at once: answered: {way: its topic of replies}; arms: {name: [way, topic that is
asked]}. In each of so many `rounds` every arm has its turns, in another order each time: `alone` requests that wait for
one another, one of each arm by turns; then `together` requests of an arm, `at_once` under way. A JSON line for each
round: {arm: {took (s, each of those alone), rate (requests/s), cpu (µs a request, while they are many)}}.

By hand: the futures of the requests in a dict, under a random id that is the record's key; a task for each request on
the other side, a hundred of them at most, its offsets committed by aiokafka every second, whether answered or not.
Both sides parse what they get, and copy what they must.
"""

import asyncio
import json
import sys
import time
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from orders import Order, document, parse

WARM_UP = 200  # requests before the first that counts
LIMIT, PATIENCE = 100, 30.0  # requests that a server works on at a time; seconds that a reply may take
REPLY_TO = "x-reply-topic"


def main() -> None:
    job = json.loads(sys.argv[1])
    asyncio.run({"ask": ask, "serve": serve}[job["role"]](job))


def consumer(job: dict, *topics: str, **settings) -> AIOKafkaConsumer:
    own = {"group_id": uuid.uuid4().hex, "enable_auto_commit": False}
    return AIOKafkaConsumer(*topics, bootstrap_servers=job["bootstrap"], **{**own, **settings})


def producer(job: dict) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=job["bootstrap"])


# --- who asks ---------------------------------------------------------------------------------------------------------


async def ask(job: dict) -> None:
    async with AsyncExitStack() as stack:
        ways = {
            way: await stack.enter_async_context(WAYS["ask", way]({**job, "answered": topic}))
            for way, topic in job["answered"].items()
        }
        arms = {name: partial(ways[way], topic) for name, (way, topic) in job["arms"].items()}
        for request in arms.values():
            await in_parallel(request, WARM_UP, job["at_once"])
        for _ in range(job["rounds"]):
            arms = dict([*arms.items()][1:] + [*arms.items()][:1])
            took = await one_by_one(arms, job["alone"])
            found = {name: await many(request, job["together"], job["at_once"]) for name, request in arms.items()}
            print(json.dumps({name: {"took": took[name], **found[name]} for name in arms}), flush=True)


async def one_by_one(arms: dict, count: int) -> dict[str, list[float]]:
    """Seconds of each request; the arms take turns after each, so that all have the same moments."""
    took: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(count):
        for name, request in arms.items():
            start = time.perf_counter()
            await checked(request, number)
            took[name].append(time.perf_counter() - start)
    return took


async def many(request, together: int, at_once: int) -> dict[str, float]:
    start, cpu = time.perf_counter(), time.process_time()
    await in_parallel(request, together, at_once)
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - start
    return {"rate": together / elapsed, "cpu": cpu / together * 1e6}


async def in_parallel(request, count: int, at_once: int) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await checked(request, number)

    await asyncio.gather(*(worker() for _ in range(at_once)))


async def checked(request, number: int) -> None:
    reply = await request(document(number))
    if reply.number != number:
        raise RuntimeError(f"request {number} got the reply to {reply.number}")


@asynccontextmanager
async def asked_by_hand(job: dict):
    loop, waiting = asyncio.get_running_loop(), {}
    reply_to = job["answered"].encode()

    async def request(topic: str, value: bytes) -> Order:
        name = uuid.uuid4().hex.encode()
        waiting[name] = future = loop.create_future()
        try:
            await sender.send(topic, value, key=name, headers=[("request_id", name), (REPLY_TO, reply_to)])
            return await asyncio.wait_for(future, PATIENCE)
        finally:
            del waiting[name]

    async def read() -> None:
        async for record in reader:
            future = waiting.get(record.key)
            if future is not None and not future.done():
                future.set_result(parse(record))

    async with consumer(job, job["answered"]) as reader, producer(job) as sender:
        await positioned(reader)
        task = asyncio.create_task(read())
        try:
            yield request
        finally:
            task.cancel()
            await asyncio.wait([task])


async def positioned(reader: AIOKafkaConsumer) -> None:
    """start() has waited for the group; with positions, what is produced from now on is read."""
    for partition in reader.assignment():
        await reader.position(partition)


@asynccontextmanager
async def asked_by_ours(job: dict):
    from superclient.messaging import KafkaRPC

    spec = {"topics": [job["answered"]], "type": Order, "parser": parse}
    rpc = KafkaRPC([spec], consumer_factory=lambda: consumer(job), producer_factory=lambda: producer(job))
    reply_to = [job["answered"]]

    async def request(topic: str, value: bytes) -> Order:
        return await rpc.request(
            topic, value, req_headers_reply_to=reply_to, res_timeout=PATIENCE, res_expect_type=Order
        )

    async with rpc:
        yield request


# --- who answers ------------------------------------------------------------------------------------------------------


async def serve(job: dict) -> None:
    work = Work()
    async with WAYS["serve", job["way"]](job, work.handle):
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        print(json.dumps({"cpu": work.cpu}), flush=True)


class Work:
    """What the server is for; and what it costs, with all that is around it."""

    def __init__(self) -> None:
        self.count, self.started = 0, 0.0

    async def handle(self, order: Order) -> bytes:
        if self.count == 0:
            self.started = time.process_time()
        self.count += 1
        return document(order.number)

    @property
    def cpu(self) -> float:
        return (time.process_time() - self.started) / max(1, self.count) * 1e6


@asynccontextmanager
async def served_by_hand(job: dict, handle):
    room, tasks = asyncio.Semaphore(LIMIT), set()

    async def answer(record) -> None:
        try:
            reply = await handle(parse(record))
            headers = [header for header in record.headers if header[0] != REPLY_TO]
            for name, topic in record.headers:
                if name == REPLY_TO:
                    await sender.send_and_wait(topic.decode(), reply, key=record.key, headers=headers)
        finally:
            room.release()

    async def read() -> None:
        async for record in reader:
            await room.acquire()
            task = asyncio.create_task(answer(record))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    committed = {"enable_auto_commit": True, "auto_commit_interval_ms": 1000}
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(producer(job))
        reader = await stack.enter_async_context(consumer(job, job["asked"], **committed))
        await positioned(reader)
        task = asyncio.create_task(read())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task, *tasks])


@asynccontextmanager
async def served_by_ours(job: dict, handle):
    from superclient.messaging import KafkaRPCServer

    makers = {"consumer_factory": lambda: consumer(job), "producer_factory": lambda: producer(job)}
    async with KafkaRPCServer(**makers, handler=handle, topics=[job["asked"]], parser=parse, concurrency=LIMIT):
        yield


WAYS = {
    ("ask", "bare"): asked_by_hand,
    ("ask", "superclient"): asked_by_ours,
    ("serve", "bare"): served_by_hand,
    ("serve", "superclient"): served_by_ours,
}

if __name__ == "__main__":
    main()
