"""AGT-20: pickle, inspect and isinstance see the library's own class."""
# agent: line

import inspect
import pickle
import sys

import kafka
from kafka import KafkaProducer

print(pickle.loads(pickle.dumps(KafkaProducer)) is KafkaProducer)
print(KafkaProducer.__module__, KafkaProducer.__qualname__, KafkaProducer.__mro__)
print(len(inspect.getdoc(KafkaProducer)), kafka.producer.KafkaProducer is KafkaProducer)
for name in ("__init__", "send", "flush", "close", "metrics", "partitions_for"):
    method = getattr(KafkaProducer, name)
    print(name, inspect.signature(method), inspect.isfunction(method), method.__qualname__, method.__module__)
    print(len(inspect.getsource(method)), method.__doc__, callable(method))
print(inspect.signature(KafkaProducer))
print(len(inspect.getsource(KafkaProducer)), len(inspect.getsource(sys.modules["kafka.producer.kafka"])))
print([name for name, _ in inspect.getmembers(KafkaProducer)])
