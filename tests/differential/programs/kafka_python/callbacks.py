"""TST-5: callbacks and errbacks, with arguments bound, one of which raises."""

import functools
import sys

from kafka import KafkaProducer


def delivered(number, metadata):
    print("delivered", number, metadata.offset)
    if number == 3:
        raise ValueError("in the callback")


producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(6):
    future = producer.send(sys.argv[2], b"value %d" % number)
    future.add_callback(functools.partial(delivered, number)).add_errback(print)
    future.get(10)
producer.close()
