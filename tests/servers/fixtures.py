"""The fixtures that hand out servers, and the report of what those logged while a test failed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.faults import Proxy
from tests.servers.kafka import KAFKA_VERSION, OLD_KAFKA_VERSION, Broker, kafka_libraries
from tests.servers.process import RUNNING
from tests.servers.secure import SecureBroker

_log_sizes = pytest.StashKey[dict[Path, int]]()


class Reserved(Broker):
    """See `reserved_kafka`."""

    def properties(self) -> dict[str, str]:
        return {**super().properties(), "auto.create.topics.enable": "false"}


def _require_kafka(version: str = KAFKA_VERSION) -> None:
    """TST-3: under CI a missing server is a failure; elsewhere the skip says how to get it."""
    missing = [] if kafka_libraries(version).is_dir() else [f"Kafka {version}"]
    missing += [] if shutil.which("java") else ["Java"]
    if missing:
        missing_server(f"{' and '.join(missing)} missing: python3 scripts/install_servers.py --kafka {version} gets it")


def missing_server(reason: str) -> None:
    """Fails under CI, skips elsewhere, with the reason."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _running(broker: Broker) -> Iterator[Broker]:
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for the whole session: leave it up, and use topics of your own (`topic`)."""
    _require_kafka()
    yield from _running(Broker(tmp_path_factory.mktemp("kafka")))


@pytest.fixture
def cluster(kafka: Broker) -> Broker:
    """The session's broker as a cluster that has never seen an agent: the system topics are gone."""
    kafka.reset_system_topics()
    return kafka


@pytest.fixture
def topic(kafka: Broker, request: pytest.FixtureRequest) -> str:
    """A new topic of one partition on the session's broker, named after the test."""
    allowed = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:60]
    return kafka.create_topic(f"{allowed}-{os.urandom(4).hex()}")


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for one test module, which may do with its topics what it likes."""
    _require_kafka()
    yield from _running(Broker(tmp_path_factory.mktemp("own-kafka"), "own-kafka"))


@pytest.fixture(scope="module")
def reserved_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for one test module that creates no topic because somebody asks for it: what was deleted stays so."""
    _require_kafka()
    yield from _running(Reserved(tmp_path_factory.mktemp("reserved-kafka"), "reserved-kafka"))


@pytest.fixture
def fresh_kafka(tmp_path: Path) -> Iterator[Broker]:
    """A broker for one test, to pause, kill and restart."""
    _require_kafka()
    yield from _running(Broker(tmp_path / "fresh-kafka", "fresh-kafka"))


@pytest.fixture(scope="module")
def old_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of an older version, for tests of the matrix (`matrix_full`)."""
    _require_kafka(OLD_KAFKA_VERSION)
    yield from _running(Broker(tmp_path_factory.mktemp("old-kafka"), "old-kafka", version=OLD_KAFKA_VERSION))


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Proxy]]:
    """A broker and the proxy in front of it: programs use `proxy.bootstrap`, stay behind it, and `restore` it."""
    _require_kafka()
    with Proxy() as proxy:
        for broker in _running(Broker(tmp_path_factory.mktemp("proxied-kafka"), "proxied-kafka", proxy=proxy)):
            yield broker, proxy


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """SASL_SSL with PLAIN and SCRAM, and ACLs: `grant` first, `revoke_all` afterwards."""
    _require_kafka()
    broker = SecureBroker(tmp_path_factory.mktemp("secure-kafka"))
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


_SERVERS = {"kafka", "own_kafka", "reserved_kafka", "fresh_kafka", "old_kafka", "secure_kafka", "behind_proxy"}
_SERVERS |= {"redis_server", "fresh_redis", "secure_redis"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a server is marked so, and `make unit` leaves it out."""
    for item in items:
        if _SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("servers")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_log_sizes] = {server.log: server.log.stat().st_size for server in RUNNING}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failing test shows what the servers said since it began."""
    report = yield
    if report.failed:
        before = item.stash.get(_log_sizes, {})
        for server in RUNNING:
            said = server.log_tail(since=before.get(server.log, 0))
            if said:
                report.sections.append((f"{server.name}, all in {server.log}", said))
    return report
