"""What one call of a SmartProducer's produce() costs its caller, and how fast records are acknowledged.

Argument: JSON {module (whose SmartProducer; none: confluent_kafka's Producer), bootstrap, topic, group, redis (a port,
or none), keyed, bursts, size, records}. As in calls.py a burst of calls is timed by the thread's CPU time, beside a
piece of pure Python, and delivered outside the timing; then `records` are sent as fast as the queue takes them, timed
to the last acknowledgement. The monitor has looked before the first call. The value of a record begins with its number.
"""

import gc
import importlib
import json
import sys
import time
from statistics import median

from calls import WARM_UP, bursts
from events import events

KEYS = 500
LOOKED = 2.0  # seconds: the monitor's first look


def main() -> None:
    job = json.loads(sys.argv[1])
    settings = {"bootstrap.servers": job["bootstrap"], "queue.buffering.max.messages": 1_000_000, "linger.ms": 5}
    producer = made(job, settings)
    values = events(job["size"])
    keys = [b"customer-%d" % (number % KEYS) if job["keyed"] else None for number in range(job["size"])]
    topic, pairs = job["topic"], list(zip(values, keys, strict=True))

    def burst() -> None:
        produce = producer.produce
        if job["keyed"]:
            for value, key in pairs:
                produce(topic, value, key)
        else:
            for value in values:
                produce(topic, value)

    gc.disable()
    calls, pieces = zip(*bursts(job, burst, producer.flush)[WARM_UP:], strict=True)
    relative = median(call / piece for call, piece in zip(calls, pieces, strict=True)) / job["size"]
    gc.enable()
    rate = acknowledged(job, producer, pairs)
    print(json.dumps({"relative": relative, "piece": median(pieces), "rate": rate}), flush=True)
    producer.flush()


def made(job: dict, settings: dict):
    if job["module"] is None:
        from confluent_kafka import Producer

        return Producer(settings)
    smart = importlib.import_module(job["module"])
    cache = {"remote_enabled": True, "redis_host": "127.0.0.1", "redis_port": job["redis"]} if job["redis"] else {}
    config = smart.SmartProducerConfig.from_dict(
        {
            **settings,
            "topics": [job["topic"]],
            "health_manager": {"consumer_group": job["group"], "refresh_interval": 2.0, "timeout_seconds": 1.0},
            **({"cache": cache} if cache else {}),
        }
    )
    producer = smart.SmartProducer(config)
    time.sleep(LOOKED)
    return producer


def acknowledged(job: dict, producer, pairs: list) -> float:
    number, start = 0, time.perf_counter()
    while number < job["records"]:
        for value, key in pairs:
            if key is None:
                producer.produce(job["topic"], b"%09d" % number + value)
            else:
                producer.produce(job["topic"], b"%09d" % number + value, key)
            number += 1
        producer.poll(0)
    producer.flush()
    return number / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
