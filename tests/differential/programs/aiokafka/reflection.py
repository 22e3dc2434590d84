"""AGT-20: pickle, inspect and isinstance see the library's own class and coroutines."""
# agent: line

import asyncio
import inspect
import pickle

from aiokafka import AIOKafkaProducer

print(pickle.loads(pickle.dumps(AIOKafkaProducer)) is AIOKafkaProducer, inspect.signature(AIOKafkaProducer))
print(AIOKafkaProducer.__module__, AIOKafkaProducer.__qualname__, AIOKafkaProducer.__mro__, AIOKafkaProducer.__doc__)
for name in ("__init__", "start", "stop", "send", "send_and_wait", "flush", "create_batch", "send_batch"):
    method = getattr(AIOKafkaProducer, name)
    print(name, inspect.signature(method), inspect.isfunction(method), method.__qualname__, method.__module__)
    print(len(inspect.getsource(method)), method.__doc__, inspect.iscoroutinefunction(method))
    print(asyncio.iscoroutinefunction(method))
