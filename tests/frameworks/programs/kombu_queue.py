"""kombu publishes a hundred orders to a queue of its confluentkafka transport."""

import sys

from kombu import Connection, Exchange, Queue

servers, topic = sys.argv[1:3]
options = {"kafka_common_config": {"client.id": "kombu_queue"}}
with Connection(f"confluentkafka://{servers}", transport_options=options) as connection:
    queue = Queue(topic, Exchange(topic), routing_key=topic)
    producer = connection.Producer(serializer="json")
    for number in range(100):
        producer.publish(
            {"number": number, "text": "order " * 50},
            exchange=queue.exchange,
            routing_key=topic,
            declare=[queue],
            headers={"number": number},
        )
print("ready", flush=True)
sys.stdin.readline()
