"""Arguments: bootstrap servers, topic, records, retunes, and the way of Retunes. See retuning.py."""

import asyncio
import sys

import aiokafka
from retuning import KEYS, Retunes, belongings, left_over, result

bootstrap, topic, records, count, way = sys.argv[1:]
failed: list[str] = []


async def main() -> Retunes:
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, request_timeout_ms=300_000
    )
    await producer.start()
    room = asyncio.Semaphore(5000)  # records that are not acknowledged yet

    def done(sent: asyncio.Future) -> None:
        room.release()
        if sent.cancelled() or sent.exception():
            failed.append(repr(sent))

    retunes = Retunes(topic, int(records), int(count), way)
    retunes.start()
    for number in range(int(records)):
        while retunes.ahead(number + 1):  # noqa: ASYNC110 - told by a thread
            await asyncio.sleep(0.005)
        await room.acquire()
        value, key = b"%d a value that is somewhat longer" % (number // KEYS), b"%d" % (number % KEYS)
        (await producer.send(topic, value, key=key)).add_done_callback(done)
        if number % 200 == 0:
            await asyncio.sleep(0)
    while retunes.is_alive():  # noqa: ASYNC110 - a thread
        await asyncio.sleep(0.05)
    await producer.flush()
    await producer.stop()
    return retunes


before = belongings()
retunes = asyncio.run(main())
result(failed=failed[:5], retunes=retunes.seen, changes=retunes.changes, left=left_over(before))
