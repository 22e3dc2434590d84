"""One suite for the small reads and writes through each of the three libraries (TST-4)."""

import asyncio
import gc
import importlib
import json
import logging
import os
import ssl
import threading
import time
import uuid

import pytest

from superclient import kafka as clients
from superclient.errors import ClusterError, NotAuthorized, TopicMissing, Unreachable
from superclient.kafka import LIBRARIES, security
from superclient.kafka.connection import Connection, Found, LastRecord
from superclient.kafka.internal import CLIENT_ID_PREFIX
from tests import faults
from tests.environments import environment, run_program
from tests.servers import wait_for

pytestmark = pytest.mark.servers


@pytest.fixture(params=LIBRARIES)
def library(request):
    return request.param


@pytest.fixture
def face(library):
    return clients.face(library)


def plain(library, bootstrap) -> Connection:
    return security.connection(library, security.from_canonical(library, {"bootstrap.servers": bootstrap}))


def secure(library, broker, user="app", password=None, mechanism="PLAIN") -> Connection:
    canonical = {
        "bootstrap.servers": broker.secure_bootstrap,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": broker.users[user] if password is None else password,
        "ssl.ca.location": str(broker.ca_file),
    }
    return security.connection(library, security.from_canonical(library, canonical))


def new_name() -> str:
    return f"faces-{uuid.uuid4().hex[:12]}"


def timed(call, *arguments):
    """(what came back or was raised, seconds)"""
    start = time.perf_counter()
    try:
        result = call(*arguments)
    except ClusterError as error:
        result = error
    return result, time.perf_counter() - start


def transaction(broker, topic, value, *, commit):
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": f"tx-{topic}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.flush(30)
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)


class TestReading:
    def test_describes_a_topic_by_its_partitions(self, face, library, kafka):
        """AGT-45: the number of partitions, looked up by name."""
        topic = kafka.create_topic(new_name(), partitions=3)
        assert face.describe_topic(plain(library, kafka.bootstrap), topic, 10) == 3

    def test_looking_for_a_topic_creates_none(self, face, library, kafka):
        """AGT-45: on a broker that creates topics in passing, no look and no send creates one."""
        topic, where = new_name(), plain(library, kafka.bootstrap)
        assert face.describe_topic(where, topic, 10) is None
        assert face.last_record(where, topic, 10) == LastRecord(Found.NO_TOPIC)
        with pytest.raises(TopicMissing):
            face.send(where, topic, [(b"key", b"value")], 10)
        assert topic not in kafka.topics()

    def test_the_last_record_is_the_last_one_written(self, face, library, kafka, topic):
        """AGT-23: of many records the last one's value is brought."""
        where = plain(library, kafka.bootstrap)
        assert face.last_record(where, topic, 10) == LastRecord(Found.EMPTY)
        kafka.produce(topic, [b"%d" % number for number in range(500)])
        assert face.last_record(where, topic, 10) == LastRecord(Found.RECORD, b"499")

    def test_a_tombstone_is_a_record_without_a_value(self, face, library, kafka, topic):
        """AGT-23: a null value is a record, not the absence of one."""
        kafka.produce(topic, [b"before", None], key=b"key")
        assert face.last_record(plain(library, kafka.bootstrap), topic, 10) == LastRecord(Found.RECORD, None)

    def test_markers_and_aborted_transactions_are_no_records(self, face, library, kafka, topic):
        """AGT-23: behind a commit marker, and behind aborted transactions, the last committed record is found."""
        where = plain(library, kafka.bootstrap)
        transaction(kafka, topic, b"aborted", commit=False)
        assert face.last_record(where, topic, 10) == LastRecord(Found.EMPTY)
        transaction(kafka, topic, b"committed", commit=True)
        assert face.last_record(where, topic, 10) == LastRecord(Found.RECORD, b"committed")
        for _ in range(6):
            transaction(kafka, topic, b"aborted", commit=False)
        assert face.last_record(where, topic, 10) == LastRecord(Found.RECORD, b"committed")

    def test_deleted_records_leave_the_topic_empty(self, face, library, kafka, topic):
        """AGT-23: an end offset of its own does not make a record."""
        from confluent_kafka import TopicPartition

        kafka.produce(topic, [b"gone"] * 20)
        admin = kafka.admin()  # must outlive its results
        for result in admin.delete_records([TopicPartition(topic, 0, 20)]).values():
            result.result(15)
        assert face.last_record(plain(library, kafka.bootstrap), topic, 10) == LastRecord(Found.EMPTY)

    def test_a_healthy_broker_is_read_well_within_the_deadline(self, face, library, kafka, topic, record_property):
        """AGT-23: a contact that keeps no connection from before; 10 to 40 ms on an idle machine, printed with -s."""
        kafka.produce(topic, [b"value"])
        where = plain(library, kafka.bootstrap)
        seconds = [timed(face.last_record, where, topic, 10)[1] for _ in range(8)][1:]
        record_property("milliseconds", [round(each * 1000) for each in seconds])
        print(library, "last_record:", [round(each * 1000, 1) for each in seconds], "ms")
        assert min(seconds) < 0.2


class TestWriting:
    def test_sent_records_arrive_with_their_keys(self, face, library, kafka, topic):
        """AGT-40: every record is acknowledged and there."""
        records = [(b"key %d" % number, b"value %d" % number) for number in range(50)]
        assert face.send(plain(library, kafka.bootstrap), topic, records, 10) == 50
        assert [(record.key, record.value) for record in kafka.records(topic)] == records

    def test_nothing_to_send_is_no_failure(self, face, library, kafka, topic):
        """AGT-40: an empty round acknowledges nothing."""
        assert face.send(plain(library, kafka.bootstrap), topic, [], 10) == 0


OPERATIONS = {
    "describe_topic": lambda face, where, seconds: face.describe_topic(where, "orders", seconds),
    "last_record": lambda face, where, seconds: face.last_record(where, "orders", seconds),
    "send": lambda face, where, seconds: face.send(where, "orders", [(b"key", b"value")], seconds),
}


@pytest.fixture(params=OPERATIONS)
def operation(request):
    return OPERATIONS[request.param]


class TestFaults:
    def test_a_refused_connection_is_known_at_once(self, face, library, operation):
        """AGT-23: where nobody listens, the deadline is not waited out."""
        with faults.refused_port() as port:
            error, seconds = timed(operation, face, plain(library, f"127.0.0.1:{port}"), 10)
        assert type(error) is Unreachable
        assert seconds < 1

    @pytest.mark.parametrize("fault", [faults.black_hole, faults.silent_port])
    def test_a_broker_that_does_not_answer_costs_the_deadline_alone(self, face, library, operation, fault):
        """AGT-23: connecting that never ends, and a listener that never answers."""
        with fault() as port:
            error, seconds = timed(operation, face, plain(library, f"127.0.0.1:{port}"), 0.5)
        assert type(error) is Unreachable
        assert seconds < 1.5

    def test_a_stopped_broker_costs_the_deadline_alone(self, face, library, operation, own_kafka):
        """AGT-44: SIGSTOP, connected or not."""
        own_kafka.pause()
        try:
            error, seconds = timed(operation, face, plain(library, own_kafka.bootstrap), 0.5)
        finally:
            own_kafka.resume()
        assert type(error) is Unreachable
        assert seconds < 1.5

    def test_an_unknown_host_is_unreachable(self, face, library, operation):
        """AGT-44: DNS."""
        error, seconds = timed(operation, face, plain(library, "no-such-host.invalid:9092"), 2)
        assert type(error) is Unreachable
        assert seconds < 3

    def test_of_several_brokers_one_is_enough(self, face, library, kafka, topic):
        """AGT-23: a refused address among the bootstrap servers does not end the search."""
        with faults.refused_port() as port:
            where = plain(library, f"127.0.0.1:{port},{kafka.bootstrap}")
            assert [face.describe_topic(where, topic, 10) for _ in range(5)] == [1] * 5


class TestSecurity:
    @pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
    def test_works_with_credentials_and_rights(self, face, library, secure_kafka, mechanism):
        """AGT-43: SASL_SSL with ACLs: reading needs READ and DESCRIBE, writing WRITE, and no consumer group."""
        topic = secure_kafka.create_topic(new_name())
        secure_kafka.grant("app", topic, ("READ", "WRITE", "DESCRIBE"))
        where = secure(library, secure_kafka, mechanism=mechanism)
        assert face.send(where, topic, [(b"key", b"value")], 10) == 1
        assert face.last_record(where, topic, 10) == LastRecord(Found.RECORD, b"value")

    def test_wrong_credentials_are_told_and_not_shown(self, face, library, operation, secure_kafka):
        """AGT-43: a wrong password is NotAuthorized; neither it nor the user's right one is in the message."""
        error, seconds = timed(operation, face, secure(library, secure_kafka, password="hunter2-secret"), 5)
        assert type(error) is NotAuthorized
        assert seconds < 6
        assert "hunter2" not in f"{error!r} {error.__cause__!r} {error.__context__!r}"

    def test_missing_rights_are_told(self, face, library, operation, secure_kafka):
        """AGT-43: a user without any right to the topic."""
        error, _ = timed(operation, face, secure(library, secure_kafka, user="other"), 10)
        assert type(error) is NotAuthorized

    def test_a_listener_that_wants_tls_is_unreachable(self, face, library, operation, secure_kafka):
        """AGT-43: talking plainly to it is a failure within the deadline, not a crash."""
        error, seconds = timed(operation, face, plain(library, secure_kafka.secure_bootstrap), 1)
        assert type(error) is Unreachable
        assert seconds < 2

    @pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
    def test_a_certificate_nobody_vouches_for_is_unreachable(self, face, library, operation, secure_kafka):
        """AGT-43: the server is verified as the program would."""
        default = security.from_canonical(
            library,
            {
                "bootstrap.servers": secure_kafka.secure_bootstrap,
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "PLAIN",
                "sasl.username": "app",
                "sasl.password": secure_kafka.users["app"],
            },
        )
        error, _ = timed(operation, face, security.connection(library, default), 2)
        assert type(error) is Unreachable
        gc.collect()  # kafka-python 3 leaves the socket of a failed handshake to the collector, whoever its client is


class TestTraces:
    def test_nothing_is_left_behind(self, face, library, kafka, topic):
        """AGT-28: after ten calls that worked and ten that failed, no descriptor and no thread more."""

        def count():
            gc.collect()
            return len(os.listdir("/proc/self/fd")), threading.active_count()

        def call(where, seconds):
            for operation in OPERATIONS.values():
                timed(operation, face, where, seconds)
            timed(face.last_record, where, topic, seconds)

        call(plain(library, kafka.bootstrap), 10)
        before = count()
        with faults.refused_port() as refused, faults.black_hole() as hole:
            held = len(os.listdir("/proc/self/fd")) - before[0]
            for _ in range(10):
                call(plain(library, kafka.bootstrap), 10)
                call(plain(library, f"127.0.0.1:{refused}"), 1)
            call(plain(library, f"127.0.0.1:{hole}"), 0.2)
            wait_for(lambda: count() <= (before[0] + held, before[1]), "descriptors and threads to go", 10)
        assert held >= 0

    def test_nothing_is_logged(self, face, library, kafka, topic, caplog, capfd):
        """AGT-22: at DEBUG, with failures, neither a log record nor a line on stdout or stderr is ours."""
        with caplog.at_level(logging.DEBUG), faults.refused_port() as port:
            for bootstrap in (kafka.bootstrap, f"127.0.0.1:{port}"):
                for operation in OPERATIONS.values():
                    timed(operation, face, plain(library, bootstrap), 2)
                timed(face.last_record, plain(library, bootstrap), topic, 2)
        assert [(record.name, record.getMessage()) for record in caplog.records] == []
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("program", ["kafka-python", "aiokafka"])
    def test_the_programs_own_log_passes(self, program, kafka, topic, caplog):
        """AGT-22: a client of the program's, used after ours on the same loggers, logs as before."""
        face = clients.face(program)
        face.send(plain(program, kafka.bootstrap), topic, [(b"key", b"value")], 10)
        with caplog.at_level(logging.DEBUG):
            if program == "kafka-python":
                from kafka import KafkaProducer

                with KafkaProducer(bootstrap_servers=kafka.bootstrap, client_id="program") as producer:
                    producer.send(topic, b"theirs").get(10)
            else:
                asyncio.run(_produce_as_a_program(kafka.bootstrap, topic))
        names = {record.name for record in caplog.records}
        assert names & {"kafka.producer.kafka", "aiokafka.producer.producer"}
        assert not any(CLIENT_ID_PREFIX in record.getMessage() for record in caplog.records)

    def test_clients_are_marked_as_ours(self, face, library, kafka, topic, monkeypatch):
        """AGT-22: what is built, is built with the internal flag up and with our client id."""
        from superclient.kafka import internal

        seen = []
        module, name = {
            "kafka-python": ("kafka", "KafkaConsumer"),
            "aiokafka": ("aiokafka", "AIOKafkaConsumer"),
            "confluent-kafka": ("confluent_kafka.cimpl", "Consumer"),
        }[library]
        original = getattr(importlib.import_module(module), name)

        class Spy(original):
            def __init__(self, *arguments, **settings):
                given = {**(arguments[0] if arguments else {}), **settings}
                seen.append((internal.is_internal(), given.get("client_id", given.get("client.id"))))
                super().__init__(*arguments, **settings)

        Spy.__name__ = name
        Spy.__init__.__wrapped__ = original.__init__  # the signature stays visible, as under any decent wrapper
        monkeypatch.setattr(importlib.import_module(module), name, Spy)
        face.last_record(plain(library, kafka.bootstrap), topic, 10)
        assert seen
        assert all(flag and client_id.startswith(CLIENT_ID_PREFIX) for flag, client_id in seen)


async def _produce_as_a_program(bootstrap, topic):
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=bootstrap, client_id="program") as producer:
        await producer.send_and_wait(topic, b"theirs")


OLDER = [
    pytest.param("kafka-python==2.0.6", id="kafka-python-2.0.6"),
    pytest.param("aiokafka==0.10.0", id="aiokafka-0.10"),
    pytest.param("confluent-kafka==2.3.0", id="confluent-kafka-2.3"),
    *(
        pytest.param(each, id=each.replace("==", "-"), marks=pytest.mark.matrix_full)
        for each in ("kafka-python==2.2.15", "kafka-python==2.3.0", "aiokafka==0.12.0", "confluent-kafka==2.12.0")
    ),
]

# What the older versions cannot: 2.0.x shows records of aborted transactions and sees no topic that it has no right to.
PROBE = """
import gc, json, os, sys, threading, time
from superclient import kafka
from superclient.errors import ClusterError
from superclient.kafka import security

library, bootstrap, topic, missing, refused, hole = sys.argv[1:]
face = kafka.face(library)
out = {}

def call(name, port, operation, *arguments, timeout=10):
    where = security.connection(library, security.from_canonical(library, {"bootstrap.servers": port}))
    start = time.perf_counter()
    try:
        value = getattr(face, operation)(where, *arguments, timeout)
    except ClusterError as error:
        value = type(error).__name__
    out[name] = [value if isinstance(value, (int, str, type(None))) else [value.found.name, str(value.value)],
                 time.perf_counter() - start]

call("warm", bootstrap, "describe_topic", topic)
before = len(os.listdir("/proc/self/fd")), threading.active_count()
call("send", bootstrap, "send", topic, [(b"k", b"v1"), (b"k", b"v2")])
call("last", bootstrap, "last_record", topic)
call("describe", bootstrap, "describe_topic", topic)
for operation, more in (("describe_topic", ()), ("last_record", ()), ("send", ([(b"k", b"v")],))):
    call("missing " + operation, bootstrap, operation, missing, *more)
    call("refused " + operation, refused, operation, topic, *more)
    call("hole " + operation, hole, operation, topic, *more, timeout=0.5)
deadline = time.monotonic() + 10
while True:
    gc.collect()
    after = len(os.listdir("/proc/self/fd")), threading.active_count()
    if after <= before or time.monotonic() > deadline:
        break
    time.sleep(0.05)
out["left"] = [after[0] - before[0], after[1] - before[1]]
print(json.dumps(out))
"""


class TestOlderVersions:
    @pytest.mark.parametrize("package", OLDER)
    def test_an_older_version_reads_and_writes_the_same(self, package, kafka, topic):
        """TST-4, AGT-22, AGT-45: in an environment of its own, with the agent on: nothing created, left or printed."""
        library, missing = package.partition("==")[0], new_name()
        python = environment("3.11", [package])
        with faults.refused_port() as refused, faults.black_hole() as hole:
            addresses = [f"127.0.0.1:{port}" for port in (refused, hole)]
            done = run_program(python, PROBE, library, kafka.bootstrap, topic, missing, *addresses)
        lines = done.stderr.splitlines()
        assert (done.returncode, [line for line in lines if "Superstream Agent initialized" not in line]) == (0, [])
        out = json.loads(done.stdout)
        assert out.pop("left") == [0, 0]
        assert all(seconds < 1.5 for name, (_, seconds) in out.items() if name != "warm")
        found = {name: value for name, (value, _) in out.items()}
        assert found["describe"] == 1
        assert found["send"] == 2
        assert found["last"] == ["RECORD", "b'v2'"]
        assert found["missing describe_topic"] is None
        assert found["missing last_record"] == ["NO_TOPIC", "None"]
        assert found["missing send"] == "TopicMissing"
        assert {value for name, value in found.items() if name.startswith(("refused", "hole"))} == {"Unreachable"}
        assert missing not in kafka.topics()


class TestOddSettings:
    def test_a_setting_that_the_library_refuses_is_a_cluster_error(self, face, library, operation):
        """AGT-43: whatever a library raises about a configuration comes out as one kind of error."""
        where = security.connection(
            library,
            {"bootstrap_servers": "127.0.0.1:1", "bootstrap.servers": "127.0.0.1:1", "security_protocol": "NONSENSE"}
            if library != "confluent-kafka"
            else {"bootstrap.servers": "127.0.0.1:1", "security.protocol": "NONSENSE"},
        )
        error, seconds = timed(operation, face, where, 2)
        assert isinstance(error, ClusterError)
        assert seconds < 3

    def test_an_ssl_context_is_carried_along(self, secure_kafka):
        """AGT-43: the program's own context object serves the internal client of kafka-python and aiokafka."""
        topic = secure_kafka.create_topic(new_name())
        secure_kafka.grant("app", topic, ("READ", "DESCRIBE"))
        for library in ("kafka-python", "aiokafka"):
            settings = {
                "bootstrap_servers": [secure_kafka.secure_bootstrap],
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": "app",
                "sasl_plain_password": secure_kafka.users["app"],
                "ssl_context": ssl.create_default_context(cafile=str(secure_kafka.ca_file)),
            }
            where = security.connection(library, settings)
            assert clients.face(library).describe_topic(where, topic, 10) == 1
