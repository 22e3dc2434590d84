"""Where a producer's records without a key go: as librdkafka likes, or where its topic's group keeps up.

librdkafka takes a partition from whoever produces, and so steering is an argument of `produce`: given for a record
that has neither key nor partition, as long as some partition of its topic lags too much; else the call is the
program's, to the letter. Only producers with a consumer group come here, the others' `produce` is the C one. A turn
at a partition is as long as librdkafka's own (sticky.partitioning.linger.ms), and shorter where a batch is full before.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from superclient.agent import log, pipeline
from superclient.agent.adapters.confluent import conf
from superclient.agent.adapters.frames import unseen
from superclient.agent.guard import guarded
from superclient.agent.lag import Views
from superclient.agent.model import Plan, ProducerRequest
from superclient.agent.optimizer import number
from superclient.agent.routing import LAG_AWARE, MOST_TOPICS
from superclient.kafka.vocabulary import BATCH, LINGER, PARTITIONER
from superclient.partitioning import UNPLACED, LagAware, Turns

RANDOM = ("random", "consistent_random", "murmur2_random", "fnv1a_random")
"""Partitioners of librdkafka's that place a record without a key at random, and therefore stick; the others hash it."""
STICKY_LINGER = "sticky.partitioning.linger.ms"
MESSAGES = "batch.num.messages"
_DEFAULTS: Mapping[str, float] = {BATCH: 1_000_000, MESSAGES: 10_000, LINGER: 5, STICKY_LINGER: 10}  # of 2.3 to 2.16
SETTLING = 2.0  # seconds after its first record in which a topic is librdkafka's alone: it may not know it yet
LIMITED = 60.0  # seconds for which a partition that librdkafka did not know is not tried again
_UNKNOWN_PARTITION = -190

Shape = tuple[int, int, float]
"""When a turn ends: bytes, records, seconds."""


def steerable(settings: Mapping[str, Any], defaults: Mapping[str, object]) -> bool:
    """Whether records without a key go where librdkafka likes, by the program's own settings."""
    flat = conf.flat(settings)
    linger = number(flat.get(STICKY_LINGER, defaults.get(STICKY_LINGER, _DEFAULTS[STICKY_LINGER])))
    partitioner = flat.get("partitioner", defaults.get(PARTITIONER, RANDOM[1]))
    own = any(name.startswith("partitioner_") for name in flat)
    return partitioner in RANDOM and not own and linger is not None and linger > 0


def apply(producer: Any, handles: Any, request: ProducerRequest, plan: Plan) -> None:
    """From the next record on as the plan says; on the heartbeat's thread or the constructor's."""
    if plan.changes.get(PARTITIONER) != LAG_AWARE:
        handles.follow(producer, None)
        return
    views, shape = pipeline.views(request, plan), _shape(handles.making.own, request, plan)
    steer: Steer | None = handles.steer
    if steer is not None and steer.shape == shape:
        steer.views.groups = views.groups
    else:
        handles.follow(producer, Steer(views, shape, handles.ledger.noted))


def _shape(own: Mapping[str, Any], request: ProducerRequest, plan: Plan) -> Shape:
    def value(name: str) -> float:
        return number(plan.changes.get(name, request.effective(name))) or _DEFAULTS[name]

    # As librdkafka reckons it where the program does not say: its default is not what it says of itself.
    sticky = number(conf.flat(own).get(STICKY_LINGER)) or max(2 * value(LINGER), _DEFAULTS[STICKY_LINGER])
    return int(value(BATCH)), int(value(MESSAGES)), sticky / 1000


class Steer:
    """One producer's choices; knows nothing of the producer. Asked from any of the program's threads."""

    __slots__ = ("_limits", "_noted", "_turns", "shape", "turns", "views")

    def __init__(self, views: Views, shape: Shape, noted: dict[str, float]) -> None:
        """`noted`: topic → when its first record came (time.monotonic()), for the producer's counters as well."""
        self.views, self.shape, self._noted = views, shape, noted
        self._turns = Turns(LagAware(views), self._available, *shape)
        self.turns = self._turns.turns
        self._limits: dict[str, tuple[int, float]] = {}

    def produce(self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The library's `produce`, with a partition where the record may be steered; raises what the library raises.
        `kwargs` is the call's own."""
        given = len(args)
        if (given > 2 and (args[2] is not None or (given > 3 and not _unassigned(args[3])))) or (
            kwargs and (kwargs.get("key") is not None or not _unassigned(kwargs.get("partition", -1)))
        ):
            return call(*args, **kwargs)
        topic: Any = args[0] if args else kwargs.get("topic")
        try:
            partition = self._place(topic, args[1] if given > 1 else kwargs.get("value"))
        except Exception as error:
            log.failure(conf.LIBRARY, "choosing a partition", error)
            partition = None
        if partition is None:
            return call(*args, **kwargs)
        try:
            if given > 3:
                return call(*args[:3], partition, *args[4:], **kwargs)
            if given == 2 and not kwargs:  # which costs the library less
                return call(*args, None, partition)
            kwargs["partition"] = partition
            return call(*args, **kwargs)
        except Exception as error:
            if _code(error) != _UNKNOWN_PARTITION:
                raise
            self._limits[topic] = (partition, time.monotonic() + LIMITED)
        kwargs.pop("partition", None)
        return call(*args, **kwargs)

    def _place(self, topic: Any, value: Any) -> int | None:
        if type(topic) is not str:  # the library will say so
            return None
        partition = self._turns.place(topic, value if type(value) in (bytes, str) else None)
        if partition == UNPLACED or (self._limits and partition >= self._limit(topic)):
            return None
        return partition

    def _available(self, topic: str) -> Sequence[int]:
        """The partitions to choose from; none where there is nothing to steer by."""
        now = time.monotonic()
        since = self._noted.get(topic)
        if since is None:
            self._note(topic, now)
            return ()
        view = self.views.get(topic)
        if view is None or not view.steers or not view.healthy or now >= view.until or now - since < SETTLING:
            return ()
        if not self._limits:
            return list(view.lags)
        limit = self._limit(topic)
        return [partition for partition in view.lags if partition < limit]

    def _note(self, topic: str, now: float) -> None:
        if len(self._noted) < MOST_TOPICS:
            self._noted[topic] = now
            with guarded(conf.LIBRARY, "noting a topic"):
                pipeline.agent().heartbeat.wake()
                pipeline.beating()

    def _limit(self, topic: str) -> float:
        limit = self._limits.get(topic)
        if limit is None:
            return float("inf")
        if time.monotonic() >= limit[1]:
            self._limits.pop(topic, None)
            return float("inf")
        return limit[0]


def _unassigned(partition: Any) -> bool:
    """Whether it is the library's word for none."""
    return type(partition) is int and partition == -1


def _code(error: Exception) -> int | None:
    code = getattr(error.args[0], "code", None) if error.args else None
    return code() if callable(code) else None


def method(own: Any) -> Callable[..., Any]:
    """`produce` of a class whose producers may be steered; `own` is the library's."""

    def produce(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            found = self._superclient
            steer, call = found.steer, found.call
        except AttributeError:
            return own(self, *args, **kwargs)
        if steer is not None:
            try:
                turn = steer.turns[args[0]]
                quiet = turn.partition == UNPLACED and turn.unseen > 0
                turn.unseen -= quiet  # nothing steers this topic now: as little as possible on the way
            except (IndexError, KeyError, TypeError):
                quiet = False
            if not quiet:
                return steer.produce(call or own.__get__(self), args, kwargs)
        return own(self, *args, **kwargs) if call is None else call(*args, **kwargs)

    return unseen(produce)


def function(steer: Steer, call: Callable[..., Any]) -> Callable[..., Any]:
    """The same for the dict of a producer whose C call is known, and knows nothing of the producer."""

    def produce(*args: Any, **kwargs: Any) -> Any:
        return steer.produce(call, args, kwargs)

    return unseen(produce)


unseen(Steer.produce)
