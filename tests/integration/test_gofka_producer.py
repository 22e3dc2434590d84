"""AsyncProducer against the broker's double: what is stored, in which order, and what is said when it goes wrong."""

import asyncio
import random
import time

import pytest

from superclient.gofka import producer as producing
from superclient.gofka.envelope import Duplicates, decode, is_enveloped
from superclient.gofka.errors import (
    ConnectionError,  # noqa: A004  the name that the built-in one has
    ProduceConnectionError,
    ProduceError,
    ProduceTimeoutError,
    RequestTimeoutError,
)
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.partitioning import murmur2
from superclient.gofka.producer import AsyncProducer
from tests.faults import refused_port
from tests.servers import wait_for
from tests.servers.gofka import Certificates, GofkaDouble

QUICK = RetryPolicy(max_retries=20, initial_backoff_ms=1, max_backoff_ms=20)
ENQUEUING = "failed to replicate message through consensus: timed out enqueuing operation"
UNKNOWN = "leadership lost while committing log"
MANY = [b"%d" % number for number in range(100)]


@pytest.fixture
def broker():
    with GofkaDouble() as double:
        yield double


def run(work):
    """A test's coroutine, for 60 seconds at most."""
    return asyncio.run(asyncio.wait_for(work, 60))


def producer(broker, **given):
    return AsyncProducer(broker.address, **{"retry_policy": QUICK, **given})


def read(broker, topic="t"):
    """Every record of the log, as a consumer of ours reads them, with copies; and without."""
    seen, all_of_them, once = Duplicates(), [], []
    for message in broker.log(topic):
        records = decode(message)
        all_of_them += records
        if not seen.seen(records):
            once += records
    return all_of_them, once


def values(broker, topic="t"):
    return [each.value for each in read(broker, topic)[1]]


async def until(condition, what):
    """`wait_for`, without stopping the loop."""
    await asyncio.to_thread(wait_for, condition, what, 20)


async def settled(sends):
    """What each send returned or raised."""
    return await asyncio.gather(*sends, return_exceptions=True)


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_send_returns_the_stored_offset(broker):
    """GOF-1, GOF-39: an int; what needs no envelope is in the log as it is."""

    async def work():
        async with producer(broker) as one:
            return [await one.send("t", value) for value in (b"a", b"", bytearray(b"c"))]

    found = run(work())
    assert found == [0, 1, 2]
    assert [(type(each).__mro__[1], each.index, each.count) for each in found] == [(int, 0, 1)] * 3
    assert broker.log("t") == [b"a", b"", b"c"]


def test_gathered_sends_have_places_of_their_own(broker):
    """GOF-2: 100 sends at once are 100 readable (offset, index) pairs, in order, in fewer messages."""

    async def work():
        async with producer(broker) as one:
            return await asyncio.gather(*(one.send("t", value) for value in MANY))

    found = run(work())
    log = broker.log("t")
    assert len({(int(each), each.index) for each in found}) == 100
    assert [decode(log[each])[each.index].value for each in found] == MANY
    assert [len(decode(log[each])) for each in found] == [each.count for each in found]
    assert len(log) <= 10
    assert values(broker) == MANY


def test_unbatched_sends_have_offsets_of_their_own(broker):
    """GOF-2, GOF-39: batch_size=0; each is raw."""

    async def work():
        async with producer(broker, batch_size=0) as one:
            return await asyncio.gather(*(one.send("t", value) for value in MANY))

    assert run(work()) == list(range(100))
    assert broker.log("t") == MANY


def test_a_batch_of_messages(broker):
    """GOF-13: send_batch, also of a generator, with key and headers; none is no request."""

    async def work():
        async with producer(broker) as one:
            assert await one.send_batch("t", []) == []
            found = await one.send_batch("t", (value for value in MANY), key=b"k", headers=iter([("h", b"v")]))
            with pytest.raises(TypeError):
                await one.send_batch("t", b"one")
            return found

    found = run(work())
    assert [decode(broker.log("t")[each])[each.index].value for each in found] == MANY
    assert {(each.key, each.headers) for each in read(broker)[0]} == {(b"k", (("h", b"v"),))}


def test_everything_a_record_has(broker):
    """GOF-17, GOF-18, GOF-38: key, headers, timestamp and texts."""

    async def work():
        async with producer(broker) as one:
            await one.send_string("t", "grün", key=b"k", headers=[("a", b"1"), ("a", "2")])
            await one.send_string("t", "grün", key="ä", encoding="latin-1")

    before = time.time()
    run(work())
    first, second = read(broker)[0]
    assert (first.key, first.value, first.headers) == (b"k", "grün".encode(), (("a", b"1"), ("a", b"2")))
    assert (second.key, second.value) == (b"\xe4", b"gr\xfcn")
    assert before - 0.001 <= first.timestamp <= second.timestamp <= time.time()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4"])
def test_compression(broker, codec):
    """GOF-10: smaller on the broker, the same when read."""

    async def work():
        async with producer(broker, compression=codec) as one:
            await one.send_batch("t", [b"x" * 1000] * 10)

    run(work())
    assert sum(map(len, broker.log("t"))) < 2000
    assert values(broker) == [b"x" * 1000] * 10


def test_compressions_that_are_not_there(broker, monkeypatch):
    """GOF-11: refused before anything is sent."""
    with pytest.raises(ProduceError, match="zstd"):
        producer(broker, compression="zstd")
    monkeypatch.setitem(__import__("sys").modules, "snappy", None)
    with pytest.raises(ProduceError, match="python-snappy"):
        producer(broker, compression="snappy")


def test_records_linger(broker):
    """GOF-13: as long as said, unless the batch is full; flush and close end it."""

    async def work():
        async with producer(broker, linger_ms=3_600_000, batch_size=1000) as one:
            full = [asyncio.ensure_future(one.send("t", b"x" * 400)) for _ in range(3)]
            assert [int(each) for each in await asyncio.gather(*full[:2])] == [0, 0]
            assert not full[2].done()
            await one.flush()
            assert await full[2] == 1
            rest = [asyncio.ensure_future(one.send("t", value)) for value in (b"a", b"b")]
            await asyncio.sleep(0)
        return await asyncio.gather(*rest)

    assert run(work()) == [2, 2]
    assert broker.requests["Produce"] == 3


def test_records_linger_for_so_long(broker):
    """GOF-13: then they go, together."""

    async def work():
        async with producer(broker, linger_ms=50) as one:
            return await asyncio.gather(*(one.send("t", value) for value in MANY))

    assert set(run(work())) == {0}


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_requests_in_flight(limit):
    """GOF-14: as many as said, and no more."""
    with GofkaDouble(commit_s=0.005) as broker:

        async def work():
            async with producer(broker, max_in_flight=limit, batch_size=0) as one:
                await asyncio.gather(*(one.send("t", value) for value in MANY[:40]))

        run(work())
        assert max(broker.most_in_flight, 1) == limit
        assert broker.log("t") == MANY[:40]


def test_no_linger_still_batches_what_is_queued():
    """GOF-13: while max_in_flight requests are under way, what comes goes together afterwards."""
    with GofkaDouble(commit_s=0.02) as broker:

        async def work():
            async with producer(broker, max_in_flight=1) as one:
                sends = []
                for value in MANY:
                    sends.append(asyncio.ensure_future(one.send("t", value)))
                    await asyncio.sleep(0)
                await asyncio.gather(*sends)

        run(work())
        assert len(broker.log("t")) < 50
        assert values(broker) == MANY


def test_an_awaited_send_goes_in_its_own_step(broker):
    """GOF-13, GOF-14: with nothing ahead of it a record is on its way at once, and those behind it go together."""

    async def work():
        async with producer(broker) as one:
            await one.send("t", b"first")
            sends = [asyncio.ensure_future(one.send("t", value)) for value in MANY]
            await asyncio.sleep(0)
            assert one._senders["t"]._line.connection.under_way == 1
            await asyncio.gather(*sends)

    run(work())
    assert [len(decode(message)) for message in broker.log("t")] == [1, 1, 99]
    assert values(broker) == [b"first", *MANY]


# --- partitions -------------------------------------------------------------------------------------------------------


def test_a_partitioner_of_ones_own(broker):
    """GOF-15: asked for every record without a partition, in order; what it says shows in the envelope."""
    broker.create_topic("t", 6)
    asked = []

    def choose(topic, key, count):
        asked.append((topic, key, count))
        return {b"bad": 6, b"worse": "x"}.get(key, len(asked))

    async def work():
        async with producer(broker, partitioner=choose) as one:
            sends = [one.send("t", b"0"), one.send("t", b"1", key=b"k"), one.send("t", b"2", partition=5)]
            return await settled([*sends, one.send("t", b"3", key=b"bad"), one.send("t", b"4", key=b"worse")])

    found = run(work())
    assert asked == [("t", None, 6), ("t", b"k", 6), ("t", b"bad", 6), ("t", b"worse", 6)]
    assert [(each.value, each.partition) for each in read(broker)[0]] == [(b"0", 1), (b"1", 2), (b"2", 5)]
    assert [type(each) for each in found[3:]] == [ValueError, TypeError]


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, StopIteration])
def test_a_partitioner_that_wants_to_end_everything(broker, raised):
    """GOF-15: its record fails, and nothing waits for ever; the next one goes."""
    broker.create_topic("t", 6)

    def choose(topic, key, count):
        if key == b"bad":
            raise raised("no more")
        return 1

    async def work():
        async with producer(broker, partitioner=choose) as one:
            return await settled([one.send("t", b"0", key=b"bad"), one.send("t", b"1", key=b"k")])

    failed, stored = run(work())
    assert isinstance(failed, ProduceError)
    assert raised.__name__ in str(failed)
    assert stored == 0


def test_a_key_has_its_partition(broker):
    """GOF-16: murmur2 over the topic's partitions; without key 0, and so raw."""
    broker.create_topic("t", 6)

    async def work():
        async with producer(broker, batch_size=0) as one:
            await asyncio.gather(one.send("t", b"none"), *(one.send("t", key, key=key) for key in MANY))
            await one.send("new", b"", key=b"k")

    run(work())
    none, *keyed = read(broker)[0]
    assert broker.log("t")[0] == none.value == b"none"
    assert [each.partition for each in keyed] == [murmur2(key) % 6 for key in MANY]
    assert read(broker, "new")[0][0].partition == 0
    assert broker.topics["new"] == 1


# --- one connection ---------------------------------------------------------------------------------------------------


def test_one_connection_for_each_topic():
    """Hazards: the broker gives one offset twice to two connections; GOF-3: none is left behind."""
    with GofkaDouble(overwrites=True) as broker:

        async def work():
            async with producer(broker, batch_size=0) as one:
                sends = [one.send(topic, value) for value in MANY for topic in ("t", "u")]
                await asyncio.gather(*sends)
                assert broker.connections_total == 2

        run(work())
        assert broker.log("t") == broker.log("u") == MANY
        wait_for(lambda: broker.connections_open == 0, "connections to end")


def test_idle_topics_have_no_connection(broker, monkeypatch):
    """Hazards: the connection of a topic that was not sent to for long is closed, and made again when it is."""

    async def work():
        async with producer(broker) as one:
            await asyncio.gather(one.send("t", b"0"), one.send("u", b"0"))
            monkeypatch.setattr(producing, "_IDLE", -1)
            one._sweep()
            monkeypatch.undo()
            await until(lambda: broker.connections_open == 0, "connections to end")
            assert await one.send("t", b"1") == 1

    run(work())


def test_tls():
    """GOF-12: encrypted and verified; a broker that cannot be verified gets nothing."""
    certificates = Certificates()
    with GofkaDouble(ssl=certificates.server) as broker:

        async def work():
            async with producer(broker, use_ssl=True, ssl_context=certificates.client) as one:
                await one.send("t", b"secret")
            async with producer(broker, use_ssl=True, retry_policy=RetryPolicy(max_retries=0)) as one:
                with pytest.raises(ConnectionError):
                    await one.send("t", b"more")

        run(work())
        assert broker.log("t") == [b"secret"]


# --- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 30])
def test_a_broker_that_does_not_lead_yet(size):
    """Hazards: its first two seconds; by default it is waited for, and the order is kept, raw or not."""
    with GofkaDouble(leader_after_s=1) as broker:

        async def work():
            async with AsyncProducer(broker.address, batch_size=size) as one:
                await asyncio.gather(*(one.send("t", value) for value in MANY))

        run(work())
        assert [each.value for each in read(broker)[0]] == MANY
        wait_for(lambda: broker.connections_open == 0, "connections to end")


def test_the_broker_that_leads_is_found():
    """GOF-19: the next of the list is tried at once, by topics that come later too."""
    with GofkaDouble(follower=True) as first, GofkaDouble(cluster=first) as second, refused_port() as third:

        async def work():
            brokers = [f"127.0.0.1:{third}", first.address, second.address]
            async with AsyncProducer(brokers, retry_policy=RetryPolicy(max_retries=0)) as one:
                await asyncio.gather(*(one.send("t", value) for value in MANY))
                assert first.requests["Produce"] == 1
                await one.send("u", b"0")
                assert first.requests["Produce"] == 1

        run(work())
        assert values(second) == MANY


def test_a_refused_request_is_sent_again_in_order(broker):
    """Hazards: "timed out enqueuing operation" is not stored; with one request under way nothing overtakes it."""
    for number in (2, 3, 5, 8):
        broker.refuse(ENQUEUING, number)

    async def work():
        async with producer(broker, max_in_flight=1, batch_size=0) as one:
            return await asyncio.gather(*(one.send("t", value) for value in MANY[:20]))

    assert run(work()) == list(range(20))
    assert broker.log("t") == MANY[:20]


def test_all_refused_together_are_sent_again_in_order():
    """Hazards: requests under way that were all refused go again, none ahead of its time."""
    with GofkaDouble(commit_s=0.01) as broker:
        for number in range(10, 15):
            broker.refuse(ENQUEUING, number)

        async def work():
            async with producer(broker, batch_size=0) as one:
                return await settled(one.send("t", value) for value in MANY[:30])

        found = run(work())
        stored = [value for value, each in zip(MANY, found, strict=False) if isinstance(each, int)]
        assert broker.log("t") == stored
        assert len(stored) >= 29  # those refused may be one round of five or, with what was under way, parts of two


def test_a_refused_request_does_not_follow_later_ones(broker):
    """Hazards: where a later one was stored it fails, not stored, rather than be out of order."""
    broker.produce("t", b"")

    async def work():
        async with producer(broker, batch_size=0) as one:
            await one.send("t", b"first")
            broker.pause()
            sends = [asyncio.ensure_future(one.send("t", value)) for value in MANY[:5]]
            await asyncio.sleep(0.01)
            broker.refuse(ENQUEUING, 2)
            broker.resume()
            return await settled(sends)

    found = run(work())
    error = found.pop(1)
    assert isinstance(error, ProduceError)
    assert error.stored is False
    assert "later ones are stored" in str(error)
    assert found == [2, 3, 4, 5]
    assert broker.log("t")[2:] == [MANY[0], *MANY[2:5]]


@pytest.mark.parametrize("reply", ["none", "half", "unhandled"])
def test_a_raw_record_is_never_sent_twice(broker, reply):
    """Hazards, GOF-39: a lost reply leaves it open whether it was stored; nothing else could tell a copy."""

    async def work():
        async with producer(broker, max_in_flight=1, batch_size=0) as one:
            await one.send("t", b"0")
            broker.close_after(2, reply=reply, api="Produce")
            return await settled(one.send("t", value) for value in (b"1", b"2", b"3"))

    first, lost, last = run(work())
    assert isinstance(lost, ProduceConnectionError)
    assert isinstance(lost, ConnectionError)
    assert lost.stored is None
    assert "may have been stored" in str(lost)
    assert broker.log("t") == [b"0", b"1", *([] if reply == "unhandled" else [b"2"]), b"3"]
    assert (first, last) == (1, len(broker.log("t")) - 1)


@pytest.mark.parametrize("reply", ["none", "half", "unhandled"])
def test_an_enveloped_record_is_sent_again(broker, reply, caplog):
    """Hazards, GOF-2: its copy can be told, so every record is read once, in order; a warning says so."""

    async def work():
        async with producer(broker, batch_size=200) as one:
            await one.send("t", b"first")
            broker.close_after(2, reply=reply, api="Produce")
            sends = []
            for value in MANY:
                sends.append(asyncio.ensure_future(one.send("t", value, key=b"k")))
                await asyncio.sleep(0)
            return await asyncio.gather(*sends)

    found = run(work())
    log = broker.log("t")
    assert [decode(log[each])[each.index].value for each in found] == MANY
    copies, once = read(broker)
    assert [each.value for each in once] == [b"first", *MANY]
    assert len(copies) > len(once) or reply == "unhandled"  # whose reset can take the reply before it along
    assert "sent again" in caplog.text
    assert "may then be there twice" in caplog.text


def test_a_time_out_of_a_raw_record(broker):
    """Hazards: the old connection is closed before anything is sent again, so that no offset is given twice."""
    broker.options.overwrites = True

    async def work():
        async with producer(broker, timeout=0.3, batch_size=0) as one:
            await one.send("t", b"0")
            broker.swallow_reply()
            with pytest.raises(ProduceTimeoutError) as error:
                await one.send("t", b"1")
            assert error.value.stored is None
            assert isinstance(error.value, RequestTimeoutError)
            assert await one.send("t", b"2") == 2

    run(work())
    assert broker.log("t") == [b"0", b"1", b"2"]
    assert broker.connections_total == 2


def test_a_time_out_of_an_enveloped_record(broker):
    """Hazards: sent again over a new connection, with those behind it; every record is read once, in order."""
    broker.options.overwrites = True

    async def work():
        async with producer(broker, timeout=0.3, batch_size=200) as one:
            await one.send("t", b"first")
            broker.swallow_reply(2, api="Produce")
            sends = []
            for value in MANY:
                sends.append(asyncio.ensure_future(one.send("t", value, key=b"k")))
                await asyncio.sleep(0)
            await asyncio.gather(*sends)

    run(work())
    assert values(broker) == [b"first", *MANY]


def test_stored_although_an_error(broker):
    """Hazards: "failed to get or create log" has stored it; it is not sent again, and the error says so."""
    broker.produce("t", b"0")
    broker.restart()

    async def work():
        async with producer(broker) as one:
            with pytest.raises(ProduceError, match="it is stored all the same") as error:
                await one.send("t", b"1", key=b"k")
            assert error.value.stored is True
            assert "data/log" not in str(error.value)

    run(work())
    assert values(broker) == [b"1"]


def test_an_error_that_nobody_knows(broker):
    """Hazards: whether it was stored is open: raw ones fail, enveloped ones are sent again."""

    async def work():
        async with producer(broker) as one:
            broker.refuse(UNKNOWN, stored=True)
            with pytest.raises(ProduceError, match=r"leadership lost .* may have been stored") as error:
                await one.send("t", b"0")
            assert error.value.stored is None
            broker.refuse(UNKNOWN, stored=True)
            await one.send("t", b"1", key=b"k")

    run(work())
    assert [each.value for each in read(broker)[0]] == [b"0", b"1", b"1"]
    assert values(broker) == [b"0", b"1"]


def test_what_was_perhaps_stored_stays_so(broker):
    """Hazards: an attempt of which nothing is known, then one that was refused: the error says None, not False."""

    async def work():
        async with producer(broker, retry_policy=RetryPolicy(1, 1, 1)) as one:
            broker.refuse(UNKNOWN, 1, stored=True)
            broker.refuse(ENQUEUING, 2)
            with pytest.raises(ProduceError) as error:
                await one.send("t", b"1", key=b"k")
            assert error.value.stored is None
            assert await one.send("t", b"2") == 1

    run(work())


@pytest.mark.parametrize("fault", ["answer_wrong_correlation", "old_framing"])
def test_bytes_that_are_no_reply(fault):
    """Bad input: the connection is discarded, and what was under way may have been stored."""
    with GofkaDouble(old_framing=fault == "old_framing") as broker:
        if fault == "answer_wrong_correlation":
            broker.answer_wrong_correlation()

        async def work():
            async with producer(broker) as one:
                with pytest.raises(ProduceConnectionError, match=r"framing of before 2026|instead of") as error:
                    await one.send("t", b"0")
                assert error.value.stored is None

        run(work())
        assert broker.log("t") == [b"0"]
        wait_for(lambda: broker.connections_open == 0, "the connection to end")


def test_no_broker():
    """GOF-19: after the attempts of the policy all that waits fails, not stored, in one clear message each."""
    with refused_port() as port:

        async def work():
            async with AsyncProducer(f"127.0.0.1:{port}", retry_policy=RetryPolicy(2, 1, 1), batch_size=0) as one:
                return await settled(one.send("t", value) for value in MANY)

        errors = run(work())
        assert {type(each) for each in errors} == {ProduceConnectionError}
        assert {each.stored for each in errors} == {False}
        assert len({id(each) for each in errors}) == 100
        assert f"127.0.0.1:{port}" in str(errors[0])


def test_a_broker_that_goes_and_comes(broker):
    """GOF-19: what is sent while it is away goes when it is there again."""

    async def work():
        async with producer(broker, retry_policy=RetryPolicy(400, 1, 20)) as one:
            await one.send("t", b"0")
            broker.stop()
            sends = [asyncio.ensure_future(one.send("t", value, key=b"k")) for value in MANY]
            await asyncio.sleep(0.05)
            assert not any(each.done() for each in sends)
            broker.start()
            await asyncio.gather(*sends)

    run(work())
    assert values(broker) == [b"0", *MANY]


# --- cancelled, closed, too much --------------------------------------------------------------------------------------


def test_a_cancelled_send_is_left_out(broker):
    """A record that is not on its way yet is not stored; the others of its batch are."""

    async def work():
        async with producer(broker, max_in_flight=1) as one:
            await one.send("t", b"first")
            broker.pause()
            sends = [asyncio.ensure_future(one.send("t", value)) for value in MANY]
            await until(lambda: len(one._senders["t"]._flying) == 1, "one to be under way")
            for each in sends[::2]:
                each.cancel()
            await asyncio.sleep(0)
            broker.resume()
            await settled(sends)
            assert one._used == 0

    run(work())
    stored = values(broker)
    assert stored == [b"first", *[value for value in MANY if int(value) % 2 or value in stored]]
    assert len(stored) <= 52  # the first one may have been under way


@pytest.mark.parametrize("seed", range(10))
def test_cancelled_at_any_moment(broker, seed):
    """Whatever is cancelled when: the rest is stored once, in order, and no memory is left behind."""
    chance = random.Random(seed)

    async def work():
        async with producer(broker, batch_size=100, buffer_memory=5000) as one:
            sends = []
            for value in MANY:
                sends.append(asyncio.ensure_future(one.send("t", value)))
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
                if chance.random() < 0.3:
                    chance.choice(sends).cancel()
            found = await settled(sends)
            await one.flush()
            assert (one._used, len(one._waiting)) == (0, 0)
        return [value for value, each in zip(MANY, found, strict=True) if isinstance(each, int)]

    acknowledged = run(work())
    stored = values(broker)
    assert stored == sorted(set(stored), key=int)
    assert set(acknowledged) <= set(stored)


def test_memory_is_bounded(broker):
    """Hazards: further records wait where they are sent from; a generator is asked for no more than fits."""
    asked = []

    def many():
        for number in range(200):
            asked.append(number)
            yield b"%d" % number + bytes(1000)

    async def work():
        async with producer(broker, buffer_memory=20_000) as one:
            await one.send("t", b"first")
            broker.pause()
            batch = asyncio.ensure_future(one.send_batch("t", many()))
            single = [asyncio.ensure_future(one.send("u", bytes(1000))) for _ in range(50)]
            await asyncio.sleep(0.05)
            assert 10_000 < one._used <= 20_000
            assert len(asked) <= 20
            broker.resume()
            await asyncio.gather(batch, *single)
            assert await one.send("t", bytes(50_000)) > 0  # more than all the memory: alone
            assert one._used == 0

    run(work())
    assert [int(value.rstrip(b"\0")) for value in values(broker)[1:-1]] == list(range(200))


def test_what_lingers_makes_room(broker):
    """Hazards: records that wait for memory do not wait for the linger of those that have it."""

    async def work():
        async with producer(broker, buffer_memory=3000, linger_ms=3_600_000) as one:
            sends = [asyncio.ensure_future(one.send("t", value)) for value in MANY]
            await asyncio.gather(*sends[:50])

    run(work())
    assert values(broker) == MANY


def test_a_cancelled_batch(broker):
    """send_batch leaves out what is not on its way."""

    async def work():
        async with producer(broker, max_in_flight=1, batch_size=0) as one:
            await one.send("t", b"first")
            broker.pause()
            batch = asyncio.ensure_future(one.send_batch("t", MANY))
            await until(lambda: "t" in one._senders and len(one._senders["t"]._flying) == 1, "one to be under way")
            batch.cancel()
            with pytest.raises(asyncio.CancelledError):
                await batch
            broker.resume()

    run(work())
    assert broker.log("t") == [b"first", MANY[0]]


def test_a_batch_of_which_some_fail(broker):
    """send_batch raises the first failure once the fate of all is known."""
    broker.refuse(UNKNOWN, 2)

    async def work():
        async with producer(broker, max_in_flight=1, batch_size=0) as one:
            with pytest.raises(ProduceError, match="leadership lost"):
                await one.send_batch("t", MANY)

    run(work())
    assert broker.log("t") == [MANY[0], *MANY[2:]]


def test_close_drains(broker):
    """GOF-13: whatever was sent before is stored, and what comes after is refused."""

    async def work():
        one = producer(broker, linger_ms=3_600_000, buffer_memory=5000)
        sends = [asyncio.ensure_future(one.send("t", value)) for value in MANY]
        await asyncio.sleep(0)
        await asyncio.gather(one.close(), one.close())
        await asyncio.gather(*sends)
        with pytest.raises(ProduceError, match="closed"):
            await one.send("t", b"late")
        await one.close()

    run(work())
    assert values(broker) == MANY


def test_a_cancelled_close_ends_at_once(broker):
    """A broker that does not answer: what was under way may have been stored, what was not has not."""

    async def work():
        one = producer(broker, max_in_flight=1, batch_size=0, buffer_memory=3000)
        await one.send("t", b"first")
        broker.pause()
        sends = [asyncio.ensure_future(one.send("t", value)) for value in MANY[:10]]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(one.close())
        await until(lambda: bool(one._senders["t"]._flying), "one to be under way")
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        errors = await settled(sends)
        assert [each.stored for each in errors] == [None] + [False] * 9
        broker.resume()
        await until(lambda: broker.connections_open == 0, "the connection to end")

    run(work())


@pytest.mark.parametrize("seed", range(8))
def test_connections_lost_at_any_moment(broker, seed):
    """Hazards: whatever is lost when: what was acknowledged is read once, in order, and raw values are there once."""
    chance = random.Random(seed)
    for number in sorted(chance.sample(range(2, 40), 6)):
        broker.close_after(number, reply=chance.choice(["whole", "half", "none", "unhandled"]), api="Produce")

    async def work():
        async with producer(
            broker, batch_size=chance.choice([0, 60, 200]), max_in_flight=chance.randrange(1, 6)
        ) as one:
            sends = []
            for value in MANY:
                key = b"k" if chance.random() < 0.5 else None
                sends.append(asyncio.ensure_future(one.send("t", value, key=key)))
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
            found = await settled(sends)
            assert (one._used, len(one._waiting)) == (0, 0)
            return found

    found = run(work())
    raw = [message for message in broker.log("t") if not is_enveloped(message)]
    stored = values(broker)
    assert len(raw) == len(set(raw))
    assert stored == sorted(set(stored), key=int)
    for value, each in zip(MANY, found, strict=True):
        assert value in stored if isinstance(each, int) else each.stored is None


# --- what cannot be sent ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("", b""), ValueError),
        (("a/b", b""), ValueError),
        (("..", b""), ValueError),
        (("offsets", b""), ValueError),
        (("t" * 250, b""), ValueError),
        (("t-1", b""), ValueError),
        (("t", "text"), TypeError),
        (("t", None), TypeError),
        (("t", b"", -1), ValueError),
        (("t", b"", 2**31), ValueError),
        (("t", b"", "0"), ValueError),
        (("t", b"", None, "key"), TypeError),
        (("t", b"", None, b"", {"a": 1}), TypeError),
        (("t", memoryview(bytes(101 * 2**20))), ProduceError),
    ],
)
def test_what_cannot_be_sent_is_not(broker, arguments, error):
    """Bad input: refused before the broker hears of it; the producer goes on."""

    async def work():
        async with producer(broker) as one:
            with pytest.raises(error):
                await one.send(*arguments)
            assert await one.send("t", b"good") == 0

    run(work())
    assert broker.requests["Produce"] == 1


@pytest.mark.parametrize(
    "given", [{"batch_size": -1}, {"linger_ms": -1}, {"max_in_flight": 0}, {"buffer_memory": 0}, {"brokers": "nowhere"}]
)
def test_settings_that_cannot_be_meant(given):
    """Bad input: ValueError that names it."""
    with pytest.raises(ValueError, match=next(iter(given)).replace("brokers", "broker")):
        AsyncProducer(**{"brokers": "127.0.0.1:1", **given})
