"""AGT-28: stderr is a device that takes nothing."""
# shell: exec "$@" 2>/dev/full
# agent: silent

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
print("done")
