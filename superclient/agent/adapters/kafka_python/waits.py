"""A send that somebody waits for does not wait for the linger that the agent added.

`send(…).get()` waits on the future that all records of a batch share. Seen there, the batch counts as having lingered
already for as long as the agent would have it: `RecordAccumulator.ready` finds it due as soon as without the agent
(2.0.2 to 3.0.12 all measure its age by `last_attempt`). send() is not hooked. flush(), close() and a commit make
everything due by themselves.

A program that waits for each record in turn would still pay for it: the sender looks at a new batch, finds
it too young, and has to be woken again. So where a record was waited for that was alone in its batch, the partition's
next batch is not held from the start; if nobody waits for that one, the one after it is.

And one that sends to several partitions, then waits for each record in turn, would pay for it once per partition: so
batches whose like were awaited before go in the company of one that is, as long as they are waited for afterwards.
"""

import functools
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from superclient.agent import features, log
from superclient.agent.adapters.kafka_python import futures
from superclient.agent.adapters.kafka_python.counters import MARK, hooked_before
from superclient.kafka.vocabulary import LINGER

ADDED = "_superclient_linger"
"""Seconds of linger that the agent added, on the accumulator."""
FORESEEN = "_superclient_foreseen"
"""There too, partition → None: its next batch will be waited for; or the future of the batch that was let go for it."""
COMPANY = "_superclient_company"
"""The same of partitions that are waited for together: the next batch goes when somebody waits for another."""
AWAITED = "_superclient_awaited"
"""There too, once somebody waited for a batch that was held, other than by flush()."""

_NEEDED = ("FutureProduceResult.wait", "RecordAccumulator.ready", "RecordAccumulator.drain")


class Waits:
    """The producers whose linger was raised, and what becomes of a batch of theirs that is waited for."""

    def __init__(self, known: dict[str, Any]) -> None:
        self._known = known
        self._lock = threading.Lock()
        self._senders: tuple[weakref.ref[Any], ...] = ()

    @property
    def listens(self) -> bool:
        """See futures.Listener."""
        return bool(self._senders)

    def expect(self, producer: Any, seconds: float) -> None:
        """The producer's linger is now so much longer than its own; batches that it has already are spared."""
        sender, accumulator = producer._sender, producer._accumulator
        known = hasattr(accumulator, ADDED)
        if seconds <= 0 and not known:
            return
        for name in (FORESEEN, COMPANY):
            vars(accumulator).setdefault(name, {})
        setattr(accumulator, ADDED, max(0.0, seconds))
        if not known:
            with self._lock:
                alive = {one for one in self._senders if one() is not None}
                self._senders = tuple(alive | {weakref.ref(sender)})
                futures.patch_looks(self._known, self)
        for batch in [batch for queue in list(accumulator._batches.values()) for batch in list(queue)]:
            _age(batch, seconds)

    def awaited(self, future: Any) -> None:
        """Somebody waits for the batch of this future: it is due when it would be without the agent."""
        try:
            for one in self._senders:
                sender = one()
                if sender is not None and _release(sender._accumulator, future):
                    if not _flushes(sender._accumulator):  # which waits for everything, in any program
                        setattr(sender._accumulator, AWAITED, True)
                    sender.wakeup()
        except Exception as error:
            log.failure("kafka-python", "releasing a batch", error)

    def collected(self, future: Any) -> None:
        """Somebody asks for a record of this batch, which is done: it is waited for like the others."""
        try:
            for one in self._senders:
                company = getattr(getattr(one(), "_accumulator", None), COMPANY, None)
                if company and company.get(future.topic_partition) is future:
                    company[future.topic_partition] = None
        except Exception as error:
            log.failure("kafka-python", "remembering a batch", error)


def patch(module: Any) -> Waits | None:
    """Hook what waits and what drains; None where this version cannot tell, and no linger may be added."""
    import importlib

    future = importlib.import_module(f"{module.__name__.rpartition('.')[0]}.future")
    known = {**vars(module), **vars(future)}
    for owner, name in (needed.split(".") for needed in _NEEDED):
        if not hasattr(known.get(owner), name):
            features.off("kafka-python", LINGER, f"{owner}.{name}")
            return None
    waits, accumulator = Waits(known), known["RecordAccumulator"]
    futures.patch_wait(known, waits)
    if not hooked_before(accumulator, "drain"):
        accumulator.ready, accumulator.drain = _looking(accumulator.ready), _draining(accumulator.drain)
        setattr(accumulator.drain, MARK, True)
    return waits


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
    """Whether a batch was held by our linger alone and is so no more: the one of this future, or in its company."""
    added, partition = getattr(accumulator, ADDED, 0.0), future.topic_partition
    queue, company = accumulator._batches.get(partition), getattr(accumulator, COMPANY, {})
    foreseen = getattr(accumulator, FORESEEN, {})
    for trusted in (foreseen, company):
        if trusted.get(partition) is future:
            trusted[partition] = None
    # Without the accumulator's lock: whoever asks may hold it (a callback of a batch that expired), and after a fork
    # another thread of the parent may. A batch that leaves at this moment is no worse for it.
    here = [batch for batch in list(queue or ()) if batch.produce_future is future] if added else []
    released = False
    for batch in here:
        if _age(batch, added):
            released = True
            company.setdefault(partition)
            if batch.record_count == 1:
                foreseen[partition] = None
    if here or partition in company:
        released = _let_go(accumulator, company, added) or released
    return released


def _foresee(accumulator: Any) -> None:
    """On the sender's thread: let batches go that will be waited for, and learn where nobody did."""
    _let_go(accumulator, getattr(accumulator, FORESEEN), getattr(accumulator, ADDED))


def _let_go(accumulator: Any, trusted: dict[Any, Any], seconds: float) -> bool:
    """Let the batches of trusted partitions go; one whose last was let go for nobody is trusted no more."""
    released = False
    for partition, gone in list(trusted.items()):
        queue = list(accumulator._batches.get(partition) or ())
        if not queue or queue[-1].produce_future is gone:
            continue
        if gone is not None:
            trusted.pop(partition, None)
            continue
        for batch in queue:
            if _age(batch, seconds):
                trusted[partition], released = batch.produce_future, True
    return released


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
