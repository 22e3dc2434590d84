"""Sticky batches in kafka-python: see `adapters.sticking`.

Version 3 asks for a partition once more where the first answer would need a new batch, and gets the same one.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

from superclient.agent import features
from superclient.agent.adapters import sticking
from superclient.agent.adapters.kafka_python.counters import hooked_before

_LIBRARY = "kafka-python"
_MARK = "_superclient_partition"


def patch(module: Any) -> sticking.Sticking | None:
    """Hook the producer's class, and its accumulator's; None where this version is not as we know it."""
    memory = importlib.import_module(f"{module.__name__.partition('.')[0]}.record.memory_records")
    builder = getattr(memory, "MemoryRecordsBuilder", None)
    accumulator = getattr(module, "RecordAccumulator", None)
    needed = [(accumulator, "drain"), *((builder, name) for name in ("size_in_bytes", "_closed", "_batch_size"))]
    absent = [name for owner, name in needed if not hasattr(owner, name)]
    if absent:
        features.off(_LIBRARY, sticking.FEATURE, f"{absent[0]} of its batches")
        return None
    if not sticking.known(_LIBRARY, module.KafkaProducer, module):
        return None
    _hook(module.KafkaProducer, "_partition", sticking.choosing(_LIBRARY, "_accumulator"))
    _hook(accumulator, "drain", _draining)
    return sticking.Sticking(
        _LIBRARY,
        "_accumulator",
        lambda producer: producer.config.get("partitioner"),
        module.DefaultPartitioner,
        module.TopicPartition,
        lambda _: _room,
    )


def _hook(owner: Any, name: str, hooking: Callable[[Any], Any]) -> None:
    if not hooked_before(owner, name, _MARK):
        original = getattr(owner, name)
        method = functools.wraps(original)(hooking(original))
        setattr(method, _MARK, True)
        setattr(owner, name, method)


def _draining(original: Callable[..., Any]) -> Callable[..., Any]:
    def drain(self: Any, *args: Any, **kwargs: Any) -> Any:
        drained = original(self, *args, **kwargs)
        if drained:
            for batches in drained.values():
                sticking.see(_LIBRARY, self, *((batch.topic_partition, batch) for batch in batches))
        return drained

    return drain


def _room(batch: Any, size: int) -> bool:
    """Whether a batch takes another record; one that is tried again is closed."""
    records = batch.records
    try:
        return bool(not records._closed and records.size_in_bytes() + size <= records._batch_size)
    except AttributeError:  # being closed on the sender's thread
        return False
