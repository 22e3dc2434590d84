"""How fast records are relayed from one topic to another, exactly once, in batches of 25.

Argument: JSON {bootstrap, source, target, group, records, lanes (0: a loop over confluent-kafka written by hand)}. From
the first batch that is committed to the last: joining the group is the brokers' business.
"""

import json
import sys
import time

BATCH = 25


def main() -> None:
    job = json.loads(sys.argv[1])
    moments = by_hand(job) if job["lanes"] == 0 else by_relay(job)
    first, last, forwarded = moments
    print(json.dumps({"rate": (forwarded - BATCH) / (last - first), "forwarded": forwarded}), flush=True)


def by_hand(job: dict) -> tuple[float, float, int]:
    from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, Producer, TopicPartition

    common = {"bootstrap.servers": job["bootstrap"]}
    consumer = Consumer(
        {
            **common,
            "group.id": job["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    producer = Producer({**common, "transactional.id": job["group"]})
    producer.init_transactions(60)
    consumer.subscribe([job["source"]])
    forwarded, first, last = 0, 0.0, 0.0
    while forwarded < job["records"]:
        messages = consumer.consume(BATCH, 1.0)
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            kind, stamp = message.timestamp()
            producer.produce(
                job["target"],
                message.value(),
                message.key(),
                message.partition(),
                timestamp=0 if kind == TIMESTAMP_NOT_AVAILABLE else stamp,
                headers=message.headers(),
            )
        ends = {message.partition(): message.offset() + 1 for message in messages}
        producer.send_offsets_to_transaction(
            [TopicPartition(job["source"], number, end) for number, end in ends.items()],
            consumer.consumer_group_metadata(),
            60,
        )
        producer.commit_transaction(60)
        last = time.perf_counter()
        first = first or last
        forwarded += len(messages)
    consumer.close()
    return first, last, forwarded


def by_relay(job: dict) -> tuple[float, float, int]:
    from superclient.toolkit import ConsumerConfig, ExactlyOnceRelay, KafkaConsumer, KafkaProducer, ProducerConfig

    moments: list[float] = []

    def told(event: str, fields: dict) -> None:
        if event == "relay_batch_committed":
            moments.append(time.perf_counter())

    consumer = KafkaConsumer(ConsumerConfig(job["bootstrap"], job["group"]))
    producer = KafkaProducer(ProducerConfig(job["bootstrap"], transactional_id=job["group"]))
    with consumer, producer:
        relay = ExactlyOnceRelay(consumer, producer, batch_size=BATCH, on_event=told)
        result = relay.run(job["source"], job["target"], max_in_flight=job["lanes"], stop_on_empty=True)
    return moments[0], moments[-1], result.forwarded


if __name__ == "__main__":
    main()
