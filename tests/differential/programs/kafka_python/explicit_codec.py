"""TST-5: a program that wrote down its codec, batch size and linger."""

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1], compression_type="gzip", batch_size=100_000, linger_ms=50)
for number in range(300):
    producer.send(sys.argv[2], b"value %d" % number)
producer.flush(10)
print(producer.config["compression_type"], producer.config["batch_size"], producer.config["linger_ms"])
producer.close()
