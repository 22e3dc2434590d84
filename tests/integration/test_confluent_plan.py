"""Unchanged programs on confluent-kafka are built with the plan, early or late, and counted exactly."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.environments import PATIENT_EXIT, environment, run_program, start_program
from tests.servers import Broker

FORMS = {
    "a dict": 'Producer({"bootstrap.servers": address, "client.id": "orders"})',
    "keywords": 'Producer(**{"bootstrap.servers": address, "client.id": "orders"})',
    "both": 'Producer({"bootstrap.servers": "nowhere", "client.id": "orders"}, **{"bootstrap.servers": address})',
    "aliases": 'Producer({"bootstrap.servers": address, "client.id": "orders", "compression.codec": "gzip", '
    '"queue.buffering.max.ms": "7", "default.topic.config": {"compression.type": "snappy"}})',
    "a subclass": 'type("Mine", (Producer,), {})({"bootstrap.servers": address, "client.id": "orders"})',
    "serializing": 'SerializingProducer({"bootstrap.servers": address, "client.id": "orders"})',
}

PRODUCES = """
import sys
from confluent_kafka import Producer, SerializingProducer
address, topic = sys.argv[1:]
producer = FORM
for number in range(100):
    producer.produce(topic, value=b"number %d " % number * 20)
print(producer.flush(30), len(producer))
"""


def _advise(cluster: Broker, topic: str, **configuration: Any) -> None:
    cluster.create_system_topics()
    entry = {
        "topic_name": topic,
        "potential_reduction_percentage": 50,
        "daily_writes_bytes": 1_000_000,
        "allow_linger": True,
    }
    cluster.publish_metadata({"topics_configuration": [{**entry, "optimized_configuration": configuration}]})


def _env(topic: str, **more: str) -> dict[str, str]:
    return {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_METADATA_TIMEOUT_MS": "20000", **more}


def _python(version: str = "2.16.1") -> Path:
    return environment("3.11", [f"confluent-kafka=={version}"])


def _applied(report: Mapping[str, Any], **expected: object) -> bool:
    found = report["optimized_configuration"]
    return all(found.get(name.replace("_", ".")) == value for name, value in expected.items())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("version", ["2.3.0", "2.16.1"])
def test_every_form_of_construction_gets_the_plan(cluster: Broker, topic: str, form: str, version: str) -> None:
    """AGT-20, AGT-28: a dict, keywords, both, aliases in any place, subclasses: the topic's recommendation holds."""
    _advise(cluster, topic, **{"compression.type": "zstd", "linger.ms": 20})
    done = run_program(
        _python(version), PRODUCES.replace("FORM", FORMS[form]), cluster.bootstrap, topic, env=_env(topic)
    )
    assert (done.returncode, done.stdout) == (0, "0 0\n"), done.stderr
    written = cluster.log_bytes(topic)
    assert (written.records, written.codecs) == (100, {"zstd"})


def test_settings_that_the_library_refuses_leave_the_program_its_own(cluster: Broker, topic: str) -> None:
    """AGT-21: the constructor raises about the plan's settings; it runs again with the program's own, which hold."""
    _advise(cluster, topic, **{"compression.type": "zstd", "compression.level": 22})
    program = (
        "from superclient.agent.adapters.confluent import patch\n"
        "import confluent_kafka, sys\n"
        'sys.modules["superclient.agent.adapters.confluent.patch"].LEVELS["zstd"] = (0, 22)\n'
    ) + PRODUCES.replace("FORM", FORMS["a dict"])
    done = run_program(_python(), program, cluster.bootstrap, topic, env=_env(topic))
    assert (done.returncode, done.stdout) == (0, "0 0\n"), done.stderr
    assert cluster.log_bytes(topic).codecs == {"none"}
    reports = cluster.wait_for_reports(lambda found: any(one["message_type"] == "client_info" for one in found))
    report = next(one for one in reports if one["message_type"] == "client_info")
    assert report["optimized_configuration"] == report["original_configuration"]


def test_a_level_beyond_the_librarys_range_is_refused_before(cluster: Broker, topic: str) -> None:
    """AGT-31: zstd's 22 is more than the constructor of librdkafka takes: said so, the codec is taken all the same."""
    _advise(cluster, topic, **{"compression.type": "zstd", "compression.level": 22})
    done = run_program(_python(), PRODUCES.replace("FORM", FORMS["a dict"]), cluster.bootstrap, topic, env=_env(topic))
    assert (done.returncode, done.stdout) == (0, "0 0\n"), done.stderr
    assert cluster.log_bytes(topic).codecs == {"zstd"}


WAITS = """
import sys, threading
from confluent_kafka import Producer
address, topic = sys.argv[1:]
producer = Producer({"bootstrap.servers": address, "client.id": "orders"})
early = producer.produce
going = True
def serve():
    while going:
        producer.poll(0.1)
thread = threading.Thread(target=serve)
thread.start()
print("built", flush=True)
input()
for number in range(100):
    (early if number % 2 else producer.produce)(topic, value=b"number %d " % number * 20, key=b"k")
print(producer.flush(30), len(producer), type(producer) is Producer, flush=True)
going = False
thread.join()
"""


@pytest.mark.parametrize("version", ["2.3.0", "2.12.0", "2.16.1"])
def test_a_producer_that_has_not_produced_gets_a_late_plan(cluster: Broker, topic: str, version: str) -> None:
    """AGT-23: nobody waited for the metadata; the unused producer is exchanged for a tuned one under its poll loop, and
    a bound `produce` taken before follows. Order holds, nothing is lost or doubled.
    """
    _advise(cluster, topic, **{"compression.type": "zstd"})
    env = _env(topic, SUPERSTREAM_METADATA_TIMEOUT_MS="0")
    with start_program(_python(version), WAITS, cluster.bootstrap, topic, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "built\n"
        cluster.wait_for_reports(lambda reports: any(_applied(one, compression_type="zstd") for one in reports))
        stdout, stderr = process.communicate("go\n", timeout=60)
    assert (process.returncode, stdout) == (0, "0 0 True\n"), stderr
    assert cluster.log_bytes(topic).codecs == {"zstd"}
    assert [int((record.value or b"").split()[1]) for record in cluster.records(topic)] == list(range(100))


def test_a_producer_that_has_produced_keeps_its_handle(cluster: Broker, topic: str) -> None:
    """AGT-23, AGT-35: once it has produced, a late plan waits for the next construction; records go out as before."""
    _advise(cluster, topic, **{"compression.type": "zstd"})
    program = """
    import sys, time
    from confluent_kafka import Producer
    address, topic = sys.argv[1:]
    producer = Producer({"bootstrap.servers": address, "client.id": "orders"})
    producer.produce(topic, b"first " * 20)
    print(producer.flush(30), flush=True)
    input()
    producer.produce(topic, b"second " * 20)
    print(producer.flush(30))
    later = Producer({"bootstrap.servers": address, "client.id": "orders"})
    later.produce(topic, b"third " * 20)
    print(later.flush(30))
    """
    env = _env(topic, SUPERSTREAM_METADATA_TIMEOUT_MS="0")
    with start_program(_python(), program, cluster.bootstrap, topic, env=env) as process:
        cluster.wait_for_reports(lambda reports: any(one["client_id"] == "orders" for one in reports))
        stdout, stderr = process.communicate("go\n", timeout=60)
    assert (process.returncode, stdout) == (0, "0\n0\n0\n"), stderr
    assert [batch.codec for batch in cluster.log_bytes(topic).batches] == ["none", "none", "zstd"]


@pytest.mark.parametrize("codec", ["none", "zstd"])
@pytest.mark.parametrize("version", ["2.3.0", "2.16.1"])
def test_figures_are_those_of_the_brokers_log(cluster: Broker, topic: str, codec: str, version: str) -> None:
    """AGT-41: records and bytes on the wire are the log's, bytes before compression are the keys' and values'."""
    _advise(cluster, topic, **{"compression.type": codec})
    program = """
    import sys, time
    from confluent_kafka import Producer
    address, topic = sys.argv[1:]
    seen = []
    settings = {"bootstrap.servers": address, "statistics.interval.ms": 300, "stats_cb": lambda text: seen.append(text)}
    producer = Producer(settings)
    size = 0
    for number in range(5000):
        key, value = b"key %d" % (number % 7), b"number %d " % number * 20
        size += len(key) + len(value)
        producer.produce(topic, key=key, value=value)
        producer.poll(0)
        if number % 500 == 0:
            producer.poll(0.2)
    producer.flush(30)
    known = len(seen)
    while len(seen) < known + 3:
        producer.poll(0.1)
    print(size)
    """
    patient = textwrap.dedent(program) + PATIENT_EXIT
    done = run_program(_python(version), patient, cluster.bootstrap, topic, env=_env(topic))
    assert done.returncode == 0, done.stderr
    reports = cluster.wait_for_reports(lambda found: any(one["message_type"] == "client_stats" for one in found))
    (last,) = [one for one in reports if one["message_type"] == "client_stats"][-1:]
    written = cluster.log_bytes(topic)
    assert written.codecs == {codec}
    assert last["topic_metrics"][topic]["record-send-total"] == written.records == 5000
    assert last["topic_metrics"][topic]["byte-total"] == pytest.approx(written.bytes, rel=0.01)
    assert last["write_after_compression_delta"] == pytest.approx(written.bytes, rel=0.01)
    assert last["write_before_compression_delta"] == pytest.approx(int(done.stdout), rel=0.01)
    assert last["producer_metrics"]["request-total"] <= len(written.batches)


def test_figures_that_were_never_served_are_absent(cluster: Broker, topic: str) -> None:
    """AGT-41: a program that ends before statistics came has no figures in its last report, rather than zeros."""
    _advise(cluster, topic, **{"compression.type": "zstd"})
    program = textwrap.dedent(PRODUCES.replace("FORM", FORMS["a dict"])) + PATIENT_EXIT
    done = run_program(_python(), program, cluster.bootstrap, topic, env=_env(topic))
    assert done.returncode == 0, done.stderr
    reports = cluster.wait_for_reports(lambda found: any(one["message_type"] == "client_stats" for one in found))
    (last,) = [one for one in reports if one["message_type"] == "client_stats"]
    assert not {"topic_metrics", "producer_metrics", "write_after_compression_delta"} & last.keys()


@pytest.mark.parametrize("timeout", ["message.timeout.ms", "delivery.timeout.ms"])
def test_a_linger_beyond_the_programs_time_limit_is_refused(cluster: Broker, topic: str, timeout: str) -> None:
    """AGT-28: the program's message timeout is smaller than a recommended linger, which is refused; records arrive."""
    _advise(cluster, topic, **{"compression.type": "zstd", "linger.ms": 900})
    form = f'Producer({{"bootstrap.servers": address, "{timeout}": 600}})'
    done = run_program(_python(), PRODUCES.replace("FORM", form), cluster.bootstrap, topic, env=_env(topic))
    assert (done.returncode, done.stdout) == (0, "0 0\n"), done.stderr
    written = cluster.log_bytes(topic)
    assert (written.records, written.codecs) == (100, {"zstd"})


def test_what_an_added_linger_holds_goes_out_at_exit(cluster: Broker, topic: str) -> None:
    """AGT-25: ten records, a pause that would do without the agent, an exit without flush: they are delivered."""
    _advise(cluster, topic, **{"linger.ms": 1000})
    program = """
    import sys, time
    from confluent_kafka import Producer
    address, topic = sys.argv[1:]
    producer = Producer({"bootstrap.servers": address, "on_delivery": lambda *args: print("called")})
    producer.list_topics(topic, 20)
    for number in range(10):
        producer.produce(topic, b"%d" % number)
    time.sleep(0.5)
    """
    done = run_program(_python(), program, cluster.bootstrap, topic, env=_env(topic))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert cluster.log_bytes(topic).records == 10
