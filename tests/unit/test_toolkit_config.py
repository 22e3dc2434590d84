"""The toolkit's configurations and their file: which file, which environment, which section, which spelling wins."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.errors import ConfigFileError
from superclient.toolkit import AdminConfig, ConsumerConfig, ProducerConfig, files, resolve_env_config

CONFIGS = (ProducerConfig, ConsumerConfig, AdminConfig)
LAYERED = {
    "default": {"bootstrap_servers": "base:1", "linger.ms": 1, "producer": {"acks": "all", "retries": 9}},
    "dev": {"bootstrap.servers": "dev:1", "producer": {"linger_ms": 5}},
    "prod": {"bootstrap_servers": "prod:1", "sasl.password": "hunter2", "consumer": {"group.id": "billing"}},
}


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Writes a file of only its owner's, and answers its path."""

    def write(content: object, name: str = "config.json") -> str:
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        file.chmod(0o600)
        return str(file)

    return write


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a configuration file."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".kafka").mkdir(parents=True)
    return tmp_path / "home"


# --- the file ---------------------------------------------------------------------------------------------------------


def test_an_environment_lies_over_the_default(written: Any) -> None:
    """KLI-18, KLI-22, KLI-23: key by key, sections as well, whichever way a name is spelt."""
    path = written(LAYERED)
    assert resolve_env_config(path=path) == LAYERED["default"]
    assert resolve_env_config("default", path) == LAYERED["default"]
    assert resolve_env_config("dev", path) == {
        "bootstrap.servers": "dev:1",
        "linger.ms": 1,
        "producer": {"acks": "all", "retries": 9, "linger_ms": 5},
    }
    assert files.environments(files.read(path)) == ["default", "dev", "prod"]


def test_a_file_without_environments_is_one_flat_mapping(written: Any) -> None:
    """KLI-18: read as it is; a section in it is a section, and no environment."""
    flat = {"bootstrap.servers": "flat:1", "producer": {"linger.ms": 4}}
    path = written(flat)
    assert resolve_env_config(path=path) == flat
    assert files.environments(flat) == []
    assert ProducerConfig.from_env_config(path=path).linger_ms == 4


@pytest.mark.parametrize("env", ["staging", "producer", "default", "bootstrap_servers"])
def test_an_unknown_environment_is_empty_and_warned_of(
    written: Any, caplog: pytest.LogCaptureFixture, env: str
) -> None:
    """KLI-20: also a role's section, a setting, and a default that is not there."""
    path = written({"bootstrap_servers": "x:1", "dev": {}, "producer": {}})
    assert resolve_env_config(env, path) == {}
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("superclient.toolkit", "WARNING")
    assert f"has no environment {env!r} (it has: dev)" in record.getMessage()


def test_only_one_file_is_read(home: Path, written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """KLI-18, KLI-19: the path that is given, else ~/.kafka/config.json; nothing beside them, or where one stands."""
    assert resolve_env_config() == {}
    for name in ("config.yaml", "kafka.json", "producer.json"):
        (home / ".kafka" / name).write_text('{"bootstrap_servers": "wrong:1"}')
    (home / "config.json").write_text('{"bootstrap_servers": "wrong:1"}')
    monkeypatch.chdir(home)
    monkeypatch.setenv("KAFKA_CONFIG", str(home / "config.json"))
    assert resolve_env_config() == {}
    (home / ".kafka" / "config.json").write_text('{"bootstrap_servers": "home:1"}')
    assert resolve_env_config() == {"bootstrap_servers": "home:1"}
    assert resolve_env_config(path=written({"bootstrap_servers": "given:1"})) == {"bootstrap_servers": "given:1"}
    assert resolve_env_config(path="~/.kafka/config.json") == {"bootstrap_servers": "home:1"}


def test_nobodys_home_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """KLI-18: a made-up user in a container has none; a path that needs one is absent."""

    def unknown(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", unknown)
    assert resolve_env_config() == {}
    with pytest.raises(ConfigFileError, match="there is no configuration file"):
        resolve_env_config(path="~/config.json")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is no JSON"),
        ('{"a": 1,}', "is no JSON"),
        ("[1]", "holds list: it takes one JSON object"),
        ('"text"', "holds str"),
        ("[" * 200_000, "nested too deeply"),
        ('{"default": 5}', "'default' is int: it takes an object"),
    ],
)
def test_a_malformed_file_is_one_clear_error(written: Any, content: str, says: str) -> None:
    """KLI-18: it names the file, and says what is wrong; never a trace of a parser."""
    path = written(content)
    with pytest.raises(ConfigFileError) as raised:
        resolve_env_config(path=path)
    assert path in str(raised.value)
    assert says in str(raised.value)
    assert isinstance(raised.value, ValueError)


def test_other_files_that_cannot_be_read(tmp_path: Path, written: Any) -> None:
    """KLI-18: absent, a folder, bytes; one that begins with a byte order mark can."""
    with pytest.raises(ConfigFileError, match=r"there is no configuration file .*absent\.json"):
        resolve_env_config(path=tmp_path / "absent.json")
    with pytest.raises(ConfigFileError, match="cannot be read"):
        resolve_env_config(path=tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigFileError, match="no text in UTF-8"):
        resolve_env_config(path=tmp_path / "bytes")
    assert resolve_env_config(path=written("\ufeff{}")) == {}


def test_secrets_that_others_can_read_are_warned_of(written: Any, caplog: pytest.LogCaptureFixture) -> None:
    """KLI-18: names, modes and the remedy; never the secret."""
    path = written(LAYERED)
    resolve_env_config("prod", path)
    assert caplog.records == []
    Path(path).chmod(0o644)
    resolve_env_config("prod", path)
    assert f"{path} holds secrets and can be read by everybody (mode 644): chmod 600 {path}" in caplog.text
    Path(path).chmod(0o640)
    resolve_env_config("prod", path)
    assert "by its group (mode 640)" in caplog.text
    assert "hunter2" not in caplog.text
    caplog.clear()
    plain = written({"bootstrap_servers": "x:1"}, "plain.json")
    Path(plain).chmod(0o644)
    resolve_env_config(path=plain)
    assert caplog.records == []


names = st.sampled_from(["linger.ms", "linger_ms", "acks", "client.id", "client_id"])
layers = st.dictionaries(names, st.integers(), max_size=4)


@given(default=layers, env=layers)
def test_what_the_environment_says_holds(default: dict[str, int], env: dict[str, int]) -> None:
    """KLI-18, KLI-23: for any two layers and spellings: the environment's, then the default's."""
    merged = files.for_role(files._overlaid(default, env), "producer")
    expected = {files.dotted(name): value for layer in (default, env) for name, value in layer.items()}
    assert merged == expected


# --- the configurations -----------------------------------------------------------------------------------------------


def test_from_env_config_takes_the_roles_section(written: Any) -> None:
    """KLI-22, KLI-23, KLI-24: over the flat keys, in either spelling; fields of the call over all."""
    path = written(LAYERED)
    config = ProducerConfig.from_env_config("dev", path)
    assert (config.bootstrap_servers, config.linger_ms, config.retries) == ("dev:1", 5, 9)
    assert ProducerConfig.from_env_config("dev", path, linger_ms=7, bootstrap_servers="x:1").linger_ms == 7
    consumer = ConsumerConfig.from_env_config("prod", path, topics=["orders"])
    assert (consumer.group_id, consumer.topics, consumer.bootstrap_servers) == ("billing", ("orders",), "prod:1")
    assert consumer.additional_config == {"sasl.password": "hunter2"}  # not the producer's linger
    assert AdminConfig.from_env_config("dev", path).to_library() == {"bootstrap.servers": "dev:1"}


def test_no_bootstrap_servers_means_localhost_and_a_warning(written: Any, caplog: pytest.LogCaptureFixture) -> None:
    """KLI-25: said with the environment's name; servers of another role's section, or of an environment, are none."""
    path = written({"dev": {"linger.ms": 1, "consumer": {"bootstrap.servers": "theirs:1"}}})
    assert ProducerConfig.from_env_config("dev", path).bootstrap_servers == "localhost:9092"
    assert "environment 'dev' names no bootstrap servers: localhost:9092 is used" in caplog.text
    caplog.clear()
    assert ConsumerConfig.from_env_config("dev", path, group_id="g").bootstrap_servers == "theirs:1"
    assert ProducerConfig.from_env_config("dev", path, bootstrap_servers="mine:1").bootstrap_servers == "mine:1"
    assert caplog.records == []
    nothing = ProducerConfig.from_env_config(path=path)  # environments, and no default: none of them is meant
    assert (nothing.bootstrap_servers, nothing.additional_config) == ("localhost:9092", {})
    assert "the configuration names no bootstrap servers" in caplog.text


def test_resolving_is_silent_about_what_is_right(written: Any, caplog: pytest.LogCaptureFixture) -> None:
    """KLI-25: a warning is for what is wrong."""
    caplog.set_level(logging.DEBUG)
    for env in (None, "default", "dev", "prod"):
        ProducerConfig.from_env_config(env, written(LAYERED))
    assert caplog.records == []


def test_the_defaults_are_the_specified_ones() -> None:
    """KLI-16, KLI-26: what is None is not sent, so that the library, or the agent, decides."""
    assert ProducerConfig("a:1").to_library() == {
        "bootstrap.servers": "a:1",
        "acks": "all",
        "retries": 3,
        "max.in.flight.requests.per.connection": 5,
        "enable.idempotence": True,
        "delivery.report.only.error": False,
    }
    assert ConsumerConfig("a:1", "g").to_library() == {
        "bootstrap.servers": "a:1",
        "group.id": "g",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": True,
        "auto.commit.interval.ms": 1000,
        "session.timeout.ms": 30_000,
        "heartbeat.interval.ms": 10_000,
        "isolation.level": "read_committed",
        "enable.auto.offset.store": False,
    }
    assert AdminConfig("a:1").to_library() == {"bootstrap.servers": "a:1"}
    transactional = ProducerConfig("a:1", transactional_id="tx", enable_idempotence=False).to_library()
    assert transactional["enable.idempotence"] is True
    assert transactional["transaction.timeout.ms"] == 60_000


def test_additional_config_wins_whatever_the_spelling() -> None:
    """KLI-23: over the field of its name, by librdkafka's other names as well; there is one setting, not two."""
    config = ProducerConfig(
        "a:1",
        linger_ms=1,
        additional_config={
            "linger_ms": 2,
            "metadata.broker.list": "b:1",
            "request_required_acks": "all",
            "enable.idempotence": "false",
            "queue.buffering.max.messages": 10,
            "log_level": 3,
        },
    )
    assert (config.linger_ms, config.bootstrap_servers, config.enable_idempotence) == (2, "b:1", False)
    assert config.additional_config == {"queue.buffering.max.messages": 10, "log_level": 3}
    assert ProducerConfig("a:1", additional_config={"transactional.id": "tx"}).transactional_id == "tx"
    forced = ConsumerConfig("a:1", "g", additional_config={"enable.auto.offset.store": True}).to_library()
    assert forced["enable.auto.offset.store"] is False


def test_texts_are_read_as_what_the_field_takes() -> None:
    """KLI-23: as files of properties have them."""
    config = ProducerConfig.from_mapping(
        {"bootstrap.servers": ["a:1", " b:2 "], "retries": "7", "linger.ms": "0.5", "enable.idempotence": "False"}
    )
    assert (config.bootstrap_servers, config.retries, config.linger_ms, config.enable_idempotence) == (
        "a:1,b:2",
        7,
        0.5,
        False,
    )


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: ProducerConfig(""), ValueError, "bootstrap_servers is empty"),
        (lambda: ProducerConfig(" , "), ValueError, "bootstrap_servers is empty"),
        (lambda: ProducerConfig([]), ValueError, "bootstrap_servers is empty"),
        (lambda: ProducerConfig(5), TypeError, "bootstrap_servers is 5: it takes HOST:PORT"),
        (lambda: ProducerConfig(None), TypeError, "bootstrap_servers is None"),
        (lambda: ProducerConfig(["a:1", 5]), TypeError, "or a list of them"),
        (lambda: ProducerConfig("a:1", acks=2), ValueError, "acks is 2"),
        (lambda: ProducerConfig("a:1", acks=1), ValueError, "an idempotent producer takes all"),
        (lambda: ProducerConfig("a:1", retries=-1), ValueError, "retries is -1"),
        (lambda: ProducerConfig("a:1", retries=True), ValueError, "retries is True"),
        (lambda: ProducerConfig("a:1", linger_ms="soon"), ValueError, "linger_ms is 'soon'"),
        (lambda: ProducerConfig("a:1", batch_size=0), ValueError, "batch_size is 0"),
        (lambda: ProducerConfig("a:1", compression_type="zip"), ValueError, "it takes none, gzip, snappy, lz4, zstd"),
        (lambda: ProducerConfig("a:1", enable_idempotence="yes"), ValueError, "it takes True or False"),
        (lambda: ProducerConfig("a:1", transactional_id=" "), ValueError, "transactional_id is empty"),
        (lambda: ProducerConfig("a:1", max_in_flight_requests_per_connection=6), ValueError, "takes 1 to 5"),
        (lambda: ConsumerConfig("a:1", ""), ValueError, "group_id is empty"),
        (lambda: ConsumerConfig("a:1", "g", topics="orders"), TypeError, "it takes a list of names"),
        (lambda: ConsumerConfig("a:1", "g", topics=[]), ValueError, "topics is empty"),
        (lambda: ConsumerConfig("a:1", "g", topics=[5]), TypeError, "topics has 5"),
        (lambda: ConsumerConfig("a:1", "g", auto_offset_reset="first"), ValueError, "auto_offset_reset is 'first'"),
        (lambda: ConsumerConfig("a:1", "g", isolation_level="dirty"), ValueError, "isolation_level is 'dirty'"),
        (lambda: ConsumerConfig("a:1", "g", session_timeout_ms=9000), ValueError, "not below session_timeout_ms"),
        (lambda: ConsumerConfig("a:1", "g", enable_auto_commit="maybe"), ValueError, "it takes True or False"),
        (lambda: ConsumerConfig.from_mapping({"bootstrap.servers": "a:1"}), ValueError, "group_id is missing"),
        (lambda: AdminConfig.from_mapping({}), ValueError, "bootstrap_servers is missing"),
        (lambda: AdminConfig("a:1", request_timeout_ms=0), ValueError, "request_timeout_ms is 0"),
    ],
)
def test_what_cannot_be_meant_is_told_when_it_is_written(make: Any, error: type[Exception], says: str) -> None:
    """KLI-18: the field, what it holds, what it takes."""
    with pytest.raises(error) as raised:
        make()
    assert says in str(raised.value)


def test_settings_of_other_roles_are_left_out() -> None:
    """KLI-22: one flat mapping serves all three; what is no field goes to each of them."""
    settings: Mapping[str, Any] = {
        "bootstrap_servers": "a:1",
        "group_id": "g",
        "linger_ms": 5,
        "request_timeout_ms": 4000,
        "security.protocol": "SSL",
    }
    producer, consumer, admin = (cls.from_mapping(settings).to_library() for cls in CONFIGS)
    assert "group.id" not in producer
    assert "linger.ms" not in consumer
    assert set(admin) == {"bootstrap.servers", "security.protocol"}
    assert producer["request.timeout.ms"] == 4000  # the brokers', for acks
    assert all(one["security.protocol"] == "SSL" for one in (producer, consumer, admin))


def test_secrets_are_masked_and_never_in_a_repr() -> None:
    """KLI-28: for screens and logs; callbacks are shown by their type."""
    secrets = {"sasl.password": "hunter2", "ssl.key.password": "hunter2", "sasl.oauthbearer.client.secret": "hunter2"}
    config = ProducerConfig("a:1", additional_config={**secrets, "error_cb": print})
    assert "hunter2" not in repr(config)
    masked = config.masked()
    assert "hunter2" not in str(masked)
    assert set(secrets) <= set(masked)
    assert masked["bootstrap.servers"] == "a:1"
    assert config.to_library()["sasl.password"] == "hunter2"


def test_a_configuration_is_a_value() -> None:
    """KLI-18: frozen; made again from its own settings it is the same."""
    config = ProducerConfig("a:1", linger_ms=5, additional_config={"client.id": "x"})
    with pytest.raises(AttributeError):
        config.linger_ms = 6  # type: ignore[misc]
    again = ProducerConfig.from_mapping(config.to_library())
    assert again.to_library() == config.to_library()
