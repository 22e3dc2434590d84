"""Live settings of a KafkaProducer: its accumulator reads them anew for every batch (2.0.2 to 3.0.12)."""

from collections.abc import Mapping
from typing import Any

from superclient.agent.model import Plan, ProducerRequest
from superclient.kafka.vocabulary import BATCH, COMPRESSION, LINGER


def codecs(producer_class: Any) -> dict[str, int]:
    """Codec → attribute bits, of those whose library is here: a codec set live without it loses records silently."""
    table: Mapping[str | None, tuple[Any, int]] = producer_class._COMPRESSORS
    return {name or "none": bits for name, (installed, bits) in table.items() if installed()}


def apply(producer: Any, known: Mapping[str, int], request: ProducerRequest, plan: Plan) -> bool:
    """Set what the plan says, and the program's own values for the rest; True, for it always holds."""
    live, own = producer._accumulator.config, producer.config
    codec = plan.changes.get(COMPRESSION)
    live["batch_size"] = plan.changes.get(BATCH, own["batch_size"])
    live["linger_ms"] = plan.changes.get(LINGER, own["linger_ms"])
    live["compression_attrs"] = known[str(codec)] if codec is not None else own["compression_attrs"]
    return True
