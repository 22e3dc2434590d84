"""What an AIOKafkaProducer's batches say: counted when a broker has acknowledged them, on the program's event loop.

One hook sees every request and what became of its batches; another, on the rare path, batches that fail, in a request
or without one. An awaited send is a batch of its own, so these hooks are short. An exception in them costs records:
all of it is guarded.
"""

import time
from collections.abc import Awaitable, Mapping
from typing import Any

from superclient.agent import log, pipeline
from superclient.agent.adapters.aiokafka import internals
from superclient.agent.model import Counters

ATTRIBUTE = "_superclient_counters"
BEFORE = "_superclient_bytes_before"


def patch(known: Mapping[str, Any]) -> None:
    """Hook the classes that keep and send batches."""
    internals.hook_inside(known["MessageAccumulator"], "_append_batch", _append)
    internals.hook_inside(known["MessageBatch"], "failure", _failure)
    internals.hook_inside(known["SendProduceReqHandler"], "do", _do)


def attach(producer: Any, into: Counters) -> None:
    """Count this producer's batches, those included that it has; its parts know the counters, never the producer."""
    accumulator = producer._message_accumulator
    setattr(accumulator, ATTRIBUTE, into)
    setattr(producer._sender, ATTRIBUTE, into)
    for batches in (*accumulator._batches.values(), accumulator._pending_batches):
        for batch in batches:
            setattr(batch, ATTRIBUTE, into)


def _append(original: Any) -> Any:
    def _append_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
        batch = original(self, *args, **kwargs)
        setattr(batch, ATTRIBUTE, getattr(self, ATTRIBUTE, None))
        return batch

    return _append_batch


def _failure(original: Any) -> Any:
    def failure(self: Any, *args: Any, **kwargs: Any) -> Any:
        into: Counters | None = getattr(self, ATTRIBUTE, None)
        if into is not None and not self.future.done():
            into.errors += self.record_count
        return original(self, *args, **kwargs)

    return failure


def _do(original: Any) -> Any:
    def do(self: Any, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        into: Counters | None = getattr(self._sender, ATTRIBUTE, None)
        sending: Awaitable[Any] = original(self, *args, **kwargs)
        return sending if into is None else _counted(sending, self, into, str(args[0] if args else kwargs["node_id"]))

    return do


async def _counted(sending: Awaitable[Any], handler: Any, into: Counters, node: str) -> Any:
    try:
        _asked(handler, into, node)
    except Exception as error:
        log.failure("aiokafka", "counting requests", error)
    start = time.monotonic()
    try:
        return await sending
    finally:  # cancelled in the pause before a retry, it has what was acknowledged until then
        try:
            _answered(handler, into, node, time.monotonic() - start)
        except Exception as error:
            log.failure("aiokafka", "counting batches", error)


def _asked(handler: Any, into: Counters, node: str) -> None:
    size = 0
    for batch in handler._batches.values():
        builder = batch._builder
        if builder._buffer is None:
            setattr(builder, BEFORE, builder.size())
            builder._build()  # compressed now, so that the round trip is measured without it
        size += builder.size()
        if batch.retry_count > 1:
            into.retries += batch.record_count
    one = into.node(node)
    one.requests += 1
    one.bytes = (one.bytes or 0) + size
    pipeline.beating()


def _answered(handler: Any, into: Counters, node: str, seconds: float) -> None:
    if not handler._to_reenqueue and handler._sender._acks != 0:  # a retry's pause is no round trip
        one = into.node(node)
        one.latency_ms += seconds * 1000
        one.latencies += 1
    for partition, batch in handler._batches.items():
        future = batch.future
        # Not future.exception(): that would count as the program's own look at it, and silence asyncio's reminder.
        if future.done() and not future.cancelled() and future._exception is None:
            topic, builder = into.topic(partition.topic), batch._builder
            topic.records += builder.record_count()
            topic.batches += 1
            topic.bytes_before = (topic.bytes_before or 0) + getattr(builder, BEFORE, builder.size())
            topic.bytes_after = (topic.bytes_after or 0) + builder.size()
