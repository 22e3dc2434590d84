"""TST-5: python -W error: the agent's own code warns of nothing."""
# options: -W error -W ignore:read_text -W ignore:open_text

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
