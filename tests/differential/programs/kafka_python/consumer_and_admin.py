"""TST-5: the library's other clients are nobody's business."""
# agent: line

import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value").get(10)
producer.close()
consumer = KafkaConsumer(
    sys.argv[2], bootstrap_servers=sys.argv[1], auto_offset_reset="earliest", consumer_timeout_ms=5000
)
print(next(consumer).value)
consumer.close()
admin = KafkaAdminClient(bootstrap_servers=sys.argv[1])
print(sys.argv[2] in admin.list_topics(), admin.describe_topics([sys.argv[2]])[0].get("error_code"))
admin.close()
