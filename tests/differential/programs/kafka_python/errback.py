"""TST-5: an errback is given the library's own exception for a record that is too large for the producer."""

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1], max_request_size=2000, batch_size=1000)
future = producer.send(sys.argv[2], b"x" * 5000)
future.add_errback(lambda error: print("errback", type(error).__name__))
print(future.failed(), repr(future.exception))
print(producer.send(sys.argv[2], b"small").get(10).offset)
producer.close()
