"""Turns what producers did into redacted reports, and sends those of one cluster together.

A report says only what was counted: a figure that a library cannot give is absent. Deltas are taken against the last
report that was acknowledged, so a failed send loses no volume; sequence numbers (AGT-46) let a reader see gaps and
drop doubles.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import superclient
from superclient import contract, redact, settings
from superclient.agent.answers import TopicLag
from superclient.agent.model import Counters, NodeCounters, TopicCounters
from superclient.agent.tracker import Tracked, copied
from superclient.errors import ClusterError, NotAuthorized, TopicMissing
from superclient.kafka import face
from superclient.kafka.connection import Connection

Send = Callable[[Connection, Sequence[tuple[bytes, bytes]], float], None]


def send(connection: Connection, records: Sequence[tuple[bytes, bytes]], timeout: float) -> None:
    """Append records to superstream.clients, which must exist (AGT-45).

    Raises:
        ClusterError: whatever kept them from being acknowledged within `timeout` seconds.
    """
    if face(connection.library).send(connection, contract.CLIENTS_TOPIC, records, timeout) < len(records):
        raise ClusterError("not every report was acknowledged")


class Draft:
    """The reports of one producer that are due, built at one moment; `commit` once they are acknowledged."""

    def __init__(
        self, tracked: Tracked, *, stats: bool, configured: tuple[str, ...], lags: Sequence[TopicLag] = ()
    ) -> None:
        self.tracked, self.lags = tracked, lags
        tracked.adapter.refresh(tracked.counters)
        self.counters = copied(tracked.counters)
        kinds = (["client_info"] if tracked.info_due else []) + (["client_stats"] if stats else [])
        self.stats = stats
        self.count = len(kinds)
        self.records = [
            (tracked.uid.encode(), self._report(kind, tracked.sequence + number, configured).to_json())
            for number, kind in enumerate(kinds)
        ]

    def commit(self) -> None:
        """The reports are on the cluster."""
        self.tracked.sequence += self.count
        self.tracked.info_due = False
        self.tracked.attempts = 0
        if self.stats:
            self.tracked.reported = self.counters

    def _report(self, kind: str, sequence: int, configured: tuple[str, ...]) -> contract.ClientReport:
        one, request = self.tracked, self.tracked.request
        original = redact.reportable({**request.defaults, **request.written, "client.id": request.client_id})
        changes = dict(one.plan.changes) if one.applied else {}
        return contract.ClientReport(
            client_id=request.client_id,
            ip_address=_host()[1],
            message_type=kind,
            version=superclient.__version__,
            topics=sorted(one.topics(configured)),
            original_configuration=original,
            optimized_configuration={**original, **changes},
            environment_variables=redact.environment(settings.detected(os.environ)),
            hostname=_host()[0],
            superstream_client_uid=one.uid,
            most_impactful_topic=one.plan.topic,
            language=f"Python ({request.library})",
            error=one.error,
            sequence=sequence,
            reasons=[
                {"name": r.name, "action": r.action.value, "value": redact.scalar(r.value), "why": r.why}
                for r in one.plan.reasons
            ],
            app_info_metrics={"start-time-ms": str(int(one.counters.started * 1000))},
            lag_metrics={lag.topic: _lag(lag) for lag in self.lags} if kind == "client_stats" and self.lags else None,
            **(_figures(self.counters, one.reported) if kind == "client_stats" and self.counters.counted else {}),
        )


def _figures(now: Counters, before: Counters) -> dict[str, Any]:
    topics = {name: _topic(one) for name, one in sorted(now.topics.items())}
    nodes = {name: _node(one) for name, one in sorted(now.nodes.items())}
    return {
        "write_before_compression_delta": _delta(_sum(now, "bytes_before"), _sum(before, "bytes_before")),
        "write_after_compression_delta": _delta(_sum(now, "bytes_after"), _sum(before, "bytes_after")),
        "producer_metrics": _producer(now),
        "topic_metrics": topics,
        "node_metrics": nodes,
    }


def _sum(counters: Counters, name: str) -> int | None:
    values = [value for one in counters.topics.values() if (value := getattr(one, name)) is not None]
    return sum(values) if values or not counters.topics else None


def _delta(now: int | None, before: int | None) -> int | None:
    return None if now is None else now - (before or 0)


def _producer(now: Counters) -> dict[str, float]:
    records = sum(one.records for one in now.topics.values())
    batches = sum(one.batches for one in now.topics.values())
    requests = sum(one.requests for one in now.nodes.values())
    latencies = sum(one.latencies for one in now.nodes.values())
    before, after = _sum(now, "bytes_before"), _sum(now, "bytes_after")
    sent = [one.bytes for one in now.nodes.values() if one.bytes is not None]
    return _known(
        {
            "record-send-total": records,
            "record-retry-total": now.retries,
            "record-error-total": now.errors,
            "request-total": requests,
            "outgoing-byte-total": sum(sent) if sent else after,
            "compression-rate-avg": _ratio(after, before),
            "record-size-avg": _ratio(before, records),
            "batch-size-avg": _ratio(after, batches),
            "records-per-request-avg": _ratio(records, requests),
            "request-latency-avg": _ratio(sum(one.latency_ms for one in now.nodes.values()), latencies),
        }
    )


def _topic(one: TopicCounters) -> dict[str, float]:
    return _known(
        {
            "record-send-total": one.records,
            "byte-total": one.bytes_after,
            "compression-rate": _ratio(one.bytes_after, one.bytes_before),
        }
    )


def _node(one: NodeCounters) -> dict[str, float]:
    return _known(
        {
            "request-total": one.requests,
            "outgoing-byte-total": one.bytes,
            "request-latency-avg": _ratio(one.latency_ms, one.latencies),
        }
    )


def _lag(lag: TopicLag) -> dict[str, object]:
    if lag.max is None or lag.age is None:
        return {"consumer_group": lag.group}
    return {
        "consumer_group": lag.group,
        "lag-max": lag.max,
        "lag-median": lag.median,
        "switches": lag.switches,
        "starved-partitions": lag.starved,
        "signal-age-ms": int(lag.age * 1000),
    }


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _known(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None}


@lru_cache(maxsize=1)
def _host() -> tuple[str, str]:
    """This machine's name and the address by which it would leave; no packet is sent to find it."""
    name = socket.gethostname()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: connecting a datagram socket only picks a route
            return name, str(probe.getsockname()[0])
    except OSError:
        return name, "127.0.0.1"


def describe(error: ClusterError) -> tuple[str, str]:
    """A cause that is said once, and its sentence, for a failed send."""
    if isinstance(error, NotAuthorized):
        return "rights", f"no right to write {contract.CLIENTS_TOPIC}, producers are not reported on: {error}"
    if isinstance(error, TopicMissing):
        return "topic", f"no topic {contract.CLIENTS_TOPIC} (`superclient init` creates it): nothing is reported"
    return "unreachable", f"reports could not be sent: {error}"
