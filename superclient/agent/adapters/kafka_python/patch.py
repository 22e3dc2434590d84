"""Hooks of kafka-python's KafkaProducer, and the translation of its arguments.

The program's arguments go to the constructor untouched; what the plan changes is set in the live producer afterwards,
before anybody else has seen it. So a constructor cannot fail for a reason of ours.
"""

import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from superclient.agent import pipeline
from superclient.agent.adapters import gzip_level, sticking
from superclient.agent.adapters.frames import unseen
from superclient.agent.adapters.kafka_python import counters, partition, retune, waits
from superclient.agent.model import Counters, Plan, ProducerRequest
from superclient.kafka import pristine
from superclient.kafka.connection import Connection
from superclient.kafka.vocabulary import COMPRESSION, LEVEL, LINGER, reportable

LIBRARY = "kafka-python"


class KafkaPythonAdapter:
    """kafka-python as the pipeline sees it."""

    library = LIBRARY

    def __init__(
        self,
        producer_class: Any,
        counting: bool,
        leveled: bool,
        waiting: waits.Waits | None,
        routed: sticking.Sticking | None = None,
    ) -> None:
        self._class = producer_class
        self._counting = counting
        self._waits, self._sticking = waiting, routed
        self._defaults = reportable(LIBRARY, producer_class.DEFAULT_CONFIG)
        self._codecs = retune.codecs(producer_class)
        self._levels = gzip_level.LEVELS if leveled else {}

    def request(self, written: Mapping[str, Any], connection: Connection, producer: Any | None) -> ProducerRequest:
        """See Adapter.request."""
        config = producer.config if producer is not None else {}
        broker = config.get("api_version")
        return ProducerRequest(
            library=LIBRARY,
            library_version=_version(),
            client_id=str(config.get("client_id") or written.get("client_id") or ""),
            connection=connection,
            written=reportable(
                LIBRARY, {name: value for name, value in written.items() if name in self._class.DEFAULT_CONFIG}
            ),
            defaults=self._defaults,
            codecs=self._codecs.keys(),
            tunable=self._tunable(producer),
            levels=self._levels,
            broker=broker if isinstance(broker, tuple) else None,
        )

    def _tunable(self, producer: Any | None) -> frozenset[str]:
        absent = {*(() if self._waits else (LINGER,)), *(() if self._codecs else (COMPRESSION,))}
        routed = self._sticking.tunable(producer) if self._sticking else frozenset()
        return frozenset(retune.tunable(producer) - absent | ({LEVEL} if self._levels else set()) | routed)

    def retune(self, producer: Any, request: ProducerRequest, plan: Plan) -> bool:
        """See Adapter.retune."""
        if self._waits is not None:
            own = producer.config["linger_ms"]
            self._waits.expect(producer, (plan.changes.get(LINGER, own) - own) / 1000)
        if self._sticking is not None:
            self._sticking.apply(producer, plan, pipeline.views(request, plan))
        return retune.apply(producer, self._codecs, request, plan)

    def release(self, producer: Any, seconds: float) -> None:
        """See Adapter.release."""
        producer.flush(timeout=seconds)

    def attach(self, producer: Any, into: Counters) -> None:
        """See Adapter.attach."""
        into.counted = self._counting
        if self._counting:
            counters.attach(producer, into)

    def refresh(self, into: Counters) -> None:
        """Batches are counted as they are acknowledged; nothing is deferred."""

    def awaits(self, producer: Any) -> bool:
        """See Adapter.awaits."""
        return hasattr(producer._accumulator, waits.AWAITED)


def patch(module: ModuleType, late: bool = False) -> None:
    """Hook the class in `kafka.producer.kafka`; early and late are the same, the class object stays."""
    if not pipeline.watches(LIBRARY) or counters.hooked_before(module.KafkaProducer, "__init__"):
        return
    pristine.keep(module.KafkaProducer)
    pristine.keep(getattr(sys.modules.get("kafka.consumer.group"), "KafkaConsumer", None))
    counting = counters.patch(module)
    leveled, waiting, routed = retune.patch_levels(), waits.patch(module), partition.patch(module)
    adapter = KafkaPythonAdapter(module.KafkaProducer, counting, leveled, waiting, routed)
    counters.hook(module.KafkaProducer, "__init__", _constructing(adapter))
    counters.hook(module.KafkaProducer, "close", _close)


def _constructing(adapter: KafkaPythonAdapter) -> Callable[..., None]:
    @unseen
    def construct(wrapped: Any, producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        story = pipeline.open_story(adapter, kwargs, kwargs.get("client_id"))
        try:
            wrapped(*args, **kwargs)
        except BaseException:
            # The traceback keeps this frame, which must not keep the producer: it goes when it would have gone.
            del wrapped, producer, story
            raise
        if story is not None:
            story.finish(producer)

    return construct


@unseen
def _close(
    wrapped: Any,
    producer: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    ending: Callable[[], bool] = sys.is_finalizing,
) -> Any:
    try:
        return wrapped(*args, **kwargs)
    finally:
        if not ending():  # the library's __del__ closes again at the very end, when our modules have no names any more
            pipeline.closing(producer)


def _version() -> str:
    import kafka

    return str(kafka.__version__)
