"""AGT-50: a program that sends all logs to stdout finds the agent's among them, in its own format."""
# ours: LOG superclient

import logging
import sys

logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="LOG %(name)s %(levelname)s %(message)s")
logging.getLogger("superclient").setLevel(logging.INFO)

from kafka import KafkaProducer  # noqa: E402

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
logging.warning("done")
