"""AGT-25: SIGTERM as the system handles it: the process ends at once."""
# signal: SIGTERM

import sys
import threading

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value").get(10)
print("ready", flush=True)
threading.Event().wait(20)
