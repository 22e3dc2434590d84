"""One table of names: what may leave the process in a report (an allow-list), and what is masked on a screen.

An allow-list, because a list of secrets is never complete: the next release of a library adds a setting nobody here has
heard of. Values are reduced to JSON scalars; a callable or an object becomes the name of its type, never its repr.
"""

import math
import re
from collections.abc import Iterable, Mapping

REPORTABLE = frozenset(
    [
        "acks",
        "allow.auto.create.topics",
        "api.version.request",
        "batch.num.messages",
        "batch.size",
        "bootstrap.servers",
        "broker.address.family",
        "buffer.memory",
        "client.dns.lookup",
        "client.id",
        "client.rack",
        "compression.level",
        "compression.type",
        "connections.max.idle.ms",
        "delivery.timeout.ms",
        "enable.gapless.guarantee",
        "enable.idempotence",
        "enable.metrics.push",
        "enable.random.seed",
        "key.serializer",
        "linger.ms",
        "log.connection.close",
        "max.block.ms",
        "max.in.flight.requests.per.connection",
        "max.request.size",
        "message.copy.max.bytes",
        "message.max.bytes",
        "metadata.max.age.ms",
        "metadata.max.idle.ms",
        "metadata.recovery.strategy",
        "metrics.enabled",
        "metrics.num.samples",
        "metrics.sample.window.ms",
        "partitioner.class",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "receive.buffer.bytes",
        "receive.message.max.bytes",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "request.timeout.ms",
        "retries",
        "retry.backoff.max.ms",
        "retry.backoff.ms",
        "sasl.mechanism",
        "security.protocol",
        "send.buffer.bytes",
        "socket.connection.setup.timeout.ms",
        "socket.keepalive.enable",
        "socket.max.fails",
        "socket.nagle.disable",
        "socket.timeout.ms",
        "ssl.check.hostname",
        "ssl.endpoint.identification.algorithm",
        "statistics.interval.ms",
        "sticky.partitioning.linger.ms",
        "topic.metadata.propagation.max.ms",
        "topic.metadata.refresh.fast.interval.ms",
        "topic.metadata.refresh.sparse",
        "transaction.timeout.ms",
        "transaction.two.phase.commit.enable",
        "value.serializer",
    ]
)

SENSITIVE = re.compile(
    r"pas+w|pwd|passphrase|secret|token|credential|api.?key|private|jaas|\bpem\b|_pem|sasl.*(user|config)|keytab|user.?info",
    re.IGNORECASE,
)
MASK = "********"
_MAX_TEXT = 500
_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?<![^\s,])[^\s,:/@]+:[^\s,/@]+(?=@)")  # somebody:password@
_SERVER = re.compile(r"(?:[A-Z_]+://)?((?:\[[\w:.%]+\]|[\w.-]+):\d+)")


def reportable(configuration: Mapping[str, object]) -> dict[str, object]:
    """The part of a configuration (canonical names) that may leave the process, as JSON scalars, sorted by name."""
    return {
        name: _servers(value) if name == "bootstrap.servers" else scalar(value)
        for name, value in sorted(configuration.items())
        if name in REPORTABLE
    }


def scalar(value: object) -> object:
    """A JSON scalar that says what a setting holds, or the name of its type."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value[:_MAX_TEXT]
    return type(value).__name__ if not isinstance(value, type) else value.__name__


def _servers(value: object) -> str:
    # Somebody will write credentials into an address; only what looks like host:port passes.
    items: Iterable[object] = (
        value.split(",") if isinstance(value, str) else value if isinstance(value, Iterable) else ()
    )
    hosts = (_SERVER.fullmatch(str(item).strip()) for item in items)
    return ",".join(match.group(1) for match in hosts if match)[:_MAX_TEXT]


def masked(name: str, value: object) -> object:
    """The value as a person may see it on a screen: masked where its name is one of a secret's, or in an address."""
    if SENSITIVE.search(name) and value not in (None, ""):
        return MASK
    return _IN_ADDRESS.sub(MASK, value) if isinstance(value, str) else value


def masked_tree(settings: Mapping[str, object]) -> dict[str, object]:
    """The same for settings that have sections, however deep."""
    return {
        name: masked_tree(value) if isinstance(value, Mapping) and not SENSITIVE.search(name) else masked(name, value)
        for name, value in settings.items()
    }


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """SUPERSTREAM_* variables, masked where a name says secret."""
    return {
        name: str(masked(name, value[:_MAX_TEXT]))
        for name, value in sorted(variables.items())
        if name.startswith("SUPERSTREAM_")
    }
