"""Sticky batches in the two libraries that are Python: what kafka-python and aiokafka have in common there.

Both ask `_partition` of the producer's class, in all versions with one signature, and keep batches in queues on an
accumulator. It is not ours to answer where the record has a key or a partition, or the program a partitioner of its
own (a subclass of the library's is one).
"""

import inspect
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from superclient.agent import features, log, routing
from superclient.agent.lag import Views
from superclient.agent.model import Plan
from superclient.kafka.vocabulary import PARTITIONER
from superclient.partitioning import LagAware, Sticky

ROUTER = "_superclient_router"
"""On the accumulator: the producer's routing.Router. None, or absent: as the library does."""

FEATURE = "partitioning"
_PARAMETERS = ["self", "topic", "partition", "key", "value", "serialized_key", "serialized_value"]
_CLUSTER = ("available_partitions_for_topic", "leader_for_partition", "topics")
_OVERHEAD = 21  # bytes: the most that a record of format 2 takes beside key, value and headers


class Sticking:
    """One producer class that was hooked; what differs between the libraries.

    `accumulator` is the name of a producer's accumulator, `partitioner` finds a producer's partitioner, `default` is
    the type of the library's own, `key` makes a topic and a partition one key of the accumulator's queues, `room`
    makes of an accumulator what tells whether a batch takes another record of so many bytes.
    """

    def __init__(
        self,
        library: str,
        accumulator: str,
        partitioner: Callable[[Any], Any],
        default: type,
        key: Callable[[str, int], Any],
        room: Callable[[Any], Callable[[Any, int], bool]],
    ) -> None:
        self._library, self._accumulator, self._partitioner = library, accumulator, partitioner
        self._default, self._key, self._room = default, key, room

    def tunable(self, producer: Any | None) -> frozenset[str]:
        """PARTITIONER where this producer's records without a key are placed by the library's own default."""
        if producer is not None:
            accumulator, cluster = getattr(producer, self._accumulator, None), getattr(producer, "_metadata", None)
            absent = [f"ClusterMetadata.{name}" for name in _CLUSTER if not hasattr(cluster, name)]
            if not isinstance(getattr(accumulator, "_batches", None), Mapping):
                absent.append(f"{self._accumulator}._batches")
            if absent:
                features.off(self._library, FEATURE, absent[0])
                return frozenset()
            if type(self._partitioner(producer)) is not self._default:
                return frozenset()
        return frozenset({PARTITIONER})

    def apply(self, producer: Any, plan: Plan, views: Views | None = None) -> None:
        """From the next record on as the plan says, by the lag in these views; safe from any thread."""
        accumulator = getattr(producer, self._accumulator)
        wanted = plan.changes.get(PARTITIONER)
        router: routing.Router | None = getattr(accumulator, ROUTER, None)
        if wanted not in (routing.STICKY, routing.LAG_AWARE):
            setattr(accumulator, ROUTER, None)
            return
        seen = views if wanted == routing.LAG_AWARE else None
        if router is None:
            room = self._room(accumulator)
            router = routing.Router(producer._metadata, accumulator._batches, self._key, room, Sticky())
        if seen is None:
            if router.views is not None:
                router.follow(Sticky())
        elif router.views is None:
            router.follow(LagAware(seen), seen)
        else:
            router.views.groups = seen.groups  # the partitioner looks into these: turns and accounts go on
        setattr(accumulator, ROUTER, router)


def known(library: str, producer_class: Any, module: Any) -> bool:
    """Whether a producer's class chooses partitions as every version until now has; else the feature is off."""
    choosing = getattr(producer_class, "_partition", None)
    for name in ("DefaultPartitioner", "TopicPartition"):
        if not hasattr(module, name):
            features.off(library, FEATURE, f"{name} beside {producer_class.__name__}")
            return False
    if choosing is None or list(inspect.signature(choosing).parameters) != _PARAMETERS:
        features.off(library, FEATURE, f"{producer_class.__name__}._partition as it was")
        return False
    return True


def choosing(library: str, accumulator: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What to hook `_partition` with."""
    accumulator_of = attrgetter(accumulator)

    def hooking(original: Callable[..., Any]) -> Callable[..., Any]:
        def _partition(
            self: Any, topic: Any, partition: Any, key: Any, value: Any, serialized_key: Any, serialized_value: Any
        ) -> Any:
            if partition is None and serialized_key is None:
                router: routing.Router | None = getattr(accumulator_of(self), ROUTER, None)
                if router is not None:
                    try:
                        size = _OVERHEAD if serialized_value is None else _OVERHEAD + len(serialized_value)
                        chosen = router.place(topic, size)
                        if chosen is not None:
                            return chosen
                    except Exception as error:
                        log.failure(library, "choosing a partition", error)
            return original(self, topic, partition, key, value, serialized_key, serialized_value)

        return _partition

    return hooking


def see(library: str, accumulator: Any, *batches: tuple[Any, Any]) -> None:
    """These batches, by their keys, were made or sent."""
    router: routing.Router | None = getattr(accumulator, ROUTER, None)
    if router is not None:
        try:
            for key, batch in batches:
                router.seen(key, batch)
        except Exception as error:
            log.failure(library, "seeing a batch", error)
