"""Lag-aware batches in unchanged programs of all three libraries on a real broker: LAG-5 to LAG-8."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.contract.steered import SOURCES, backlog, commit, end, grow, known, shares, steered
from tests.servers import Broker, SecureBroker, wait_for

LIBRARIES = sorted(SOURCES)
SLOW = (0, 1)
# Each burst is a turn of its own: what is left to chance is then too rare to be met.
BURSTS: dict[str, dict[str, Any]] = {"confluent-kafka": {"sticky.partitioning.linger.ms": 1}}
BURSTS |= {"kafka-python": {}, "aiokafka": {}}


def behind(lag: list[Any]) -> bool:
    """The slow partitions were seen, and are spared."""
    return lag[1] is not None and lag[1] >= 5000 and lag[4] == len(SLOW)


def even(lag: list[Any]) -> bool:
    """Nothing lags too much any more."""
    return lag[1] is not None and lag[1] < 5000 and lag[4] == 0


def keyed(broker: Broker, topic: str) -> dict[bytes | None, set[int]]:
    """Where each key's records are."""
    found: dict[bytes | None, set[int]] = {}
    for record in broker.records(topic):
        if record.key is not None:
            found.setdefault(record.key, set()).add(record.partition)
    return found


@pytest.mark.parametrize("library", LIBRARIES)
def test_records_without_a_key_avoid_what_lags_and_come_back(library: str, cluster: Broker, topic: str) -> None:
    """LAG-6, LAG-8: lagging partitions get next to nothing until the group has caught up, then their share again; the
    partition of a key is as without the agent at all times; reports and `explain` say so.
    """
    cluster.create_system_topics()
    group = f"{topic}-group"
    name = backlog(cluster, f"{topic}-lag", group)
    advice = {"topic_name": name, "optimized_configuration": {}, "consumer_group": group}
    cluster.publish_metadata({"active": True, "report_interval_ms": 1000, "topics_configuration": [advice]})
    with steered(library, cluster.bootstrap, name, BURSTS[library], SUPERSTREAM_TOPICS_LIST=name) as program:
        assert program("burst 1 1") == 0
        began = time.monotonic()
        told = known(program, behind)
        assert told["partitioner"] == "lag-aware"
        assert f"group {group} of topic {name} lags" in told["reason"]
        assert told["shown"]
        settled(library, began)
        before = cluster.end_offsets(name)
        assert program("burst 200 5") == 0
        found = shares(cluster, name, before)
        assert sum(found.values()) == 1000
        assert sum(found[p] for p in SLOW) < 200, found  # of an equal share of 333
        assert min(found[p] for p in range(6) if p not in SLOW) > 100, found
        assert program("keys 60") == 0
        reports = cluster.wait_for_reports(lambda all_of: any(starved(one, name) == 2 for one in all_of))
        figures = next(one["lag_metrics"][name] for one in reports if starved(one, name) == 2)
        assert figures["consumer_group"] == group
        assert figures["lag-max"] >= 5000 > figures["lag-median"]
        assert 0 <= figures["signal-age-ms"] < 60_000
        commit(cluster, group, name)
        known(program, even)
        before = cluster.end_offsets(name)
        assert program("burst 200 5") == program("keys 60") == 0
        assert min(shares(cluster, name, before).values()) > 30
        err = end(program)
    assert "-> lag-aware" in err
    assert "WARNING" not in err
    bare = cluster.create_topic(f"{topic}-bare", 6)
    with steered(library, cluster.bootstrap, bare, SUPERSTREAM_DISABLED="true") as program:
        assert program("keys 60") == 0
        end(program)
    assert keyed(cluster, name) == keyed(cluster, bare)


def starved(report: dict[str, Any], topic: str) -> int:
    """Of a report: how many partitions get less than an equal share."""
    return int(report.get("lag_metrics", {}).get(topic, {}).get("starved-partitions", 0))


def settled(library: str, began: float) -> None:
    """librdkafka may not know a topic yet in the first two seconds, in which nothing is steered."""
    if library == "confluent-kafka":
        wait_for(lambda: time.monotonic() - began > 2.5, "the topic to be known")


# A batch is full after so many records, and waits longer for them than the test takes: the clock decides nothing.
FULL_BATCHES: dict[str, dict[str, Any]] = {
    "kafka-python": {"batch_size": 4096, "linger_ms": 20_000, "compression_type": None},
    "aiokafka": {"max_batch_size": 4096, "compression_type": None},
    "confluent-kafka": {"batch.num.messages": 40, "linger.ms": 2000, "sticky.partitioning.linger.ms": 500},
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_batches_stay_as_full_as_sticky_ones(library: str, cluster: Broker, topic: str) -> None:
    """LAG-5: records per batch within 5 % of sticky partitioning, counted in the broker's log."""
    cluster.create_system_topics()
    found = {}
    for partitioning in ("sticky", "lag-aware"):
        group = f"{topic}-{partitioning}-group"
        name = backlog(cluster, f"{topic}-{partitioning}", group)
        env = {"SUPERSTREAM_PARTITIONING": partitioning, "SUPERSTREAM_CONSUMER_GROUP": group}
        env |= {"SUPERSTREAM_TOPICS_LIST": name, "SUPERSTREAM_DEFAULTS": "off"}
        with steered(library, cluster.bootstrap, name, FULL_BATCHES[library], **env) as program:
            assert program("burst 1 1") == 0
            began = time.monotonic()
            if partitioning == "lag-aware":
                known(program, behind)
                settled(library, began)
            starts = cluster.end_offsets(name)
            assert program("stream 20000 90") == 0
            end(program)
        batches = [one for one in cluster.log_bytes(name).batches if one.base_offset >= starts[one.partition]]
        assert sum(one.records for one in batches) == 20_000
        found[partitioning] = 20_000 / len(batches)
        if partitioning == "lag-aware":
            avoided = sum(one.records for one in batches if one.partition in SLOW)
            assert avoided < 20_000 / 5, avoided
    assert found["lag-aware"] >= 0.95 * found["sticky"], found


@pytest.mark.parametrize("kind", ["", "Serializing", "Derived", "Deeper"])
@pytest.mark.parametrize("swap", ["false", "true"])
def test_every_kind_of_confluent_producer_is_steered(kind: str, swap: str, cluster: Broker, topic: str) -> None:
    """LAG-8: subclasses and SerializingProducer too, with SUPERSTREAM_LIVE_SWAP and without; switched off at once."""
    cluster.create_system_topics()
    group = f"{topic}-group"
    name = backlog(cluster, f"{topic}-lag", group)
    env = {"SUPERSTREAM_CONSUMER_GROUPS": f"{name}={group}", "SUPERSTREAM_TOPICS_LIST": name}
    env |= {"KIND": kind, "SUPERSTREAM_LIVE_SWAP": swap}
    with steered("confluent-kafka", cluster.bootstrap, name, BURSTS["confluent-kafka"], **env) as program:
        assert program("burst 1 1") == 0
        began = time.monotonic()
        known(program, behind)
        settled("confluent-kafka", began)
        before = cluster.end_offsets(name)
        assert program("burst 200 5") == 0
        found = shares(cluster, name, before)
        assert sum(found[p] for p in SLOW) < 200, found
        program("deactivate")
        before = cluster.end_offsets(name)
        assert program("burst 200 5") == 0
        assert sum(shares(cluster, name, before)[p] for p in SLOW) > 200
        err = end(program)
    assert "WARNING" not in err, err


@pytest.mark.parametrize("swap", ["false", "true"])
def test_producers_without_a_group_keep_the_librarys_produce(swap: str, cluster: Broker, topic: str) -> None:
    """LAG-7: a group for another topic costs a producer nothing: its `produce` is the C method."""
    cluster.create_system_topics()
    env = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_LIVE_SWAP": swap}
    own = "partial" if swap == "true" else "builtin_function_or_method"
    with steered("confluent-kafka", cluster.bootstrap, topic, **env) as program:
        assert program("produce") == own
    with steered("confluent-kafka", cluster.bootstrap, topic, SUPERSTREAM_CONSUMER_GROUPS="other=g", **env) as program:
        assert program("burst 5 5") == 0
        assert program("produce") == own
        assert program("lags")["lags"] == []
        end(program)
    for conf in ({"partitioner": "murmur2"}, {"sticky.partitioning.linger.ms": 0}):
        group = {"SUPERSTREAM_CONSUMER_GROUP": "g"}
        with steered("confluent-kafka", cluster.bootstrap, topic, conf, **env, **group) as program:
            assert program("produce") == own
            end(program)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("partitioning", ["sticky", "default"])
def test_a_program_that_wants_no_steering_gets_none(
    library: str, partitioning: str, cluster: Broker, topic: str
) -> None:
    """LAG-8: SUPERSTREAM_PARTITIONING=sticky and default, whatever groups are named; nobody reads any lag."""
    cluster.create_system_topics()
    env = {"SUPERSTREAM_CONSUMER_GROUP": "g", "SUPERSTREAM_PARTITIONING": partitioning}
    with steered(library, cluster.bootstrap, topic, SUPERSTREAM_TOPICS_LIST=topic, **env) as program:
        assert program("burst 3 3") == 0
        told = program("lags")
        assert told["lags"] == []
        assert told["partitioner"] != "lag-aware"
        end(program)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_topic_that_grows_and_goes(library: str, reserved_kafka: Broker) -> None:
    """LAG-4: partitions that the library does not know yet fail no record; with the topic goes what is known of it. The
    topic is learned, none is listed.

    kafka-python and aiokafka ask for a topic's leaders again and again, with which most brokers create it anew."""
    cluster, group = reserved_kafka, f"group-{library}"
    cluster.reset_system_topics()
    cluster.create_system_topics()
    name = backlog(cluster, f"grows-{library}", group)
    conf = {"statistics.interval.ms": 200} if library == "confluent-kafka" else {"metadata_max_age_ms": 1000}
    with steered(library, cluster.bootstrap, name, conf, SUPERSTREAM_CONSUMER_GROUP=group) as program:
        assert program("burst 1 1") == 0
        began = time.monotonic()
        known(program, behind)
        settled(library, began)
        grow(cluster, name, 9)
        for _ in range(20):
            assert program("burst 10 5") == 0
        commit(cluster, group, name, dict.fromkeys(SLOW, 5000))
        assert program("burst 50 5") == 0
        cluster.delete_topics(name)
        known(program, lambda lag: lag[1] is None)
        err = end(program)
    assert "failed" not in err, err


def test_a_group_that_does_not_exist(cluster: Broker, topic: str) -> None:
    """LAG-1: its queue is the whole topic, which is told; nothing fails, and nobody is warned."""
    cluster.create_system_topics()
    name = backlog(cluster, f"{topic}-lag", f"{topic}-other")
    env = {"SUPERSTREAM_TOPICS_LIST": name, "SUPERSTREAM_CONSUMER_GROUP": f"{topic}-nobody"}
    with steered("kafka-python", cluster.bootstrap, name, **env) as program:
        assert program("burst 10 5") == 0
        known(program, behind)
        err = end(program)
    assert "WARNING" not in err, err


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_right_to_a_group_is_said_once(library: str, secure_kafka: SecureBroker, topic: str) -> None:
    """AGT-43, LAG-8: one line that names the group; the program's records go as without a group."""
    name = secure_kafka.create_topic(f"{topic}-{library}", 3)
    secure_kafka.create_system_topics()
    secure_kafka.revoke_all("app")
    for one in (name, "superstream.metadata_v1", "superstream.clients"):
        secure_kafka.grant("app", one, ("READ", "WRITE", "DESCRIBE"))
    conf = secure_kafka.client_config({"confluent-kafka": "confluent"}.get(library, library))
    where = conf.pop("bootstrap.servers", "") or conf.pop("bootstrap_servers")
    if conf.pop("ssl_context", None) is not None:
        conf["cafile"] = str(secure_kafka.ca_file)  # an SSLContext does not travel as JSON
    env = {"SUPERSTREAM_TOPICS_LIST": name, "SUPERSTREAM_CONSUMER_GROUP": "forbidden"}
    with steered(library, where, name, conf, **env) as program:
        assert program("burst 5 5") == 0
        known(program, lambda lag: lag[5] not in ("", "not read yet"))
        assert program("burst 5 5") == 0
        err = end(program)
    assert err.count("no right to read the offsets of consumer group forbidden") == 1, err
    assert err.count("WARNING") == 1, err


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_group_named_and_withdrawn_later(library: str, cluster: Broker, topic: str) -> None:
    """AGT-35, AGT-62: live, also in a confluent-kafka producer in use, which cannot take what else is recommended;
    taken back with `active: false`.
    """
    group = f"{topic}-group"
    name = backlog(cluster, f"{topic}-lag", group)
    cluster.create_system_topics()
    first = {"active": True, "report_interval_ms": 1000, "topics_configuration": []}
    advice = {"topic_name": name, "optimized_configuration": {"batch.size": 2_000_000}, "consumer_group": group}
    cluster.publish_metadata(first)
    with steered(library, cluster.bootstrap, name, SUPERSTREAM_TOPICS_LIST=name) as program:
        assert program("burst 1 1") == 0
        assert program("lags")["partitioner"] != "lag-aware"
        cluster.publish_metadata({**first, "topics_configuration": [advice]})
        assert known(program, behind)["partitioner"] == "lag-aware"
        cluster.publish_metadata({**first, "active": False})
        wait_for(lambda: program("lags")["partitioner"] != "lag-aware", "the program's own partitioning")
        assert program("lags")["lags"] == []
        assert program("burst 20 5") == 0
        if library == "confluent-kafka":
            assert program("produce") == "builtin_function_or_method"
        err = end(program)
    assert "WARNING" not in err, err
