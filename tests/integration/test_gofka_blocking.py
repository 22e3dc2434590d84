"""Producer, Consumer and AdminClient, without an event loop: calls, threads, Ctrl-C, forks, and how they end."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from superclient.gofka import AdminClient, ConnectionError, Consumer, GofkaError, Producer, RetryPolicy  # noqa: A004
from superclient.gofka.envelope import decode
from superclient.gofka.threaded import LoopThread
from tests.environments import run_program, start_program
from tests.faults import refused_port
from tests.servers import wait_for
from tests.servers.gofka import Certificates, GofkaDouble

ROOT = Path(__file__).resolve().parents[2]
ENV = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"}
QUICK = RetryPolicy(max_retries=1, initial_backoff_ms=1, max_backoff_ms=2)
VALUES = [b"%d" % number for number in range(20)]


@pytest.fixture
def broker():
    with GofkaDouble() as double:
        double.create_topic("t")
        yield double


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    gc.collect()
    wait_for(lambda: "superclient.gofka" not in {each.name for each in threading.enumerate()}, "their threads end")


def program(source, *args, **given):
    return run_program(Path(sys.executable), source, *args, env=ENV, options=("-W", "error"), **given)


# --- calls ------------------------------------------------------------------------------------------------------------


def test_records_go_around(broker):
    """GOF-3, GOF-7, GOF-17, GOF-24, GOF-28, GOF-29: the three clients, their methods, `with`."""
    with AdminClient(broker.address) as admin, Producer(broker.address) as producer:
        admin.create_topic("orders", 2)
        assert admin.get_topic_partitions("orders") == [0, 1]
        assert admin.get_partition_count("orders") == len(admin.describe_topic("orders").partitions) == 2
        assert admin.get_topic_leaders("orders") == dict.fromkeys((0, 1), "b1")
        assert admin.list_brokers()[0].address == broker.address
        assert [each.name for each in admin.get_cluster_metadata(["orders"]).topics] == ["orders"]
        assert admin.list_topics() == ["orders", "t"]
        assert producer.send("orders", b"0", key=b"k", headers={"a": "b"}) == 0
        assert producer.send_string("orders", "one", key="k") == 1
        many = producer.send_batch("orders", VALUES)
        assert len({(int(each), each.index) for each in many}) == 20
        producer.flush()
    with Consumer(broker.address, "g", "orders", auto_commit=False) as consumer:
        assert len(broker.members("g")) == 1
        assert consumer.assignment == [("orders", 0), ("orders", 1)]
        messages = consumer.poll(2, timeout=20)
        messages += consumer.poll(50, timeout=20)
        while len(messages) < 22:
            messages += consumer.poll(timeout=20)
        assert [each.value for each in messages] == [b"0", b"one", *VALUES]
        assert (messages[0].key, messages[0].headers) == (b"k", (("a", b"b"),))
        assert consumer.poll(timeout=0) == []
        consumer.commit(messages[0])
        assert broker.committed("g", "orders") == 1
        consumer.commit()
        assert consumer.duplicates == 0
    assert broker.committed("g", "orders") == len(broker.log("orders"))
    assert broker.members("g") == {}
    assert broker.connections_open == 0


def test_iterating(broker):
    """GOF-4, GOF-5: values; each is committed when the next one is asked for, the last one on close."""
    broker.produce("t", *VALUES)
    seen = []
    with Consumer(broker.address, "g", "t") as consumer:
        for value in consumer:
            seen.append(value)
            if value == VALUES[-1]:
                break
    assert seen == VALUES
    assert broker.committed("g", "t") == 20


def test_an_iteration_ends_with_its_consumer(broker):
    """GOF-4: closed by another thread while it waits at the end."""
    consumer = Consumer(broker.address, "g", "t")
    consumer.subscribe()
    with ThreadPoolExecutor(1) as threads:
        seen = threads.submit(list, consumer)
        broker.produce("t", b"x")
        wait_for(lambda: broker.committed("g", "t") >= 0 or seen.done(), "it was read, and the next one is awaited")
        consumer.close()
        assert seen.result(20) == [b"x"]


def test_what_the_program_was_not_done_with(broker):
    """GOF-5: a `with` that ends in an exception commits nothing of it, in this face too."""
    broker.produce("t", *VALUES)
    with pytest.raises(KeyError):
        read_until_seven(broker)
    with Consumer(broker.address, "g", "t") as consumer:
        assert next(iter(consumer)) == b"7"


def read_until_seven(broker):
    with Consumer(broker.address, "g", "t") as consumer:
        for value in consumer:
            if value == b"7":
                raise KeyError(value)


def test_heartbeats_go_on_while_the_program_works(broker):
    """GOF-28: without a call; the session is far shorter than what passes."""
    with Consumer(broker.address, "g", "t", session_timeout=1500) as consumer:
        before = broker.requests["Heartbeat"]
        wait_for(lambda: broker.requests["Heartbeat"] >= before + 3, "it tells that it is alive", 20)
        assert len(broker.members("g")) == 1
        assert consumer.assignment


def test_errors_are_those_of_the_asyncio_clients(broker):
    """GOF-33: raised in the calling thread; the client goes on."""
    with Producer(broker.address) as producer:
        with pytest.raises(ValueError, match="name"):
            producer.send("../t", b"")
        with pytest.raises(TypeError):
            producer.send("t", "text")  # type: ignore[arg-type]
        assert producer.send("t", b"x") == 0
    with refused_port() as port, AdminClient(f"127.0.0.1:{port}", retry_policy=QUICK) as admin:  # noqa: SIM117
        with pytest.raises(ConnectionError, match="cannot connect"):
            admin.list_topics()
    with pytest.raises(ValueError, match="linger_ms"):
        Producer(broker.address, linger_ms=-1)
    with pytest.raises(TypeError):
        Producer(broker.address, no_such_argument=1)  # type: ignore[call-arg]


def test_a_with_block_that_does_not_begin():
    """GOF-3: the group cannot be joined: said, and the thread is not left behind."""
    with refused_port() as port, pytest.raises(ConnectionError):
        Consumer(f"127.0.0.1:{port}", "g", "t", retry_policy=QUICK).__enter__()


def test_it_encrypts():
    """GOF-12: with the context that it is given."""
    certificates = Certificates()
    with (
        GofkaDouble(ssl=certificates.server) as broker,
        Producer(broker.address, use_ssl=True, ssl_context=certificates.client) as producer,
    ):
        assert producer.send("t", bytes(100_000)) == 0


# --- threads ----------------------------------------------------------------------------------------------------------


def test_a_hundred_clients(broker):
    """GOF-28: each with a thread of its own, all at work at once, each ended."""

    def work(number):
        with Producer(broker.address) as producer:
            return producer.send(f"topic{number}", b"x")

    with ThreadPoolExecutor(100) as threads:
        assert list(threads.map(work, range(100))) == [0] * 100
    wait_for(lambda: not broker.connections_open, "all connections are closed")


def test_many_threads_share_one(broker):
    """GOF-28: what each sends is stored once, in its order."""
    with Producer(broker.address) as producer:

        def work(name):
            return [producer.send("t", b"%d-%d" % (name, number)) for number in range(20)]

        with ThreadPoolExecutor(8) as threads:
            offsets = list(threads.map(work, range(8)))
    assert all(each == sorted(each) for each in offsets)
    stored = [record.value for message in broker.log("t") for record in decode(message)]
    assert sorted(stored) == sorted(b"%d-%d" % (name, number) for name in range(8) for number in range(20))


def test_a_closed_client(broker):
    """GOF-3: says so; closing again does no harm; whoever waits in a call is told."""
    consumer = Consumer(broker.address, "g", "t")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(consumer.poll, 1, None)
        wait_for(lambda: broker.members("g") or waiting.done(), "it waits for a record")
        consumer.close()
        consumer.close()
        error = waiting.exception(20)  # none: it found out by itself
        assert waiting.result() == [] if error is None else "closed" in str(error)
    with pytest.raises(GofkaError, match="the client is closed"):
        consumer.poll()
    with pytest.raises(GofkaError, match="the client is closed"), consumer:
        pass


def test_a_call_from_within_a_call(broker):
    """GOF-28: a partitioner that uses its own producer would wait for itself: an error instead."""
    producer = Producer(broker.address, partitioner=lambda *_: int(producer.send("t", b"again")))
    with producer, pytest.raises(RuntimeError, match="from within one of its own calls"):
        producer.send("t", b"x", key=b"k")


def test_a_call_that_exits():
    """GOF-28: SystemExit is the caller's, and ends no loop under the other callers."""

    async def work(error):
        if error is not None:
            raise error
        return 5

    thread = LoopThread("superclient.gofka")
    for _ in range(2):
        with pytest.raises(SystemExit):
            thread.run(work(SystemExit(3)))
        assert thread.run(work(None)) == 5
    thread.end()
    thread.join()


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------

INTERRUPTED = """
import sys, threading
from superclient.gofka import Consumer, Producer

address, what = sys.argv[1:]
with Producer(address) as producer, Consumer(address, "g", "t") as consumer:
    try:
        print("ready", flush=True)
        sys.stdin.readline()
        if what == "poll":
            consumer.poll(1, None)
        else:
            producer.send("t", b"lost")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    sys.stdin.readline()
    print(producer.send("t", b"after"), [each.value for each in consumer.poll(timeout=20)])
    assert len([each for each in threading.enumerate() if each.name == "superclient.gofka"]) == 2
assert not [each for each in threading.enumerate() if each.name == "superclient.gofka"]
"""


@pytest.mark.parametrize("what", ["poll", "send"])
def test_ctrl_c_interrupts_a_call(broker, what):
    """GOF-28: at once; the client is as good as before."""
    options = ("-W", "error")
    with start_program(Path(sys.executable), INTERRUPTED, broker.address, what, env=ENV, options=options) as process:
        assert process.stdout.readline() == "ready\n"
        connections = broker.connections_open
        if what == "send":
            broker.pause()
        process.stdin.write("begin\n")
        process.stdin.flush()
        if what == "send":
            wait_for(lambda: broker.connections_open > connections, "it waits for the reply")
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        broker.resume()
        stdout, stderr = process.communicate("go on\n", timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert stdout.split(maxsplit=1)[1].startswith("[b'after'" if what == "poll" else "[b'"), stdout


@pytest.mark.parametrize("auto_commit", [True, False])
def test_what_an_interrupted_poll_had_taken_is_not_committed(broker, auto_commit):
    """GOF-5, GOF-6: by no commit, and at no end of the `with` block: whoever caught the Ctrl-C has not seen it."""

    def all_fetched(consumer, count):
        waiting = consumer._client._subscription._readings.values()
        wait_for(lambda: sum(each.waiting for each in waiting) == count, "all is there to be handed out")

    broker.produce("t", *VALUES)
    with Consumer(broker.address, "g", "t", auto_commit=auto_commit) as consumer:
        all_fetched(consumer, 20)
        assert len(consumer.poll(3, 20)) == 3
        consumer._thread.run(consumer._take(4, 20))  # as when Ctrl-C comes between this and its caller
        consumer.commit()
        assert broker.committed("g", "t") == 3
        assert [each.value for each in consumer.poll(2, 20)] == [b"3", b"4"]
        consumer.commit()
        assert broker.committed("g", "t") == 5
    assert broker.committed("g", "t") == 5
    with Consumer(broker.address, "g", "t", auto_commit=auto_commit) as consumer:
        all_fetched(consumer, 15)
        assert consumer.poll(1, 20)[0].value == b"5"
        consumer._thread.run(consumer._take(4, 20))
    assert broker.committed("g", "t") == (6 if auto_commit else 5)


# --- exits ------------------------------------------------------------------------------------------------------------

NEVER_CLOSED = """
import sys, threading
from superclient.gofka import AdminClient, Consumer, Producer

address, how = sys.argv[1:]
clients = [Producer(address) for _ in range(5)] + [AdminClient(address)]
clients[0].send("t", b"x")
clients[5].list_topics()
consumer = Consumer(address, "g", "t")
print(consumer.poll(1, 20)[0].value, flush=True)
if how == "in a call":
    threading.Thread(target=consumer.poll, args=(1, None), daemon=True).start()
elif how == "broker gone":
    sys.stdin.readline()
elif how == "exception":
    raise SystemExit(7)
"""


@pytest.mark.parametrize("how", ["idle", "in a call", "exception", "broker gone"])
def test_clients_that_are_never_closed(broker, how):
    """GOF-28, GOF-29: the interpreter ends, in time and without a word; the group is left, no more is committed."""
    options = ("-W", "error")
    with start_program(Path(sys.executable), NEVER_CLOSED, broker.address, how, env=ENV, options=options) as process:
        assert process.stdout.readline() == "b'x'\n"
        if how == "broker gone":
            broker.pause()
        stdout, stderr = process.communicate("\n", timeout=60)
    broker.resume()
    assert (process.returncode, stdout, stderr) == (7 if how == "exception" else 0, "", "")
    if how != "broker gone":
        assert broker.members("g") == {}
    assert broker.committed("g", "t") == (1 if how == "in a call" else -1)


def test_clients_that_are_dropped(broker):
    """GOF-29: collected, they leave the group and their thread; as after an exception, nothing is committed."""
    broker.produce("t", b"x")
    consumer = Consumer(broker.address, "g", "t")
    assert consumer.poll(1, 20)[0].value == b"x"
    assert broker.members("g")
    del consumer
    gc.collect()
    wait_for(lambda: not broker.members("g") and not broker.connections_open, "it leaves the group")
    assert broker.committed("g", "t") == -1


FORKED = """
import gc, os, sys
from superclient.gofka import Consumer, GofkaError, Producer

address = sys.argv[1]
with Producer(address) as producer, Consumer(address, "g", "t") as consumer:
    producer.send("t", b"0")
    consumer.poll(1, 20)
    child = os.fork()
    if child == 0:
        try:
            producer.send("t", b"never")
        except GofkaError as error:
            assert "forked" in str(error), error
        else:
            os._exit(9)
        producer.close()
        with Producer(address) as other:
            other.send("u", b"child")
        gc.collect()
    else:
        assert os.waitpid(child, 0)[1] == 0
        assert producer.send("t", b"1") == 1
        assert consumer.poll(1, 20)[0].value == b"1"
"""


def test_forks(broker):
    """GOF-28: the child is told, ends without a word, and takes nothing from its parent, which goes on."""
    ran = program(FORKED, broker.address)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert broker.log("t") == [b"0", b"1"]
    assert broker.log("u") == [b"child"]
