"""TST-5: a program's tests replace the class, and its methods, by mocks."""

import sys
from unittest import mock

import kafka

with mock.patch("kafka.KafkaProducer") as fake:
    kafka.KafkaProducer(bootstrap_servers="nowhere").send("topic", b"value")
    print(fake.mock_calls)
with mock.patch.object(kafka.KafkaProducer, "__init__", return_value=None) as init:
    kafka.KafkaProducer.__del__ = lambda self: None
    kafka.KafkaProducer(bootstrap_servers="nowhere")
    del kafka.KafkaProducer.__del__
    print(init.mock_calls)
with mock.patch.object(kafka.KafkaProducer, "send", autospec=True) as send:
    producer = kafka.KafkaProducer(bootstrap_servers=sys.argv[1])
    producer.send(sys.argv[2], b"not sent")
    print(send.call_count)
producer.send(sys.argv[2], b"sent")
producer.close()
print(mock.create_autospec(kafka.KafkaProducer).send)
