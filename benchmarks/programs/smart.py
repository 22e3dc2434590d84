"""Sends records at a rate through a `SmartProducer`, the product's or its peer's, which look alike to a program.

Argument: as for send.py, and {module, group, interval (seconds)}. Prints the same JSON line. As it is released, the
peer monitors no topic by itself, and its collector asks in a way that confluent-kafka refuses, so that it steers
nothing. It is given what it lacks, so that what it does with a lag that it knows can be seen.
"""

import contextlib
import importlib
import json
import sys
from functools import partial

from confluent_kafka import Consumer, TopicPartition
from send import prepared, synchronous

PEER = "kafka_smart_producer"


def main() -> None:
    job = json.loads(sys.argv[1])
    sent = prepared("json", job["records"], keyed=False)
    with contextlib.closing(made(job)) as producer:
        send = partial(producer.produce, job["topic"])
        send(*sent[0])
        producer.flush()
        watch = synchronous(job, sent, send, lambda handles: producer.flush(), producer.poll)
    raw = sum(len(part) for record in sent for part in record)
    said = {"seconds": watch.seconds, "cpu": watch.cpu, "records": len(sent), "raw": raw, "waited": None}
    print(json.dumps(said), flush=True)


def made(job: dict):
    """The producer; monitoring has begun."""
    smart = importlib.import_module(job["module"])
    servers = {"bootstrap.servers": job["bootstrap"]}
    health = {"consumer_group": job["group"], "refresh_interval": job["interval"]}
    config = {**servers, **job["settings"], "topics": [job["topic"]]}
    if job["module"] != PEER:
        return smart.SmartProducer(smart.SmartProducerConfig.from_dict({**config, "health_manager": health}))
    monitor = smart.PartitionHealthMonitor.embedded(Lag(servers, job["group"]), [job["topic"]])
    monitor._refresh_interval = job["interval"]  # 5 s, and no parameter
    monitor.start()
    return smart.SmartProducer(smart.SmartProducerConfig.from_dict(config), health_manager=monitor)


class Lag:
    """A collector for the peer."""

    def __init__(self, servers: dict, group: str) -> None:
        self._consumer = Consumer({**servers, "group.id": group, "enable.auto.commit": False})

    def is_healthy(self) -> bool:
        return True

    def get_lag_data(self, topic: str) -> dict[int, int]:
        """Partition → records."""
        numbers = self._consumer.list_topics(topic, timeout=5).topics[topic].partitions
        partitions = [TopicPartition(topic, number) for number in numbers]
        ends = {one.partition: self._consumer.get_watermark_offsets(one, timeout=5)[1] for one in partitions}
        committed = self._consumer.committed(partitions, timeout=5)
        return {one.partition: ends[one.partition] - max(0, one.offset) for one in committed}


if __name__ == "__main__":
    main()
