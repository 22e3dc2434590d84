"""Live settings of an AIOKafkaProducer: its accumulator reads codec and batch size anew for every batch.

Nothing here looks into an instance's `__dict__`: from CPython 3.11 on the attributes of an instance whose dict was
asked for are read more slowly for the rest of its life: a `send` takes a twelfth longer.

The linger is not the library's own but `hold`'s: up to 0.13 the library sleeps after each request, which would cap the
throughput at one batch per linger, and no version can let go of what lingers.
"""

from collections.abc import Mapping
from typing import Any

from superclient.agent.adapters.aiokafka import hold, levels
from superclient.agent.adapters.codecs import Codecs
from superclient.agent.model import Plan, ProducerRequest
from superclient.kafka.vocabulary import BATCH, COMPRESSION, LEVEL, LINGER

PLANNED = "planned"
OWN = "_superclient_own"
"""What the program's own settings were, on the accumulator that was changed."""


def codecs(producer_class: Any) -> Codecs:
    """Codec → attribute bits, of those whose library is here."""
    return Codecs({None: (lambda: True, 0), **producer_class._COMPRESSORS})


def apply(producer: Any, known: Mapping[str, int], request: ProducerRequest, plan: Plan) -> bool:
    """Set what the plan says, and the program's own values for the rest; True, for it always holds.

    Each is one attribute, read once per batch: safe from the heartbeat's thread while the event loop runs.
    """
    accumulator = producer._message_accumulator
    own: dict[str, Any] | None = getattr(accumulator, OWN, None)
    if own is None:
        names = {COMPRESSION: "_compression_type", BATCH: "_batch_size"}
        own = {setting: getattr(accumulator, name, None) for setting, name in names.items()}
        setattr(accumulator, OWN, own)
    codec = plan.changes.get(COMPRESSION)
    if COMPRESSION in request.tunable:
        accumulator._compression_type = known[str(codec)] if codec is not None else own[COMPRESSION]
    if BATCH in request.tunable:
        own[PLANNED] = accumulator._batch_size = plan.changes.get(BATCH, own[BATCH])
    if LEVEL in request.tunable:
        level = plan.changes.get(LEVEL)
        levels.choose(accumulator, None if level is None else int(level), plan.compression_share)
    if LINGER in request.tunable:
        hold.lengthen(producer, int(plan.changes.get(LINGER, 0)) / 1000)
    return True


def create_batch(wrapped: Any, producer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A batch that the program fills itself has the size that the program knows: how much fits in is its to see."""
    accumulator: Any = producer._message_accumulator
    own = getattr(accumulator, OWN, {})
    if PLANNED not in own:
        return wrapped(*args, **kwargs)
    accumulator._batch_size = own[BATCH]
    try:
        return wrapped(*args, **kwargs)
    finally:
        accumulator._batch_size = own[PLANNED]  # not what was there before: the heartbeat may have changed it
