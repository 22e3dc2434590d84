"""AGT-28: a subclass with its own constructor, produce and flush that call super()."""

import sys

from confluent_kafka import Producer


class Counting(Producer):
    """Counts."""

    def __init__(self, config, name):
        super().__init__(config)
        self.name, self.sent = name, 0

    def produce(self, *args, **kwargs):
        self.sent += 1
        return super().produce(*args, **kwargs)

    def flush(self, *args):
        print("flushing", self.name, self.sent)
        return super().flush(*args)


producer = Counting({"bootstrap.servers": sys.argv[1]}, "mine")
for number in range(10):
    producer.produce(sys.argv[2], b"value %d" % number)
print(producer.flush(10), Counting.__doc__, isinstance(producer, Producer), Counting.__bases__)
