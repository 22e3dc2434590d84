"""TST-5, AGT-20: a subclass with a constructor of its own, super() calls, and state."""

import sys

from kafka import KafkaProducer


class Counting(KafkaProducer):
    """Counts."""

    def __init__(self, *args, **config):
        super().__init__(*args, **config)
        self.sent = 0

    def send(self, topic, value=None, **more):
        self.sent += 1
        return super().send(topic, value, **more)

    def flush(self, timeout=None):
        print("flushing", self.sent)
        return super().flush(timeout)

    def close(self, timeout=None):
        print("closing")
        super().close(timeout)


producer = Counting(bootstrap_servers=sys.argv[1])
for number in range(10):
    producer.send(sys.argv[2], b"value %d" % number)
producer.flush()
producer.close()
print(Counting.__mro__[1], isinstance(producer, KafkaProducer), Counting.__doc__, sorted(Counting.__dict__))
