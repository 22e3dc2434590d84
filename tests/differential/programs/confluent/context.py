"""AGT-28: with Producer(…) as p, where the library has it; used after close."""

import sys

from confluent_kafka import Producer

print(hasattr(Producer, "__enter__"), hasattr(Producer, "close"))
with Producer({"bootstrap.servers": sys.argv[1]}) as producer:
    producer.produce(sys.argv[2], b"value")
    print(type(producer))
for what in (producer.close, lambda: producer.produce(sys.argv[2], b"late"), producer.flush, lambda: len(producer)):
    try:
        print(what())
    except BaseException as error:
        print(type(error).__name__, error)
