"""AGT-6: a program that reloads the library's module goes on working."""

import importlib
import sys

import kafka.producer.kafka

module = importlib.reload(kafka.producer.kafka)
producer = module.KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value").get(10)
producer.close()
print(module.KafkaProducer is kafka.KafkaProducer, isinstance(producer, kafka.KafkaProducer))
