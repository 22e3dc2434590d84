"""Live settings of a KafkaProducer: its accumulator reads them anew for every batch (2.0.2 to 3.0.12).

The gzip level is read off the sender's thread, which compresses its own producer's batches and no other's.
"""

import sys
import threading
from collections.abc import Mapping
from typing import Any

from superclient.agent import features
from superclient.agent.adapters import gzip_level
from superclient.agent.adapters.codecs import Codecs
from superclient.agent.model import Plan, ProducerRequest
from superclient.kafka.vocabulary import BATCH, COMPRESSION, LEVEL, LINGER

LEVEL_NOW = "_superclient_level"
_LIVE = {COMPRESSION: "compression_attrs", BATCH: "batch_size", LINGER: "linger_ms"}


def codecs(producer_class: Any) -> Codecs:
    """Codec → attribute bits, of those whose library is here."""
    table: Mapping[str | None, tuple[Any, int]] = getattr(producer_class, "_COMPRESSORS", {})
    if not table:
        features.off("kafka-python", COMPRESSION, "KafkaProducer._COMPRESSORS")
    return Codecs(table)


def tunable(producer: Any | None) -> set[str]:
    """The settings that this live producer's accumulator reads; those that any could, where there is none yet."""
    if producer is None:
        return set(_LIVE)
    live = getattr(getattr(producer, "_accumulator", None), "config", {})
    absent = {setting: name for setting, name in _LIVE.items() if name not in live or name not in producer.config}
    for setting, name in absent.items():
        features.off("kafka-python", setting, f"RecordAccumulator.config[{name!r}]")
    return set(_LIVE) - set(absent)


def apply(producer: Any, known: Mapping[str, int], request: ProducerRequest, plan: Plan) -> bool:
    """Set what the plan says, and the program's own values for the rest; True, for it always holds."""
    live, own = producer._accumulator.config, producer.config
    codec = plan.changes.get(COMPRESSION)
    if BATCH in request.tunable:
        live["batch_size"] = plan.changes.get(BATCH, own["batch_size"])
    if LINGER in request.tunable:
        live["linger_ms"] = plan.changes.get(LINGER, own["linger_ms"])
    if COMPRESSION in request.tunable:
        live["compression_attrs"] = known[str(codec)] if codec is not None else own["compression_attrs"]
    setattr(producer._sender, LEVEL_NOW, plan.changes.get(LEVEL))
    return True


def patch_levels() -> bool:
    """Let gzip take a level; False where this version compresses in some other way."""
    records = sys.modules.get("kafka.record.default_records")
    if gzip_level.patch(records, lambda: getattr(threading.current_thread(), LEVEL_NOW, None), gzip_level.SMALL):
        return True
    features.off("kafka-python", LEVEL, "gzip_encode in kafka.record.default_records")
    return False
