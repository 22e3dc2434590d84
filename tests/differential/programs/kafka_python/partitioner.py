"""TST-5, AGT-33: a partitioner of the program's own decides, for every record."""
# partitions: 4
# compare: partitions

import sys

from kafka import KafkaProducer


def last(key, everyone, available):
    assert sorted(available) == sorted(everyone)
    return everyone[len(key or b"") % len(everyone)]


producer = KafkaProducer(bootstrap_servers=sys.argv[1], partitioner=last)
for number in range(40):
    producer.send(sys.argv[2], key=b"k" * (number % 7) or None, value=b"value %d" % number)
producer.close()
