"""The metadata record as untrusted input, and reports that are always valid JSON: AGT-36, AGT-46."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient import contract
from superclient.contract import ClientReport, Metadata, parse_metadata
from superclient.errors import ContractError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
NAMES = (
    st.sampled_from([*contract.RANGES, "compression.type", "bootstrap.servers", "sasl.jaas.config", "acks"]) | st.text()
)


def record(**optimized: Any) -> bytes:
    """A metadata record with one topic; names with _ for dots."""
    wanted = {name.replace("_", "."): value for name, value in optimized.items()}
    return json.dumps({"topics_configuration": [{"topic_name": "t", "optimized_configuration": wanted}]}).encode()


def test_the_documented_record_is_read() -> None:
    """AGT-36: the record of the specification, field by field."""
    raw = b"""{"superstream_cluster_id": 1, "active": true, "report_interval_ms": 300000, "agent_learn_period_mins": 10,
     "topics_configuration": [{"topic_name": "orders", "potential_reduction_percentage": 62.5,
       "daily_writes_bytes": 1000000000, "optimized_configuration":
         {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 20}, "consumer_group": "order-processors"}]}"""
    metadata = parse_metadata(raw)
    topic = metadata.topics["orders"]
    assert (metadata.active, metadata.report_interval_ms, metadata.learn_period_ms) == (True, 300000, 600000)
    assert topic.configuration == {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 20}
    assert topic.impact == 62.5e9
    assert topic.refused == {}
    assert (topic.enabled, topic.rollout_percentage, topic.consumer_group) == (True, 100.0, "order-processors")


def entry(**fields: Any) -> contract.TopicAdvice:
    """What is read of a topic's entry with these fields."""
    return parse_metadata(json.dumps({"topics_configuration": [{"topic_name": "t", **fields}]}).encode()).topics["t"]


@given(JSON)
def test_a_topic_is_disabled_by_false_alone(value: object) -> None:
    """AGT-64, AGT-36: `enabled` is false, or the topic is like any other."""
    assert entry(enabled=value).enabled is (value is not False)
    assert entry().enabled is True


@pytest.mark.parametrize(
    ("value", "percent"),
    [(25, 25.0), ("12.5", 12.5), (0, 0.0), (100, 100.0), (None, 100.0), (-5, 0.0), (1e99, 100.0), (10**400, 100.0)]
    + [(bad, 0.0) for bad in ("half", "50%", True, False, [50], {}, float("nan"), "nan")],
)
def test_a_rollout_that_cannot_be_read_is_to_nobody(value: object, percent: float) -> None:
    """AGT-63, AGT-36: it was meant as a limit, so a mistake in it must not be everybody's."""
    assert entry(rollout_percentage=value).rollout_percentage == percent
    assert entry().rollout_percentage == 100.0


@given(JSON)
def test_a_rollout_is_always_a_percentage(value: object) -> None:
    """AGT-63, TST-7: whatever is written there."""
    assert 0.0 <= entry(rollout_percentage=value).rollout_percentage <= 100.0


@given(JSON | st.text(max_size=300))
def test_a_consumer_group_is_a_short_printable_name(value: object) -> None:
    """AGT-36, TST-7: or it is not there."""
    fits = isinstance(value, str) and 0 < len(value) <= contract.MAX_NAME and value.isprintable()
    assert entry(consumer_group=value).consumer_group == (value if fits else "")


@pytest.mark.parametrize(("value", "allowed"), [(True, True)] + [(other, False) for other in (False, None, 1, "true")])
def test_a_linger_is_allowed_by_true_alone(value: object, allowed: bool) -> None:
    """AGT-34, AGT-36: `allow_linger` is true, or it is not there."""
    raw = json.dumps({"topics_configuration": [{"topic_name": "t", "allow_linger": value}]}).encode()
    assert parse_metadata(raw).topics["t"].allow_linger is allowed
    assert parse_metadata(record(linger_ms=5)).topics["t"].allow_linger is False


def test_a_missing_active_counts_as_true() -> None:
    """AGT-36: only an explicit false switches off."""
    assert parse_metadata(b"{}") == Metadata()
    assert parse_metadata(b'{"active": false}').active is False


@pytest.mark.parametrize(
    ("value", "taken"),
    [(100, 100), ("100", 100), (" 7 ", 7), (20.0, 20), (0, 0)]
    + [(bad, None) for bad in (-5, 1e99, float("nan"), float("inf"), 2.5, "x", [1], {}, None, True, "1e3", 10**7)],
)  # fmt: skip
def test_a_linger_is_parsed_and_range_checked(value: object, taken: int | None) -> None:
    """AGT-36: "100" is 100; -5, 1e99, NaN, lists are refused, with a reason."""
    topic = parse_metadata(record(linger_ms=value)).topics["t"]
    assert topic.configuration.get("linger.ms") == taken
    assert ("linger.ms" in topic.refused) == (taken is None)


def test_only_codecs_of_kafka_are_taken() -> None:
    """AGT-36: "brotli" is refused; case and white space are forgiven."""
    assert parse_metadata(record(compression_type=" ZSTD ")).topics["t"].configuration == {"compression.type": "zstd"}
    assert "brotli" in parse_metadata(record(compression_type="brotli")).topics["t"].refused["compression.type"]


@pytest.mark.parametrize(
    "name", ["bootstrap.servers", "plugin.library.paths", "sasl.password", "ssl.key.location", "acks"]
)
def test_nothing_else_is_ever_taken(name: str) -> None:
    """AGT-36: other names are ignored and named."""
    topic = parse_metadata(record(**{name: "x"})).topics["t"]
    assert topic.configuration == {}
    assert name in topic.refused


@given(JSON)
def test_any_json_is_metadata_or_a_contract_error(document: object) -> None:
    """AGT-36, TST-7: no document makes the parser raise anything but its own error."""
    problem = ""
    try:
        parse_metadata(json.dumps(document).encode())
    except ContractError as error:
        problem = str(error)
    assert len(problem) < 200


@given(st.dictionaries(NAMES, JSON))
def test_what_is_taken_is_always_in_range(optimized: dict[str, Any]) -> None:
    """AGT-36, TST-7: whatever is recommended, only the four settings come through, as values that libraries take."""
    topic = parse_metadata(record(**optimized)).topics["t"]
    for name, value in topic.configuration.items():
        if name == "compression.type":
            assert value in contract.CODECS
        else:
            low, high = contract.RANGES[name]
            assert isinstance(value, int) and low <= value <= high  # noqa: PT018


@pytest.mark.parametrize("raw", [None, b"", b"\xff\xfe", b"[]", b"1", b'{"topics_configuration": 3}', b"[" * 100_000])
def test_what_is_no_record_is_a_contract_error(raw: bytes | None) -> None:
    """AGT-36: a malformed record is one clear error."""
    with pytest.raises(ContractError):
        parse_metadata(raw)


def test_a_huge_record_is_refused_unread() -> None:
    """AGT-36: size is checked before anything is parsed."""
    with pytest.raises(ContractError, match="more than"):
        parse_metadata(b" " * (contract.MAX_RECORD_BYTES + 1))


def test_broken_topics_do_not_take_good_ones_with_them() -> None:
    """AGT-36: a topic that is no object, or has no usable name, is left out; the others count."""
    raw = json.dumps(
        {"topics_configuration": [1, {"topic_name": 5}, {"topic_name": "x" * 300}, {"topic_name": "good"}]}
    )
    assert set(parse_metadata(raw.encode()).topics) == {"good"}


def test_a_report_leaves_out_what_is_not_known() -> None:
    """AGT-46: schema_version and sequence are always there; absent figures are absent, not null."""
    report = ClientReport("c", "127.0.0.1", "client_info", "1", ["t"], {}, {}, {}, "h", "u", "", "Python (x)", "", 7)
    document = json.loads(report.to_json())
    assert (document["schema_version"], document["sequence"], document["type"]) == (1, 7, "producer")
    assert "write_before_compression_delta" not in document
    assert None not in document.values()
