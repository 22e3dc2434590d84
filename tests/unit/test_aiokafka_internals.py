"""The probe of aiokafka's private names: a version that lacks one loses that feature alone, with one warning."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from superclient.agent import features, log
from superclient.agent.adapters.aiokafka import internals
from superclient.agent.adapters.aiokafka.patch import AiokafkaAdapter
from superclient.kafka.connection import Connection

CONNECTION = Connection("aiokafka", ("127.0.0.1:9092",), "", {})


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(features, "_off", {})
    monkeypatch.setattr(log, "warn_once", lambda component, cause, message: said.append(message))
    return said


def library() -> dict[str, Any]:
    import aiokafka.producer.producer as module

    return internals.classes(module)


def producer(**without: Any) -> Any:
    accumulator = dict.fromkeys(("_compression_type", "_batch_size", "_batches", "_cluster", "_loop", "_waiter_future"))
    for name in without:
        del accumulator[name]
    return SimpleNamespace(_message_accumulator=SimpleNamespace(**accumulator))


def test_the_installed_version_has_all_that_is_hooked(warnings: list[str]) -> None:
    """AGT-61: every feature is on."""
    assert internals.complete("counting", library())
    assert internals.complete("linger", library())
    assert internals.tunable(producer(), linger=True) == {"compression.type", "batch.size", "linger.ms"}
    assert not warnings


@pytest.mark.parametrize("feature", ["counting", "linger"])
def test_a_missing_method_turns_its_feature_off(warnings: list[str], feature: str) -> None:
    """AGT-61: presence is probed, a miss is said."""
    without = {name: kind for name, kind in library().items() if name != "SendProduceReqHandler"}
    assert not internals.complete(feature, without)
    assert warnings == [f"this version has no SendProduceReqHandler.do: the agent leaves {feature} alone"]
    assert ("aiokafka", feature) in {(each.library, each.feature) for each in features.missing()}


@pytest.mark.parametrize(
    ("name", "setting"),
    [("_compression_type", "compression.type"), ("_batch_size", "batch.size"), ("_waiter_future", "linger.ms")],
)
def test_a_missing_attribute_turns_its_setting_off(warnings: list[str], name: str, setting: str) -> None:
    """AGT-61: the other settings can still be tuned."""
    everything = {"compression.type", "batch.size", "linger.ms"}
    assert internals.tunable(producer(**{name: None}), linger=True) == everything - {setting}
    assert len(warnings) == 1
    assert setting in warnings[0]


def test_a_codec_is_offered_only_where_its_library_is_installed() -> None:
    """AGT-28: by the library's own checks."""

    class Producer:
        _COMPRESSORS: ClassVar = {"gzip": (lambda: True, 1), "zstd": (lambda: False, 4)}

        def __init__(self, *, acks: object = object(), max_batch_size: int = 16384) -> None: ...

    adapter = AiokafkaAdapter(Producer, counting=False, linger=False, leveled=False)
    request = adapter.request({"max_batch_size": 5, "sasl_plain_password": "secret"}, CONNECTION, None)
    assert request.codecs == {"none", "gzip"}
    assert request.defaults == {"acks": 1, "batch.size": 16384, "enable.idempotence": False}
    assert request.written == {"batch.size": 5}


def test_a_method_is_wrapped_once_by_a_hook() -> None:
    """AGT-8: after importlib.reload of the producer's module nothing is counted twice."""

    class Owner:
        def method(self) -> int:
            return 1

    def doubled(original: Any) -> Any:
        return lambda self: 2 * original(self)

    def added(original: Any) -> Any:
        return lambda self: original(self) + 1

    for wrapper in (doubled, added, doubled, added):
        internals.hook_inside(Owner, "method", wrapper)
    assert Owner().method() == 3
