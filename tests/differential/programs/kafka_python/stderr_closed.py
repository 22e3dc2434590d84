"""AGT-28: sys.stderr closed by the program itself."""
# agent: silent

import sys

sys.stderr.close()

from kafka import KafkaProducer  # noqa: E402

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
print("done")
