"""Texts that librdkafka cannot hold are refused in Python: it would crash the process, or mean another topic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from superclient.toolkit.config import AdminConfig, ConsumerConfig, ProducerConfig, topic_list
from superclient.toolkit.describing import new_topics
from superclient.toolkit.texts import held

SERVERS = "localhost:9092"
CALLS: dict[str, Callable[[str], object]] = {
    "servers": lambda text: AdminConfig(f"{text}:9092"),
    "group": lambda text: ConsumerConfig(SERVERS, text),
    "topics": lambda text: ConsumerConfig(SERVERS, "g", [f"orders{text}"]),
    "transactional id": lambda text: ProducerConfig(SERVERS, transactional_id=text),
    "a setting": lambda text: ProducerConfig(SERVERS, additional_config={"client.id": text}),
    "a setting's name": lambda text: AdminConfig(SERVERS, additional_config={text: 1}),
    "a file's group": lambda text: ConsumerConfig.from_mapping({"bootstrap.servers": SERVERS, "group.id": text}),
    "deleted, described": lambda text: topic_list([f"orders{text}"]),
    "created": lambda text: new_topics([{"topic": f"orders{text}"}]),
    "a topic's setting": lambda text: new_topics([{"topic": "orders", "config": {"retention.ms": text}}]),
    "the name of one": lambda text: new_topics([{"topic": "orders", "config": {text: "1"}}]),
}


@pytest.mark.parametrize("text", ["\udcff", "\0", "a\0b"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_the_library_cannot_hold(call: Callable[[str], object], text: str) -> None:
    """KLI-7, KLI-9: no UTF-8, or a zero in it: `orders\\0x` would be `orders`, also where it is deleted."""
    with pytest.raises(ValueError, match=r"no UTF-8|zero"):
        call(text)


def test_the_message_has_no_secret() -> None:
    """KLI-28: the message names the setting, and not what it holds."""
    with pytest.raises(ValueError, match=r"sasl\.password") as refused:
        ProducerConfig(SERVERS, additional_config={"sasl_password": "hunter\udcff"})
    assert "hunter" not in str(refused.value)
    with pytest.raises(TypeError, match="additional_config is int"):
        ProducerConfig(SERVERS, additional_config={1: "x"})  # type: ignore[dict-item]


def test_what_it_can_hold() -> None:
    """Any other text stays as it is."""
    assert held("text", "Größe ✓ 𝄞\n") == "Größe ✓ 𝄞\n"


def test_numbers_that_the_library_does_not_take() -> None:
    """KLI-9: they are refused when they are written, and not by the first call."""
    with pytest.raises(ValueError, match="request_timeout_ms"):
        AdminConfig(SERVERS, request_timeout_ms=3_600_001)
    for field in ("num_partitions", "replication_factor"):
        with pytest.raises(ValueError, match=field):
            new_topics([{"topic": "orders", field: 2**40}])
