"""TST-5: metrics() has the same names, whatever they measure."""

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value").get(10)
metrics = producer.metrics()
print(sorted(metrics))
print(sorted(metrics.get("producer-metrics", {})))
producer.close()
