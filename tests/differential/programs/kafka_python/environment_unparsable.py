"""AGT-28: settings of the agent that do not parse."""
# warnings: 3
# env: SUPERSTREAM_METADATA_TIMEOUT_MS=soon SUPERSTREAM_DEBUG=perhaps SUPERSTREAM_DEFAULT_CODEC=brotli

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
