"""A Quix Streams application fills a topic with a hundred orders, and answers each with an invoice."""

import sys

from quixstreams import Application

servers, topic = sys.argv[1:3]
app = Application(
    broker_address=servers,
    consumer_group=f"{topic}-group",
    auto_offset_reset="earliest",
    producer_extra_config={"client.id": "quix_streams"},
)
orders = app.topic(f"{topic}-orders", key_serializer="str", value_serializer="json")
invoices = app.topic(topic, key_serializer="bytes", value_serializer="json")

with app.get_producer() as producer:
    for number in range(100):
        message = orders.serialize(key=f"customer {number % 5}", value=number, headers={"number": str(number)})
        producer.produce(orders.name, message.value, message.key, message.headers)

stream = app.dataframe(orders)
stream.apply(lambda number: {"number": number, "text": "invoice " * 50}).to_topic(invoices)
app.run(count=100, timeout=30)
print("ready", flush=True)
sys.stdin.readline()
