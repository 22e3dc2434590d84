"""Arguments: bootstrap servers, topic, records, retunes, and the way of Retunes. See retuning.py."""

import sys
import threading

from kafka import KafkaProducer
from retuning import KEYS, Retunes, belongings, left_over, result

bootstrap, topic, records, count, way = sys.argv[1:]
before = belongings()
room = threading.Semaphore(5000)  # records that are not acknowledged yet
failed: list[str] = []


def acknowledged(_: object) -> None:
    room.release()


def lost(error: Exception) -> None:
    failed.append(repr(error))
    room.release()


producer = KafkaProducer(
    bootstrap_servers=bootstrap,
    acks="all",
    enable_idempotence=True,
    retries=1_000_000,
    delivery_timeout_ms=30_500 if way == "bad" else 600_000,
)
retunes = Retunes(topic, int(records), int(count), way)
retunes.start()
for number in range(int(records)):
    retunes.reached(number + 1)
    room.acquire()
    sent = producer.send(topic, b"%d a value that is somewhat longer" % (number // KEYS), key=b"%d" % (number % KEYS))
    sent.add_callback(acknowledged).add_errback(lost)
retunes.join()
producer.flush(300)
producer.close()
result(failed=failed[:5], retunes=retunes.seen, changes=retunes.changes, left=left_over(before))
