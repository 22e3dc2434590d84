"""Transactions of KafkaProducer on a real Kafka, as read_committed and read_uncommitted consumers see them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from superclient.toolkit import (
    KafkaProducer,
    KafkaProducerError,
    KafkaProducerFatalError,
    KafkaProducerFencedError,
    KafkaTransactionError,
    ProducerConfig,
    metrics,
)
from tests.faults import refused_port
from tests.servers import Broker, wait_for

ROOT = Path(__file__).resolve().parents[2]


def seen(kafka: Broker, topic: str, isolation: str) -> list[bytes | None]:
    """The values that a consumer of this isolation gets, of all that is there; the brokers decide a little later."""
    end = kafka.end_offsets(topic)[0]
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": os.urandom(8).hex(), "isolation.level": isolation}
    consumer = confluent_kafka.Consumer({**settings, "enable.partition.eof": True})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    values: list[bytes | None] = []
    try:
        while True:
            message = consumer.poll(30)
            assert message is not None
            if message.error() is None:
                values.append(message.value())
                continue
            assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
            if message.offset() >= end:
                return values
    finally:
        consumer.close()


def transactional(bootstrap: str, **fields: Any) -> KafkaProducer:
    fields.setdefault("transactional_id", f"tx-{os.urandom(6).hex()}")
    return KafkaProducer(ProducerConfig(bootstrap, additional_config={"log_level": 0}, **fields))


@pytest.fixture(scope="module")
def producer(kafka: Broker) -> Iterator[KafkaProducer]:
    with transactional(kafka.bootstrap) as made:
        yield made


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Any:
    """The JSON events so far."""
    caplog.set_level(logging.INFO, logger="superclient.toolkit")

    def found() -> list[dict[str, Any]]:
        return [json.loads(one.getMessage()) for one in caplog.records if one.levelno == logging.INFO]

    return found


def test_a_transaction_commits(kafka: Broker, topic: str, events: Any) -> None:
    """KLI-10, KLI-11, KLI-13, KLI-44, KLI-45: lazily initialised; each step has its result, its event and its count."""
    before = metrics.snapshot()
    with transactional(kafka.bootstrap) as producer:
        assert not producer.in_transaction
        assert events() == []
        with producer.transaction() as transaction:
            assert producer.in_transaction
            assert transaction.id == producer.config.transactional_id
            assert (transaction.result.operation, transaction.result.success) == ("begin", True)
            assert producer.produce(topic, b"one").delivered
            assert producer.produce(topic, b"two", flush=False).status == "queued"
        assert not producer.in_transaction
    result = transaction.result
    assert (result.transaction_id, result.success, result.operation, result.error) == (
        transaction.id,
        True,
        "commit",
        None,
    )
    assert result.duration_ms > 0
    assert json.loads(json.dumps(result.to_dict()))["operation"] == "commit"
    assert seen(kafka, topic, "read_committed") == [b"one", b"two"]
    told = events()
    assert [one["event"] for one in told] == ["transaction_begin", "transaction_commit"]
    assert all(one["transaction_id"] == transaction.id and one["duration_ms"] > 0 for one in told)
    assert metrics.get("producer.tx.begin") - before.get("producer.tx.begin", 0) == 1
    assert metrics.get("producer.tx.commit") - before.get("producer.tx.commit", 0) == 1


def test_what_is_raised_aborts(producer: KafkaProducer, kafka: Broker, topic: str, events: Any) -> None:
    """KLI-11, KLI-12: raised on; the records are invisible to read_committed, visible to read_uncommitted."""
    before = metrics.get("producer.tx.abort")
    with pytest.raises(KeyError, match="delivered"), producer.transaction() as transaction:
        raise KeyError(producer.produce(topic, b"aborted").status)
    assert (transaction.result.operation, transaction.result.success) == ("abort", True)
    with producer.transaction():
        producer.produce(topic, b"committed")
    assert seen(kafka, topic, "read_committed") == [b"committed"]
    assert seen(kafka, topic, "read_uncommitted") == [b"aborted", b"committed"]
    assert [one["event"] for one in events()][:2] == ["transaction_begin", "transaction_abort"]
    assert metrics.get("producer.tx.abort") == before + 1


def test_a_failed_round_leaves_the_earlier_committed(producer: KafkaProducer, kafka: Broker, topic: str) -> None:
    """KLI-14: a transaction per round of a loop; records that were queued in the aborted one trouble nobody."""
    for number in range(6):
        with suppress(ZeroDivisionError), producer.transaction():
            producer.produce(topic, b"%d" % number, flush=number % 2 == 0)
            if number in (2, 3):
                raise ZeroDivisionError
    assert seen(kafka, topic, "read_committed") == [b"0", b"1", b"4", b"5"]
    assert producer.flush() == 0


def test_steps_by_hand(producer: KafkaProducer, kafka: Broker, topic: str) -> None:
    """KLI-13: begin, commit and abort answer; out of turn they raise; a block that has ended its own is left alone."""
    assert producer.begin().success
    with pytest.raises(KafkaTransactionError, match="open already"):
        producer.begin()
    with pytest.raises(KafkaTransactionError, match="open already"), producer.transaction():
        pass
    assert producer.in_transaction  # that was not the inner one's to abort
    producer.produce(topic, b"a")
    assert producer.commit().success
    for step in (producer.commit, producer.abort):
        with pytest.raises(KafkaTransactionError, match="there is no transaction"):
            step()
    assert producer.begin_transaction().success
    producer.produce(topic, b"b")
    assert producer.abort_transaction().operation == "abort"
    with producer.transaction() as transaction:
        producer.produce(topic, b"c")
        producer.abort()
    assert transaction.result.operation == "begin"
    assert seen(kafka, topic, "read_committed") == [b"a"]


def test_records_need_a_transaction(producer: KafkaProducer, kafka: Broker, topic: str) -> None:
    """KLI-11: said at once; so is a transaction without an id."""
    for flush in (True, False):
        with pytest.raises(KafkaTransactionError, match="no transaction is open: begin one first"):
            producer.produce(topic, b"x", flush=flush)
    with pytest.raises(KafkaTransactionError, match="no transaction is open"):
        producer.produce_batch(topic, [b"x"])
    with KafkaProducer(ProducerConfig(kafka.bootstrap)) as plain:
        assert plain.transactions is None
        assert not plain.in_transaction
        for step in (plain.begin, plain.commit, plain.abort):
            with pytest.raises(KafkaTransactionError, match="no transactional id"):
                step()
        with pytest.raises(KafkaTransactionError, match="no transactional id"), plain.transaction():
            pass


def test_a_fenced_producer(kafka: Broker, topic: str) -> None:
    """KLI-39, KLI-43: whoever comes later has the id; the earlier one's error says so, and it can be closed."""
    with transactional(kafka.bootstrap, transactional_id=topic) as old:
        with old.transaction():
            old.produce(topic, b"old")
        with transactional(kafka.bootstrap, transactional_id=topic) as new:
            with new.transaction():
                new.produce(topic, b"new")
            with pytest.raises(KafkaProducerFencedError) as fenced, old.transaction():
                old.produce(topic, b"zombie", flush=False)
            assert topic in str(fenced.value)
        with pytest.raises(KafkaProducerError), old.transaction():
            pass
    assert seen(kafka, topic, "read_committed") == [b"old", b"new"]


def test_a_record_that_fails_prevents_the_commit(producer: KafkaProducer, kafka: Broker, topic: str) -> None:
    """KLI-11, KLI-39: one of the queued is not taken by the broker: nothing is committed, and the next one works."""
    small = kafka.create_topic(f"tx-small-{os.urandom(4).hex()}", 1, {"max.message.bytes": "1000"})
    transaction = producer.transaction()
    begun = transaction.__enter__()
    producer.produce(topic, b"with it", flush=False)
    producer.produce(small, os.urandom(5000), flush=False)
    with pytest.raises(KafkaTransactionError, match="commit"):
        transaction.__exit__(None, None, None)
    assert not begun.result.success
    assert not producer.in_transaction
    with producer.transaction():
        producer.produce(topic, b"later")
    assert seen(kafka, topic, "read_committed") == [b"later"]
    assert producer.flush() == 0


def test_closing_aborts_what_is_open(kafka: Broker, topic: str) -> None:
    """KLI-12: it is over at once, not when the brokers lose patience."""
    producer = transactional(kafka.bootstrap)
    producer.begin()
    producer.produce(topic, b"open")
    producer.close()
    assert not producer.in_transaction
    kafka.produce(topic, [b"after"])
    assert seen(kafka, topic, "read_committed") == [b"after"]
    with pytest.raises(KafkaProducerFatalError, match="closed"), producer.transaction():
        pass


def test_an_id_without_rights_is_a_result_and_an_error(secure_kafka: Any, topic: str) -> None:
    """KLI-39: the class says that it never will."""
    settings = secure_kafka.client_config("confluent")
    config = ProducerConfig(settings.pop("bootstrap.servers"), transactional_id=topic, additional_config=settings)
    with KafkaProducer(config) as producer:
        result = producer.begin()
        assert (result.success, result.operation) == (False, "begin")
        assert isinstance(result.error, KafkaProducerFatalError)
        assert result.error.code == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
        with pytest.raises(KafkaProducerError), producer.transaction():
            raise AssertionError("not begun")


def test_a_topic_without_rights(secure_kafka: Any) -> None:
    """KLI-1, KLI-39: in the result; with the right to it, the same producer delivers."""
    topic = secure_kafka.create_topic(f"rights-{os.urandom(4).hex()}")
    settings = secure_kafka.client_config("confluent")
    config = ProducerConfig(settings.pop("bootstrap.servers"), enable_idempotence=False, additional_config=settings)
    with KafkaProducer(config) as producer:
        refused = producer.produce(topic, b"x")
        assert isinstance(refused.error, KafkaProducerFatalError)
        assert refused.error.code == "TOPIC_AUTHORIZATION_FAILED"
        secure_kafka.grant("app", topic, ("WRITE", "DESCRIBE"))
        try:
            wait_for(lambda: producer.produce(topic, b"x").delivered, "the right to write")
        finally:
            secure_kafka.revoke_all("app")


def test_no_broker_is_a_result_and_an_error() -> None:
    """KLI-13, KLI-39: within the time that a step has; retriable, and nothing is left open."""
    with refused_port() as port, transactional(f"127.0.0.1:{port}") as producer:
        assert producer.transactions is not None
        producer.transactions.timeout = 0.2
        result = producer.begin()
        assert not result.success
        assert not producer.in_transaction
        with pytest.raises(KafkaProducerError), producer.transaction():
            raise AssertionError("not begun")


def test_a_commit_without_an_answer_is_not_given_up(fresh_kafka: Broker) -> None:
    """KLI-11: nobody knows its outcome, so it stays open, and commit goes on with it; a producer can close as well."""
    topic = fresh_kafka.create_topic("orders")
    with transactional(fresh_kafka.bootstrap) as producer:
        assert producer.transactions is not None
        transaction = producer.transaction()
        begun = transaction.__enter__()
        producer.produce(topic, b"undecided")
        producer.transactions.timeout = 1
        fresh_kafka.pause()
        with pytest.raises(KafkaTransactionError, match="commit"):
            transaction.__exit__(None, None, None)
        assert (begun.result.operation, begun.result.success) == ("commit", False)
        assert producer.in_transaction
        fresh_kafka.resume()
        producer.transactions.timeout = 60
        assert producer.commit().success
        with producer.transaction():
            producer.produce(topic, b"next")
    assert seen(fresh_kafka, topic, "read_committed") == [b"undecided", b"next"]


# --- asyncio ----------------------------------------------------------------------------------------------------------


def test_atransaction_commits_and_aborts(producer: KafkaProducer, kafka: Broker, topic: str) -> None:
    """KLI-11, KLI-12: as its synchronous form; the steps run beside the loop."""

    async def main() -> None:
        async with producer.atransaction() as transaction:
            results = await asyncio.gather(*(producer.aproduce(topic, b"%d" % number) for number in range(10)))
            assert all(one.delivered for one in results)
        assert (transaction.result.operation, transaction.result.success) == ("commit", True)
        with pytest.raises(KeyError):
            async with producer.atransaction() as transaction:
                raise KeyError(await producer.aproduce(topic, b"aborted"))
        assert transaction.result.operation == "abort"
        assert (await producer.abegin()).success
        await producer.aproduce(topic, b"last")
        assert (await producer.acommit()).success
        assert (await producer.abegin()).success
        assert (await producer.aabort()).operation == "abort"

    asyncio.run(main())
    assert sorted(value or b"" for value in seen(kafka, topic, "read_committed")) == sorted(
        [*(b"%d" % number for number in range(10)), b"last"]
    )


def test_a_cancelled_block_aborts(producer: KafkaProducer, kafka: Broker, topic: str) -> None:
    """KLI-11: cancellation is an exception like any other."""

    async def work(inside: asyncio.Event) -> None:
        async with producer.atransaction():
            await producer.aproduce(topic, b"cancelled")
            inside.set()
            await asyncio.sleep(60)

    async def main() -> None:
        inside = asyncio.Event()
        task = asyncio.create_task(work(inside))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not producer.in_transaction

    asyncio.run(main())
    assert seen(kafka, topic, "read_committed") == []
    assert seen(kafka, topic, "read_uncommitted") == [b"cancelled"]


def test_a_cancelled_commit_is_seen_through(
    producer: KafkaProducer, kafka: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KLI-11: it is cancelled as often as one likes while it commits; the outcome is there before it leaves."""
    assert producer.transactions is not None
    entered, go = threading.Event(), threading.Event()
    commit = producer.transactions.commit

    def slow() -> Any:
        entered.set()
        assert go.wait(30)
        return commit()

    monkeypatch.setattr(producer.transactions, "commit", slow)

    async def work() -> None:
        async with producer.atransaction():
            await producer.aproduce(topic, b"decided")

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.to_thread(entered.wait, 30)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not producer.in_transaction

    asyncio.run(main())
    assert seen(kafka, topic, "read_committed") == [b"decided"]


def test_a_cancelled_begin_leaves_nothing_open() -> None:
    """KLI-10: no broker is there; who is cancelled does not wait for the end of the time."""

    async def main() -> None:
        with refused_port() as port:
            async with transactional(f"127.0.0.1:{port}") as producer:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(producer.abegin(), 0.2)
                assert not producer.in_transaction

    asyncio.run(asyncio.wait_for(main(), 30))


def test_threads_do_not_end_each_others_transactions(kafka: Broker, topic: str) -> None:
    """KLI-10, KLI-11: of those that begin together one has it, the others hear that it is open; it is committed."""
    with transactional(kafka.bootstrap) as producer:
        refused: list[str] = []
        together, over = threading.Barrier(4), threading.Barrier(4)

        def begin(number: int) -> None:
            together.wait(60)
            try:
                with producer.transaction():
                    producer.produce(topic, b"%d" % number)
                    over.wait(60)
            except KafkaTransactionError as error:
                refused.append(str(error))
                over.wait(60)

        threads = [threading.Thread(target=begin, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [says.endswith("a transaction is open already") for says in refused] == [True] * 3
    assert len(seen(kafka, topic, "read_committed")) == 1


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------

INTERRUPTED = """
import sys, time
from superclient.toolkit import KafkaProducer, ProducerConfig
bootstrap, topic = sys.argv[1:]
with KafkaProducer(ProducerConfig(bootstrap, transactional_id=topic)) as producer:
    try:
        with producer.transaction() as transaction:
            producer.produce(topic, "interrupted")
            print("ready", flush=True)
            time.sleep(30)
    except KeyboardInterrupt:
        print(transaction.result.operation, transaction.result.success, producer.in_transaction, flush=True)
"""


def test_ctrl_c_aborts(kafka: Broker, topic: str) -> None:
    """KLI-11: KeyboardInterrupt is no Exception, and counts."""
    command = [sys.executable, "-c", INTERRUPTED, kafka.bootstrap, topic]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "abort True False\n"
        assert process.returncode == 0
    assert seen(kafka, topic, "read_committed") == []


def test_an_interrupted_commit_is_seen_through(
    producer: KafkaProducer, kafka: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KLI-11: a Ctrl-C while it commits: first the outcome, then the exception."""
    assert producer.transactions is not None
    commit, calls = producer.transactions.commit, []

    def interrupted() -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return commit()

    monkeypatch.setattr(producer.transactions, "commit", interrupted)
    with pytest.raises(KeyboardInterrupt), producer.transaction():
        producer.produce(topic, b"decided")
    assert not producer.in_transaction
    assert seen(kafka, topic, "read_committed") == [b"decided"]


class Interrupting:
    """A client on which Ctrl-C is noticed when a step is done, before anybody has heard of that; once for each step."""

    def __init__(self, client: Any, *steps: str) -> None:
        self.client, self.steps = client, list(steps)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        if name not in self.steps:
            return method

        def interrupted(*args: Any) -> None:
            method(*args)
            self.steps.remove(name)
            raise KeyboardInterrupt

        return interrupted


def test_a_step_that_was_done_when_it_was_interrupted(kafka: Broker, topic: str) -> None:
    """KLI-10, KLI-11, KLI-15: the producer goes on: initialised it is, a commit and an abort have their outcome."""
    with transactional(kafka.bootstrap) as producer:
        assert producer.transactions is not None
        producer.transactions._client = Interrupting(producer.client, "init_transactions", "commit_transaction")
        with pytest.raises(KeyboardInterrupt), producer.transaction():
            pytest.fail("it was not begun")
        with pytest.raises(KeyboardInterrupt), producer.transaction():
            producer.produce(topic, b"committed")
        assert not producer.in_transaction
        producer.transactions._client = Interrupting(producer.client, "abort_transaction")
        producer.begin()
        producer.produce(topic, b"aborted")
        with pytest.raises(KeyboardInterrupt):
            producer.abort()
        assert producer.abort().success
        with producer.transaction():
            producer.produce(topic, b"and on")
    assert seen(kafka, topic, "read_committed") == [b"committed", b"and on"]
