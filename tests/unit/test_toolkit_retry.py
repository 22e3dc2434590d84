"""produce_with_retry: which errors are tried again, after how long, and the circuit that opens and closes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from superclient.toolkit import (
    KafkaProducer,
    KafkaProducerError,
    KafkaProducerFatalError,
    KafkaProducerFencedError,
    KafkaProducerRetriableError,
    ProducerConfig,
    ProduceResult,
    metrics,
    retry,
)
from tests.faults import refused_port

FAILED = ProduceResult("error", "orders", error=KafkaProducerRetriableError("orders: timed out", "_MSG_TIMED_OUT"))
DELIVERED = ProduceResult("delivered", "orders", 0, 7, 1)
QUEUED = ProduceResult("queued", "orders")


class Scripted:
    """A producer whose records end as written, and whose waits are noted, not waited."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.producer = KafkaProducer(ProducerConfig("127.0.0.1:1"))
        self.outcomes: list[ProduceResult] = []
        self.waits: list[float] = []
        self.arguments: list[Any] = []
        monkeypatch.setattr(self.producer, "produce", self._produce)
        monkeypatch.setattr(self.producer, "aproduce", self._aproduce)
        monkeypatch.setattr("superclient.toolkit.producer.time.sleep", self.waits.append)
        monkeypatch.setattr("superclient.toolkit.producer.asyncio.sleep", self._asleep)

    def call(self, face: str, *outcomes: ProduceResult, **options: Any) -> ProduceResult:
        self.outcomes[:], self.waits[:] = outcomes, []
        if face == "produce":
            return self.producer.produce_with_retry("orders", b"x", key="k", **options)
        return asyncio.run(self.producer.aproduce_with_retry("orders", b"x", key="k", **options))

    def _produce(self, *args: Any, **kwargs: Any) -> ProduceResult:
        self.arguments.append((args, kwargs))
        return self.outcomes.pop(0)

    async def _aproduce(self, *args: Any, **kwargs: Any) -> ProduceResult:
        return self._produce(*args, **kwargs)

    async def _asleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    made = Scripted(monkeypatch)
    yield made
    made.producer.close()


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Any:
    """The JSON events so far."""
    caplog.set_level(logging.INFO, logger="superclient.toolkit")
    return lambda: [json.loads(one.getMessage()) for one in caplog.records if one.levelno == logging.INFO]


FACES = pytest.mark.parametrize("face", ["produce", "produce_async"])


@FACES
def test_retriable_errors_are_tried_again(scripted: Scripted, events: Any, face: str) -> None:
    """KLI-40, KLI-41, KLI-45: with the same arguments, base·2^(n-1) ± 10 % apart, each counted."""
    before = metrics.get("producer.retry")
    assert scripted.call(face, FAILED, FAILED, FAILED, DELIVERED) == DELIVERED
    assert scripted.arguments == [(("orders", b"x"), {"key": "k"})] * 4
    assert len(scripted.waits) == 3
    for number, wait in enumerate(scripted.waits):
        assert 0.9 * 0.05 * 2**number <= wait <= 1.1 * 0.05 * 2**number
    assert metrics.get("producer.retry") == before + 3
    assert events() == []


@FACES
@pytest.mark.parametrize("error", [KafkaProducerFatalError, KafkaProducerFencedError, KafkaProducerError])
def test_other_errors_are_raised_at_once(
    scripted: Scripted, events: Any, face: str, error: type[KafkaProducerError]
) -> None:
    """KLI-39, KLI-40: of their class; they say nothing of the brokers, so the circuit stays as it is."""
    with pytest.raises(error) as raised:
        scripted.call(face, ProduceResult("error", "orders", error=error("no", "X")))
    assert type(raised.value) is error
    assert scripted.waits == []
    assert events() == []


@FACES
def test_the_circuit_opens_and_closes(scripted: Scripted, events: Any, face: str) -> None:
    """KLI-42: after the last attempt, once; then one attempt each, until a record is delivered; both are logged."""
    with pytest.raises(KafkaProducerRetriableError) as raised:
        scripted.call(face, *[FAILED] * 3, max_attempts=3)
    assert raised.value is FAILED.error
    for _ in range(3):
        with pytest.raises(KafkaProducerRetriableError):
            scripted.call(face, FAILED, DELIVERED)
        assert scripted.waits == []
    assert scripted.call(face, DELIVERED) == DELIVERED
    assert scripted.call(face, FAILED, DELIVERED) == DELIVERED  # closed again: another attempt
    assert events() == [
        {"event": f"{face}_circuit_open", "topic": "orders", "attempts": 3, "error": "orders: timed out"},
        {"event": f"{face}_circuit_closed", "topic": "orders"},
    ]


@FACES
def test_a_queued_record_proves_nothing(scripted: Scripted, events: Any, face: str) -> None:
    """KLI-42: the circuit closes when the brokers have a record, not when the library has."""
    with pytest.raises(KafkaProducerRetriableError):
        scripted.call(face, FAILED, max_attempts=1)
    assert scripted.call(face, QUEUED, flush=False) == QUEUED
    assert [one["event"] for one in events()] == [f"{face}_circuit_open"]


def test_each_topic_has_a_circuit_of_its_own() -> None:
    """KLI-42: one that nobody can write to says nothing of another."""
    circuit = retry.Circuit()
    with pytest.raises(KafkaProducerRetriableError):
        circuit.attempts("orders", 1, 0.05).after(FAILED)
    assert circuit.is_open("orders")
    assert circuit.attempts("invoices", 5, 0.05).after(FAILED) is not None
    assert not circuit.is_open("invoices")


def test_a_wait_has_an_end() -> None:
    """KLI-41: a minute at most, however many attempts there are."""
    plan = retry.Circuit().attempts("orders", 2000, 0.05)
    waits = [plan.after(FAILED) or 0.0 for _ in range(1999)]
    assert max(waits) <= 66
    assert waits[-1] >= 54


def test_what_cannot_be_meant(scripted: Scripted) -> None:
    """KLI-40: told before anything is sent."""
    for options in ({"max_attempts": 0}, {"base_backoff": -1}):
        with pytest.raises(ValueError, match="it takes"):
            scripted.call("produce", DELIVERED, **options)
    assert scripted.arguments == []


def test_for_real_without_a_broker() -> None:
    """KLI-40, KLI-42: the library's own time-out is retriable; two attempts, and the error as it is."""
    before = metrics.get("producer.retry")
    with refused_port() as port:
        settings = {"message.timeout.ms": 300, "log_level": 0}
        with KafkaProducer(ProducerConfig(f"127.0.0.1:{port}", additional_config=settings)) as producer:
            with pytest.raises(KafkaProducerRetriableError) as raised:
                producer.produce_with_retry("orders", b"x", max_attempts=2, base_backoff=0.01)
            assert raised.value.code == "_MSG_TIMED_OUT"
    assert metrics.get("producer.retry") == before + 1
