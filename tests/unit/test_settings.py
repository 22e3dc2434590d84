"""The one table of settings: what it reads, what it says of what it cannot read, and that it is complete."""

from __future__ import annotations

import pytest

from superclient import settings
from superclient.settings import VARIABLES, Settings, read


def test_nothing_set_means_the_defaults() -> None:
    """Every default of the table is the default of the dataclass."""
    assert read({}) == (Settings(), ())
    assert {variable.attribute: variable.default for variable in VARIABLES} == {
        variable.attribute: getattr(Settings(), variable.attribute) for variable in VARIABLES
    }


def test_values_are_read() -> None:
    """AGT-5, AGT-30: flags in any case, lists with white space and doubles."""
    found, problems = read(
        {
            "SUPERSTREAM_DEBUG": "On",
            "SUPERSTREAM_TOPICS_LIST": " a, b,,a ",
            "SUPERSTREAM_METADATA_TIMEOUT_MS": "250",
            "SUPERSTREAM_DISABLED_LIBRARIES": "aiokafka, Kafka_Python",
            "SUPERSTREAM_DEFAULTS": "off",
            "SUPERSTREAM_DEFAULT_CODEC": "ZSTD",
            "SUPERSTREAM_PARTITIONING": "Lag-Aware",
            "SUPERSTREAM_CONSUMER_GROUP": " all ",
            "SUPERSTREAM_CONSUMER_GROUPS": "orders=order-processors, a.b_c-1 = x=y,",
            "SUPERSTREAM_LAG_INTERVAL_MS": "1000",
            "SUPERSTREAM_MODE": "Observe",
            "SUPERSTREAM_ROLLOUT_PERCENT": "12.5",
            "SUPERSTREAM_EXCLUDE_TOPICS": "audit-*, pay?",
            "SUPERSTREAM_MAX_LINGER_MS": "200",
            "SUPERSTREAM_ALLOWED_CODECS": "LZ4, gzip",
        }
    )
    assert problems == ()
    assert (found.debug, found.topics_list, found.metadata_timeout_ms) == (True, ("a", "b"), 250)
    assert (found.disabled_libraries, found.defaults, found.default_codec) == (
        ("aiokafka", "kafka-python"),
        False,
        "zstd",
    )
    assert (found.partitioning, found.mode, found.rollout_percent) == ("lag-aware", "observe", 12.5)
    assert found.consumer_groups == (("orders", "order-processors"), ("a.b_c-1", "x=y"))
    assert (found.consumer_group, found.lag_interval_ms) == ("all", 1000)
    assert (found.exclude_topics, found.max_linger_ms) == (("audit-*", "pay?"), 200)
    assert found.allowed_codecs == ("lz4", "gzip")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SUPERSTREAM_DEBUG", "maybe"),
        ("SUPERSTREAM_METADATA_TIMEOUT_MS", "soon"),
        ("SUPERSTREAM_METADATA_TIMEOUT_MS", "-1"),
        ("SUPERSTREAM_METADATA_TIMEOUT_MS", "9999999"),
        ("SUPERSTREAM_DEFAULT_CODEC", "brotli"),
        ("SUPERSTREAM_DISABLED_LIBRARIES", "pulsar"),
        ("SUPERSTREAM_PARTITIONING", "random"),
        ("SUPERSTREAM_CONSUMER_GROUP", " "),
        ("SUPERSTREAM_CONSUMER_GROUPS", "orders"),
        ("SUPERSTREAM_CONSUMER_GROUPS", "orders="),
        ("SUPERSTREAM_CONSUMER_GROUPS", "=g"),
        ("SUPERSTREAM_CONSUMER_GROUPS", "a b=g"),
        ("SUPERSTREAM_CONSUMER_GROUPS", "orders=g,orders=h"),
        ("SUPERSTREAM_LAG_INTERVAL_MS", "999"),
        ("SUPERSTREAM_LAG_INTERVAL_MS", "60001"),
        ("SUPERSTREAM_MODE", "dry-run"),
        ("SUPERSTREAM_ROLLOUT_PERCENT", "101"),
        ("SUPERSTREAM_ROLLOUT_PERCENT", "nan"),
        ("SUPERSTREAM_ROLLOUT_PERCENT", "half"),
        ("SUPERSTREAM_MAX_LINGER_MS", "1s"),
        ("SUPERSTREAM_ALLOWED_CODECS", "zstd,brotli"),
        ("SUPERSTREAM_ALLOWED_CODECS", " , "),
    ],
)
def test_a_malformed_value_is_named_and_its_default_holds(name: str, text: str) -> None:
    """A value that does not parse is a warning that names it, and the default."""
    found, problems = read({name: text})
    assert found == Settings()
    assert len(problems) == 1
    assert name in str(problems[0])
    assert text in str(problems[0])


def test_detected_are_ours_alone() -> None:
    """AGT-42: only SUPERSTREAM_* variables are ever looked at for a report."""
    assert settings.detected({"SUPERSTREAM_X": "1", "PATH": "/bin", "AWS_SECRET": "s"}) == {"SUPERSTREAM_X": "1"}
