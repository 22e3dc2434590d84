"""AGT-28: settings that contradict each other fail with the library's own exception."""
# agent: line

import sys

from kafka import KafkaProducer

for wrong in (
    {"linger_ms": 200_000, "delivery_timeout_ms": 1000},
    {"compression_type": "brotli"},
    {"compression_type": 17},
    {"acks": "some"},
    {"retries": -1},
    {"api_version": "2.1"},
    {"api_version": (0, 8)},
    {"enable_idempotence": True, "acks": 0},
    {"key_serializer": 5},
):
    try:
        producer = KafkaProducer(bootstrap_servers=sys.argv[1], **wrong)
    except BaseException as error:
        print(wrong, type(error).__name__, error)
    else:
        print(wrong, "goes")
        producer.close()
