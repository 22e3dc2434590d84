"""Canonical (Java) names of producer settings and each library's own names and aliases; data, not code.

Canonical names are those of Apache Kafka's producer documentation. A library whose spelling is the canonical one with
dots turned to underscores needs no entry; aliases are tried in order, the first is the one to write. What a library
counts in another unit (librdkafka's queue.buffering.max.kbytes) is another setting, under its own name.
"""

from collections.abc import Mapping

from superclient import redact

COMPRESSION = "compression.type"
LEVEL = "compression.level"
BATCH = "batch.size"
LINGER = "linger.ms"
PARTITIONER = "partitioner.class"
TUNABLE = (COMPRESSION, LEVEL, BATCH, LINGER)

_EXCEPTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "kafka-python": {
        PARTITIONER: ("partitioner",),
    },
    "aiokafka": {
        BATCH: ("max_batch_size",),
        PARTITIONER: ("partitioner",),
    },
    "confluent-kafka": {
        "bootstrap.servers": ("bootstrap.servers", "metadata.broker.list"),
        COMPRESSION: ("compression.type", "compression.codec"),
        LINGER: ("linger.ms", "queue.buffering.max.ms"),
        "acks": ("acks", "request.required.acks"),
        "delivery.timeout.ms": ("delivery.timeout.ms", "message.timeout.ms"),
        "retries": ("retries", "message.send.max.retries"),
        "max.request.size": ("message.max.bytes",),
        "max.in.flight.requests.per.connection": (
            "max.in.flight.requests.per.connection",
            "max.in.flight",
        ),
        PARTITIONER: ("partitioner",),
        "send.buffer.bytes": ("socket.send.buffer.bytes",),
        "receive.buffer.bytes": ("socket.receive.buffer.bytes",),
        "sasl.mechanism": ("sasl.mechanism", "sasl.mechanisms"),
    },
}


def native_names(library: str, canonical: str) -> tuple[str, ...]:
    """The library's names for a canonical setting: the one to write first, then its aliases."""
    known = _EXCEPTIONS[library].get(canonical)
    if known is not None:
        return known
    return (canonical,) if library == "confluent-kafka" else (canonical.replace(".", "_"),)


def canonical_name(library: str, native: str) -> str:
    """The canonical name of a library's setting; a name that has no other form is turned into dotted form."""
    for canonical, names in _EXCEPTIONS[library].items():
        if native in names:
            return canonical
    return native if library == "confluent-kafka" else native.replace("_", ".")


def reportable(library: str, configuration: Mapping[str, object]) -> dict[str, object]:
    """What of a library's own settings may be reported, by canonical name; no codec (None there) is "none"."""
    found = redact.reportable({canonical_name(library, name): value for name, value in configuration.items()})
    if COMPRESSION in found:
        found[COMPRESSION] = found[COMPRESSION] or "none"
    return found
