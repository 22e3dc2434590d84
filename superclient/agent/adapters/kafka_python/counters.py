"""What a KafkaProducer's batches say: counted when a broker has acknowledged them, on the library's sender thread.

`Sender._create_produce_requests` sees every batch closed and compressed, once per request. The batch's own future
tells what became of it, so a batch that failed or was retried counts as what it was. An exception in that hook would
lose batches: all of it is guarded.
"""

import time
from types import ModuleType
from typing import Any

import wrapt

from superclient.agent import features, pipeline
from superclient.agent.guard import guarded
from superclient.agent.model import Counters

ATTRIBUTE = "_superclient_counters"
COUNTED = "_superclient_counted"
MARK = "_self_superclient"  # on the wrapper, where wrapt keeps what is its own: nobody lists it among a class's names


def patch(module: ModuleType) -> bool:
    """Hook the class that the producer's module uses for sending, which a reload of that module does not renew.

    False where this version sends in some other way, and nothing can be counted.
    """
    sender = getattr(module, "Sender", None)
    if not hasattr(sender, "_create_produce_requests"):
        features.off("kafka-python", "counting", "Sender._create_produce_requests")
        return False
    if not hooked_before(sender, "_create_produce_requests"):
        hook(sender, "_create_produce_requests", _create)
    return True


def hook(owner: Any, name: str, wrapper: Any) -> None:
    """Wrap a method in place, marked as ours."""
    setattr(wrapt.wrap_function_wrapper(owner, name, wrapper), MARK, True)


def hooked_before(owner: Any, name: str, mark: str = MARK) -> bool:
    """Whether a class's method has our hook, maybe below other tools' wrappers."""
    found = vars(owner).get(name)
    while found is not None and not getattr(found, mark, False):
        found = getattr(found, "__wrapped__", None)
    return found is not None


def attach(producer: Any, into: Counters) -> None:
    """Count this producer's batches. The sender knows the counters, never the producer: its close at exit depends on
    it."""
    setattr(producer._sender, ATTRIBUTE, into)


def _create(wrapped: Any, sender: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    requests = wrapped(*args, **kwargs)
    collated = args[0] if args else kwargs["collated"]
    into: Counters | None = getattr(sender, ATTRIBUTE, None) if collated else None  # asked each time the sender looks
    if into is not None:
        with guarded("kafka-python", "counting batches"):
            for node, batches in collated.items():
                if batches:
                    _count(into, str(node), batches)
            pipeline.beating()
    return requests


def _count(into: Counters, node: str, batches: list[Any]) -> None:
    now = into.node(node)
    now.requests += 1
    now.bytes = (now.bytes or 0) + sum(batch.records.size_in_bytes() for batch in batches)
    for batch in batches:
        if batch.attempts:
            into.retries += batch.record_count
        if not hasattr(batch, COUNTED):  # the halves of a batch that was too large have its attempts, not this
            setattr(batch, COUNTED, True)
            done = _Done(into, batch)
            batch.produce_future.add_callback(done.answered)
            batch.produce_future.add_errback(done.failed)
    if not batches[0].attempts:
        start = time.monotonic()
        batches[0].produce_future.add_callback(lambda _: _latency(into, node, time.monotonic() - start))


def _latency(into: Counters, node: str, seconds: float) -> None:
    one = into.node(node)
    one.latency_ms += seconds * 1000
    one.latencies += 1


class _Done:
    """What one batch will have been, remembered without the batch."""

    __slots__ = ("after", "before", "into", "records", "topic")

    def __init__(self, into: Counters, batch: Any) -> None:
        self.into = into
        self.topic = batch.topic_partition.topic
        self.records = batch.record_count
        self.before = batch.records._bytes_written
        self.after = batch.records.size_in_bytes()

    def answered(self, result: Any) -> None:
        if isinstance(result, tuple) and callable(result[-1]):  # from 2.3 on, what gives each record its exception
            self.failed(result)
            return
        one = self.into.topic(self.topic)
        one.records += self.records
        one.batches += 1
        one.bytes_before = (one.bytes_before or 0) + self.before
        one.bytes_after = (one.bytes_after or 0) + self.after

    def failed(self, _: object) -> None:
        self.into.errors += self.records
