"""AGT-28: no sys.stderr and no sys.stdout at all, as under pythonw."""
# agent: silent

import sys

out = sys.stdout
sys.stdout = sys.stderr = sys.__stderr__ = None

from kafka import KafkaProducer  # noqa: E402

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
out.write("done\n")
