"""AGT-25: sys.exit with a status; pending records go as without the agent."""

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
sys.exit(7)
