"""AGT-20: names, docstrings and pickling of the class, as the library has them."""
# agent: line

import inspect
import pickle

import confluent_kafka
from confluent_kafka import Producer, cimpl

print(Producer.__module__, Producer.__qualname__, Producer.__doc__, Producer is cimpl.Producer)
print(confluent_kafka.Producer is Producer, repr(Producer), pickle.loads(pickle.dumps(Producer)) is Producer)
for name in ("produce", "flush", "poll", "purge", "list_topics", "__init__", "__len__", "close"):
    print(name, getattr(Producer, name).__doc__)
try:
    print(inspect.signature(Producer))
except ValueError as error:
    print(error)
