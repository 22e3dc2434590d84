"""What an AIOKafkaProducer's batches say: counted when a broker has acknowledged them, on the program's event loop.

Every batch is watched through its own future from its first record on, so one that failed, expired or was retried
counts as what it became. An exception in these hooks would cost records: all of it is guarded.
"""

import time
from collections.abc import Awaitable, Mapping
from typing import Any

from superclient.agent import pipeline
from superclient.agent.adapters.aiokafka import internals
from superclient.agent.guard import guarded
from superclient.agent.model import Counters

ATTRIBUTE = "_superclient_counters"
BEFORE = "_superclient_bytes_before"


def patch(known: Mapping[str, Any]) -> None:
    """Hook the classes that build and send batches."""
    internals.hook(known["MessageAccumulator"], "_append_batch", _append)
    internals.hook(known["BatchBuilder"], "_build", _build)
    internals.hook(known["SendProduceReqHandler"], "do", _do)


def attach(producer: Any, into: Counters) -> None:
    """Count this producer's batches, those included that it has; its parts know the counters, never the producer."""
    accumulator = producer._message_accumulator
    setattr(accumulator, ATTRIBUTE, into)
    setattr(producer._sender, ATTRIBUTE, into)
    waiting = [batch for batches in accumulator._batches.values() for batch in batches]
    for batch in {*waiting, *accumulator._pending_batches}:
        _watch(batch, into)


def _append(wrapped: Any, accumulator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    batch = wrapped(*args, **kwargs)
    into: Counters | None = getattr(accumulator, ATTRIBUTE, None)
    if into is not None:
        with guarded("aiokafka", "counting batches"):
            _watch(batch, into)
    return batch


def _watch(batch: Any, into: Counters) -> None:
    topic, builder = batch.tp.topic, batch._builder
    batch.future.add_done_callback(lambda future: _done(future, into, topic, builder))


def _build(wrapped: Any, builder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with guarded("aiokafka", "counting batches"):
        if not hasattr(builder, BEFORE):  # built once, asked for at every attempt
            setattr(builder, BEFORE, builder.size())
    return wrapped(*args, **kwargs)


def _done(future: Any, into: Counters, topic: str, builder: Any) -> None:
    with guarded("aiokafka", "counting batches"):
        records = builder.record_count()
        # Not future.exception(): that would count as the program's own look at it, and silence asyncio's reminder.
        if future.cancelled() or getattr(future, "_exception", None) is not None:
            into.errors += records
        elif records and hasattr(builder, BEFORE):
            one = into.topic(topic)
            one.records += records
            one.batches += 1
            one.bytes_before = (one.bytes_before or 0) + getattr(builder, BEFORE)
            one.bytes_after = (one.bytes_after or 0) + builder.size()


def _do(wrapped: Any, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Awaitable[Any]:
    into: Counters | None = getattr(handler._sender, ATTRIBUTE, None)
    node = str(args[0] if args else kwargs.get("node_id"))
    sending: Awaitable[Any] = wrapped(*args, **kwargs)
    return sending if into is None else _counted(sending, handler, into, node)


async def _counted(sending: Awaitable[Any], handler: Any, into: Counters, node: str) -> Any:
    with guarded("aiokafka", "counting requests"):
        batches = list(handler._batches.values())
        for batch in batches:
            batch.get_data_buffer()  # compressed now, so that the round trip is measured without it
        one = into.node(node)
        one.requests += 1
        one.bytes = (one.bytes or 0) + sum(batch._builder.size() for batch in batches)
        into.retries += sum(batch.record_count for batch in batches if batch.retry_count > 1)
        pipeline.beating()
    start = time.monotonic()
    answer = await sending
    with guarded("aiokafka", "counting requests"):
        if not handler._to_reenqueue and handler._sender._acks != 0:  # a retry's pause is no round trip
            one = into.node(node)
            one.latency_ms += (time.monotonic() - start) * 1000
            one.latencies += 1
    return answer
