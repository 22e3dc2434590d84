"""Unchanged aiokafka programs, each in a process of its own against a real broker: tuned, counted, nothing lost."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.environments import PATIENT, PATIENT_EXIT, environment, run_program, start_program
from tests.faults import black_hole, refused_port, silent_port
from tests.servers import Broker

VERSIONS = ("0.10.0", "0.12.0", "0.14.0")
NEWEST = VERSIONS[-1]
every_version = pytest.mark.parametrize("version", VERSIONS)

HEADER = """
import asyncio, json, logging, sys, time, warnings
from aiokafka import AIOKafkaProducer
SERVERS, TOPIC = sys.argv[1:3]
"""


def python_with(version: str = NEWEST, *packages: str) -> Path:
    return environment(packages=[f"aiokafka=={version}", *(packages or ("cramjam",))])


def run(
    program: str,
    bootstrap: str,
    topic: str = "none",
    *args: str,
    python: Path | None = None,
    options: tuple[str, ...] = (),
    **env: str,
) -> subprocess.CompletedProcess[str]:
    return run_program(
        python or python_with(),
        HEADER + program,
        bootstrap,
        topic,
        *args,
        env={**PATIENT, **env},
        options=options,
        timeout=90,
    )


def advice(topic: str, active: bool = True, **configuration: Any) -> dict[str, Any]:
    named = {name.replace("_", "."): value for name, value in configuration.items()}
    entry = {"topic_name": topic, "potential_reduction_percentage": 50, "daily_writes_bytes": 1000}
    return {
        "active": active,
        "report_interval_ms": 1000,
        "topics_configuration": [{**entry, "optimized_configuration": named}],
    }


def prepare(cluster: Broker, topic: str, **configuration: Any) -> None:
    cluster.create_system_topics()
    cluster.publish_metadata(advice(topic, **configuration))


def stats(reports: list[dict[str, Any]], topic: str) -> dict[str, float]:
    """What the last client_stats of every producer say of a topic, added up."""
    last = {
        one["superstream_client_uid"]: one
        for one in reports
        if one["message_type"] == "client_stats" and topic in one["topic_metrics"]
    }
    names = ("record-send-total", "byte-total")
    return {name: sum(one["topic_metrics"][topic][name] for one in last.values()) for name in names}


EVERY_WAY = """
async def main():
    value = ("a fairly compressible value " * 5).encode()
    for settings in ({}, {"acks": 0}, {"enable_idempotence": True}, {"linger_ms": 3}):
        async with AIOKafkaProducer(bootstrap_servers=SERVERS, **settings) as producer:
            for number in range(500):
                await producer.send(TOPIC, value, key=str(number).encode(), headers=[("h", b"v")])
            await producer.send_and_wait(TOPIC, value)
            await producer.flush()
            batch = producer.create_batch()
            while batch.append(key=None, value=value, timestamp=None) and batch.record_count() < 50:
                pass
            await producer.send_batch(batch, TOPIC, partition=0)
    async with AIOKafkaProducer(bootstrap_servers=SERVERS, transactional_id="t" + TOPIC) as producer:
        async with producer.transaction():
            for number in range(100):
                await producer.send(TOPIC, value)
asyncio.run(main())
"""


@every_version
def test_a_recommendation_holds_and_every_byte_is_counted(cluster: Broker, topic: str, version: str) -> None:
    """AGT-41, AGT-35: plain, acks=0, idempotent, lingering, transactional, explicit batches: as in the log."""
    prepare(cluster, topic, compression_type="zstd", batch_size=32768, linger_ms=20)
    program = run(EVERY_WAY, cluster.bootstrap, topic, python=python_with(version), SUPERSTREAM_TOPICS_LIST=topic)
    assert program.returncode == 0, program.stderr
    log = cluster.log_bytes(topic)
    assert log.records == 4 * 551 + 100
    # Single short records do not get smaller; the library then sends them as they are.
    assert {batch.codec for batch in log.batches if batch.records > 10 and not batch.is_control} == {"zstd"}
    assert "compression.type none -> zstd, batch.size 16384 -> 32768, linger.ms 0 -> 20" in program.stderr
    reports = cluster.wait_for_reports(lambda all_: stats(all_, topic)["record-send-total"] >= log.records)
    counted = stats(reports, topic)
    written = sum(batch.size for batch in log.batches if not batch.is_control)
    assert counted == {"record-send-total": log.records, "byte-total": written}
    info = next(one for one in reports if one["message_type"] == "client_info")
    assert info["original_configuration"]["acks"] == 1
    assert info["original_configuration"]["batch.size"] == 16384
    assert info["optimized_configuration"]["batch.size"] == 32768
    assert "error" not in program.stderr.lower()


ENDINGS = {
    "return": "asyncio.run(main())",
    "exception": "asyncio.run(main(ValueError('mine')))",
    "exit": "asyncio.run(main(SystemExit(3)))",
    "interrupt": "asyncio.run(main(KeyboardInterrupt()))",
    "loop left": "loop = asyncio.new_event_loop(); kept = loop.run_until_complete(main())",
    "loop closed": "loop = asyncio.new_event_loop(); kept = loop.run_until_complete(main()); loop.close()",
}
TEN_SENDS = """
async def main(error=None):
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS)
    await producer.start()
    for number in range(10):
        await producer.send(TOPIC, b"%d" % number)
    await asyncio.sleep(0.1)
    if error is not None:
        raise error
    return producer
"""


@every_version
@pytest.mark.parametrize("ending", ENDINGS)
def test_ten_sends_a_pause_and_an_end_without_stop(cluster: Broker, topic: str, version: str, ending: str) -> None:
    """AGT-25: a record that would have been delivered without the agent is delivered, whatever linger it added."""
    prepare(cluster, topic, linger_ms=900)
    program = run(
        TEN_SENDS + ENDINGS[ending],
        cluster.bootstrap,
        topic,
        python=python_with(version),
        SUPERSTREAM_TOPICS_LIST=topic,
    )
    assert "linger.ms 0 -> 900" in program.stderr
    assert sorted(record.value or b"" for record in cluster.records(topic)) == [b"%d" % n for n in range(10)]


FULL_SPEED = """
async def main():
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS)
    await producer.start()
    started = time.monotonic()
    for number in range(5000):
        await producer.send(TOPIC, b"x" * 1000)
    sent = time.monotonic()
    await producer.flush()
    flushed = time.monotonic()
    await producer.send(TOPIC, b"last")
    await producer.stop()
    print(json.dumps([sent - started, flushed - sent, time.monotonic() - flushed]))
asyncio.run(main())
"""


@every_version
def test_full_batches_flush_and_stop_do_not_wait_for_a_linger(cluster: Broker, topic: str, version: str) -> None:
    """AGT-34: an added linger caps no throughput: what is full, flushed or stopped for goes out at once."""
    prepare(cluster, topic, linger_ms=5000)
    program = run(
        FULL_SPEED,
        cluster.bootstrap,
        topic,
        python=python_with(version),
        SUPERSTREAM_TOPICS_LIST=topic,
        SUPERSTREAM_MAX_LINGER_MS="5000",
    )
    assert "linger.ms 0 -> 5000" in program.stderr
    sending, flushing, stopping = json.loads(program.stdout)
    assert sending < 5  # 300 batches: 25 minutes, were there one batch a linger
    assert flushing < 2.5
    assert stopping < 2.5
    assert cluster.log_bytes(topic).records == 5001


LAG_PROBE = """
async def main():
    worst, last = 0.0, time.monotonic()
    def probe():
        nonlocal worst, last
        now = time.monotonic()
        worst, last = max(worst, now - last - 0.001), now
        loop.call_later(0.001, probe)
    loop = asyncio.get_running_loop()
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS, request_timeout_ms=1500)
    probe()
    started = time.monotonic()
    try:
        await producer.start()
    except Exception as error:
        print(type(error).__name__, file=sys.stderr)
    print(json.dumps([worst, time.monotonic() - started]))
    await producer.stop()
asyncio.run(main())
"""


@pytest.mark.parametrize("fault", [refused_port, black_hole, silent_port])
def test_a_broker_out_of_reach_neither_blocks_the_loop_nor_prolongs_the_error(fault: Any) -> None:
    """AGT-23, AGT-21: start fails as fast and by the same error as without the agent, and the loop turns meanwhile."""
    with fault() as port:
        found = {}
        for disabled in ("true", "false"):
            env = {"SUPERSTREAM_DISABLED": disabled, "SUPERSTREAM_METADATA_TIMEOUT_MS": "500"}
            program = run(LAG_PROBE, f"127.0.0.1:{port}", **env)
            lag, took = json.loads(program.stdout)
            found[disabled] = (program.stderr.splitlines()[-1], lag, took)
    bare, ours = found["true"], found["false"]
    assert ours[0] == bare[0] == "KafkaConnectionError"
    # A shared machine takes the processor away for longer than 5 ms; a wait on the loop would show as 500.
    assert ours[1] < bare[1] + 0.4  # a loop that waits for the metadata stands still for half a second
    assert ours[2] < bare[2] + 0.4


SLOW_METADATA = """
async def main():
    started = time.monotonic()
    producers = [AIOKafkaProducer(bootstrap_servers=SERVERS) for _ in range(10)]
    built = time.monotonic() - started
    await asyncio.gather(*(producer.start() for producer in producers))
    fetches = [one for one in counted if one.startswith("superclient-fetch")]
    print(json.dumps([built, len(fetches), [p._message_accumulator._batch_size for p in producers]]))
    for producer in producers:
        await producer.stop()
import threading
counted, start = [], threading.Thread.start
def counting(self):
    counted.append(self.name)
    start(self)
threading.Thread.start = counting
asyncio.run(main())
"""


def test_ten_producers_need_one_fetch_and_are_all_tuned(cluster: Broker, topic: str) -> None:
    """AGT-23, AGT-28: first contact with a cluster starts one fetch, for all producers; constructors do not wait."""
    prepare(cluster, topic, batch_size=70000)
    program = run(SLOW_METADATA, cluster.bootstrap, topic, SUPERSTREAM_TOPICS_LIST=topic)
    built, fetches, sizes = json.loads(program.stdout)
    assert fetches == 1
    assert sizes == [70000] * 10
    assert built < 0.4


LIFE = """
import gc
from superclient.agent import pipeline

def tracked():
    return [one for one in pipeline.agent().tracker.everyone() if not one.closed]

async def main():
    never = AIOKafkaProducer(bootstrap_servers=SERVERS)
    assert not tracked(), "built, not started"
    del never

    failing = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", request_timeout_ms=500)
    try:
        await failing.start()
    except Exception as error:
        print(type(error).__name__)
    assert not tracked(), "failed to start"
    await failing.stop()

    twice = AIOKafkaProducer(bootstrap_servers=SERVERS)
    await twice.start()
    await twice.client.close()
    twice._sender.sender_task.cancel()
    await twice.start()
    assert len(tracked()) == 1, "started twice"
    await twice.stop()
    assert not tracked(), "stopped"
    await twice.stop()

    dropped = AIOKafkaProducer(bootstrap_servers=SERVERS)
    await dropped.start()
    assert len(tracked()) == 1
    await asyncio.sleep(0)  # lets the sender's task begin
    await dropped._sender.close()
    await dropped.client.close()
    dropped._closed = True
    del dropped
    gc.collect()
    assert not tracked(), "collected"
    print("done")
asyncio.run(main())
"""


@every_version
def test_tracking_lasts_from_a_successful_start_to_stop_or_collection(cluster: Broker, version: str) -> None:
    """AGT-25: a producer that was never started is never tracked; stop and the garbage collector end tracking."""
    program = run(LIFE, cluster.bootstrap, python=python_with(version))
    assert program.stdout == "KafkaConnectionError\ndone\n", program.stderr


CANCELLED = """
async def main():
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS)
    story = vars(producer)["_superclient_story"]
    asked = asyncio.Event()
    async def forever(timeout):
        asked.set()
        await asyncio.sleep(3600)
    given, story.entry.wait_async = story.entry.wait_async, forever
    starting = asyncio.ensure_future(producer.start())
    await asked.wait()
    starting.cancel()
    try:
        await starting
    except asyncio.CancelledError:
        print("cancelled")
    await producer.stop()
asyncio.run(main())
"""


def test_a_start_that_is_cancelled_while_the_metadata_is_awaited_is_cancelled(cluster: Broker) -> None:
    """AGT-7: guards let CancelledError through."""
    program = run(CANCELLED, cluster.bootstrap)
    assert program.stdout == "cancelled\n", program.stderr


SAME = """
import gc, inspect
class Mine(AIOKafkaProducer):
    def __init__(self, *, name, **settings):
        super().__init__(**settings)
        self.name = name
    async def start(self):
        await super().start()
        print("started", self.name)

async def main():
    loop = asyncio.get_running_loop()
    print(inspect.signature(AIOKafkaProducer), inspect.signature(AIOKafkaProducer.__init__), AIOKafkaProducer.__doc__)
    for method in (AIOKafkaProducer.start, AIOKafkaProducer.stop, AIOKafkaProducer.flush):
        print(method.__qualname__, method.__doc__, inspect.signature(method), inspect.iscoroutinefunction(method))
        print(inspect.getsource(method))
    AIOKafkaProducer(loop=loop, bootstrap_servers=SERVERS)
    gc.collect()
    idempotent = {"enable_idempotence": True, "acks": 1}
    for wrong in ({"acks": 7}, {"nonsense": 1}, {"compression_type": "brotli"}, idempotent):
        settings = {"bootstrap_servers": SERVERS, **wrong}
        try:
            AIOKafkaProducer(**settings)
        except Exception as error:
            print(type(error), error)
        print(sorted(settings) == sorted(["bootstrap_servers", *wrong]))
    try:
        AIOKafkaProducer(SERVERS)
    except TypeError as error:
        print(error)
    producer = Mine(name="mine", bootstrap_servers=SERVERS, client_id=None)
    producer.start()
    gc.collect()
    await producer.start()
    print(isinstance(producer, AIOKafkaProducer), type(producer).__mro__, producer.client._client_id)
    batch = producer.create_batch()
    batch.append(key=None, value=bytes(range(256)) * 20, timestamp=None)
    future = await producer.send_batch(batch, TOPIC, partition=0)
    await asyncio.wait([future])
    del future, batch
    gc.collect()
    await producer.stop()
    await producer.stop()
    left = AIOKafkaProducer(bootstrap_servers=SERVERS)
    await left.start()
    await asyncio.sleep(0)
    await left._sender.close()
    await left.client.close()
    del left
    gc.collect()
asyncio.run(main(), debug=len(sys.argv) > 3)
"""


def _said(program: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    err = "\n".join(line for line in program.stderr.splitlines() if not line.startswith("[superstream] "))
    volatile = re.compile(r"0x[0-9a-f]+|Task-\d+|superclient-program-\w+|took [0-9.]+|Executing .*|\d+\.\d+ seconds")
    return program.returncode, volatile.sub("…", program.stdout), volatile.sub("…", err)


@every_version
@pytest.mark.parametrize("debug", [(), ("debug",)], ids=["plain", "debug"])
def test_a_program_sees_what_it_saw_without_the_agent(
    cluster: Broker, topic: str, version: str, debug: tuple[str, ...]
) -> None:
    """AGT-20: signatures, sources, subclasses, errors, warnings and their places, lost futures, __del__."""
    small = cluster.create_topic(topic + "-small", config={"max.message.bytes": "1000"})
    python = python_with(version)
    seen = [
        _said(
            run(
                SAME,
                cluster.bootstrap,
                small,
                *debug,
                python=python,
                options=("-Wall",),
                SUPERSTREAM_DISABLED=disabled,
                SUPERSTREAM_DEFAULTS="off",
            )
        )
        for disabled in ("true", "false")
    ]
    if debug:  # asyncio's log of slow callbacks depends on the machine's mood, and frames of ours are on the way
        assert seen[0][:2] == seen[1][:2]
        assert seen[0][2].count("Unclosed AIOKafkaProducer") == seen[1][2].count("Unclosed AIOKafkaProducer")
        last = re.compile(r"source_traceback.*?(?:\n(?=[A-Z…/])|\Z)", re.DOTALL)
        assert [one.splitlines()[-2:] for one in last.findall(seen[0][2])] == [
            one.splitlines()[-2:] for one in last.findall(seen[1][2])
        ]
    else:
        assert seen[0] == seen[1]


def test_a_codec_whose_library_is_missing_is_never_set(cluster: Broker, topic: str) -> None:
    """AGT-28: without cramjam a recommended zstd is refused, the rest of the recommendation holds, and records flow."""
    prepare(cluster, topic, compression_type="zstd", batch_size=40000)
    program = run(
        FULL_SPEED,
        cluster.bootstrap,
        topic,
        python=python_with(NEWEST, "typing-extensions"),
        SUPERSTREAM_TOPICS_LIST=topic,
        SUPERSTREAM_DEBUG="true",
    )
    assert "compression.type refused: the library that zstd needs is not installed" in program.stderr
    assert "batch.size 16384 -> 40000" in program.stderr
    log = cluster.log_bytes(topic)
    assert log.records == 5001
    assert log.codecs == {"none"}


LIVE = """
async def main():
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS, linger_ms=2)
    await producer.start()
    print("ready", flush=True)
    accumulator = producer._message_accumulator
    own = accumulator._batch_size
    sent = 0
    while accumulator._batch_size == own or sent < 500:  # the agent's plan, then the program's own values again
        await producer.send_and_wait(TOPIC, b"%d" % sent)
        sent += 1
        if sent == 500:
            print(accumulator._batch_size, flush=True)
            own = accumulator._batch_size
    print(accumulator._batch_size, accumulator._compression_type, flush=True)
    await producer.stop()
    print(sent, flush=True)
asyncio.run(asyncio.wait_for(main(), 40))
"""


@every_version
def test_an_inactive_cluster_gives_a_live_producer_its_own_settings_back(
    cluster: Broker, topic: str, version: str
) -> None:
    """AGT-35: a changed plan reaches a live producer in a report interval; nothing is lost, doubled, reordered."""
    prepare(cluster, topic, compression_type="gzip", batch_size=50000)
    python = python_with(version)
    env = {**PATIENT, "SUPERSTREAM_TOPICS_LIST": topic}
    with start_program(python, HEADER + LIVE, cluster.bootstrap, topic, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.stdout.readline() == "50000\n"
        cluster.publish_metadata(advice(topic, active=False))
        assert process.stdout.readline() == "16384 0\n"
        sent = int(process.stdout.readline())
        assert process.wait(20) == 0
    assert [record.value for record in cluster.records(topic)] == [b"%d" % number for number in range(sent)]


FAILED = """
async def main():
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS)
    await producer.start()
    good = [await producer.send(TOPIC, b"fits") for _ in range(7)]
    await producer.flush()
    bad = [await producer.send(TOPIC, bytes(range(256)) * 20) for _ in range(2)]
    print([type(one).__name__ for one in await asyncio.gather(*bad, return_exceptions=True)])
    await producer.stop()
asyncio.run(main())
"""


@every_version
def test_batches_that_the_broker_refuses_are_errors_and_no_volume(cluster: Broker, topic: str, version: str) -> None:
    """AGT-41: what was not acknowledged is not counted as sent."""
    small = cluster.create_topic(topic + "-small", config={"max.message.bytes": "1000"})
    cluster.create_system_topics()
    program = run(
        FAILED + PATIENT_EXIT, cluster.bootstrap, small, python=python_with(version), SUPERSTREAM_DEFAULTS="off"
    )
    assert program.stdout == "['MessageSizeTooLargeError', 'MessageSizeTooLargeError']\n", program.stderr
    reports = cluster.wait_for_reports(lambda all_: any(one["message_type"] == "client_stats" for one in all_))
    last = [one for one in reports if one["message_type"] == "client_stats"][-1]
    log = cluster.log_bytes(small)
    assert last["topic_metrics"][small]["record-send-total"] == log.records == 7
    assert last["topic_metrics"][small]["byte-total"] == log.bytes
    assert last["producer_metrics"]["record-error-total"] == 2


MANY = """
import gc, tracemalloc
from superclient.agent import pipeline
async def round(count):
    for _ in range(count):
        producer = AIOKafkaProducer(bootstrap_servers=SERVERS)
        await producer.start()
        await producer.stop()
    del producer
    for _ in range(200):
        if not pipeline.agent().tracker.everyone():
            break
        await asyncio.sleep(0.05)
    gc.collect()
    return tracemalloc.get_traced_memory()[0], len(pipeline.agent().tracker.everyone())
async def main():
    await round(50)
    tracemalloc.start()
    before = await round(50)
    after = await round(900)
    print(json.dumps([before, after]))
asyncio.run(main())
"""


def test_a_thousand_producers_leave_nothing_behind(cluster: Broker) -> None:
    """AGT-28, AGT-25: memory and the registry are as after fifty."""
    cluster.create_system_topics()
    program = run(MANY, cluster.bootstrap)
    (before, waiting), (after, left) = json.loads(program.stdout)
    assert (waiting, left) == (0, 0)
    assert after - before < 900 * 200  # bytes a producer, while one weighs about 20 000


OPENTELEMETRY = """
from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor
if sys.argv[3] == "after":
    import superclient
AIOKafkaInstrumentor().instrument()
if sys.argv[3] == "before":
    import superclient
async def main():
    async with AIOKafkaProducer(bootstrap_servers=SERVERS) as producer:
        await producer.send_and_wait(TOPIC, b"traced")
        print(producer._message_accumulator._batch_size)
asyncio.run(main())
"""


@pytest.mark.parametrize("order", ["after", "before", "long before"])
def test_opentelemetry_and_the_agent_live_together(cluster: Broker, topic: str, order: str) -> None:
    """AGT-27: in either order of loading, with the OpenTelemetry instrumentation of aiokafka."""
    prepare(cluster, topic, batch_size=70000)
    python = environment(
        packages=[f"aiokafka=={NEWEST}", "opentelemetry-instrumentation-aiokafka", "opentelemetry-sdk"],
        constrained=False,
    )
    lazily = "-S" if order == "before" else "-B"  # -S: without the .pth line
    options = (lazily,)
    site = str(next((python.parent.parent / "lib").glob("python3*/site-packages")))
    program = run(
        OPENTELEMETRY,
        cluster.bootstrap,
        topic,
        order,
        python=python,
        options=options,
        SUPERSTREAM_TOPICS_LIST=topic,
        **({"PYTHONPATH": site} if order == "before" else {}),
    )
    assert program.stdout == "70000\n", program.stderr
    assert [record.value for record in cluster.records(topic)] == [b"traced"]
