"""Counters of what the toolkit did in this process: `inc`, `get`, `snapshot`, and the same for Prometheus.

The names, each counted where it happens:

    producer.tx.begin producer.tx.commit producer.tx.abort      transactions, each once it has succeeded
    producer.retry                                              attempts after the first of produce_with_retry
    producer.delivery.failed                                    records that were not delivered
    consumer.rebalance.assign .revoke .lost                     rebalances, not partitions
    consumer.shutdown.signal consumer.shutdown.complete         a stream that was asked to end, and its end
    relay.batch.commit relay.batch.abort                        batches of a relay
    relay.messages.forwarded                                    records in batches that were committed
    relay.messages.dead_lettered                                records that went to the dead-letter topic instead
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Metric

_lock = threading.Lock()
_counts: Counter[str] = Counter()


def inc(name: str, by: int = 1) -> None:
    """Count something; safe from any thread."""
    with _lock:
        _counts[name] += by


def get(name: str) -> int:
    """How often it was counted, 0 for what never was."""
    return _counts[name]


def snapshot() -> dict[str, int]:
    """All counters; a copy, which later counting leaves alone."""
    with _lock:
        return dict(_counts)


def reset() -> None:
    """Begin again at nothing; for tests."""
    with _lock:
        _counts.clear()


def exposition() -> str:
    """The counters in Prometheus' text format: `producer.tx.commit` is `superclient_producer_tx_commit_total`.

    To have them in a registry of one's own: `registry.register(metrics.Collector())`.

    Raises:
        ImportError: prometheus-client is not installed (it comes with the extra `toolkit`).
    """
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(Collector())
    return generate_latest(registry).decode()


class Collector:
    """A collector for prometheus_client: reads the counters whenever it is scraped."""

    def collect(self) -> Iterable[Metric]:
        """One counter family for each name."""
        from prometheus_client.core import CounterMetricFamily

        return [
            CounterMetricFamily("superclient_" + name.replace(".", "_"), f"superclient's counter {name}", value=count)
            for name, count in sorted(snapshot().items())
        ]
