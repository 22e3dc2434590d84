"""The linger that the agent adds: a batch is held back until it is old enough or full, or somebody waits for it.

Works the same in every version, on top of whatever linger the program asked for. `flush`, `stop`, a commit, a full
batch and whoever awaits one of its records (`waits`) let go at once. A batch that the program filled itself is not
held, nor one that follows a record that was awaited alone, as long as that goes on. Where records of several
partitions are awaited in turn, their batches go together, as long as somebody waits for each. A loop that ends with
records held (asyncio.run cancels the sender) still sends them, as it would have without the agent (AGT-25).
"""

import asyncio
import time
import weakref
from collections.abc import Awaitable, Collection, Iterator, Mapping
from typing import Any

from superclient.agent import log
from superclient.agent.adapters.aiokafka import internals, waits
from superclient.agent.guard import guarded

ATTRIBUTE = waits.HOLD
_DEFAULT_GROUP = 0  # of a client's connections to one node, the one that records go through


class Hold:
    """How long one producer's batches are held, in seconds from their first record; set anywhere, used on the loop."""

    __slots__ = (
        "_awaited",
        "_company",
        "_connecting",
        "_sender",
        "_timer",
        "_trusted",
        "_watches",
        "seconds",
        "waited_for",
    )

    def __init__(self, sender: Any) -> None:
        self.seconds = 0.0
        self.waited_for = False  # a record that was held, by somebody
        self._sender = weakref.ref(sender)
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: dict[Any, asyncio.Task[Any]] = {}
        self._watches: bool | None = None
        self._awaited: set[Any] = set()  # partitions whose records are awaited one by one
        self._trusted: list[Any] = []  # batches of theirs that were not held, to be looked at when they go
        # Partitions whose batches go when another is awaited: None, or the last that went, if nobody has asked for it.
        self._company: dict[Any, waits.Reference | None] = {}

    def take(self, accumulator: Any, batch: Any) -> None:
        """Hold a new batch, if whoever will wait for it can be seen."""
        if self._watches is None:
            self._watches = waits.possible(accumulator._loop)
        if batch.tp in self._awaited:
            self._trusted.append(batch)
        elif self.seconds and self._watches and batch.is_empty():
            kind: Any = type(batch)
            waits.hold(batch, waits.telling(kind), self, accumulator._loop)

    def learn(self, accumulator: Any) -> None:
        """The trusted batches go: those that nobody awaits, or not one by one, were trusted wrongly."""
        for batch in self._trusted:
            if not waits.alone(batch):
                self._awaited.discard(batch.tp)
            elif len(accumulator._batches) > 1:
                together = list(self._accompany())
                if together:
                    self._awaited.discard(batch.tp)
                    self.release(*together)
        self._trusted.clear()

    def young(self, accumulator: Any, muted: Collection[Any]) -> dict[Any, float]:
        """The partitions whose next batch is to wait, and how much longer, in seconds."""
        found: dict[Any, float] = {}
        for partition, batches in list(accumulator._batches.items()):
            batch = batches[0]
            if _of(batch) is not self or partition in muted:
                continue
            left = self._left(batch)
            leader = accumulator._cluster.leader_for_partition(partition) if left > 0 else None
            if leader is not None and leader != -1:  # the library looks for a missing leader, or lets the batch expire
                found[partition] = left
                self._connect(accumulator._loop, leader)
        return found

    def _left(self, batch: Any) -> float:
        held = not batch.retry_count and not batch._builder._closed
        return float(self.seconds - (time.monotonic() - batch._ctime)) if held else 0.0

    def _connect(self, loop: Any, leader: Any) -> None:
        """Connect meanwhile, as sending at once would have: the first batch is late by the linger, not by more."""
        sender = self._sender()
        if sender is None or leader in self._connecting:
            return
        connection = sender.client._conns.get((leader, _DEFAULT_GROUP))
        if connection is not None and connection.connected():  # 0.12 keeps one that it has closed
            return
        task = self._connecting[leader] = loop.create_task(sender.client.ready(leader))
        task.add_done_callback(lambda done: (self._connecting.pop(leader, None), done.cancelled() or done.exception()))

    def wake_in(self, accumulator: Any, seconds: float) -> None:
        """Let the sender look again then."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = accumulator._loop.call_later(seconds, _set, _waiter(accumulator))

    def awaited(self, reference: waits.Reference) -> None:
        """Somebody waits for this batch for the first time, or asks for a record of it that is done."""
        batch = reference()
        if self._company.get(reference.tp) is reference:
            self._company[reference.tp] = None
        held = batch is not None and _of(batch) is self
        if held:
            self.waited_for = True
            self._company.setdefault(reference.tp)
            self.release(batch)
        together = list(self._accompany()) if reference.tp in self._company else []
        self.release(*together)
        if held and not together and waits.alone(batch):
            self._awaited.add(reference.tp)

    def _accompany(self) -> Iterator[Any]:
        """Held batches of the partitions that are awaited together; one whose last nobody asked for is so no more."""
        sender = self._sender()
        queues = sender._message_accumulator._batches if sender is not None else {}
        for partition, gone in list(self._company.items()):
            for batch in [batch for batch in queues.get(partition, ()) if _of(batch) is self]:
                if gone is not None:
                    self._company.pop(partition, None)
                    break
                self._company[partition] = getattr(batch, waits.REFERENCE)
                yield batch

    def release(self, *batches: Any) -> None:
        """These batches are not to be held any longer."""
        for batch in batches:
            setattr(batch, ATTRIBUTE, None)
        sender = self._sender()
        if batches and sender is not None:
            _set(_waiter(sender._message_accumulator))

    def end(self) -> None:
        """The producer is closed."""
        for task in list(self._connecting.values()):
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()


def patch(known: Mapping[str, Any]) -> None:
    """Hook the classes that keep batches, and the task that sends them."""
    accumulator = known["MessageAccumulator"]
    internals.hook_inside(accumulator, "_append_batch", _append)
    internals.hook_inside(accumulator, "drain_by_nodes", _drain)
    internals.hook_inside(accumulator, "flush", _flush)
    internals.hook_inside(accumulator, "flush_for_commit", _flush)
    internals.hook_inside(known["MessageBatch"], "wait_drain", _wait_drain)
    internals.hook_inside(known["Sender"], "_sender_routine", _routine)


def lengthen(producer: Any, seconds: float) -> None:
    """Hold this producer's batches for so long, from the next on; 0: no longer than the program asked for."""
    accumulator = producer._message_accumulator
    hold = _of(accumulator)
    if hold is None and seconds:
        hold = Hold(producer._sender)
        setattr(accumulator, ATTRIBUTE, hold)
    if hold is not None:
        hold.seconds = seconds


def awaited(producer: Any) -> bool:
    """Whether somebody waited for a record that was held."""
    hold = _of(producer._message_accumulator)
    return hold is not None and hold.waited_for


def finish(producer: Any) -> None:
    """The producer is closed: nothing of ours goes on."""
    hold = _of(getattr(producer, "_message_accumulator", None))
    if hold is not None:
        with guarded("aiokafka", "closing a producer"):
            hold.end()


def release_at_exit(producer: Any, seconds: float) -> None:
    """The process ends: send what is held, waiting for a loop that still runs at most so long."""
    accumulator, loop = producer._message_accumulator, producer._loop
    hold = _of(accumulator)
    if hold is None or not any(_held(accumulator)):
        return
    if loop.is_running():  # on another thread
        asyncio.run_coroutine_threadsafe(accumulator.flush(), loop).result(seconds)
        return
    # No loop will ever run again. A connected sender writes its request to the socket before it first waits.
    if loop.is_closed():  # it takes no callbacks: nobody is to be woken
        setattr(accumulator, _waiter_name(accumulator), loop.create_future())
    for sending in _sendings(producer._sender, hold):
        try:
            sending.send(None)
        except Exception:  # noqa: S110 - it finds no loop to wait on; what it had to write is written
            pass
        sending.close()


def _append(original: Any) -> Any:
    def _append_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
        batch = original(self, *args, **kwargs)
        hold = _of(self)
        if hold is not None:
            try:
                hold.take(self, batch)
            except Exception as error:
                log.failure("aiokafka", "holding a batch", error)
        return batch

    return _append_batch


def _drain(original: Any) -> Any:
    def drain_by_nodes(self: Any, ignore_nodes: Any, muted_partitions: Any = frozenset()) -> Any:
        hold = _of(self)
        if hold is None:
            return original(self, ignore_nodes, muted_partitions)
        young: dict[Any, float] = {}
        try:
            if hold._trusted:
                hold.learn(self)
            young = hold.young(self, muted_partitions)
        except Exception as error:
            log.failure("aiokafka", "holding batches", error)
        drained = original(self, ignore_nodes, muted_partitions.union(young) if young else muted_partitions)
        if young:
            hold.wake_in(self, min(young.values()))
        return drained

    return drain_by_nodes


def _flush(original: Any) -> Any:
    def flush(self: Any) -> Awaitable[Any]:
        answer: Awaitable[Any] = original(self) if _of(self) is None else _flushed(original, self)
        return answer

    return flush


async def _flushed(original: Any, accumulator: Any) -> Any:
    hold = _of(accumulator)
    if hold is not None:
        with guarded("aiokafka", "releasing batches"):
            hold.release(*_held(accumulator))
    return await original(accumulator)


def _wait_drain(original: Any) -> Any:
    def wait_drain(self: Any, *args: Any, **kwargs: Any) -> Any:
        hold = _of(self)
        if hold is not None:  # full, or in another one's way
            with guarded("aiokafka", "releasing batches"):
                hold.release(self)
        return original(self, *args, **kwargs)

    return wait_drain


def _routine(original: Any) -> Any:
    def _sender_routine(self: Any) -> Awaitable[Any]:
        return _sent(original, self)

    return _sender_routine


async def _sent(original: Any, sender: Any) -> None:
    try:
        await original(sender)
    except asyncio.CancelledError:
        await _last_words(sender)
        raise
    await _last_words(sender)


_sent.__name__, _sent.__qualname__ = "_sender_routine", "Sender._sender_routine"


async def _last_words(sender: Any) -> None:
    """The sender was cancelled, by a loop that ends: send what is held, waiting at most for the linger that held it."""
    accumulator = sender._message_accumulator
    hold = _of(accumulator)
    if hold is None or accumulator._closed or not any(_held(accumulator)):
        return
    with guarded("aiokafka", "sending what was held"):
        await asyncio.sleep(0)  # the other tasks of the loop are being cancelled, the connections' readers too
        for connection in _connected(sender):
            if connection._read_task.done():
                connection._read_task = connection._create_reader_task()
        patience = hold.seconds
        tasks = [accumulator._loop.create_task(sending) for sending in _sendings(sender, hold)]
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        leftover = [*tasks, *(connection._read_task for connection in _connected(sender))]
        for task in leftover:  # the loop has cancelled all that it knew of
            task.cancel()
        await asyncio.gather(*leftover, return_exceptions=True)


def _sendings(sender: Any, hold: Hold) -> Iterator[Any]:
    """The library's own coroutines that send what may be sent now, to be run or closed."""
    hold.seconds = 0.0
    manager, blocked = sender._txn_manager, set(sender._muted_partitions)
    if manager is not None and manager.transactional_id is not None:
        blocked |= set(manager.partitions_to_add())
    nodes, _ = sender._message_accumulator.drain_by_nodes(frozenset(), blocked)
    for node, batches in nodes.items():
        sender._in_flight.add(node)
        sender._muted_partitions.update(batches)
        yield sender._send_produce_req(node, batches)


def _connected(sender: Any) -> list[Any]:
    return [connection for connection in sender.client._conns.values() if connection.connected()]


def _of(holder: Any) -> Hold | None:
    """What an accumulator holds by, or a batch is held by. Not by `__dict__`: see `retune` for what that costs."""
    found: Hold | None = getattr(holder, ATTRIBUTE, None)
    return found


def _held(accumulator: Any) -> list[Any]:
    return [batch for batches in accumulator._batches.values() for batch in batches if not batch.retry_count]


def _waiter(accumulator: Any) -> Any:
    return getattr(accumulator, _waiter_name(accumulator))


def _waiter_name(accumulator: Any) -> str:
    return next(name for name in internals.WAITERS if hasattr(accumulator, name))


def _set(waiter: Any) -> None:
    if not waiter.done():
        waiter.set_result(None)
