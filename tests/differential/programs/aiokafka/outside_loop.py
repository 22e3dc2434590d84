"""TST-5: a constructor without a running loop fails, or warns, as the library has it."""
# options: -W default
# agent: line

import sys

from aiokafka import AIOKafkaProducer

producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
