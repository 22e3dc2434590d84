"""TST-5: a dataclass that holds a producer and delegates to it."""

import dataclasses
import sys

from kafka import KafkaProducer


@dataclasses.dataclass
class Outbox:
    servers: str
    topic: str
    producer: KafkaProducer = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self):
        self.producer = KafkaProducer(bootstrap_servers=self.servers)

    def __getattr__(self, name):
        return getattr(self.producer, name)


outbox = Outbox(sys.argv[1], sys.argv[2])
outbox.send(outbox.topic, b"value")
outbox.close()
print(outbox, dataclasses.fields(Outbox)[2].type)
