"""AGT-28: a stats_cb that raises comes out of poll."""

import sys

from confluent_kafka import Producer


def statistics(text):
    raise KeyError("statistics")


producer = Producer({"bootstrap.servers": sys.argv[1], "stats_cb": statistics, "statistics.interval.ms": 100})
delivered = []
producer.produce(sys.argv[2], b"value", on_delivery=lambda *outcome: delivered.append(outcome))
raised = False
for _ in range(200):
    try:
        producer.poll(0.1)
    except KeyError as error:
        raised = raised or print(repr(error)) is None
    if raised and delivered:
        break
print(len(delivered))
