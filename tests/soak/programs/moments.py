"""Settings change at a bad moment. Arguments: bootstrap servers, topic, and which moment, a function's name below.

Prints what was acknowledged, for the test to compare with the log.
"""

import asyncio
import os
import sys
import threading

from retuning import KEYS, advise, belongings, document, left_over, result

bootstrap, topic, moment = sys.argv[1:]


def value(number: int) -> tuple[bytes, bytes]:
    return b"%d" % (number % KEYS), b"%d a value" % (number // KEYS)


def kafka_python_closes() -> dict:
    """While a close is under way, settings change again and again; ten producers in turn."""
    from kafka import KafkaProducer

    sent = []
    for turn in range(10):
        producer = KafkaProducer(bootstrap_servers=bootstrap, delivery_timeout_ms=300_000)
        for number in range(turn * 500, turn * 500 + 500):
            key, payload = value(number)
            sent.append(producer.send(topic, payload, key=key))
        closing = threading.Thread(target=producer.close)
        closing.start()
        change = turn
        while closing.is_alive():
            advise(document(change := change + 1, topic))
            closing.join(0.002)
    return {"acknowledged": sum(one.succeeded() for one in sent)}


def kafka_python_forks() -> dict:
    """A change is under way when the process forks; both go on."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=bootstrap, delivery_timeout_ms=300_000)
    sent, children = [], []
    for turn in range(10):
        for number in range(turn * 200, turn * 200 + 200):
            key, payload = value(number)
            sent.append(producer.send(topic, payload, key=key))
        advise(document(turn, topic))
        child = os.fork()
        if child == 0:
            own = KafkaProducer(bootstrap_servers=bootstrap, delivery_timeout_ms=300_000)
            advise(document(turn + 1, topic))
            own.send(topic, b"%d a value" % turn, key=b"of a child").get(60)
            own.close()
            os._exit(0)
        children.append(child)
    left = [os.waitpid(child, 0)[1] for child in children]
    producer.close()
    return {"acknowledged": sum(one.succeeded() for one in sent), "children": left}


async def aiokafka_closes() -> dict:
    """While a stop is under way, settings change again and again; ten producers in turn."""
    from aiokafka import AIOKafkaProducer

    sent = []
    for turn in range(10):
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, request_timeout_ms=300_000)
        await producer.start()
        for number in range(turn * 500, turn * 500 + 500):
            key, payload = value(number)
            sent.append(await producer.send(topic, payload, key=key))
        stopping = asyncio.ensure_future(producer.stop())
        change = turn
        while not stopping.done():
            advise(document(change := change + 1, topic))
            await asyncio.wait([stopping], timeout=0.002)
    return {"acknowledged": sum(one.done() and one.exception() is None for one in sent)}


async def aiokafka_commits() -> dict:
    """Settings change in the middle of a transaction, again and again; every third is aborted."""
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic, request_timeout_ms=300_000)
    await producer.start()
    number = committed = change = 0
    for turn in range(15):
        await producer.begin_transaction()
        aborted = turn % 3 == 2
        for _ in range(100):
            key, payload = (b"aborted", b"0 a value") if aborted else value(number)
            await producer.send(topic, payload, key=key)
            number += not aborted
            if _ % 20 == 10:
                advise(document(change := change + 1, topic))
                await asyncio.sleep(0.01)
        if aborted:
            await producer.abort_transaction()
        else:
            await producer.commit_transaction()
            committed = number
    await producer.stop()
    return {"acknowledged": committed}


def main() -> None:
    before = belongings()
    told = globals()[moment]()
    told = asyncio.run(told) if asyncio.iscoroutine(told) else told
    result(**told, left=left_over(before))


if __name__ == "__main__":
    main()
