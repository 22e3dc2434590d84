"""The three libraries behind the same few functions, as source text that programs begin with."""

from __future__ import annotations

from pathlib import Path

from tests.environments import environment

LIBRARIES = ("aiokafka", "confluent-kafka", "kafka-python")
CODECS = ("cramjam", "zstandard")

# make(name) → producer; send(producer, value) waits for it, post(producer, value) does not; serve(producer) is what
# programs of confluent-kafka do in between; close(producer).
COMMON = """
import json, os, sys, threading, time
where, topic = sys.argv[1:3]

def text(value):
    return value.encode() + b"," + b"x" * 200  # long enough to be worth compressing

def threads():
    return [thread.name for thread in threading.enumerate() if thread.name == "superclient"]

def serve(producer):
    pass

def wait(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(condition())
"""

_FACES = {
    "kafka-python": """
from kafka import KafkaProducer

def make(name):
    return KafkaProducer(bootstrap_servers=where, client_id=name)

def post(producer, value):
    producer.send(topic, text(value))

def send(producer, value):
    producer.send(topic, text(value)).get(20)

def close(producer):
    producer.close()
""",
    "confluent-kafka": """
from confluent_kafka import Producer

def make(name):
    return Producer({"bootstrap.servers": where, "client.id": name, "statistics.interval.ms": 100})

def post(producer, value):
    producer.produce(topic, text(value))

def send(producer, value):
    producer.produce(topic, text(value))
    assert producer.flush(20) == 0

def serve(producer):
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        producer.poll(0.1)

def close(producer):
    assert producer.flush(20) == 0
""",
    "aiokafka": """
import asyncio
from aiokafka import AIOKafkaProducer

loops = {}

def run(producer, work):
    return loops[id(producer), os.getpid()].run_until_complete(work)

def make(name):
    loop = asyncio.new_event_loop()

    async def started():
        producer = AIOKafkaProducer(bootstrap_servers=where, client_id=name)
        await producer.start()
        return producer

    producer = loop.run_until_complete(started())
    loops[id(producer), os.getpid()] = loop
    return producer

def post(producer, value):
    run(producer, producer.send(topic, text(value)))

def send(producer, value):
    run(producer, producer.send_and_wait(topic, text(value)))

def close(producer):
    run(producer, producer.stop())
    loops.pop((id(producer), os.getpid())).close()
""",
}

FACES = {library: COMMON + face for library, face in _FACES.items()}


def environment_of_all(python: str) -> Path:
    """An environment with the three libraries and what their codecs need."""
    return environment(python, [*LIBRARIES, *CODECS])
