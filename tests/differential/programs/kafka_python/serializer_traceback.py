"""TST-5: a serializer that raises ends the program with the traceback that it would have had."""

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1], value_serializer=lambda value: value.encode())
producer.send(sys.argv[2], "text")
producer.send(sys.argv[2], 17)
