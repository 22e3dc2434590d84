"""AsyncAdminClient against the broker's double: what there is, new topics, and brokers that fail."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from superclient.gofka.admin import AsyncAdminClient
from superclient.gofka.errors import ConnectionError, MetadataError, WireError  # noqa: A004
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.wire import Broker, Partition
from tests.faults import refused_port, silent_port
from tests.servers.gofka import Certificates, GofkaDouble

QUICK = RetryPolicy(max_retries=1, initial_backoff_ms=1, max_backoff_ms=2)


@pytest.fixture
def broker():
    with GofkaDouble(node="b1") as double:
        double.create_topic("orders", 12)
        double.create_topic("billing")
        yield double


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


def asked(brokers, work, **given):
    async def alone():
        async with AsyncAdminClient(brokers, **{"retry_policy": QUICK, **given}) as admin:
            return await work(admin)

    return run(alone())


def test_what_there_is(broker):
    """GOF-24: brokers, topics, partitions and their leaders, each in order whatever the broker's is."""

    async def work(admin):
        assert await admin.list_topics() == ["billing", "orders"]
        assert await admin.list_brokers() == [Broker("b1", broker.address)]
        topic = await admin.describe_topic("orders")
        assert topic.name == "orders"
        assert topic.partitions[3] == Partition(3, "b1", ("b1",))
        assert await admin.get_topic_partitions("orders") == list(range(12))
        assert [each.id for each in topic.partitions] == list(range(12))
        assert await admin.get_partition_count("orders") == 12
        assert await admin.get_topic_leaders("orders") == dict.fromkeys(range(12), "b1")
        everything = await admin.get_cluster_metadata()
        assert [each.name for each in everything.topics] == ["billing", "orders"]
        assert all(a.id < b.id for each in everything.topics for a, b in pairwise(each.partitions))
        some = await admin.get_cluster_metadata(["orders", "nothing"])
        assert [(each.name, len(each.partitions)) for each in some.topics] == [("nothing", 0), ("orders", 12)]
        with pytest.raises(TypeError, match="a list of names"):
            await admin.get_cluster_metadata("orders")

    asked(broker.address, work)


def test_unknown_topics(broker):
    """GOF-25: MetadataError, also where the name is one that the broker could not have."""

    async def work(admin):
        for ask in (
            admin.describe_topic,
            admin.get_topic_partitions,
            admin.get_partition_count,
            admin.get_topic_leaders,
        ):
            for name in ("nothing", "../orders", ""):
                with pytest.raises(MetadataError, match="there is no topic"):
                    await ask(name)
        with pytest.raises(WireError):
            await admin.describe_topic("x" * 32_768)
        assert await admin.list_topics() == ["billing", "orders"]

    asked(broker.address, work)
    assert not broker.strays


def test_new_topics(broker):
    """GOF-24, GOF-35: with several partitions; one that is there already is left as it is."""

    async def work(admin):
        await admin.create_topic("new", 5)
        assert await admin.get_partition_count("new") == 5
        await admin.create_topic("single")
        assert await admin.get_topic_partitions("single") == [0]
        with pytest.raises(MetadataError, match="there is a topic orders, with 12 partitions"):
            await admin.create_topic("orders", 3)
        assert await admin.get_partition_count("orders") == 12
        for name, partitions in (
            ("../x", 1),
            ("a", 0),
            ("a", -1),
            ("a", 2.5),
            ("a", 2**31),
            ("offsets", 1),
            ("a-1", 1),
        ):
            with pytest.raises(ValueError, match=r"name|partitions"):
                await admin.create_topic(name, partitions)

    asked(broker.address, work)
    assert broker.topics == {"orders": 12, "billing": 1, "new": 5, "single": 1}


def test_several_brokers(broker):
    """GOF-19, GOF-24: each tells of itself alone; those that do not answer are left out."""

    async def work(admin):
        found = await admin.get_cluster_metadata(["orders"])
        assert found.brokers == (Broker("b1", broker.address), Broker("b2", other.address))
        assert [each.name for each in found.topics] == ["orders"]

    with GofkaDouble(node="b2") as other, refused_port() as port:
        asked([f"127.0.0.1:{port}", broker.address, other.address], work)


def test_a_broker_without_a_host(broker):
    """GOF-24: told as where it is reached."""
    broker.options.advertised = f":{broker.port}"

    async def work(admin):
        assert (await admin.list_brokers())[0].address == broker.address

    asked(broker.address, work)


def test_the_next_broker_answers(broker):
    """GOF-19: down, silent, or closing in the middle: a question is asked again, of another one."""

    async def work(admin):
        for _ in range(2):
            assert await admin.list_topics() == ["billing", "orders"]
        broker.close_after(1, reply="half")
        assert await admin.get_partition_count("orders") == 12

    with refused_port() as refused, silent_port() as silent:
        asked([f"127.0.0.1:{refused}", f"127.0.0.1:{silent}", broker.address], work, timeout=1.5)


def test_a_broker_that_restarts(broker):
    """GOF-19: the same client goes on."""

    async def work(admin):
        assert await admin.list_topics() == ["billing", "orders"]
        await asyncio.to_thread(broker.restart)
        await admin.create_topic("again", 2)
        assert await admin.get_partition_count("again") == 2

    asked(broker.address, work)


def test_no_broker():
    """GOF-33: a ConnectionError, and nothing is left open."""

    async def work(admin):
        with pytest.raises(ConnectionError, match="cannot connect"):
            await admin.list_topics()

    with refused_port() as port:
        asked(f"127.0.0.1:{port}", work)


def test_it_encrypts():
    """GOF-12: with the context that it is given; the system's authorities do not know the double's."""
    certificates = Certificates()

    async def work(admin):
        return await admin.list_topics()

    with GofkaDouble(ssl=certificates.server) as broker:
        assert asked(broker.address, work, use_ssl=True, ssl_context=certificates.client) == []
        with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            asked(broker.address, work, use_ssl=True)
