"""Unchanged programs on confluent-kafka see the same with the agent as without: classes, errors, callbacks, lengths."""

from pathlib import Path

import pytest

from tests.environments import environment, run_program
from tests.servers import Broker

VERSIONS = ("2.3.0", "2.12.0", "2.16.1")

PROGRAM = """
import copy, inspect, os, pickle, sys, time
import confluent_kafka
from confluent_kafka import Producer, SerializingProducer, cimpl


class Earlier(Producer):
    pass


if sys.argv[3] == "late":
    from superclient import _boot
    del os.environ["SUPERSTREAM_DISABLED"]
    _boot.activate()  # what `import superclient` does where the interpreter's start did not
address, topic = sys.argv[1], sys.argv[2]


def tell(name, attempt):
    try:
        outcome = attempt()
    except BaseException as error:
        outcome = (type(error).__module__, type(error).__qualname__, str(error), error.__context__ is None)
    print(name, outcome)


tell("names", lambda: (Producer.__module__, Producer.__qualname__, Producer.__name__, repr(Producer)))
tell("one class", lambda: Producer is cimpl.Producer is confluent_kafka.Producer)
tell("kinship", lambda: (issubclass(SerializingProducer, Producer), isinstance(Producer({}), Producer)))
tell("derived earlier", lambda: (issubclass(Earlier, Producer), len(Earlier({})), type(Earlier({})).__qualname__))
tell("repr", lambda: repr(Producer({})).split(" at ")[0])
tell("pickle the class", lambda: pickle.dumps(Producer))
tell("pickle", lambda: pickle.dumps(Producer({})))
tell("copy", lambda: copy.copy(Producer({})))
tell("signature", lambda: inspect.signature(Producer.produce))
for documented in (Producer, Producer.produce, Producer.__init__, Producer.__len__):
    tell("documented", lambda: documented.__doc__)

MISTAKES = [
    [], [{}, {}], [[1]], [{1: 1}], [{"bogus": 1}], [{"linger.ms": "x"}], [{"linger.ms": None}], [{"stats_cb": None}],
    [{"stats_cb": 5}], [{"error_cb": 5}], [{"statistics.interval.ms": "abc"}], [{"statistics.interval.ms": -5}],
    [{"default.topic.config": [1]}], [{"default.topic.config": {"bogus": 1}}], [{"compression.type": "brotli"}],
    [{"transactional.id": "x", "enable.idempotence": False}],
]
for mistake in MISTAKES:
    tell(f"mistake {mistake}", lambda: Producer(*mistake))
tell("mistake in keywords", lambda: Producer(conf={}))

spelled = {"bootstrap.servers": address, "linger.ms": 5}
tell("keywords", lambda: len(Producer(**spelled).list_topics(topic, 20).topics))
winning = {"bootstrap.servers": address}
tell("keywords win", lambda: len(Producer({"bootstrap.servers": "x"}, **winning).list_topics(topic, 20).topics))
tell("broker list", lambda: len(Producer({"metadata.broker.list": address}).list_topics(topic, 20).topics))
for servers in ([address], (address,), {address}, None):
    tell(f"servers in a {type(servers)}", lambda: isinstance(Producer({"bootstrap.servers": servers}), Producer))

nested = {"acks": 1, "compression.codec": "gzip"}
written = {"bootstrap.servers": address, "client.id": None, "default.topic.config": nested}
before = copy.deepcopy(written)
producer = Producer(written)
print("untouched", written == before, list(written) == list(before), list(written["default.topic.config"]))
tell("initialised twice", lambda: producer.__init__({}))


class Mine(Producer):
    def __init__(self, conf):
        super().__init__(conf)
        self.flushed = 0

    def flush(self, *args):
        self.flushed += 1
        return super().flush(*args)


mine = Mine({"bootstrap.servers": address})
mine.produce(topic, b"mine")
tell("subclass", lambda: (mine.flush(30), mine.flushed, len(mine), repr(mine).split(" at ")[0]))
tell("pickle a subclass's", lambda: pickle.dumps(mine))

got = []
note = lambda error, message: got.append((error, message.value()))
producer = Producer({"bootstrap.servers": address, "on_delivery": note})
producer.produce(topic, b"1", on_delivery=lambda error, message: got.append(("own", message.value())))
producer.produce(topic, value=b"2", key="k", headers={"a": b"b"}, partition=0)
tell("delivered", lambda: (producer.flush(30), sorted(map(str, got)), len(producer), bool(producer)))

if hasattr(Producer, "close"):
    def managed():
        with Producer({"bootstrap.servers": address}) as inside:
            inside.produce(topic, b"managed")
            return type(inside).__name__

    def closed(use):
        ended = Producer({"bootstrap.servers": address})
        ended.produce(topic, b"closed")
        print(ended.close())
        use(ended)

    tell("managed", managed)
    tell("produce after close", lambda: closed(lambda ended: ended.produce(topic, b"x")))
    tell("enter after close", lambda: closed(lambda ended: ended.__enter__()))
    tell("close after close", lambda: closed(lambda ended: ended.close()))


def statistics(text):
    raise ZeroDivisionError("mine")


def poll_for(producer, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        producer.poll(0.1)


producer = Producer({"bootstrap.servers": address, "stats_cb": statistics, "statistics.interval.ms": 50})
tell("statistics raise", lambda: poll_for(producer, 10))
calls = []
producer = Producer({"bootstrap.servers": address, "stats_cb": calls.append})
poll_for(producer, 0.5)
print("statistics never asked for", calls)
producer = Producer({"statistics.interval.ms": 50})
poll_for(producer, 0.2)
print("statistics for nobody", producer.poll(1) > 0)

encode = lambda value, context: value.encode()
producer = SerializingProducer({"bootstrap.servers": address, "value.serializer": encode})
producer.produce(topic, value="serialized")
tell("serializing", lambda: (producer.flush(30), len(producer)))


def transaction():
    producer = Producer({"bootstrap.servers": address, "transactional.id": sys.argv[2]})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"transaction")
    producer.commit_transaction(30)
    return len(producer)


tell("transaction", transaction)
"""


def _python(version: str) -> Path:
    return environment("3.11", [f"confluent-kafka=={version}"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("moment", ["early", "late"])
def test_a_program_sees_the_same_with_the_agent(kafka: Broker, topic: str, version: str, moment: str) -> None:
    """AGT-20, AGT-21, AGT-6, AGT-28: construction forms, mistakes (once, the same exception), a subclass that calls
    super().flush(), close and with, statistics callbacks: same output without the agent and with it, early or late.
    """
    off = {"SUPERSTREAM_DISABLED": "true"}
    bare = run_program(_python(version), PROGRAM, kafka.bootstrap, topic, "off", env=off)
    ours = run_program(_python(version), PROGRAM, kafka.bootstrap, topic, moment, env=off if moment == "late" else {})
    assert ours.stdout == bare.stdout
    assert (ours.returncode, bare.returncode) == (0, 0), ours.stderr
    assert "agent initialized" in ours.stderr.lower()
    assert "failed" not in ours.stderr


@pytest.mark.parametrize("version", ["2.3.0", "2.16.1"])
@pytest.mark.parametrize("moment", ["early", "late"])
def test_it_is_the_same_with_producers_that_may_change(kafka: Broker, topic: str, version: str, moment: str) -> None:
    """AGT-20, AGT-35: as above where handles may be exchanged in use; `inspect.signature(Producer.produce)`, an error
    without the agent, answers there.
    """
    off = {"SUPERSTREAM_DISABLED": "true"}
    bare = run_program(_python(version), PROGRAM, kafka.bootstrap, topic, "off", env=off)
    env = {"SUPERSTREAM_LIVE_SWAP": "true", **(off if moment == "late" else {})}
    ours = run_program(_python(version), PROGRAM, kafka.bootstrap, topic, moment, env=env)
    told = [
        [line for line in out.splitlines() if not line.startswith("signature")] for out in (bare.stdout, ours.stdout)
    ]
    assert told[0] == told[1]
    assert (ours.returncode, bare.returncode) == (0, 0), ours.stderr
    assert "failed" not in ours.stderr
