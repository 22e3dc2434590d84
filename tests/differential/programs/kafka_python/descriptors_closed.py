"""AGT-28: started with stdout and stderr closed (a daemon): sockets take the low numbers, and nobody writes there."""
# shell: exec "$@" >&- 2>&-
# agent: silent

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(20):
    producer.send(sys.argv[2], b"value %d" % number)
producer.close()
