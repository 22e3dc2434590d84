"""The configuration of SmartProducer: defaults, ways of writing it, and values that cannot be meant."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.errors import (
    CacheError,
    CacheTimeoutError,
    CacheUnavailableError,
    ConfigurationError,
    HealthCalculationError,
    HealthManagerError,
    LagDataUnavailableError,
    PartitionSelectionError,
    SmartProducerError,
)
from superclient.smart.config import CacheConfig, HealthManagerConfig, SmartProducerConfig

ROOT = Path(__file__).resolve().parents[2]
KAFKA = {"bootstrap.servers": "a:1"}
HEALTH_DEFAULTS = {
    "consumer_group": None,
    "health_threshold": 0.5,
    "refresh_interval": 30.0,
    "max_lag_for_health": 1000,
    "timeout_seconds": 20.0,
    "cache_enabled": True,
    "cache_max_size": 1000,
    "cache_ttl_seconds": 300,
}
CACHE_DEFAULTS = {
    "local_max_size": 1000,
    "local_ttl_seconds": 300.0,
    "remote_enabled": False,
    "remote_ttl_seconds": 900.0,
    "redis_host": "localhost",
    "redis_port": 6379,
    "redis_db": 0,
    "redis_password": None,
    "redis_ssl_enabled": False,
    "redis_ssl_cert_reqs": "required",
    "redis_ssl_ca_certs": None,
    "redis_ssl_certfile": None,
    "redis_ssl_keyfile": None,
}


def test_defaults_as_documented() -> None:
    """KSP-15: what the documentation says; a topic and a group are enough."""
    assert dataclasses.asdict(HealthManagerConfig()) == HEALTH_DEFAULTS
    assert dataclasses.asdict(CacheConfig()) == CACHE_DEFAULTS
    plain = SmartProducerConfig(KAFKA, ["t"])
    assert (plain.smart_enabled, plain.key_stickiness, plain.cache) == (True, True, CacheConfig())


def test_the_documentation_has_every_cache_option() -> None:
    """KSP-15: docs/smart-caches.md lists each option, with the default of the code."""
    rows = [line.split(" | ") for line in (ROOT / "docs/smart-caches.md").read_text().splitlines() if line[:3] == "| `"]
    documented = {}
    for names, defaults, *_ in rows:
        values = defaults.split(", ")
        listed = re.findall(r"`(\w+)`", names)
        documented.update(zip(listed, values * len(listed) if len(values) == 1 else values, strict=False))
    for name, default in CACHE_DEFAULTS.items():
        assert documented[name].strip('"') == (f"{default:g}" if type(default) is float else str(default)), name


def test_a_group_alone_turns_monitoring_on() -> None:
    """KSP-1: consumer_group makes a health_manager with its defaults; without a group there is none."""
    assert SmartProducerConfig(KAFKA, ["t"]).health_manager is None
    config = SmartProducerConfig(KAFKA, ["t"], "g")
    assert config.health_manager == HealthManagerConfig("g")
    within = SmartProducerConfig(KAFKA, ["t"], health_manager={"consumer_group": "g", "refresh_interval": 3.0})
    assert within.consumer_group == "g"
    filled = SmartProducerConfig(KAFKA, ["t"], "g", health_manager=HealthManagerConfig(timeout_seconds=2))
    assert filled.health_manager == HealthManagerConfig("g", timeout_seconds=2)


def test_a_flat_dict() -> None:
    """KSP-13: from_dict takes librdkafka's settings out of the rest, and leaves the dict alone."""
    callback = print
    written = {
        **KAFKA,
        "linger.ms": 5,
        "acks": "all",
        "partitioner": "murmur2_random",
        "on_delivery": callback,
        "stats_cb": callback,
        "topics": ["t", "u", "t"],
        "consumer_group": "g",
        "health_manager": {"health_threshold": 0.3},
        "cache": {"local_max_size": 5},
        "smart_enabled": False,
        "key_stickiness": "hash",
    }
    before = copy.copy(written)
    config = SmartProducerConfig.from_dict(written)
    assert written == before
    assert config == SmartProducerConfig(
        {**KAFKA, "linger.ms": 5, "acks": "all", "partitioner": "murmur2_random"}
        | {"on_delivery": callback, "stats_cb": callback},
        ("t", "u"),
        "g",
        HealthManagerConfig("g", health_threshold=0.3),
        CacheConfig(local_max_size=5),
        smart_enabled=False,
        key_stickiness="hash",
    )


@pytest.mark.parametrize("given_as", [CacheConfig(local_max_size=7), {"local_max_size": 7}])
@pytest.mark.parametrize("name", ["cache", "cache_config"])
def test_both_names_of_the_cache(name: str, given_as: Any) -> None:
    """KSP-13: cache and cache_config, as a CacheConfig or a dict, in the constructor and in from_dict."""
    for config in (
        SmartProducerConfig(KAFKA, ["t"], **{name: given_as}),
        SmartProducerConfig.from_dict({**KAFKA, "topics": ["t"], name: given_as}),
    ):
        assert config.cache == config.cache_config == CacheConfig(local_max_size=7)
    both = SmartProducerConfig(KAFKA, ["t"], cache={"local_max_size": 7}, cache_config={"local_max_size": 7})
    assert both.cache.local_max_size == 7


def test_a_copy_of_what_was_given() -> None:
    """KSP-12: what the program changes in its dict later changes no configuration; the values are frozen."""
    kafka: dict[str, Any] = dict(KAFKA)
    config = SmartProducerConfig(kafka, ["t"], "g")
    kafka["linger.ms"] = 5
    assert config.kafka_config == KAFKA
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.topics = ("u",)  # type: ignore[misc]
    assert dataclasses.replace(config, topics=["u"]).topics == ("u",)
    assert pickle.loads(pickle.dumps(config)) == config == copy.deepcopy(config)


POSITIVE = st.floats(min_value=0.001, max_value=1e9) | st.integers(1, 10**6)
HEALTHS = st.fixed_dictionaries(
    {},
    optional={
        "consumer_group": st.just("g"),
        "health_threshold": st.floats(0, 1),
        "refresh_interval": POSITIVE,
        "max_lag_for_health": POSITIVE,
        "timeout_seconds": POSITIVE,
        "cache_enabled": st.booleans(),
        "cache_max_size": st.integers(1, 10**9),
        "cache_ttl_seconds": POSITIVE,
    },
)
CACHES = st.fixed_dictionaries(
    {},
    optional={
        "local_max_size": st.integers(0, 10**9),
        "local_ttl_seconds": POSITIVE,
        "remote_enabled": st.booleans(),
        "remote_ttl_seconds": POSITIVE,
        "redis_host": st.sampled_from(["localhost", "10.0.0.1", "::1", "redis.svc.cluster.local"]),
        "redis_port": st.integers(1, 65535),
        "redis_db": st.integers(0, 100),
        "redis_password": st.none() | st.text(),
        "redis_ssl_enabled": st.booleans(),
        "redis_ssl_cert_reqs": st.sampled_from(["required", "optional", "none"]),
        "redis_ssl_ca_certs": st.sampled_from([None, "ca.pem", Path("/etc/ca.pem")]),
        "redis_ssl_certfile": st.sampled_from(["me.pem", Path("/etc/me.pem")]),
    },
)


@given(
    health=st.none() | HEALTHS,
    cache=st.none() | CACHES,
    smart=st.booleans(),
    stickiness=st.sampled_from([True, False, "hash"]),
)
def test_every_valid_combination(health: Any, cache: Any, smart: bool, stickiness: Any) -> None:
    """KSP-12: values that are good by themselves are good together, a short interval with a long timeout for one."""
    written = {**KAFKA, "topics": ["t"], "consumer_group": "g", "smart_enabled": smart, "key_stickiness": stickiness}
    config = SmartProducerConfig.from_dict({**written, "health_manager": health, "cache": cache})
    for nested, values in ((config.health_manager, health), (config.cache, cache)):
        for name, value in (values or {}).items():
            assert getattr(nested, name) == value


NUMBERS = [0, -1, math.nan, math.inf, "3", None, True]
BAD_HEALTH = {
    "consumer_group": ["", "  ", 3, b"g"],
    "health_threshold": [-0.1, 1.1, math.nan, "0.5", True],
    "refresh_interval": NUMBERS,
    "max_lag_for_health": NUMBERS,
    "timeout_seconds": NUMBERS,
    "cache_enabled": [1, "true", None],
    "cache_max_size": [0, -1, 2.0, "3", True],
    "cache_ttl_seconds": NUMBERS,
}
BAD_CACHE = {
    "local_max_size": [-1, 2.0, "3", True],
    "local_ttl_seconds": NUMBERS,
    "remote_enabled": [1, "yes", None],
    "remote_ttl_seconds": NUMBERS,
    "redis_host": ["", None, 3, "redis://host:1", "user@host"],
    "redis_port": [0, 65536, "6379", True, None],
    "redis_db": [-1, "0", True],
    "redis_password": [3, b"secret"],
    "redis_ssl_enabled": [1, "true"],
    "redis_ssl_cert_reqs": ["REQUIRED", None, 2, []],
    "redis_ssl_ca_certs": ["", 3, b"ca.pem"],
    "redis_ssl_certfile": ["", 3],
    "redis_ssl_keyfile": ["", 3, "key.pem"],  # without a certfile
}


@pytest.mark.parametrize(
    ("nested", "name", "value"),
    [("health_manager", name, value) for name, values in BAD_HEALTH.items() for value in values]
    + [("cache", name, value) for name, values in BAD_CACHE.items() for value in values],
)
def test_a_bad_value_names_its_field(nested: str, name: str, value: object) -> None:
    """KSP-15: a ValueError, in the value's own constructor and from a dict."""
    kind: Any = HealthManagerConfig if nested == "health_manager" else CacheConfig
    with pytest.raises(ValueError, match=name):
        kind(**{name: value})
    with pytest.raises(ConfigurationError, match=name):
        SmartProducerConfig.from_dict({**KAFKA, "topics": ["t"], nested: {name: value}})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"topics": "t"}, "topics"),
        ({"topics": None}, "topics"),
        ({"topics": 3}, "topics"),
        ({"topics": [["t"]]}, "topics"),
        ({"topics": ["t", ""]}, "topics"),
        ({"topics": [], "consumer_group": "g"}, "topics"),
        ({}, "topics is missing"),
        ({"topic": "t"}, "topic is no setting; did you mean topics?"),
        ({"topics": ["t"], "consumer_groups": "g"}, "did you mean consumer_group?"),
        ({"topics": ["t"], "key_stickyness": True}, "did you mean key_stickiness?"),
        ({"topics": ["t"], "health_manager": {"refresh_intervall": 3.0}}, "did you mean refresh_interval?"),
        ({"topics": ["t"], "cache": {"redis_hots": "a"}}, "did you mean redis_host?"),
        ({"topics": ["t"], "cache": {"nothing alike": 1}}, "nothing alike; there are local_max_size"),
        ({"topics": ["t"], "cache": {3: 1}}, "cache has no setting 3"),
        ({"topics": ["t"], "cache": 3}, "cache must be a CacheConfig or a dict"),
        ({"topics": ["t"], "cache": HealthManagerConfig()}, "cache must be a CacheConfig"),
        ({"topics": ["t"], "health_manager": True}, "health_manager must be"),
        ({"topics": ["t"], "health_manager": {}}, "consumer_group is missing"),
        ({"topics": ["t"], "consumer_group": ""}, "consumer_group"),
        ({"topics": ["t"], "consumer_group": "g", "health_manager": {"consumer_group": "h"}}, "consumer_group is 'g'"),
        ({"topics": ["t"], "cache": {"redis_db": 1}, "cache_config": {"redis_db": 2}}, "cache and cache_config"),
        ({"topics": ["t"], "smart_enabled": 1}, "smart_enabled"),
        ({"topics": ["t"], "smart_enabled": None}, "smart_enabled"),
        ({"topics": ["t"], "key_stickiness": "sticky"}, "key_stickiness"),
        ({"topics": ["t"], "key_stickiness": 1}, "key_stickiness"),
        ({"topics": ["t"], 3: 4}, "kafka_config"),
    ],
)
def test_a_bad_configuration_says_what_is_wrong(written: dict[Any, Any], said: str) -> None:
    """KSP-15: the message names the field, and the one that was meant."""
    with pytest.raises(ConfigurationError) as caught:
        SmartProducerConfig.from_dict({**KAFKA, **written})
    assert said in str(caught.value)


def test_the_constructor_says_it_too() -> None:
    """KSP-15: kafka_config and from_dict's argument must be dicts; their values are not told."""
    for wrong in (None, "bootstrap.servers=a:1 secret", [("sasl.password", "secret")]):
        with pytest.raises(ConfigurationError, match="kafka_config must be a dict") as caught:
            SmartProducerConfig(wrong, ["t"])  # type: ignore[arg-type]
        assert "secret" not in str(caught.value)
        with pytest.raises(ConfigurationError, match="settings must be a dict"):
            SmartProducerConfig.from_dict(wrong)  # type: ignore[arg-type]


SECRETS = st.text(alphabet="ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=12, max_size=20)


@given(
    secret=SECRETS,
    name=st.sampled_from(["sasl.password", "ssl.key.pem", "ssl.key.password", "sasl.username", "a.setting.of.2031"]),
)
def test_no_secret_is_shown(secret: str, name: str) -> None:
    """AGT-42: neither repr nor str of a configuration has a secret, nor the error that one makes."""
    kafka = {"bootstrap.servers": f"app:{secret}@a:1", name: secret, "linger.ms": 5}
    config = SmartProducerConfig(kafka, ["t"], cache=CacheConfig(redis_password=secret))
    assert secret not in f"{config!r} {config} {config.cache!r} {config.cache}"
    assert "'linger.ms': 5" in repr(config)
    for wrong in ({"redis_password": secret.encode()}, {"redis_host": f"redis://:{secret}@host"}):
        with pytest.raises(ConfigurationError) as caught:
            CacheConfig(**wrong)
        assert secret not in str(caught.value)


def test_the_error_tree() -> None:
    """KSP-14: one base for all; a bad configuration is a ValueError, a cache's slowness a CacheError."""
    for kind in (LagDataUnavailableError, HealthManagerError, CacheError, PartitionSelectionError, ConfigurationError):
        assert issubclass(kind, SmartProducerError)
    assert issubclass(HealthCalculationError, HealthManagerError)
    assert issubclass(CacheUnavailableError, CacheError)
    assert issubclass(CacheTimeoutError, CacheError)
    assert issubclass(ConfigurationError, ValueError)
