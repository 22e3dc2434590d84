"""A send that somebody waits for does not wait for the linger that the agent added.

`send(…).get()` waits on the future that all records of a batch share. Seen there, the batch counts as having lingered
already for as long as the agent would have it: `RecordAccumulator.ready` finds it due as soon as without the agent
(2.0.2 to 3.0.12 all measure its age by `last_attempt`). Neither send() nor get() of a future that is done is hooked.
flush(), close() and a commit make everything due by themselves. Callbacks wait for nothing.

A program that waits for each record in turn would still pay for it: the sender looks at a new batch, finds
it too young, and has to be woken again. So where a record was waited for that was alone in its batch, the partition's
next batch is not held from the start; if nobody waits for that one, the one after it is.
"""

import functools
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from superclient.agent import log
from superclient.agent.adapters.kafka_python.counters import MARK, hooked_before

ADDED = "_superclient_linger"
"""Seconds of linger that the agent added, on the accumulator."""
FORESEEN = "_superclient_foreseen"
"""There too, partition → None: its next batch will be waited for; or the future of the batch that was let go for it."""
AWAITED = "_superclient_awaited"
"""There too, once somebody waited for a batch that was held."""

_NEEDED = ("FutureProduceResult.wait", "RecordAccumulator.ready", "RecordAccumulator.drain")


class Waits:
    """The producers whose linger was raised, and what becomes of a batch of theirs that is waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._senders: tuple[weakref.ref[Any], ...] = ()

    def expect(self, producer: Any, seconds: float) -> None:
        """The producer's linger is now so much longer than its own; batches that it has already are spared."""
        sender, accumulator = producer._sender, producer._accumulator
        if seconds <= 0 and not hasattr(accumulator, ADDED):
            return
        vars(accumulator).setdefault(FORESEEN, {})
        setattr(accumulator, ADDED, max(0.0, seconds))
        with self._lock:
            alive = {one for one in self._senders if one() is not None}
            self._senders = tuple(alive | {weakref.ref(sender)})
        for batch in [batch for queue in list(accumulator._batches.values()) for batch in list(queue)]:
            _age(batch, seconds)

    def awaited(self, future: Any) -> None:
        """Somebody waits for the batch of this future: it is due when it would be without the agent."""
        try:
            for one in self._senders:
                sender = one()
                if sender is not None and _release(sender._accumulator, future):
                    setattr(sender._accumulator, AWAITED, True)
                    sender.wakeup()
        except Exception as error:
            log.failure("kafka-python", "releasing a batch", error)


def patch(module: Any) -> Waits | None:
    """Hook what waits and what drains; None where this version cannot tell, and no linger may be added."""
    import importlib

    futures = importlib.import_module(f"{module.__name__.rpartition('.')[0]}.future")
    known = {**vars(module), **vars(futures)}
    for owner, name in (needed.split(".") for needed in _NEEDED):
        if not hasattr(known.get(owner), name):
            log.warn_once("kafka-python", "linger", f"this version has no {owner}.{name}: linger is left alone")
            return None
    waits = Waits()
    future, accumulator = known["FutureProduceResult"], known["RecordAccumulator"]
    future.wait = _waiting(future.wait, waits)  # once more after a reload: each producer class has producers of its own
    if not hooked_before(accumulator, "drain"):
        accumulator.ready, accumulator.drain = _looking(accumulator.ready), _draining(accumulator.drain)
        setattr(accumulator.drain, MARK, True)
    return waits


def _waiting(original: Callable[..., Any], waits: Waits) -> Callable[..., Any]:
    @functools.wraps(original)
    def wait(self: Any, timeout: float | None = None) -> Any:
        if waits._senders:
            waits.awaited(self)
        return original(self, timeout)

    return wait


def _looking(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def ready(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.__dict__.get(FORESEEN):
            try:  # not guarded(): this is done several times for every awaited record
                _foresee(self)
            except Exception as error:
                log.failure("kafka-python", "releasing batches", error)
        return original(self, *args, **kwargs)

    return ready


def _draining(original: Callable[..., Any]) -> Callable[..., Any]:
    """Where a batch goes out because it is waited for, the broker's other partitions keep gathering theirs."""

    @functools.wraps(original)
    def drain(self: Any, cluster: Any, nodes: Any, *args: Any, **kwargs: Any) -> Any:
        if not nodes or not self.__dict__.get(ADDED):
            return original(self, cluster, nodes, *args, **kwargs)
        young: set[Any] = set()
        try:
            young.update(_young(self))
        except Exception as error:
            log.failure("kafka-python", "holding batches", error)
        if not young:
            return original(self, cluster, nodes, *args, **kwargs)
        self.muted.update(young)  # read and written by the sender's thread alone, which is this one
        try:
            return original(self, cluster, nodes, *args, **kwargs)
        finally:
            self.muted.difference_update(young)

    return drain


def _release(accumulator: Any, future: Any) -> bool:
    """Whether the batch of this future was held by our linger alone, and is so no more."""
    added, partition = getattr(accumulator, ADDED, 0.0), future.topic_partition
    queue, foreseen = accumulator._batches.get(partition), getattr(accumulator, FORESEEN, {})
    if foreseen.get(partition) is future:
        foreseen[partition] = None
    # Without the lock first: after a fork another thread of the parent may hold the one of a producer that is not ours.
    if not added or not queue or not any(batch.produce_future is future for batch in list(queue)):
        return False
    with accumulator._tp_locks[partition]:
        for batch in queue:
            if batch.produce_future is future and _age(batch, added):
                if batch.record_count == 1:
                    foreseen[partition] = None
                return True
    return False


def _foresee(accumulator: Any) -> None:
    """On the sender's thread: let batches go that will be waited for, and learn where nobody did."""
    foreseen, added = getattr(accumulator, FORESEEN), getattr(accumulator, ADDED)
    for partition, gone in list(foreseen.items()):
        queue = accumulator._batches.get(partition)
        batch = queue[0] if queue else None
        if batch is None or batch.produce_future is gone:
            continue
        if gone is None and _age(batch, added):
            foreseen[partition] = batch.produce_future
        elif gone is not None:
            del foreseen[partition]


def _age(batch: Any, seconds: float) -> bool:
    """Let a batch look older by the linger that was added, once; one that is tried again has lingered."""
    if batch.attempts or batch.last_attempt < batch.created:
        return False
    batch.last_attempt = batch.created - seconds
    return True


def _young(accumulator: Any) -> Iterator[Any]:
    """The partitions that would go out only in the company of a batch that is waited for."""
    if accumulator._closed or _flushes(accumulator) or _exhausted(accumulator):
        return
    first = {tp: queue[0] for tp, queue in list(accumulator._batches.items()) if queue}
    if not any(batch.last_attempt < batch.created for batch in first.values()):
        return
    if len(first) == 1:
        return
    linger = accumulator.config["linger_ms"] / 1000
    for partition, batch in first.items():
        held = not batch.attempts and len(accumulator._batches[partition]) == 1 and not batch.records.is_full()
        if held and partition not in accumulator.muted and _now(batch) - batch.last_attempt < linger:
            yield partition


def _now(batch: Any) -> float:
    # By the clock that the batch was stamped with: since the epoch up to 2.3, since the machine's start in 3.0.
    return time.time() if batch.created > 1e9 else time.monotonic()


def _flushes(accumulator: Any) -> bool:
    return bool(accumulator._flushes_in_progress.get())


def _exhausted(accumulator: Any) -> bool:
    free = getattr(accumulator, "_free", None)  # the memory that calls wait for, up to 2.0
    return free is not None and bool(free.queued())
