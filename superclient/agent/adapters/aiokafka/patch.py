"""Hooks of aiokafka's AIOKafkaProducer, and the translation of its arguments.

The program's arguments go to the constructor untouched. The cluster's metadata is fetched beside the event loop from
the constructor on; what the plan changes is set in the live producer at the end of `start`, before it sends anything.
"""

import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any

from superclient.agent import features, pipeline
from superclient.agent.adapters import gzip_level, sticking
from superclient.agent.adapters.aiokafka import counters, hold, internals, levels, partition, retune
from superclient.agent.adapters.frames import unseen
from superclient.agent.model import Counters, Plan, ProducerRequest
from superclient.kafka import internal, pristine
from superclient.kafka.connection import Connection
from superclient.kafka.vocabulary import LEVEL, reportable

LIBRARY = "aiokafka"
SEQUENCE = "_PRODUCER_CLIENT_ID_SEQUENCE"
STORY = "_superclient_story"
"""The story of a producer between its constructor and its start, in the producer's own namespace."""


class AiokafkaAdapter:
    """aiokafka as the pipeline sees it."""

    library = LIBRARY

    def __init__(
        self, producer_class: Any, counting: bool, linger: bool, leveled: bool, routed: sticking.Sticking | None = None
    ) -> None:
        parameters = inspect.signature(producer_class.__init__).parameters
        self._parameters = {
            name: one.default for name, one in parameters.items() if one.default is not inspect.Parameter.empty
        }
        self._class = producer_class
        self._codecs = retune.codecs(producer_class)
        self._counting, self._linger, self._sticking = counting, linger, routed
        self._levels = gzip_level.LEVELS if leveled else {}

    def request(self, written: Mapping[str, Any], connection: Connection, producer: Any | None) -> ProducerRequest:
        """See Adapter.request."""
        client = getattr(producer, "client", None)
        broker = getattr(client, "api_version", None)  # up to 0.12
        return ProducerRequest(
            library=LIBRARY,
            library_version=_version(),
            client_id=str(getattr(client, "_client_id", None) or written.get("client_id") or ""),
            connection=connection,
            written=reportable(LIBRARY, {name: value for name, value in written.items() if name in self._parameters}),
            defaults=reportable(LIBRARY, {**self._parameters, **_derived(producer)}),
            codecs=self._codecs.keys(),
            tunable=internals.tunable(producer, self._linger).union(
                [LEVEL] if self._levels else [], self._sticking.tunable(producer) if self._sticking else []
            ),
            levels=self._levels,
            broker=broker if isinstance(broker, tuple) else None,
        )

    def retune(self, producer: Any, request: ProducerRequest, plan: Plan) -> bool:
        """See Adapter.retune."""
        if self._sticking is not None:
            self._sticking.apply(producer, plan, pipeline.views(request, plan))
        return retune.apply(producer, self._codecs, request, plan)

    def release(self, producer: Any, seconds: float) -> None:
        """See Adapter.release."""
        hold.release_at_exit(producer, seconds)

    def attach(self, producer: Any, into: Counters) -> None:
        """See Adapter.attach."""
        into.counted = self._counting
        if self._counting:
            counters.attach(producer, into)

    def uncount(self) -> None:
        """One of our own: the client ids that the library makes up for the program's must not skip a number."""
        if hasattr(self._class, SEQUENCE):
            setattr(self._class, SEQUENCE, getattr(self._class, SEQUENCE) - 1)

    def refresh(self, into: Counters) -> None:
        """Batches are counted as they are acknowledged; nothing is deferred."""

    def awaits(self, producer: Any) -> bool:
        """See Adapter.awaits."""
        return hold.awaited(producer)


def patch(module: ModuleType, late: bool = False) -> None:
    """Hook the class in `aiokafka.producer.producer`; early and late are the same, the class object stays."""
    if not pipeline.watches(LIBRARY):
        return
    pristine.keep(module.AIOKafkaProducer)
    pristine.keep(getattr(sys.modules.get("aiokafka.consumer.consumer"), "AIOKafkaConsumer", None))
    known = internals.classes(module)
    counting, linger = internals.complete("counting", known), internals.complete("linger", known)
    producer_class = module.AIOKafkaProducer
    leveled = levels.patch(known)
    if not leveled:
        features.off(LIBRARY, LEVEL, "BatchBuilder._build, or no gzip_encode")
    adapter = AiokafkaAdapter(producer_class, counting, linger, leveled, partition.patch(module, known))
    internals.hook(producer_class, "__init__", _constructing(adapter))
    internals.hook(producer_class, "start", _start)
    internals.hook(producer_class, "stop", _stop)
    internals.hook(producer_class, "create_batch", retune.create_batch)
    if counting:
        counters.patch(known)
    if linger:
        hold.patch(known)


def _constructing(adapter: AiokafkaAdapter) -> Callable[..., None]:
    @unseen
    def construct(wrapped: Any, producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        story = pipeline.open_story(adapter, kwargs, kwargs.get("client_id"))
        try:
            wrapped(*args, **kwargs)
        except BaseException:
            # The traceback keeps this frame, which must not keep the producer: it goes when it would have gone.
            del wrapped, producer, story
            raise
        if internal.is_internal(kwargs.get("client_id")):
            adapter.uncount()
        if story is not None:
            setattr(producer, STORY, story)
            stack = getattr(producer, "_source_traceback", None)  # kept in asyncio's debug mode, to be printed
            if stack and stack[-1].filename == construct.__code__.co_filename:
                stack.pop()

    return construct


def _start(wrapped: Any, producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Awaitable[Any]:
    answer: Awaitable[Any] = (
        _started(wrapped, producer, args, kwargs) if hasattr(producer, STORY) else wrapped(*args, **kwargs)
    )
    return answer


async def _started(wrapped: Any, producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    answer = await wrapped(*args, **kwargs)
    story: pipeline.Story | None = getattr(producer, STORY, None)
    if story is not None:
        delattr(producer, STORY)
    if story is not None and not producer._closed:
        try:
            await story.finish_async(producer)
        except BaseException:  # cancelled: a second start has the story still to tell
            setattr(producer, STORY, story)
            raise
        if producer._closed:  # stopped meanwhile
            pipeline.closing(producer)
    return answer


def _stop(wrapped: Any, producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Awaitable[Any]:
    return _stopped(wrapped, producer, args, kwargs)


async def _stopped(wrapped: Any, producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return await wrapped(*args, **kwargs)
    finally:
        hold.finish(producer)
        pipeline.closing(producer)


# What a program sees of these, it takes for the library's: "coroutine 'AIOKafkaProducer.start' was never awaited".
_started.__name__, _started.__qualname__ = "start", "AIOKafkaProducer.start"
_stopped.__name__, _stopped.__qualname__ = "stop", "AIOKafkaProducer.stop"


def _derived(producer: Any | None) -> dict[str, Any]:
    """Defaults that the constructor works out from other settings, where a sentinel stands in its signature."""
    idempotent = getattr(producer, "_txn_manager", None) is not None
    acks = getattr(getattr(producer, "_sender", None), "_acks", 1)
    return {"acks": "all" if acks == -1 else acks, "enable_idempotence": idempotent}


def _version() -> str:
    import aiokafka

    return str(aiokafka.__version__)
