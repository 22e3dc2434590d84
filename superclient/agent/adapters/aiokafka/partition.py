"""Sticky batches in aiokafka: see `adapters.sticking`.

aiokafka keeps one batch for each partition, and a `send` to a full one waits. So a batch is left before it is full: its
room is reckoned with the average of its records, since of the next one's headers the hook knows nothing.
"""

from collections.abc import Callable
from operator import attrgetter
from types import ModuleType
from typing import Any

from superclient.agent.adapters import sticking
from superclient.agent.adapters.aiokafka import internals

_LIBRARY = "aiokafka"


def patch(module: ModuleType, known: dict[str, Any]) -> sticking.Sticking | None:
    """Hook the producer's class, and its accumulator's; None where this version is not as we know it."""
    producer_class = module.AIOKafkaProducer
    if not internals.complete(sticking.FEATURE, known) or not sticking.known(_LIBRARY, producer_class, module):
        return None
    internals.hook_inside(producer_class, "_partition", _choosing)
    internals.hook_inside(known["MessageAccumulator"], "_append_batch", _append)
    return sticking.Sticking(
        _LIBRARY,
        "_message_accumulator",
        attrgetter("_partitioner"),
        module.DefaultPartitioner,
        module.TopicPartition,
        _room,
    )


_choosing = sticking.choosing(_LIBRARY, "_message_accumulator")


def _append(original: Callable[..., Any]) -> Callable[..., Any]:
    def _append_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
        batch = original(self, *args, **kwargs)
        sticking.see(_LIBRARY, self, (batch.tp, batch))
        return batch

    return _append_batch


def _room(accumulator: Any) -> Callable[[Any, int], bool]:
    def room(batch: Any, size: int) -> bool:
        """Whether a batch takes another record; one that is tried again is closed."""
        builder = batch._builder
        if builder._closed:
            return False
        used, count = builder.size(), builder._relative_offset
        return bool(used + max(size, used // count if count else 0) <= accumulator._batch_size)

    return room
