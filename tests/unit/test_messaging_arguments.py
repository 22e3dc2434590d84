"""What listener, requester and server refuse before they talk to anybody."""

from __future__ import annotations

from typing import Any

import pytest

from superclient.messaging import KafkaListener, KafkaRPCServer
from superclient.messaging.parsing import ParserSpec

SPECS: list[ParserSpec] = [{"topics": ["orders"], "type": int, "parser": lambda record: int(record.value)}]


async def answer(record: Any) -> bytes:
    return b""


@pytest.mark.parametrize("name", ["start_timeout", "handover_timeout"])
@pytest.mark.parametrize("value", [0, -1, "x", True, None])
def test_times_that_are_none(name: str, value: Any) -> None:
    """SDM-35: a time that cannot be waited is refused by name, before anything is started."""
    with pytest.raises(ValueError, match=name):
        KafkaListener(SPECS, consumer_factory=lambda: None, **{name: value})


def test_a_factory_that_makes_nothing() -> None:
    """SDM-35: a consumer in place of what makes one is refused, and told what is wanted."""
    with pytest.raises(ValueError, match="consumer_factory is called"):
        KafkaListener(SPECS, consumer_factory=object())  # type: ignore[arg-type]


def test_a_server_with_one_name_for_its_topics() -> None:
    """SDM-30: a text is one topic, not its letters."""
    server = KafkaRPCServer(lambda: None, None, answer, "orders", reply_topics="replies")
    assert (server._topics, server._allowed) == ({"orders"}, {"replies"})
    with pytest.raises(ValueError, match="reply_timeout"):
        KafkaRPCServer(lambda: None, None, answer, "orders", reply_timeout=-1)
