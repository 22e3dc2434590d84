"""What listener, requester and server refuse before they talk to anybody."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from superclient.messaging import KafkaListener, KafkaRPC, KafkaRPCServer
from superclient.messaging.parsing import ParserSpec

SPECS: list[ParserSpec] = [{"topics": ["orders"], "type": int, "parser": lambda record: int(record.value)}]


async def answer(record: Any) -> bytes:
    return b""


def listener(consumer_factory: Any = lambda: None, **more: Any) -> KafkaListener:
    return KafkaListener(SPECS, consumer_factory=consumer_factory, **more)


def requester(consumer_factory: Any = lambda: None, **more: Any) -> KafkaRPC:
    return KafkaRPC(SPECS, consumer_factory=consumer_factory, **more)


def server(consumer_factory: Any = lambda: None, producer_factory: Any = None, **more: Any) -> KafkaRPCServer:
    return KafkaRPCServer(consumer_factory, producer_factory, answer, ["orders"], **more)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[(listener, name) for name in ("start_timeout", "handover_timeout")],
        (requester, "start_timeout"),
        *[(server, name) for name in ("start_timeout", "handover_timeout", "reply_timeout")],
    ],
)
@pytest.mark.parametrize("value", [0, -1, "x", True, None])
def test_times_that_are_none(kind: Any, name: str, value: Any) -> None:
    """SDM-35: a time that cannot be waited is refused by name, before anything is started."""
    with pytest.raises(ValueError, match=name):
        kind(**{name: value})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[(kind, "consumer_factory") for kind in (listener, requester, server)],
        *[(kind, "producer_factory") for kind in (requester, server)],
    ],
)
def test_a_factory_that_makes_nothing(kind: Any, name: str) -> None:
    """SDM-35: a client in place of what makes one is refused, and told what is wanted."""
    with pytest.raises(ValueError, match=f"{name} is called"):
        kind(**{name: object()})


def test_a_server_with_one_name_for_its_topics() -> None:
    """SDM-30: a text is one topic, not its letters."""
    one = KafkaRPCServer(lambda: None, None, answer, "orders", reply_topics="replies")
    asked = SimpleNamespace(headers=[("x-reply-topic", name) for name in (b"replies", b"r", b"orders")], key=None)
    assert (one._topics, one._answers._address(asked).topics) == ({"orders"}, ["replies"])


@pytest.mark.parametrize(
    ("name", "wrong", "match"),
    [
        ("propagate_corr_to", "headers", "propagate_corr_to"),
        ("correlation_id", "", "correlation_id"),
        ("correlation_header_key", "X-Reply-Topic", "correlation_header_key"),
        ("req_headers", {"name": 1}, "header"),
        ("req_headers_reply_to", "elsewhere", "elsewhere"),
        ("res_timeout", 0, "res_timeout"),
    ],
)
def test_a_request_that_cannot_be_meant(name: str, wrong: Any, match: str) -> None:
    """SDM-24: refused as what it is before anything is started, whatever the brokers do."""

    def consumer() -> None:
        raise AssertionError("nothing is started")

    async def main() -> None:
        with pytest.raises(ValueError, match=match):
            await requester(consumer).request("prices", b"pear", **{name: wrong})

    asyncio.run(main())
