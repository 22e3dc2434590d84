"""TST-5: null values (tombstones), empty values, empty keys."""
# partitions: 3

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for key, value in ((b"gone", None), (b"", b"empty key"), (b"key", b""), (None, b"")):
    print(producer.send(sys.argv[2], key=key, value=value).get(10).serialized_key_size)
producer.close()
