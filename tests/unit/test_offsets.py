"""Reading offsets, without a broker: the bytes, the conversation, and the reader that outlives its sessions."""

from __future__ import annotations

import gc
import io
import threading
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.protocol.consumer.group import OffsetFetchRequest, OffsetFetchResponse
from kafka.protocol.consumer.offsets import ListOffsetsRequest, ListOffsetsResponse
from kafka.protocol.metadata import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    MetadataRequest,
    MetadataResponse,
)

from superclient.errors import ClusterError, NotAuthorized, TopicMissing, Unreachable
from superclient.kafka import connection as kafka_connection
from superclient.kafka import security
from superclient.kafka._bounded import Deadline
from superclient.kafka.connection import Offsets
from superclient.kafka.offsets import aiokafka as offsets_by_aiokafka
from superclient.kafka.offsets import exchange, lasting
from superclient.kafka.offsets.exchange import Ask, Conversation, Health
from superclient.kafka.offsets.protocol import (
    EARLIEST,
    LATEST,
    Address,
    Answer,
    FindCoordinator,
    ListOffsets,
    Metadata,
    OffsetFetch,
    TopicState,
    error_of,
)
from superclient.kafka.offsets.reader import Reader
from tests.servers import wait_for

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
NUMBERS = st.integers(0, 2**31 - 1)
LARGE = st.integers(-1, 2**63 - 1)
CODES = st.integers(-1, 100)
quick = settings(deadline=None, max_examples=40)  # a busy machine is no failure
PARTITIONS = st.dictionaries(NAMES, st.lists(NUMBERS, max_size=5, unique=True), max_size=4)


class TestProtocol:
    """LAG-2: our four requests and their answers are, byte for byte, those of kafka-python's own message classes."""

    @quick
    @given(st.lists(NAMES, unique=True))
    def test_metadata_is_asked_for_without_creating_a_topic(self, topics):
        """LAG-2: version 4, the first that can say so."""
        theirs = MetadataRequest(
            version=4, topics=[MetadataRequest.MetadataRequestTopic(name=each) for each in topics],
            allow_auto_topic_creation=False,
        )  # fmt: skip
        assert Metadata(topics).request().encode() == theirs.encode()

    @quick
    @given(PARTITIONS, st.sampled_from([LATEST, EARLIEST]))
    def test_offsets_are_those_of_uncommitted_records_too(self, partitions, timestamp):
        """LAG-1: the high watermark, not the last stable offset."""
        topic, partition = ListOffsetsRequest.ListOffsetsTopic, ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition
        topics = [
            topic(name=name, partitions=[partition(partition_index=each, timestamp=timestamp) for each in numbers])
            for name, numbers in partitions.items()
        ]
        theirs = ListOffsetsRequest(version=2, replica_id=-1, isolation_level=0, topics=topics)
        assert ListOffsets(partitions, timestamp).request().encode() == theirs.encode()

    @quick
    @given(NAMES, PARTITIONS)
    def test_groups(self, group, partitions):
        """LAG-2: a group's coordinator, and its commits."""
        find = FindCoordinatorRequest(version=1, key=group, key_type=0)
        assert FindCoordinator(group).request().encode() == find.encode()
        topic = OffsetFetchRequest.OffsetFetchRequestTopic
        topics = [topic(name=name, partition_indexes=numbers) for name, numbers in partitions.items()]
        fetch = OffsetFetchRequest(version=2, group_id=group, topics=topics)
        assert OffsetFetch(group, partitions).request().encode() == fetch.encode()

    @quick
    @given(st.dictionaries(NAMES, st.dictionaries(NUMBERS, st.tuples(CODES, LARGE), max_size=5), max_size=4))
    def test_an_answer_about_offsets(self, places):
        """LAG-2: topic → partition → error code and offset."""
        topic = ListOffsetsResponse.ListOffsetsTopicResponse
        topics = [
            topic(name=name, partitions=[
                topic.ListOffsetsPartitionResponse(partition_index=number, error_code=code, timestamp=-1, offset=offset)
                for number, (code, offset) in partitions.items()
            ]) for name, partitions in places.items()
        ]  # fmt: skip
        answer = ListOffsetsResponse(version=2, throttle_time_ms=7, topics=topics).encode()
        assert ListOffsets({}, LATEST).result(Answer.decode(answer)) == places

    @quick
    @given(
        st.dictionaries(NAMES, st.dictionaries(NUMBERS, st.tuples(CODES, LARGE, st.none() | NAMES), max_size=5)), CODES
    )
    def test_an_answer_about_commits(self, places, code):
        """LAG-1: only where there is one, and no error."""
        topic = OffsetFetchResponse.OffsetFetchResponseTopic
        topics = [
            topic(name=name, partitions=[
                topic.OffsetFetchResponsePartition(
                    partition_index=number, committed_offset=offset, metadata=note, error_code=error)
                for number, (error, offset, note) in partitions.items()
            ]) for name, partitions in places.items()
        ]  # fmt: skip
        answer = OffsetFetchResponse(version=2, topics=topics, error_code=code).encode()
        kept = {
            name: {number: offset for number, (error, offset, _) in partitions.items() if not error and offset >= 0}
            for name, partitions in places.items()
        }
        found = OffsetFetch("group", {}).result(Answer.decode(io.BytesIO(answer)))
        assert found == (code, {name: partitions for name, partitions in kept.items() if partitions})

    @quick
    @given(
        st.dictionaries(NUMBERS, st.tuples(NAMES, NUMBERS), max_size=4),
        st.dictionaries(NAMES, st.tuples(CODES, st.dictionaries(NUMBERS, st.integers(-1, 9), max_size=4)), max_size=4),
    )
    def test_an_answer_about_leaders(self, nodes, topics):
        """LAG-2: where brokers are, and who leads what."""
        topic = MetadataResponse.MetadataResponseTopic
        answer = MetadataResponse(
            version=4, throttle_time_ms=0, cluster_id=None, controller_id=1,
            brokers=[
                MetadataResponse.MetadataResponseBroker(node_id=node, host=host, port=port, rack=None)
                for node, (host, port) in nodes.items()
            ],
            topics=[
                topic(error_code=code, name=name, is_internal=False, partitions=[
                    topic.MetadataResponsePartition(
                        error_code=0, partition_index=number, leader_id=leader, replica_nodes=[1, 2], isr_nodes=[1])
                    for number, leader in leaders.items()
                ]) for name, (code, leaders) in topics.items()
            ],
        ).encode()  # fmt: skip
        states = {name: TopicState(*each) for name, each in topics.items()}
        assert Metadata([]).result(Answer.decode(answer)) == ({n: Address(*at) for n, at in nodes.items()}, states)

    def test_an_answer_about_a_coordinator(self):
        """LAG-2: its address, or an error."""
        answer = FindCoordinatorResponse(
            version=1, throttle_time_ms=0, error_code=0, error_message=None, node_id=3, host="broker", port=9092
        )
        assert FindCoordinator("group").result(Answer.decode(answer.encode())) == (0, Address("broker", 9092))

    def test_errors_by_their_codes(self):
        """LAG-2: what is refused, what is away, what is not there, and the rest."""
        kinds = {29: NotAuthorized, 30: NotAuthorized, 3: TopicMissing, 6: Unreachable, 16: Unreachable}
        assert {code: type(error_of(code)) for code in kinds} == kinds
        assert type(error_of(42)) is ClusterError


NEAR, FAR, NEW = Address("near", 1), Address("far", 2), Address("new", 3)
START = 10  # every partition's
END = 100


class Brokers:
    """A transport to brokers of the test's making."""

    def __init__(self, leaders: dict[str, dict[int, Address]]) -> None:
        self.leaders = leaders
        self.keepers: dict[str, Address] = {}
        self.commits: dict[str, dict[str, dict[int, int]]] = {}
        self.errors: dict[Any, Any] = {}  # address, group or topic → an error code, or what a broken connection is
        self.any_group = True
        self.start = START
        self.asked: list[str] = []

    def send(self, asks: list[Ask], seconds: float) -> list[Any]:
        assert seconds > 0
        return [self._answer(*ask) for ask in asks]

    def close(self) -> None:
        pass

    def _answer(self, address: Address, question: Any) -> Any:
        self.asked.append(type(question).__name__)
        if isinstance(self.errors.get(address), ClusterError):
            return self.errors[address]
        if isinstance(question, Metadata):
            return self._metadata(question)
        if isinstance(question, FindCoordinator):
            code = self.errors.get(question.group, 0)
            return code, Address("", -1) if code else self.keepers.get(question.group, NEAR)
        if isinstance(question, ListOffsets):
            return {
                topic: {number: self._offset(topic, number, address, question.timestamp) for number in numbers}
                for topic, numbers in question.partitions.items()
            }
        if self.keepers.get(question.group, NEAR) != address:
            return 16, {}
        return 0, self.commits.get(question.group, {})

    def _offset(self, topic: str, number: int, address: Address, timestamp: int) -> tuple[int, int]:
        if topic in self.errors:
            return self.errors[topic], -1
        if topic not in self.leaders:
            return 3, -1
        if self.leaders[topic].get(number) != address:
            return 6, -1
        return 0, END if timestamp == LATEST else self.start

    def _metadata(self, question: Metadata) -> Any:
        nodes = {1: NEAR, 2: FAR, 3: NEW}
        numbers = {address: node for node, address in nodes.items()}
        states = {}
        for topic in question.topics:
            if topic == exchange.OFFSETS_TOPIC:
                states[topic] = TopicState(0 if self.any_group else 3, {})
            elif topic in self.leaders:
                states[topic] = TopicState(0, {n: numbers.get(at, -1) for n, at in self.leaders[topic].items()})
            else:
                states[topic] = TopicState(self.errors.get(topic, 3), {})
        return nodes, states


@pytest.fixture
def brokers():
    return Brokers({"orders": {0: NEAR, 1: FAR}})


@pytest.fixture
def conversation(brokers):
    return Conversation([NEAR], brokers)


def read(conversation, groups):
    return conversation.read(groups, Deadline(60))


GROUPS = {"group": ["orders"]}


class TestConversation:
    def test_starts_are_asked_for_once_a_minute(self, brokers, conversation):
        """LAG-1, LAG-2: whatever is committed; in between only where they are not known, or cannot be right."""
        brokers.commits["group"] = {"orders": {0: 50, 1: 60}}
        assert read(conversation, GROUPS).starts == {"orders": {0: START, 1: START}}
        assert read(conversation, GROUPS).starts == {"orders": {0: START, 1: START}}
        assert brokers.asked.count("ListOffsets") == 6  # two leaders' ends twice, and starts once
        brokers.leaders["carts"] = {0: NEAR}
        both = {"group": ["orders", "carts"]}
        assert read(conversation, both).starts == {"orders": {0: START, 1: START}, "carts": {0: START}}
        assert brokers.asked.count("ListOffsets") == 9  # the new topic's one leader
        brokers.start = START + 5
        assert read(conversation, both).starts["carts"] == {0: START}
        conversation._cluster._starts_until = 0.0
        assert read(conversation, both).starts == {"orders": {0: START + 5, 1: START + 5}, "carts": {0: START + 5}}
        conversation._cluster._starts["carts"][0] = END + 1  # the topic was made anew
        assert read(conversation, both).starts["carts"] == {0: START + 5}

    def test_where_a_leader_is_away_its_starts_are_not_waited_for(self, brokers, conversation):
        """LAG-2: it was waited for once already."""
        brokers.errors[FAR] = Unreachable("away")
        found = read(conversation, GROUPS)
        assert (found.ends, found.starts) == ({"orders": {0: END}}, {"orders": {0: START}})
        assert brokers.asked.count("ListOffsets") == 3

    def test_leaders_and_coordinators_are_asked_for_once(self, brokers, conversation):
        """LAG-2: until they are old."""
        brokers.commits["group"] = {"orders": {0: 1, 1: 1}}
        read(conversation, GROUPS)
        assert sorted(brokers.asked) == ["FindCoordinator", *["ListOffsets"] * 4, "Metadata", "OffsetFetch"]
        brokers.asked.clear()
        read(conversation, GROUPS)
        assert sorted(brokers.asked) == ["ListOffsets", "ListOffsets", "OffsetFetch"]
        conversation._cluster._good_until = 0.0
        brokers.asked.clear()
        read(conversation, GROUPS)
        assert sorted(brokers.asked) == ["ListOffsets", "ListOffsets", "Metadata", "OffsetFetch"]

    def test_where_no_group_ever_was_none_is_looked_for(self, brokers, conversation):
        """LAG-2: that would create the topic of their offsets; nothing is committed there."""
        brokers.any_group = False
        found = read(conversation, GROUPS)
        assert found.committed == {"group": {}}
        assert found.starts == {"orders": {0: START, 1: START}}
        read(conversation, GROUPS)
        assert brokers.asked.count("Metadata") == 1
        assert not {"FindCoordinator", "OffsetFetch"} & set(brokers.asked)

    def test_a_partition_without_a_leader_is_absent(self, brokers, conversation):
        """LAG-2: and where there is no other, that is an error."""
        brokers.leaders["orders"][1] = None
        assert read(conversation, GROUPS).ends == {"orders": {0: END}}
        brokers.leaders["orders"][0] = None
        conversation._cluster._good_until = 0.0
        with pytest.raises(Unreachable):
            read(conversation, GROUPS)

    def test_a_leader_that_is_away_costs_its_partitions_alone(self, brokers, conversation):
        """LAG-2: and its groups; the session is not used again."""
        brokers.keepers["other"] = FAR
        brokers.errors[FAR] = Unreachable("away")
        found = read(conversation, {"group": ["orders"], "other": ["orders"]})
        assert (found.ends, set(found.committed)) == ({"orders": {0: END}}, {"group"})
        assert {group: type(error) for group, error in found.refused.items()} == {"other": Unreachable}
        assert conversation.health is Health.BROKEN
        brokers.errors[NEAR] = Unreachable("away")
        with pytest.raises(Unreachable):
            read(conversation, GROUPS)

    def test_a_leader_that_moved_is_asked_for_again_once(self, brokers, conversation):
        """LAG-2: at the next reading, which the reader makes at once."""
        read(conversation, GROUPS)
        brokers.leaders["orders"][1] = NEW
        assert read(conversation, GROUPS).ends == {"orders": {0: END}}
        assert conversation.health is Health.STALE
        assert read(conversation, GROUPS).ends == {"orders": {0: END, 1: END}}
        assert conversation.health is Health.SOUND

    def test_an_error_that_stays_is_not_run_after(self, brokers, conversation):
        """LAG-2: what was looked up a moment ago is not looked up again for it."""
        brokers.leaders["carts"] = {0: NEAR}
        brokers.errors["carts"] = 56
        for _ in range(3):
            assert read(conversation, {"group": ["orders", "carts"]}).ends == {"orders": {0: END, 1: END}}
        assert brokers.asked.count("Metadata") <= 2

    def test_a_coordinator_that_moved_is_asked_for_again(self, brokers, conversation):
        """LAG-2: meanwhile the group is refused, and the others count."""
        read(conversation, GROUPS)
        brokers.keepers["group"] = FAR
        found = read(conversation, GROUPS)
        assert type(found.refused["group"]) is Unreachable
        assert conversation.health is Health.STALE
        brokers.commits["group"] = {"orders": {0: 7}}
        assert read(conversation, GROUPS).committed == {"group": {"orders": {0: 7}}}

    def test_a_group_that_we_may_not_see_is_refused_and_not_asked_about_each_time(self, brokers, conversation):
        """LAG-2: until leaders are looked up again."""
        brokers.errors["secret"] = 30
        for _ in range(3):
            found = read(conversation, {"group": ["orders"], "secret": ["orders"]})
            assert {group: type(error) for group, error in found.refused.items()} == {"secret": NotAuthorized}
            assert set(found.committed) == {"group"}
        assert brokers.asked.count("FindCoordinator") == 2
        assert brokers.asked.count("Metadata") == 1

    def test_nothing_but_topics_that_we_may_not_see_is_an_error(self, brokers, conversation):
        """LAG-2: a topic that is not there is none."""
        brokers.errors["secret"] = 29
        assert read(conversation, {"group": ["orders", "secret"]}).ends == {"orders": {0: END, 1: END}}
        assert read(conversation, {"group": ["nowhere"]}).ends == {}
        with pytest.raises(NotAuthorized):
            read(conversation, {"group": ["secret"]})

    def test_another_broker_is_asked_where_the_first_is_away(self, brokers):
        """LAG-2: of the bootstrap servers, and of those that are known."""
        brokers.errors[NEW] = Unreachable("away")
        for _ in range(10):
            assert read(Conversation([NEW, NEAR], brokers), GROUPS).ends == {"orders": {0: END, 1: END}}


class Fake:
    """A session that the test tells what to do."""

    def __init__(self) -> None:
        self.health = Health.SOUND
        self.outcomes: list[Any] = []  # of the next readings: an error, or a health
        self.release = threading.Event()
        self.release.set()
        self.closed = 0
        self.readings = 0
        self.inside = threading.Lock()

    def read(self, groups, deadline):
        assert self.inside.acquire(blocking=False), "two threads in one session"
        try:
            self.readings += 1
            self.release.wait(30)
            outcome = self.outcomes.pop(0) if self.outcomes else Health.SOUND
            if isinstance(outcome, Exception):
                raise outcome
            self.health = outcome
            return Offsets({"orders": {0: self.readings}})
        finally:
            self.inside.release()

    def close(self):
        assert self.inside.acquire(blocking=False), "closed while it is read"
        self.closed += 1


class Sessions(list):
    """What a reader has connected to so far."""

    def __call__(self, deadline):
        self.append(Fake())
        return self[-1]


@pytest.fixture
def sessions():
    return Sessions()


class TestReader:
    def test_a_session_is_kept(self, sessions):
        """LAG-2: and closed with the reader."""
        reader = Reader(sessions)
        assert [reader.read(GROUPS, 30).ends["orders"][0] for _ in range(3)] == [1, 2, 3]
        reader.close()
        assert [each.closed for each in sessions] == [1]

    def test_one_that_hangs_is_given_up(self, sessions):
        """LAG-2: the next reading connects anew; when the hanging one comes back, nobody is reading from it."""
        reader = Reader(sessions)
        reader.read(GROUPS, 30)
        sessions[0].release.clear()
        with pytest.raises(Unreachable):
            reader.read(GROUPS, 0.05)
        assert reader.read(GROUPS, 30).ends == {"orders": {0: 1}}
        sessions[0].release.set()
        wait_for(lambda: sessions[0].closed, "the late one to be closed")
        assert reader.read(GROUPS, 30).ends == {"orders": {0: 2}}
        reader.close()
        assert [each.closed for each in sessions] == [1, 1]

    def test_only_so_many_hang(self, sessions):
        """LAG-2: a provider that never answers does not gather threads and connections for ever."""
        stuck = []

        def connect(deadline):
            session = sessions(deadline)
            session.release.clear()
            stuck.append(session)
            return session

        reader = Reader(connect)
        for _ in range(10):
            with pytest.raises(Unreachable):
                reader.read(GROUPS, 0.02)
        assert len(stuck) <= 3
        for each in stuck:
            each.release.set()
        wait_for(lambda: reader._reading == 0, "them to come back")
        reader.read(GROUPS, 30)
        reader.close()
        assert all(each.closed == 1 for each in sessions)

    @pytest.mark.parametrize(
        ("outcome", "connected"), [(Unreachable("gone"), 2), (Health.BROKEN, 2), (Health.STALE, 1), (Health.SOUND, 1)]
    )
    def test_one_that_worked_before_is_tried_once_more(self, sessions, outcome, connected):
        """LAG-2: lost connections cost no reading: with new ones, or by looking up the leaders again."""
        reader = Reader(sessions)
        reader.read(GROUPS, 30)
        sessions[0].outcomes = [outcome]
        assert reader.read(GROUPS, 30).ends
        assert len(sessions) == connected
        assert [each.closed for each in sessions] == [*[1] * (connected - 1), 0]
        reader.close()

    def test_a_new_one_that_fails_has_failed(self, sessions):
        """LAG-2: no third try; the next reading is one."""
        errors = iter([NotAuthorized("no")])

        def connect(deadline):
            session = sessions(deadline)
            session.outcomes = list(errors)
            return session

        reader = Reader(connect)
        with pytest.raises(NotAuthorized):
            reader.read(GROUPS, 30)
        assert [each.closed for each in sessions] == [1]
        assert reader.read(GROUPS, 30).ends
        reader.close()

    def test_one_that_is_read_when_the_reader_is_closed_is_closed_afterwards(self, sessions):
        """LAG-2: never while it is in use."""
        reader = Reader(sessions)
        reader.read(GROUPS, 30)
        sessions[0].release.clear()
        with pytest.raises(Unreachable):
            reader.read(GROUPS, 0.05)
        reader.close()
        assert sessions[0].closed == 0
        sessions[0].release.set()
        wait_for(lambda: sessions[0].closed == 1, "it to be closed")

    def test_what_was_abandoned_is_neither_used_nor_closed(self, sessions):
        """LAG-2: in a forked child the connections are the parent's."""
        reader = Reader(sessions)
        reader.read(GROUPS, 30)
        reader.abandon()
        assert reader.read(GROUPS, 30).ends == {"orders": {0: 1}}
        reader.close()
        assert [(each.readings, each.closed) for each in sessions] == [(1, 0), (1, 1)]

    def test_a_child_that_says_nothing_is_told_by_its_pid(self, sessions, monkeypatch):
        """LAG-2: reading and closing there leave the parent's session alone."""
        reader = Reader(sessions)
        reader.read(GROUPS, 30)
        monkeypatch.setattr("os.getpid", lambda: -1)
        reader.close()
        assert sessions[0].closed == 0


class TestLasting:
    def test_what_the_program_lent_is_not_held(self):
        """LAG-2: a client that stays asks for it each time; whoever owned it can be collected."""

        class Owner:
            def token(self, config):
                return f"token for {config}"

        owner = Owner()
        lent = owner.token
        where = security.connection("confluent-kafka", {"bootstrap.servers": "broker", "oauth_cb": lent})
        settings = lasting.lasting(where)
        assert settings["bootstrap.servers"] == "broker"
        assert settings["oauth_cb"]("orders") == "token for orders"
        gone = weakref.ref(owner)
        del owner, lent
        gc.collect()
        assert gone() is None
        with pytest.raises(Unreachable):
            settings["oauth_cb"]("orders")

    def test_a_token_provider_is_not_held_either(self):
        """LAG-2: kafka-python asks for an instance of its own abstract class."""
        from kafka.net.sasl.oauth import AbstractTokenProvider

        class Provider:
            def token(self):
                return "token"

        provider = Provider()
        settings = {"bootstrap_servers": "broker", "sasl_oauth_token_provider": provider}
        lent = lasting.lent_provider(AbstractTokenProvider, security.connection("kafka-python", settings))
        assert isinstance(lent, AbstractTokenProvider)
        assert (lent.token(), lent.extensions()) == ("token", {})
        del provider, settings
        gc.collect()
        with pytest.raises(Unreachable):
            lent.token()

    def test_addresses(self):
        """LAG-2: of the bootstrap servers, in brackets or not."""
        where = security.connection("kafka-python", {"bootstrap_servers": ["[::1]:9093", "PLAINTEXT://broker", "a:1"]})
        assert lasting.addresses(where) == [Address("::1", 9093), Address("a", 1), Address("broker", 9092)]


# --- aiokafka's connections ----------------------------------------------------------------------------------------


class _Broken:
    """A connection whose other end has gone, of which aiokafka's own reader has not heard yet."""

    closed = False

    def connected(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


def test_a_connection_that_broke_is_closed_before_there_is_another() -> None:
    """LAG-2: else nobody would close it, and the program would be warned of a socket that it never opened."""
    connection = kafka_connection.Connection("aiokafka", ("h:1",), "p", {"bootstrap_servers": "h:1"})
    transport = offsets_by_aiokafka._Transport(connection, Deadline(5))
    address, broken, fresh = Address("h", 1), _Broken(), _Broken()
    transport._open[address] = broken

    async def connect(*address: object, **settings: object) -> _Broken:
        assert broken.closed
        return fresh

    transport._connect = connect
    try:
        assert transport._loop.run_until_complete(transport._talk(address, [])) == []
        assert transport._open == {address: fresh}
    finally:
        transport.close()
    assert fresh.closed
