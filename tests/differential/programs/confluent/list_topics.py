"""TST-5: list_topics, and the other questions that a producer answers."""

import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1]})
found = producer.list_topics(sys.argv[2], timeout=10)
print(list(found.topics), len(found.brokers), [len(topic.partitions) for topic in found.topics.values()])
producer.produce(sys.argv[2], b"value")
print(producer.flush(10))
