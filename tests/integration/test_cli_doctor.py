"""`superclient doctor` against real clusters, good and bad, and in environments that lack things."""

from __future__ import annotations

from typing import Any

import pytest

from tests.environments import environment
from tests.faults import refused_port
from tests.integration.cli import document, superclient
from tests.servers import Broker, wait_for
from tests.servers.secure import SecureBroker

LIBRARIES = ("confluent-kafka", "kafka-python", "aiokafka")
METADATA, CLIENTS = "superstream.metadata_v1", "superstream.clients"


def by_name(findings: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The first finding of that name."""
    return next(finding for finding in findings if finding["name"] == name)


def doctor(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    done = superclient("doctor", "--json", "--timeout", "10", *arguments, env=env)
    assert done.stderr == ""
    return done.returncode, document(done)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_healthy_cluster(cluster: Broker, library: str):
    """AGT-51: with both topics there, every library says that all is well, and what the metadata says."""
    advice = {"topic_name": "orders", "optimized_configuration": {"linger.ms": -5, "batch.size": 65536}}
    cluster.create_system_topics()
    cluster.publish_metadata({"active": True, "report_interval_ms": 60000, "topics_configuration": [advice]})
    status, found = doctor("--bootstrap-servers", cluster.bootstrap, "--library", library)
    assert status == 0, found
    assert found["ok"] is True
    assert by_name(found["agent"], "loaded")["loaded"] is True
    for name in LIBRARIES:
        one = by_name(found["libraries"], name)
        assert one["patched"], one
        assert one["codecs"] == ["gzip", "snappy", "lz4", "zstd"]
    metadata = by_name(found["cluster"], METADATA)
    assert (metadata["active"], metadata["topics"], metadata["report_interval_ms"]) == (True, 1, 60000)
    assert any("linger.ms is not taken: -5" in finding["text"] for finding in found["cluster"])
    assert by_name(found["cluster"], CLIENTS)["level"] == "ok"


def test_one_screen(cluster: Broker):
    """AGT-51: all of it fits on one screen, and nothing is said twice."""
    cluster.create_system_topics()
    done = superclient("doctor", "--bootstrap-servers", cluster.bootstrap)
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) <= 24
    assert done.stdout.rstrip().endswith("All is well.")


def test_topics_that_are_missing(cluster: Broker):
    """AGT-51, AGT-45: missing topics are named with the command that makes them, and the look creates none."""
    status, found = doctor("--bootstrap-servers", cluster.bootstrap)
    assert (status, found["ok"]) == (1, False)
    for name in (METADATA, CLIENTS):
        one = by_name(found["cluster"], name)
        assert one["level"] == "problem"
        assert one["fix"].startswith("superclient init --bootstrap-servers")
    assert not {METADATA, CLIENTS} & set(cluster.topics())


def test_a_malformed_record(cluster: Broker):
    """AGT-51, AGT-36: a metadata record that does not parse is a problem, with its reason."""
    cluster.publish_metadata(b"not json")
    status, found = doctor("--bootstrap-servers", cluster.bootstrap)
    assert status == 1
    assert "is not JSON" in by_name(found["cluster"], METADATA)["text"]


def test_nobody_listens():
    """AGT-51: a refused port is said of the server, and the topics are not asked for."""
    with refused_port() as port:
        status, found = doctor("--bootstrap-servers", f"127.0.0.1:{port}")
    assert status == 1
    assert "refuses the connection" in by_name(found["cluster"], f"127.0.0.1:{port}")["text"]
    assert by_name(found["cluster"], METADATA)["level"] == "info"


def test_one_server_of_two_is_down(cluster: Broker):
    """AGT-51: a cluster that can be reached is well, though one of the servers written down is not there."""
    cluster.create_system_topics()
    with refused_port() as port:
        status, found = doctor("--bootstrap-servers", f"127.0.0.1:{port},{cluster.bootstrap}")
    assert status == 0, found
    assert by_name(found["cluster"], f"127.0.0.1:{port}")["level"] == "hint"


def secure_options(broker: SecureBroker, library: str) -> list[str]:
    options = ["--bootstrap-servers", broker.secure_bootstrap, "--sasl-username", "app", "--library", library]
    return [*options, "--ssl-ca", str(broker.ca_file)]


@pytest.mark.parametrize("library", LIBRARIES)
def test_wrong_credentials(secure_kafka: SecureBroker, library: str):
    """AGT-51: a wrong password is told from a cluster that is away, and shown nowhere."""
    options = secure_options(secure_kafka, library)
    status, found = doctor(*options, env={"SUPERCLIENT_SASL_PASSWORD": "wrong-secret"})
    assert status == 1
    assert "credentials" in by_name(found["cluster"], "cluster")["text"]
    assert "wrong-secret" not in str(found)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_rights_that_init_prints_are_enough(secure_kafka: SecureBroker, library: str):
    """AGT-51, AGT-45: no right is a problem that names the topic; Read and Write alone make all well."""
    secure_kafka.create_system_topics()
    options = secure_options(secure_kafka, library)
    env = {"SUPERCLIENT_SASL_PASSWORD": "app-secret"}
    secure_kafka.revoke_all("app")
    status, found = doctor(*options, env=env)
    assert status == 1
    assert "no right to read" in by_name(found["cluster"], METADATA)["text"]
    assert "no right to write" in by_name(found["cluster"], CLIENTS)["text"]
    try:
        secure_kafka.grant("app", METADATA, ("READ",))
        secure_kafka.grant("app", CLIENTS, ("WRITE",))
        # The broker applies new rights a moment after it has taken them.
        wait_for(lambda: doctor(*options, env=env)[0] == 0, "all is well")
    finally:
        secure_kafka.revoke_all("app")


def test_a_right_to_see_but_not_to_write(secure_kafka: SecureBroker):
    """AGT-51: where the library can ask for its rights, a missing one is found without writing a record."""
    secure_kafka.create_system_topics()
    secure_kafka.revoke_all("app")
    secure_kafka.grant("app", METADATA, ("READ",))
    secure_kafka.grant("app", CLIENTS, ("DESCRIBE",))
    try:
        options = secure_options(secure_kafka, "confluent-kafka")
        found: dict[str, Any] = {}

        def seen() -> bool:
            found.update(doctor(*options, env={"SUPERCLIENT_SASL_PASSWORD": "app-secret"})[1])
            return by_name(found["cluster"], CLIENTS).get("partitions") is not None

        wait_for(seen, "the right to see the topic")
        assert found["ok"] is False
        assert "no right to write" in by_name(found["cluster"], CLIENTS)["text"]
    finally:
        secure_kafka.revoke_all("app")


def test_the_wrong_protocol(secure_kafka: SecureBroker):
    """AGT-51: plain text to a TLS listener, an authority that is not trusted, and TLS to a plain one are each named."""
    _, found = doctor("--bootstrap-servers", secure_kafka.secure_bootstrap)
    assert "speaks TLS" in by_name(found["cluster"], "cluster")["text"]
    _, found = doctor("--bootstrap-servers", secure_kafka.secure_bootstrap, "--security-protocol", "ssl")
    assert "not trusted" in by_name(found["cluster"], secure_kafka.secure_bootstrap)["text"]
    _, found = doctor("--bootstrap-servers", secure_kafka.bootstrap, "--security-protocol", "ssl")
    assert "no TLS connection" in by_name(found["cluster"], secure_kafka.bootstrap)["text"]


def test_settings():
    """AGT-51: a malformed setting is a problem, a mistyped name a hint, and good ones are shown as they were read."""
    env = {"SUPERSTREAM_DEBUG": "maybe", "SUPERSTREAM_TOPIC_LIST": "a", "SUPERSTREAM_TOPICS_LIST": "a, b"}
    status, found = doctor(env=env)
    assert status == 1
    assert by_name(found["settings"], "SUPERSTREAM_DEBUG")["level"] == "problem"
    assert by_name(found["settings"], "SUPERSTREAM_TOPICS_LIST")["value"] == ["a", "b"]
    mistyped = by_name(found["settings"], "SUPERSTREAM_TOPIC_LIST")
    assert (mistyped["level"], "SUPERSTREAM_TOPICS_LIST" in mistyped["text"]) == ("hint", True)


def test_switched_off():
    """AGT-51, AGT-5: an agent that is switched off is a problem that names the switch."""
    status, found = doctor(env={"SUPERSTREAM_DISABLED": "yes"})
    assert status == 1
    loaded = by_name(found["agent"], "loaded")
    assert (loaded["loaded"], "SUPERSTREAM_DISABLED" in loaded["text"]) == (False, True)
    status, found = doctor(env={"SUPERSTREAM_DISABLED_LIBRARIES": "aiokafka"})
    assert (status, "left alone" in by_name(found["libraries"], "aiokafka")["text"]) == (0, True)


def test_what_limits_the_agent():
    """AGT-61, AGT-60, AGT-63, AGT-64, AGT-65: the controls in effect, all in the JSON, the limits on the screen too."""
    env = {
        "SUPERSTREAM_MODE": "observe",
        "SUPERSTREAM_ROLLOUT_PERCENT": "25",
        "SUPERSTREAM_EXCLUDE_TOPICS": "audit-*",
        "SUPERSTREAM_MAX_LINGER_MS": "50",
    }
    status, found = doctor(env=env)
    assert status == 0
    facts = by_name(found["control"], "control")
    assert (facts["mode"], facts["rollout_percent"], facts["max_linger_ms"]) == ("observe", 25.0, 50)
    assert (facts["exclude_topics"], facts["exclude_client_ids"], facts["allowed_codecs"]) == (["audit-*"], [], None)
    texts = [finding["text"] for finding in found["control"]]
    assert any("audit-*" in text for text in texts)
    assert any("25 %" in text for text in texts)
    assert "none is changed" in superclient("doctor", env=env).stdout
    assert by_name(doctor()[1]["control"], "control")["text"].startswith("every producer is optimised")


STRANGE = {
    "__init__.py": "__version__ = '9.9.0'",
    "codec.py": "def has_gzip(): return True\nhas_snappy = has_lz4 = has_zstd = has_gzip",
    "producer/__init__.py": "",
    "producer/producer.py": """
class AIOKafkaProducer:
    _COMPRESSORS = {}
    def __init__(self, *, client_id=None): pass
    async def start(self): pass
    async def stop(self): pass
    def create_batch(self): pass
""",
}


def test_a_version_that_nobody_has_seen(tmp_path):
    """AGT-61: what is off for lack of a private name is shown with its reason, once, and is no failure."""
    for name, text in STRANGE.items():
        file = tmp_path / "aiokafka" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    status, found = doctor(env={"PYTHONPATH": str(tmp_path)})
    one = by_name(found["libraries"], "aiokafka")
    assert (status, one["version"], one["patched"]) == (0, "9.9.0", True)
    assert {"counting", "linger"} <= one["features_off"].keys()
    told = [finding["text"] for finding in found["libraries"] if "counting" in finding["text"]]
    assert told == [f"counting is off: {one['features_off']['counting']}"]


def test_how_it_is_loaded(tmp_path):
    """AGT-51: without the .pth the agent is not loaded, and by `superclient run` it is, through PYTHONPATH."""
    python = environment(packages=["kafka-python"])
    pth = next(python.parent.parent.glob("lib/*/site-packages/superclient.pth"))
    hidden = pth.rename(pth.with_suffix(".hidden"))
    try:
        done = superclient("doctor", "--json", python=python)
        assert (done.returncode, by_name(document(done)["agent"], "loaded")["loaded"]) == (1, False)
        done = superclient("run", str(python.with_name("superclient")), "doctor", "--json", python=python)
        loaded = by_name(document(done)["agent"], "loaded")
        assert (loaded["loaded"], loaded["ways"]) == (True, ["PYTHONPATH"])
    finally:
        hidden.rename(pth)


def test_the_base_install():
    """AGT-51: on the base install it works, says what is missing, and gives the pip line."""
    done = superclient("doctor", python=environment())
    assert done.returncode == 1
    assert "no Kafka library is installed" in done.stdout
    assert "pip install 'superclient[kafka-python]'" in done.stdout
    done = superclient("doctor", "--json", python=environment(packages=["kafka-python"]))
    texts = [finding["fix"] for finding in document(done)["libraries"]]
    assert "pip install python-snappy lz4 zstandard" in texts
    assert "pip install crc32c" in texts
    assert done.returncode == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--bootstrap-servers", "a:1", "--sasl-username", "app"],
        ["--bootstrap-servers", "a:1", "--sasl-username", "app", "--sasl-password-file", "/no/such/file"],
        ["--bootstrap-servers", "a:1", "--sasl-username", "app", "--security-protocol", "SSL"],
        ["--bootstrap-servers", "a:1", "--ssl-ca", "/no/such/file"],
        ["--timeout", "soon"],
        ["--nonsense"],
    ],
)
def test_usage(options: list[str]):
    """AGT-51: options that make no sense end with status 2 and say so on stderr."""
    done = superclient("doctor", *options)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("superclient doctor: ")
    assert line.endswith(" (see superclient doctor --help)")
