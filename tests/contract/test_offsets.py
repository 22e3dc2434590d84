"""One suite for the readers of offsets, through each of the three libraries, on real brokers (TST-4)."""

from __future__ import annotations

import base64
import gc
import json
import logging
import os
import re
import sys
import threading
import uuid
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import NewPartitions, NewTopic

from superclient import kafka as clients
from superclient.errors import ClusterError, NotAuthorized, Unreachable
from superclient.kafka import LIBRARIES
from superclient.kafka.offsets import exchange
from superclient.partitioning.collectors import queues
from tests import faults
from tests.contract.test_kafka_faces import plain, secure, timed
from tests.environments import environment, run_program, start_program
from tests.servers import Broker, wait_for
from tests.servers.kafka import ROOT
from tests.wire import CountingWire

pytestmark = pytest.mark.servers

PATIENT = 20  # seconds; what works is over long before


@pytest.fixture(params=LIBRARIES)
def library(request):
    return request.param


def new_name(kind="offsets") -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def reader(library, bootstrap):
    return closing(clients.face(library).offsets_reader(plain(library, bootstrap)))


def commit(broker, group, offsets):
    """What a real consumer of the group does; (topic, partition) → offset."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    partitions = [TopicPartition(*where, offset) for where, offset in offsets.items()]

    def done():
        try:
            consumer.commit(offsets=partitions, asynchronous=False)
        except KafkaException:  # a cluster's first group waits for its coordinator for longer than a commit does
            return False
        return True

    try:
        wait_for(done, "the commit", 90)
    finally:
        consumer.close()


def write(broker, topic, counts):
    """So many records to each partition."""
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for partition, count in counts.items():
        for number in range(count):
            producer.produce(topic, b"%d" % number, partition=partition)
    assert producer.flush(PATIENT) == 0


class TestReading:
    def test_ends_and_what_two_groups_have_committed(self, library, kafka):
        """LAG-1, LAG-2: of several topics; and the starts, which retention moves."""
        orders, carts = kafka.create_topic(new_name(), partitions=3), kafka.create_topic(new_name())
        write(kafka, orders, {0: 5, 1: 3})
        write(kafka, carts, {0: 2})
        admin = kafka.admin()
        next(iter(admin.delete_records([TopicPartition(orders, 1, 2)]).values())).result(PATIENT)
        first, second, nobody = new_name("group"), new_name("group"), new_name("group")
        commit(kafka, first, {(orders, 0): 4, (orders, 1): 3})
        commit(kafka, second, {(carts, 0): 1})
        with reader(library, kafka.bootstrap) as offsets:
            found = offsets.read({first: [orders], second: [orders, carts], nobody: [carts]}, PATIENT)
            complete = offsets.read({second: [carts]}, PATIENT)
        assert found.ends == {orders: {0: 5, 1: 3, 2: 0}, carts: {0: 2}}
        assert found.starts == {orders: {0: 0, 1: 2, 2: 0}, carts: {0: 0}}
        assert found.committed[first] == {orders: {0: 4, 1: 3}}
        assert found.committed[second] == {carts: {0: 1}}
        assert found.committed.get(nobody, {}) == {}
        assert found.refused == {}
        assert (complete.ends, complete.starts, complete.committed) == (
            {carts: {0: 2}}, {carts: {0: 0}}, {second: {carts: {0: 1}}},
        )  # fmt: skip

    def test_retention_that_deletes_what_a_group_has_yet_to_read(self, library, kafka, topic, monkeypatch):
        """LAG-1: what is behind the log start offset is in nobody's queue, whatever the group committed, once
        starts are looked up again, as they are each minute."""
        group, admin = new_name("group"), kafka.admin()
        write(kafka, topic, {0: 5})
        commit(kafka, group, {(topic, 0): 1})

        def deleted(before):
            next(iter(admin.delete_records([TopicPartition(topic, 0, before)]).values())).result(PATIENT)

        def queued():
            return queues(offsets.read({group: [topic]}, PATIENT), group, topic)[0].lag

        monkeypatch.setattr(exchange, "METADATA_AGE", 0.0)
        with reader(library, kafka.bootstrap) as offsets:
            assert queued() == 4
            deleted(3)
            wait_for(lambda: queued() == 2, "the start to be read again")

    def test_a_transaction_that_is_still_open_counts(self, library, kafka, topic):
        """LAG-1: the end is the high watermark, beyond what a reader of committed records sees."""
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
        producer.init_transactions(PATIENT)
        producer.begin_transaction()
        producer.produce(topic, b"open")
        producer.flush(PATIENT)
        with reader(library, kafka.bootstrap) as offsets:
            assert offsets.read({new_name("group"): [topic]}, PATIENT).ends == {topic: {0: 1}}
        producer.abort_transaction(PATIENT)

    def test_reading_leaves_nothing_on_the_cluster(self, library, kafka, topic):
        """LAG-2: a topic that is not there is absent and stays so; a group is neither joined nor made."""
        group, missing = new_name("group"), new_name("missing")
        with reader(library, kafka.bootstrap) as offsets:
            for _ in range(2):
                assert offsets.read({group: [topic, missing]}, PATIENT).ends == {topic: {0: 0}}
                assert offsets.read({group: [missing]}, PATIENT).ends == {}
        assert missing not in kafka.topics()
        admin = kafka.admin()  # must outlive its results
        groups = admin.list_consumer_groups(request_timeout=PATIENT).result(PATIENT).valid
        assert group not in {each.group_id for each in groups}

    def test_nothing_asked_is_nothing_read(self, library):
        """LAG-2: without groups, or without topics, nobody is connected to."""
        with faults.refused_port() as port, reader(library, f"127.0.0.1:{port}") as offsets:
            assert offsets.read({}, 5).ends == offsets.read({"group": []}, 5).ends == {}

    def test_a_topic_that_grows_goes_and_comes_back(self, library, kafka, monkeypatch):
        """LAG-2: partitions that are added, a topic that is deleted, and one of the same name after it."""
        topic, other, group = kafka.create_topic(new_name()), kafka.create_topic(new_name()), new_name("group")
        with reader(library, kafka.bootstrap) as offsets:

            def ends():
                return offsets.read({group: [topic, other]}, PATIENT).ends

            assert ends() == {topic: {0: 0}, other: {0: 0}}
            monkeypatch.setattr(exchange, "METADATA_AGE", 0.0)
            monkeypatch.setattr(exchange, "MISSING_AGE", 0.0)
            offsets.read({group: [topic, other, new_name("missing")]}, PATIENT)  # looks anew, and from now on always
            admin = kafka.admin()  # must outlive its results
            next(iter(admin.create_partitions([NewPartitions(topic, 3)]).values())).result(PATIENT)
            wait_for(lambda: ends() == {topic: dict.fromkeys(range(3), 0), other: {0: 0}}, "the new partitions")
            monkeypatch.setattr(exchange, "METADATA_AGE", 3600.0)
            ends()  # the last look for an hour
            kafka.delete_topics(topic)
            wait_for(lambda: ends() == {other: {0: 0}}, "the topic to be gone, which an error tells")
            kafka.create_topic(topic, partitions=2)
            wait_for(lambda: ends() == {topic: {0: 0, 1: 0}, other: {0: 0}}, "the topic to be back")

    def test_clients_are_marked_as_ours(self, library, kafka, topic):
        """AGT-22: what the broker sees carries our client id."""
        with CountingWire(kafka.bootstrap) as wire, reader(library, wire.bootstrap) as offsets:
            offsets.read({new_name("group"): [topic]}, PATIENT)
            asked = sum(wire.take().values())
            tally = wire.reset()
        assert tally.agent_requests >= asked > 0  # librdkafka may have asked something between the two


class TestRequests:
    def test_one_request_a_leader_and_one_a_group(self, kafka):
        """LAG-2: however many topics and partitions; leaders and coordinators are not looked up again."""
        self.check(kafka, topics=5, partitions=10)

    @pytest.mark.matrix_full
    @pytest.mark.timeout(400)
    def test_one_request_for_thousands_of_partitions(self, fresh_kafka):
        """LAG-2: the same with 50 topics of 100 partitions."""
        self.check(fresh_kafka, topics=50, partitions=100)

    def check(self, broker, topics, partitions):
        names = [new_name("wire") for _ in range(topics)]
        admin = broker.admin()
        for made in admin.create_topics([NewTopic(name, partitions, 1) for name in names]).values():
            made.result(60)
        commit(broker, new_name("group"), {(names[0], 0): 0})  # where there was no group ever, none is looked for
        groups = {new_name("group"): names, new_name("group"): names}
        everything = topics * partitions
        with ExitStack() as stack:
            wire = stack.enter_context(CountingWire(broker.bootstrap))
            readers = [stack.enter_context(reader(each, wire.bootstrap)) for each in LIBRARIES]
            for offsets in readers:
                wait_for(lambda each=offsets: _size(each.read(groups, 60).ends) == everything, "the topics", 200)
                offsets.read(groups, 60)  # whatever the wait left to be looked up again
                wire.take()
                for _ in range(2):
                    found = offsets.read(groups, 60)
                    assert _size(found.ends) == _size(found.starts) == everything
                    assert wire.take() == {"ListOffsets": 1, "OffsetFetch": 2}
            for group in groups:
                commit(broker, group, {(name, number): 0 for name in names for number in range(partitions)})
            for offsets in readers:
                found = offsets.read(groups, 60)
                assert [_size(each) for each in found.committed.values()] == [everything] * 2
                assert wire.take() == {"ListOffsets": 1, "OffsetFetch": 2}


def _size(places):
    return sum(map(len, places.values()))


class Second(Broker):
    """Another broker of the first one's cluster."""

    def __init__(self, folder, first):
        super().__init__(folder, "second-kafka")
        self._first = first

    def properties(self):
        own = super().properties()
        (voters,) = re.findall(r"(?m)^controller.quorum.voters=(.*)$", self._first._properties_file.read_text())
        more = {"process.roles": "broker", "node.id": "2", "controller.quorum.voters": voters}
        return {**own, **more, "listeners": own["advertised.listeners"]}

    def _format(self):
        super()._format()
        (cluster,) = re.findall(r"(?m)^cluster.id=.*$", (self._first.log_dir / "meta.properties").read_text())
        directory = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        lines = ("version=1", "node.id=2", f"directory.id={directory}", cluster)
        (self.log_dir / "meta.properties").write_text("\n".join(lines))


@pytest.fixture
def second(fresh_kafka, tmp_path):
    broker = Second(tmp_path / "second-kafka", fresh_kafka)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


class TestTwoBrokers:
    def test_each_leader_is_asked_once_and_one_that_hangs_costs_its_partitions_alone(
        self, fresh_kafka, second, monkeypatch
    ):
        """LAG-2: a request a leader and a group; while a broker is away, its partitions are absent and its groups
        refused, the others count; where no group ever was, looking for one makes no topic of offsets."""
        monkeypatch.setattr(exchange, "MISSING_AGE", 0.0)
        topic, admin = new_name(), fresh_kafka.admin()
        made = admin.create_topics([NewTopic(topic, 2, replica_assignment=[[1], [2]])])
        made[topic].result(PATIENT)
        with ExitStack() as stack:
            wire = stack.enter_context(CountingWire(fresh_kafka.bootstrap, second.bootstrap))
            counted = [stack.enter_context(reader(each, wire.bootstrap)) for each in LIBRARIES]
            readers = {each: stack.enter_context(reader(each, fresh_kafka.bootstrap)) for each in LIBRARIES}
            for offsets in counted:
                wait_for(lambda each=offsets: _size(each.read({"any": [topic]}, PATIENT).ends) == 2, "both leaders")
            assert "__consumer_offsets" not in fresh_kafka.topics()

            near, far = _groups_of(fresh_kafka, topic)
            groups = {near: [topic], far: [topic]}

            few = {"ListOffsets": 2, "OffsetFetch": 2}

            def asked_by(offsets):
                wire.take()
                offsets.read(groups, PATIENT)
                return wire.take()

            full = {near: {topic: {0: 0, 1: 0}}, far: {topic: {0: 0, 1: 0}}}
            for offsets in counted:
                wait_for(lambda each=offsets: each.read(groups, PATIENT).committed == full, "both groups", 60)
                # The first ones may still make a connection, or look who leads.
                wait_for(lambda each=offsets: asked_by(each) == few, "no more than that")

            def works(offsets):
                return offsets.read(groups, PATIENT).committed == full

            def partial(offsets):
                found = offsets.read(groups, 4)
                refused = {group: type(error) for group, error in found.refused.items()}
                return (found.ends, refused, set(found.committed)) == ({topic: {0: 0}}, {far: Unreachable}, {near})

            for each, offsets in readers.items():
                wait_for(lambda offsets=offsets: works(offsets), each, 60)
            second.pause()
            try:
                for each, offsets in readers.items():
                    wait_for(lambda offsets=offsets: partial(offsets), each, 60)
            finally:
                second.resume()
            for each, offsets in readers.items():
                wait_for(lambda offsets=offsets: works(offsets), each, 60)


def _groups_of(broker, topic):
    """A group that the first broker coordinates, and one of the second's, both with commits."""
    found, admin = {}, broker.admin()
    while len(found) < 2:
        group = new_name("group")
        commit(broker, group, {(topic, 0): 0, (topic, 1): 0})
        described = admin.describe_consumer_groups([group], request_timeout=PATIENT)[group].result(PATIENT)
        found[described.coordinator.id] = group
    return found[1], found[2]


class TestSecurity:
    @pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
    def test_what_we_have_no_right_to_is_told_and_the_rest_counts(self, library, secure_kafka, mechanism):
        """LAG-2: SASL_SSL with ACLs: reading needs DESCRIBE on topic and group; a group without is refused."""
        topic, hidden = secure_kafka.create_topic(new_name()), secure_kafka.create_topic(new_name())
        allowed, denied = new_name("group"), new_name("group")
        commit(secure_kafka, allowed, {(topic, 0): 0})
        secure_kafka.grant("app", topic, ("DESCRIBE",))
        secure_kafka.grant("app", allowed, ("DESCRIBE",), group=True)
        where = secure(library, secure_kafka, mechanism=mechanism)
        with closing(clients.face(library).offsets_reader(where)) as offsets:
            for _ in range(2):
                found = offsets.read({allowed: [topic, hidden], denied: [topic]}, PATIENT)
                assert found.ends == {topic: {0: 0}}
                assert found.committed == {allowed: {topic: {0: 0}}}
                assert {group: type(error) for group, error in found.refused.items()} == {denied: NotAuthorized}
            with pytest.raises(NotAuthorized):
                offsets.read({allowed: [hidden]}, PATIENT)

    def test_wrong_credentials_are_told_and_not_shown(self, library, secure_kafka):
        """LAG-2: nobody lets us in, and the password is not in what is raised."""
        where = secure(library, secure_kafka, password="hunter2-secret")
        with closing(clients.face(library).offsets_reader(where)) as offsets:
            error, _ = timed(offsets.read, {"group": ["orders"]}, PATIENT)
        assert type(error) is NotAuthorized
        assert "hunter2" not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


class TestTraces:
    def test_nothing_is_left_behind(self, library, kafka, topic):
        """AGT-28: after readers that worked and readers that failed, no descriptor, thread or warning more."""

        def count():
            gc.collect()
            return len(os.listdir("/proc/self/fd")), threading.active_count()

        def use(bootstrap, seconds):
            with reader(library, bootstrap) as offsets:
                for _ in range(3):
                    timed(offsets.read, {"group": [topic]}, seconds)

        use(kafka.bootstrap, PATIENT)
        with faults.refused_port() as refused, faults.black_hole() as hole:
            before = count()
            for _ in range(3):
                use(kafka.bootstrap, PATIENT)
                use(f"127.0.0.1:{refused}", 5)
                use(f"127.0.0.1:{hole}", 0.2)
            wait_for(lambda: count() <= before, "descriptors and threads to go", 20)

    def test_nothing_is_logged(self, library, kafka, topic, caplog, capfd):
        """AGT-22: at DEBUG, with failures, neither a log record nor a line on stdout or stderr is ours."""
        with caplog.at_level(logging.DEBUG), faults.refused_port() as port:
            for bootstrap in (kafka.bootstrap, f"127.0.0.1:{port}"):
                with reader(library, bootstrap) as offsets:
                    for _ in range(2):
                        timed(offsets.read, {"group": [topic, new_name("missing")]}, PATIENT)
        assert [(record.name, record.getMessage()) for record in caplog.records] == []
        assert capfd.readouterr() == ("", "")


# What hangs for ever is name resolution, or for confluent-kafka, whose own that is, the program's token callback.
HANGING = """
import socket, sys, threading
from superclient import kafka
from superclient.errors import Unreachable
from superclient.kafka import security

hung, happened = [], threading.Event()

def hang(*arguments, **options):
    hung.append(threading.current_thread())
    happened.set()
    threading.Event().wait()

library, silent = sys.argv[1:]
settings = {"bootstrap_servers": ["broker.example:9092"]}
if library == "confluent-kafka":
    settings = {"bootstrap.servers": "127.0.0.1:" + silent, "security.protocol": "SASL_PLAINTEXT"}
    settings |= {"sasl.mechanisms": "OAUTHBEARER", "oauth_cb": hang}
socket.getaddrinfo = hang
offsets = kafka.face(library).offsets_reader(security.connection(library, settings))

def read():
    try:
        offsets.read({"group": ["orders"]}, 0.2)
    except Unreachable as error:
        return type(error).__name__

for _ in range(100):  # until one gets so far; a busy machine is slow to import the library
    assert read() == "Unreachable"
    if happened.wait(0.2):
        break
print(*(read() for _ in range(5)))
offsets.close()
print(happened.is_set(), len(hung) if len(hung) > 3 else 'few')
"""


class TestHanging:
    def test_what_hangs_for_ever_holds_up_neither_the_caller_nor_the_exit(self, library):
        """LAG-2: readings end in time, few of them leave a thread behind, and the process ends."""
        env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"}
        with faults.silent_port() as port:
            done = run_program(Path(sys.executable), HANGING, library, str(port), env=env)
        assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["Unreachable"] * 5 + ["True", "few"], "")


# Reads for as long as it is not told to stop, with as many readers as there are groups: one for each and one for all.
READING = """
import sys, threading
from superclient import kafka
from superclient.errors import ClusterError
from superclient.kafka import security
from superclient.kafka.offsets import exchange

exchange.MISSING_AGE = 0.0  # looks for a first group at each reading
library, bootstrap, topic, *groups = sys.argv[1:]
stop = threading.Event()

def read(wanted, name):
    settings = security.from_canonical(library, {"bootstrap.servers": bootstrap})
    offsets = kafka.face(library).offsets_reader(security.connection(library, settings))
    while not stop.is_set():
        try:
            found = offsets.read(wanted, 5)
        except ClusterError:
            continue
        if found.committed == {group: {topic: {0: 0}} for group in wanted}:
            print(name, flush=True)
            stop.wait(0.05)
    offsets.close()

readers = [threading.Thread(target=read, args=({group: [topic]}, group)) for group in groups]
readers.append(threading.Thread(target=read, args=(dict.fromkeys(groups, [topic]), "all")))
for each in readers:
    each.start()
sys.stdin.read()
stop.set()
for each in readers:
    each.join()
"""


class TestCoordinators:
    @pytest.mark.parametrize(
        "package",
        [
            "confluent-kafka==2.16.1",
            *(pytest.param(f"confluent-kafka=={each}", marks=pytest.mark.matrix_full) for each in ("2.3.0", "2.12.0")),
        ],
    )
    def test_a_group_whose_coordinator_is_not_there_yet_or_moved_ends_no_process(self, package, fresh_kafka):
        """LAG-2, AGT-1: a first group of a cluster, and restarts of its broker, while it is read again and again: a
        broker that says it is not the coordinator ends librdkafka's admin client, and the process with it."""
        topic, groups = fresh_kafka.create_topic(new_name()), [new_name("group") for _ in range(4)]
        arguments = (package.partition("==")[0], fresh_kafka.bootstrap, topic, *groups)
        env = {"SUPERSTREAM_DISABLED": "true"}
        with start_program(environment("3.11", [package]), READING, *arguments, env=env) as process:
            said = Said(process)
            for group in groups:
                commit(fresh_kafka, group, {(topic, 0): 0})
            said.everything({*groups, "all"})
            for end in (fresh_kafka.kill, fresh_kafka.stop, fresh_kafka.kill):
                end()
                fresh_kafka.start()
                said.everything({*groups, "all"})
            process.stdin.close()
            assert process.wait(60) == 0


class Said:
    """What a program prints from now on, a word a line."""

    def __init__(self, process):
        self._process, self._words = process, []
        threading.Thread(
            target=lambda: self._words.extend(line.strip() for line in process.stdout), daemon=True
        ).start()

    def everything(self, words):
        """Wait until each of them is said again, by a program that is alive."""
        self._words.clear()

        def said():
            assert self._process.poll() is None, f"ended with {self._process.returncode}"
            return words <= set(self._words)

        wait_for(said, "the program to read everything", 90)


VERSIONS = [
    pytest.param("kafka-python==2.0.6", id="kafka-python-2.0.6"),
    pytest.param("kafka-python==3.0.12", id="kafka-python-3.0"),
    pytest.param("aiokafka==0.10.0", id="aiokafka-0.10"),
    pytest.param("aiokafka==0.14.0", id="aiokafka-0.14"),
    pytest.param("confluent-kafka==2.3.0", id="confluent-kafka-2.3"),
    pytest.param("confluent-kafka==2.16.1", id="confluent-kafka-2.16"),
    *(
        pytest.param(each, id=each.replace("==", "-"), marks=pytest.mark.matrix_full)
        for each in ("kafka-python==2.2.15", "kafka-python==2.3.3", "aiokafka==0.12.0", "confluent-kafka==2.12.0")
    ),
]

# Reads, forks twice (once the child says that it lets go, once it does not), reads again in all three processes, which
# all end as processes do.
PROGRAM = """
import json, os, signal, sys, threading
from superclient import kafka
from superclient.errors import ClusterError
from superclient.kafka import security

library, bootstrap, topic, group, refused = sys.argv[1:]
signal.alarm(60)

def reader(where):
    settings = security.from_canonical(library, {"bootstrap.servers": where})
    return kafka.face(library).offsets_reader(security.connection(library, settings))

def told(found):
    return [found.ends, found.starts, found.committed, {name: repr(error) for name, error in found.refused.items()}]

offsets = reader(bootstrap)
descriptors = len(os.listdir("/proc/self/fd"))
wanted = {group: [topic]}
out = {"first": told(offsets.read(wanted, 20))}
for says_so in (True, False):
    child = os.fork()
    if not child:
        signal.alarm(30)
        if says_so:
            offsets.abandon()
        again = told(offsets.read(wanted, 20))
        if says_so:
            offsets.close()
        sys.exit(0 if again == out["first"] else 3)
    out[f"child {says_so}"] = os.waitpid(child, 0)[1]
    out[f"parent {says_so}"] = told(offsets.read(wanted, 20))
offsets.close()
out["left"] = [len(os.listdir("/proc/self/fd")) - descriptors, threading.active_count() - 1]
nobody = reader("127.0.0.1:" + refused)
try:
    nobody.read(wanted, 20)
except ClusterError as error:
    out["refused"] = type(error).__name__
unclosed = reader(bootstrap)
unclosed.read(wanted, 20)
print(json.dumps(out))
"""


class TestVersions:
    @pytest.mark.parametrize("package", VERSIONS)
    def test_each_version_reads_the_same_and_survives_forks(self, package, kafka, topic):
        """LAG-2, AGT-22: in an environment of its own: one request a leader and a group, nothing printed or left; a
        child that inherits a reader neither hangs nor touches the connections of its parent."""
        group = new_name("group")
        write(kafka, topic, {0: 3})
        commit(kafka, group, {(topic, 0): 2})
        python = environment("3.11", [package])
        with CountingWire(kafka.bootstrap) as wire, faults.refused_port() as port:
            arguments = (package.partition("==")[0], wire.bootstrap, topic, group, str(port))
            env = {"SUPERSTREAM_DISABLED": "true"}
            done = run_program(python, PROGRAM, *arguments, env=env, options=("-W", "default::ResourceWarning"))
            asked = wire.take()
        assert (done.returncode, done.stderr) == (0, "")
        out = json.loads(done.stdout)
        same = [{topic: {"0": 3}}, {topic: {"0": 0}}, {group: {topic: {"0": 2}}}, {}]
        assert out == {
            "first": same,
            **{f"parent {says_so}": same for says_so in (True, False)},
            **{f"child {says_so}": 0 for says_so in (True, False)},
            "left": [0, 0],
            "refused": "Unreachable",
        }
        sessions = 4  # the parent's, each child's, and the one that nobody closes
        assert (asked.pop("ListOffsets"), asked.pop("OffsetFetch")) == (6 + sessions, 6)
        most = 3 if package.startswith("confluent") else 1  # librdkafka asks for itself too, while it connects
        assert asked.pop("FindCoordinator") <= 2 * sessions * most
        assert asked.pop("Metadata") <= 3 * sessions * most
        assert set(asked) <= {"ApiVersions"}


class TestFaults:
    def test_a_refused_connection_is_known_at_once(self, library):
        """LAG-2: where nobody listens, the deadline is not waited out."""
        with faults.refused_port() as port, reader(library, f"127.0.0.1:{port}") as offsets:
            error, seconds = timed(offsets.read, {"group": ["orders"]}, 30)
        assert type(error) is Unreachable
        assert seconds < 15

    @pytest.mark.parametrize("fault", [faults.black_hole, faults.silent_port])
    def test_a_broker_that_does_not_answer_costs_the_deadline_alone(self, library, fault):
        """LAG-2: connecting that never ends, and a listener that never answers; closing does not wait for either."""
        with fault() as port:
            offsets = clients.face(library).offsets_reader(plain(library, f"127.0.0.1:{port}"))
            error, seconds = timed(offsets.read, {"group": ["orders"]}, 0.5)
            _, closing_took = timed(offsets.close)
        assert type(error) is Unreachable
        assert seconds < 5
        assert closing_took < 5

    def test_of_several_brokers_one_is_enough(self, library, kafka, topic):
        """LAG-2: a refused address among the bootstrap servers does not end the search."""
        with faults.refused_port() as port:
            for _ in range(3):
                with reader(library, f"127.0.0.1:{port},{kafka.bootstrap}") as offsets:
                    assert offsets.read({new_name("group"): [topic]}, PATIENT).ends == {topic: {0: 0}}

    def test_a_broker_that_comes_back_is_read_again(self, own_kafka):
        """LAG-2: paused and resumed, crashed and restarted, its connections cut: the same reader goes on."""
        topic, group = own_kafka.create_topic(new_name()), new_name("group")
        commit(own_kafka, group, {(topic, 0): 0})
        with ExitStack() as stack:
            readers = {each: stack.enter_context(reader(each, own_kafka.bootstrap)) for each in LIBRARIES}

            def outcomes(timeout=PATIENT):
                return {each: timed(offsets.read, {group: [topic]}, timeout)[0] for each, offsets in readers.items()}

            def works():
                return all(getattr(each, "committed", 0) == {group: {topic: {0: 0}}} for each in outcomes().values())

            def fails(timeout):
                return [repr(each) for each in outcomes(timeout).values() if type(each) is not Unreachable]

            assert works()
            own_kafka.pause()
            try:
                assert fails(0.5) == []
            finally:
                own_kafka.resume()
            wait_for(works, "the readers to go on after a pause", 60)
            own_kafka.kill()
            assert fails(5) == []
            own_kafka.start()
            wait_for(works, "the readers to go on after a restart", 60)
            own_kafka.stop()
            own_kafka.start()
            wait_for(works, "the readers to go on though none was told", 60)
            own_kafka.pause()
            try:
                assert all(timed(offsets.close)[1] < 10 for offsets in readers.values())  # half a second, if not busy
            finally:
                own_kafka.resume()

    def test_closed_is_closed(self, library, kafka, topic):
        """LAG-2: for good, and twice is no mistake."""
        offsets = clients.face(library).offsets_reader(plain(library, kafka.bootstrap))
        offsets.read({"group": [topic]}, PATIENT)
        offsets.close()
        offsets.close()
        with pytest.raises(ClusterError, match="closed"):
            offsets.read({"group": [topic]}, PATIENT)
