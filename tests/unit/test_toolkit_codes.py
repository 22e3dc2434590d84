"""Errors, events and metrics of the toolkit: what each error means, what is logged, what is counted."""

from __future__ import annotations

import json
import logging
import threading

import pytest
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from superclient.errors import (
    KafkaConsumerError,
    KafkaConsumerFatalError,
    KafkaConsumerRetriableError,
    KafkaProducerError,
    KafkaProducerFatalError,
    KafkaProducerFencedError,
    KafkaProducerRetriableError,
    ToolkitError,
)
from superclient.toolkit import codes, events, metrics

PRODUCER = [
    ("_MSG_TIMED_OUT", KafkaProducerRetriableError),
    ("NOT_ENOUGH_REPLICAS", KafkaProducerRetriableError),
    ("LEADER_NOT_AVAILABLE", KafkaProducerRetriableError),
    ("_ALL_BROKERS_DOWN", KafkaProducerRetriableError),
    ("TOPIC_AUTHORIZATION_FAILED", KafkaProducerFatalError),
    ("MSG_SIZE_TOO_LARGE", KafkaProducerFatalError),
    ("_UNKNOWN_PARTITION", KafkaProducerFatalError),
    ("OUT_OF_ORDER_SEQUENCE_NUMBER", KafkaProducerFatalError),
    ("_FENCED", KafkaProducerFencedError),
    ("PRODUCER_FENCED", KafkaProducerFencedError),
    ("INVALID_PRODUCER_EPOCH", KafkaProducerFencedError),
    ("UNKNOWN", KafkaProducerError),
]


@pytest.mark.parametrize(("name", "expected"), PRODUCER)
def test_a_delivery_error_has_its_class(name: str, expected: type[KafkaProducerError]) -> None:
    """KLI-39, KLI-43: as an error of the library's, and inside its exception; with the name as code."""
    error = KafkaError(getattr(KafkaError, name))
    for given in (error, KafkaException(error)):
        found = codes.producer_error(given, "orders")
        assert type(found) is expected
        assert found.code == error.name()
        assert str(found).startswith("orders: ")
        assert error.name() in str(found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("_TRANSPORT", KafkaConsumerRetriableError),
        ("NOT_COORDINATOR", KafkaConsumerRetriableError),
        ("GROUP_AUTHORIZATION_FAILED", KafkaConsumerFatalError),
        ("_AUTHENTICATION", KafkaConsumerFatalError),
        ("_FENCED", KafkaConsumerFatalError),
        ("UNKNOWN", KafkaConsumerError),
    ],
)
def test_a_consumer_error_has_its_class(name: str, expected: type[KafkaConsumerError]) -> None:
    """KLI-39: the same sets."""
    assert type(codes.consumer_error(KafkaError(getattr(KafkaError, name)))) is expected


def test_what_the_library_says_of_an_error_counts() -> None:
    """KLI-43: fatal and retriable are its own words, also for a code that no set has."""
    assert type(codes.producer_error(KafkaError(KafkaError.UNKNOWN, "no", True))) is KafkaProducerFatalError
    assert type(codes.producer_error(KafkaError(KafkaError.UNKNOWN, "no", False, True))) is KafkaProducerRetriableError
    assert type(codes.producer_error(KafkaError(KafkaError._FENCED, "no", True))) is KafkaProducerFencedError
    full = codes.producer_error(BufferError("Local: Queue full"))
    assert (type(full), full.code) == (KafkaProducerRetriableError, "_QUEUE_FULL")
    other = codes.producer_error(RuntimeError("strange"), "orders")
    assert (type(other), other.code, str(other)) == (KafkaProducerError, None, "orders: strange")


def test_the_sets_are_disjoint_and_hold_what_the_library_has() -> None:
    """KLI-43: a name that this version lacks is left out, not an error; none is in two sets."""
    sets = [codes.RETRIABLE_ERROR_CODES, codes.FATAL_ERROR_CODES, codes.FENCING_ERROR_CODES]
    assert len(frozenset.union(*sets)) == sum(map(len, sets))
    assert codes.named("NO_SUCH_ERROR _FENCED") == {KafkaError._FENCED}
    assert codes.is_any(KafkaException(KafkaError(KafkaError._FENCED)), codes.FENCING_ERROR_CODES)
    assert not codes.is_any(KeyError("x"), codes.FENCING_ERROR_CODES)
    assert not codes.is_any(None, codes.FENCING_ERROR_CODES)


def test_errors_survive_a_process_boundary() -> None:
    """KLI-39: class, message and code, as concurrent.futures and multiprocessing send them."""
    import copy
    import pickle

    error = codes.producer_error(KafkaError(KafkaError._MSG_TIMED_OUT), "orders")
    for found in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(found), str(found), found.code) == (type(error), str(error), "_MSG_TIMED_OUT")
    assert isinstance(error, ToolkitError)


def test_an_event_is_one_json_object(caplog: pytest.LogCaptureFixture) -> None:
    """KLI-44: the message itself, by the logger superclient.toolkit at INFO; not made where nobody listens."""
    with caplog.at_level(logging.WARNING, logger="superclient.toolkit"):
        events.emit("unheard", odd=object())
    assert caplog.records == []
    with caplog.at_level(logging.INFO, logger="superclient.toolkit"):
        events.emit("heard", number=1, odd={1, 2}.__class__, text="ü\n")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("superclient.toolkit", "INFO")
    assert "\n" not in record.getMessage()
    assert json.loads(record.getMessage()) == {"event": "heard", "number": 1, "odd": "<class 'set'>", "text": "ü\n"}


@pytest.fixture
def counters() -> None:
    metrics.reset()


@pytest.mark.usefixtures("counters")
def test_counters() -> None:
    """KLI-45: inc, get and snapshot, which is a copy; nothing is lost between threads."""
    assert metrics.get("producer.retry") == 0
    assert metrics.snapshot() == {}
    threads = [threading.Thread(target=lambda: [metrics.inc("producer.retry") for _ in range(1000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics.inc("relay.messages.forwarded", 25)
    taken = metrics.snapshot()
    assert taken == {"producer.retry": 8000, "relay.messages.forwarded": 25}
    taken["producer.retry"] = 0
    metrics.inc("producer.retry")
    assert metrics.get("producer.retry") == 8001
    assert taken == {"producer.retry": 0, "relay.messages.forwarded": 25}


@pytest.mark.usefixtures("counters")
def test_the_prometheus_exposition_reads_back() -> None:
    """KLI-46: by Prometheus' own parser; the same from a registry of one's own."""
    metrics.inc("producer.tx.commit", 3)
    metrics.inc("consumer.shutdown.signal")
    registry = CollectorRegistry()
    registry.register(metrics.Collector())
    for text in (metrics.exposition(), generate_latest(registry).decode()):
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert {family.type for family in families.values()} == {"counter"}
        samples = {sample.name: sample.value for family in families.values() for sample in family.samples}
        assert samples == {
            "superclient_producer_tx_commit_total": 3.0,
            "superclient_consumer_shutdown_signal_total": 1.0,
        }
    assert "# HELP superclient_producer_tx_commit" in metrics.exposition()
