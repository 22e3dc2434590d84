"""The monitors' thread and task, with collectors of the user's own; real threads and loops, no servers."""

import asyncio
import gc
import inspect
import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest

from superclient.errors import ConfigurationError, HealthManagerError
from superclient.smart import workers
from superclient.smart.async_monitor import AsyncPartitionHealthMonitor
from superclient.smart.config import HealthManagerConfig
from superclient.smart.monitor import PartitionHealthMonitor
from tests.servers import wait_for

SOON = {"refresh_interval": 0.02}
NEVER = {"refresh_interval": 3600.0}


class Fake:
    """Lags that a test sets; a topic in `failing` raises, one in `hanging` waits until `release`."""

    def __init__(self, **lags: dict[int, int]) -> None:
        self.lags = lags
        self.failing: set[str] = set()
        self.hanging: set[str] = set()
        self.released = threading.Event()
        self.calls: list[str] = []
        self.threads: set[str] = set()

    def get_lag_data(self, topic: str) -> dict[int, int]:
        self.calls.append(topic)
        self.threads.add(threading.current_thread().name)
        if topic in self.hanging:
            self.released.wait()
        if topic in self.failing:
            raise OSError("the metrics server is away")
        return dict(self.lags[topic])

    def is_healthy(self) -> bool:
        return not self.failing


class AsyncFake(Fake):
    """The same, to be awaited."""

    async def get_lag_data(self, topic: str) -> dict[int, int]:  # type: ignore[override]
        if topic in self.hanging:
            self.calls.append(topic)
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return super().get_lag_data(topic)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """No test may leave a thread of a monitor behind."""
    yield
    gc.collect()
    wait_for(lambda: not _ours(), "the monitors' threads have ended")


def _ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("superclient-health")]


# --- the thread -------------------------------------------------------------------------------------------------------


def test_life_of_a_thread() -> None:
    """KSP-20: one daemon thread from start to stop, however often either is called; it can be started again."""
    collector = Fake(orders={0: 0, 1: 999})
    monitor = PartitionHealthMonitor.embedded(collector, ["orders"], **SOON)
    assert not monitor.is_running
    for _ in range(2):
        monitor.start()
        monitor.start()
        threads = [each for each in threading.enumerate() if each.name == "superclient-health"]
        assert [each.daemon for each in threads] == [True]
        wait_for(lambda: monitor.get_healthy_partitions("orders") == [0], "the lag is known")
        assert monitor.is_partition_healthy("orders", 0)
        assert not monitor.is_partition_healthy("orders", 1)
        monitor.stop()
        assert not threads[0].is_alive()
        assert not monitor.is_running
        monitor.stop()
    with monitor as entered:
        assert entered is monitor
        assert monitor.is_running
    assert not monitor.is_running
    assert "superclient-health" not in collector.threads  # the monitor's own thread never waits for a collector


def test_changes_are_seen() -> None:
    """KSP-4: a partition that catches up is healthy with the next look, one that falls behind is not."""
    collector = Fake(orders={0: 0, 1: 5000})
    with PartitionHealthMonitor.embedded(collector, ["orders"], **SOON) as monitor:
        wait_for(lambda: monitor.get_healthy_partitions("orders") == [0], "the lag is known")
        collector.lags["orders"] = {0: 5000, 1: 0}
        wait_for(lambda: monitor.get_healthy_partitions("orders") == [1], "the change is seen")
        collector.lags["orders"] = {0: 5000, 1: 0, 2: 0}
        wait_for(lambda: monitor.get_healthy_partitions("orders") == [1, 2], "a new partition is seen")


def test_force_refresh() -> None:
    """KSP-19: it looks now, running or not, and says whether that worked; a failing collector raises nothing."""
    collector = Fake(orders={0: 0}, payments={0: 0})
    monitor = PartitionHealthMonitor.embedded(collector, ["orders", "payments"], **NEVER)
    assert monitor.force_refresh()
    assert monitor.get_healthy_partitions("orders") == [0]
    assert not monitor.is_running
    with monitor:
        for lag in (5000, 0, 5000):
            collector.lags["orders"] = {0: lag}
            assert monitor.force_refresh()
            assert monitor.is_partition_healthy("orders", 0) == (lag == 0)
        collector.failing = {"payments"}
        assert not monitor.force_refresh()
        assert monitor.force_refresh("orders")
        assert not monitor.force_refresh("payments")
        summary = monitor.get_health_summary()
        assert summary["topics"]["payments"]["last_error"] == "OSError: the metrics server is away"
        wait_for(lambda: monitor.get_health_summary()["collector_healthy"] is False, "the collector was asked")
    collector.failing = set()
    assert monitor.force_refresh("met on the way") is False  # KeyError, of the collector
    assert monitor.force_refresh("orders")


def test_topics_do_not_hold_each_other_up() -> None:
    """KSP-17: one topic that hangs and one that fails; the third is looked at as if it were alone."""
    collector = Fake(slow={0: 0}, broken={0: 0}, orders={0: 0})
    collector.hanging, collector.failing = {"slow"}, {"broken"}
    options = {**SOON, "timeout_seconds": 0.2}
    with PartitionHealthMonitor.embedded(collector, ["slow", "broken", "orders"], **options) as monitor:
        wait_for(lambda: collector.calls.count("orders") > 30, "the good topic is looked at")
        assert monitor.get_healthy_partitions("orders") == [0]
        assert monitor.get_healthy_partitions("slow") == monitor.get_healthy_partitions("broken") == []
        assert collector.calls.count("slow") == 1
        wait_for(
            lambda: (
                "no answer within 0.2 s" in str(monitor.get_health_summary()["topics"]["slow"]["last_error"])
                or "not come back" in str(monitor.get_health_summary()["topics"]["slow"]["last_error"])
            ),
            "the time-out is told",
        )
        collector.hanging = set()
        collector.released.set()
        wait_for(lambda: monitor.get_healthy_partitions("slow") == [0], "the slow topic is known once it answers")


def test_collectors_that_misbehave(caplog: pytest.LogCaptureFixture) -> None:
    """KSP-5: whatever a collector raises or answers, the monitor lives, says so once, and sees when it is mended."""
    answers: list[Callable[[], Any]] = [lambda: None, lambda: {0: "much"}, lambda: 1 / 0, sys.exit, list]
    left = [*answers, *answers]

    class Wild(Fake):
        def get_lag_data(self, topic: str) -> Any:
            return left.pop()() if left else {0: 0}

        def is_healthy(self) -> bool:
            raise RuntimeError

    with (
        caplog.at_level(logging.WARNING, "superclient.smart.monitor"),
        PartitionHealthMonitor.embedded(Wild(), ["orders"], refresh_interval=0.001) as monitor,
    ):
        wait_for(lambda: monitor.get_healthy_partitions("orders") == [0], "the collector is mended")
        summary = monitor.get_health_summary()
        assert summary["failures"] == len(answers) * 2
        assert summary["last_error"] is None
    said = [record.message for record in caplog.records if record.name == "superclient.smart.monitor"]
    assert len(said) == 1
    assert said[0].startswith("the lag of orders cannot be read: ")


def test_streams() -> None:
    """KSP-18: before anything else has started the monitor, to every reader all of it, and over with the monitor."""
    collector = Fake(orders={0: 0})
    monitor = PartitionHealthMonitor.embedded(collector, [], **SOON)
    streams = [monitor.health_stream("orders") for _ in range(3)]
    assert monitor.is_running
    seen: list[list[dict[int, float]]] = [[] for _ in streams]

    def read(stream: Iterator[dict[int, float]], into: list[dict[int, float]]) -> None:
        for scores in stream:
            into.append(scores)

    readers = [threading.Thread(target=read, args=pair) for pair in zip(streams, seen, strict=True)]
    for reader in readers:
        reader.start()
    expected = []
    for lag in (0, 100, 250, 1000):
        collector.lags["orders"] = {0: lag}
        expected.append({0: 1 - lag / 1000})
        wait_for(lambda: seen == [expected] * 3, "every reader has it")
    late = monitor.health_stream("orders")
    assert next(late) == expected[-1]
    monitor.stop()
    for reader in readers:
        reader.join(10)
        assert not reader.is_alive()
    assert seen == [expected] * 3
    assert list(late) == []
    assert not monitor.is_running  # no stream brings it back


def test_dropped_monitor() -> None:
    """KSP-20: a monitor that nobody holds any more ends its thread."""
    PartitionHealthMonitor.embedded(Fake(orders={0: 0}), ["orders"], **SOON).start()
    gc.collect()
    wait_for(lambda: not _ours(), "the thread has ended")


def test_many_threads_read() -> None:
    """KSP-20: reading from many threads while it is refreshed, with topics coming and readers going."""
    collector = Fake(**{f"t{each}": {0: 0, 1: each * 100} for each in range(20)})
    errors: list[BaseException] = []
    with PartitionHealthMonitor.embedded(collector, ["t0"], refresh_interval=0.001) as monitor:

        def use(number: int) -> None:
            try:
                for each in range(200):
                    topic = f"t{(number + each) % 20}"
                    monitor.watch(topic)
                    stream = monitor.health_stream(topic)
                    monitor.get_health_summary()
                    assert set(monitor.get_healthy_partitions(topic)) <= {0, 1}
                    monitor.is_partition_healthy(topic, 1)
                    assert isinstance(monitor.topics, list)
                    del stream
            except BaseException as error:
                errors.append(error)

        users = [threading.Thread(target=use, args=(number,)) for number in range(8)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        assert errors == []
        wait_for(lambda: len(monitor.views) == 20, "all topics are known")


def test_new_topics_while_it_runs() -> None:
    """A topic that a producer meets is looked at soon, not with the next interval."""
    collector = Fake(orders={0: 0}, met={0: 0})
    with PartitionHealthMonitor.embedded(collector, ["orders"], **NEVER) as monitor:
        wait_for(lambda: monitor.get_healthy_partitions("orders") == [0], "the first look is over")
        monitor.watch("met")
        wait_for(lambda: monitor.get_healthy_partitions("met") == [0], "the topic is known")


def test_awaitable_collector_for_a_thread() -> None:
    """KSP-23: a collector that has to be awaited is refused where nothing awaits it, and a coroutine is no lag."""
    with pytest.raises(ConfigurationError, match="AsyncPartitionHealthMonitor"):
        PartitionHealthMonitor.embedded(AsyncFake(), ["orders"])  # type: ignore[arg-type]

    class Hidden(Fake):
        def get_lag_data(self, topic: str) -> Any:
            return AsyncFake(orders={0: 0}).get_lag_data(topic)

    monitor = PartitionHealthMonitor.embedded(Hidden(), ["orders"])
    assert not monitor.force_refresh()
    assert "coroutine" in str(monitor.get_health_summary()["last_error"])


@pytest.mark.parametrize("option", [{"refresh_interval": 0}, {"health_threshold": 2}, {"max_lag_for_health": -1}])
def test_options_are_checked(option: dict[str, Any]) -> None:
    """KSP-15: a bad value is a ValueError that names the field; KSP-12: an interval below the time-out is none."""
    with pytest.raises(ValueError, match=next(iter(option))):
        PartitionHealthMonitor.embedded(Fake(), ["orders"], **option)
    PartitionHealthMonitor.embedded(Fake(), ["orders"], refresh_interval=3.0)
    PartitionHealthMonitor(Fake(), ["orders"], HealthManagerConfig(refresh_interval=3.0))


def _in_child(monitor: PartitionHealthMonitor, results: Any) -> None:
    before = monitor.is_running, monitor.get_health_summary()["running"], list(monitor.health_stream("orders"))
    forced = monitor.force_refresh()
    monitor.start()
    started = monitor.is_running
    monitor.stop()
    results.put((before, forced, started, monitor.is_running))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork() -> None:
    """In a forked child the monitor does not run, says so, and can be started; the parent's goes on."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    with PartitionHealthMonitor.embedded(Fake(orders={0: 0}), ["orders"], **SOON) as monitor:
        wait_for(lambda: monitor.get_healthy_partitions("orders") == [0], "the lag is known")
        with monitor._lock:  # as if another thread were starting or stopping it
            child = context.Process(target=_in_child, args=(monitor, results))
            child.start()
        assert results.get(timeout=60) == ((False, False, [{0: 1.0}]), True, True, False)
        child.join(60)
        assert child.exitcode == 0
        assert monitor.is_running


def test_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """KSP-20: whatever is handed out is done once, however quickly threads come and go; afterwards they are gone."""
    monkeypatch.setattr(workers, "IDLE", 0.0005)
    pool, done = workers.Workers(), SimpleQueue[int]()
    expected = 0
    for size in (1, 2, 16) * 300:
        pool.run([partial(done.put, expected + each) for each in range(size)])
        expected += size
    wait_for(lambda: done.qsize() == expected, "all of it is done")
    assert sorted(done.get() for _ in range(expected)) == list(range(expected))


def test_workers_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that starts no more threads has no health, says why, and has it again when there are some."""
    monitor = PartitionHealthMonitor.embedded(Fake(orders={0: 0}), ["orders"])

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as context:
        context.setattr(threading.Thread, "start", refuse)
        assert not monitor.force_refresh()
        assert "can't start new thread" in str(monitor.get_health_summary()["last_error"])
        with pytest.raises(HealthManagerError, match="can't start new thread"):
            monitor.start()
    assert monitor.force_refresh()


# --- the event loop ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=[Fake, AsyncFake], ids=["blocking", "awaited"])
def kind(request: pytest.FixtureRequest) -> Any:
    """Either kind of collector."""
    return request.param


def run(work: Coroutine[Any, Any, None]) -> None:
    """On a loop that reports what it does not like."""
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        await asyncio.wait_for(work, 60)

    asyncio.run(main(), debug=True)
    gc.collect()
    assert problems == []


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition, or for the coroutine that it makes to be true, without blocking the loop."""
    while True:
        answer = condition()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        await asyncio.sleep(0.005)


def test_life_of_a_task(kind: Any) -> None:
    """KSP-19, KSP-20: the same on an event loop; nothing of a collector that blocks runs on the loop's thread."""

    async def work() -> None:
        collector = kind(orders={0: 0, 1: 999})
        monitor = AsyncPartitionHealthMonitor.embedded(collector, ["orders"], **SOON)
        assert not monitor.is_running
        for _ in range(2):
            await monitor.start()
            await monitor.start()
            await until(lambda: monitor.views)
            assert await monitor.get_healthy_partitions("orders") == [0]
            assert await monitor.is_partition_healthy("orders", 0)
            assert not await monitor.is_partition_healthy("orders", 1)
            await until(lambda: _summary(monitor, "collector_healthy", True))
            await monitor.stop()
            await monitor.stop()
            assert not monitor.is_running
        async with monitor:
            assert monitor.is_running
        assert await monitor is monitor
        assert monitor.is_running
        await monitor.stop()
        assert (threading.current_thread().name in collector.threads) == (kind is AsyncFake)
        assert asyncio.all_tasks() == {asyncio.current_task(), *_waiting_for()}

    run(work())


def _waiting_for() -> set[Any]:
    """The task around the work."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task() and "main" in repr(task)}


async def _summary(monitor: AsyncPartitionHealthMonitor, name: str, value: object) -> bool:
    return bool((await monitor.get_health_summary())[name] is value)  # type: ignore[literal-required]


def test_async_force_refresh(kind: Any) -> None:
    """KSP-19: force_refresh is awaited, also by many at once, and by one who loses patience."""

    async def work() -> None:
        collector = kind(orders={0: 0}, payments={0: 0})
        monitor = AsyncPartitionHealthMonitor.embedded(collector, ["orders", "payments"], **NEVER)
        assert await monitor.force_refresh()
        assert not monitor.is_running
        async with monitor:
            collector.lags["orders"] = {0: 5000}
            assert await asyncio.gather(*(monitor.force_refresh() for _ in range(50))) == [True] * 50
            assert not await monitor.is_partition_healthy("orders", 0)
            impatient = asyncio.ensure_future(monitor.force_refresh())
            await asyncio.sleep(0)
            impatient.cancel()
            with pytest.raises(asyncio.CancelledError):
                await impatient
            collector.failing = {"payments"}
            assert not await monitor.force_refresh()
            assert await monitor.force_refresh("orders")
        assert await monitor.force_refresh("orders")

    run(work())


def test_async_topics_do_not_hold_each_other_up(kind: Any) -> None:
    """KSP-17: one topic that hangs and one that fails; the third is looked at as if it were alone."""

    async def work() -> None:
        collector = kind(slow={0: 0}, broken={0: 0}, orders={0: 0})
        collector.hanging, collector.failing = {"slow"}, {"broken"}
        options = {**SOON, "timeout_seconds": 0.2}
        async with AsyncPartitionHealthMonitor.embedded(collector, ["slow", "broken", "orders"], **options) as monitor:
            await until(lambda: collector.calls.count("orders") > 30)
            assert await monitor.get_healthy_partitions("orders") == [0]
            assert await monitor.get_healthy_partitions("slow") == []
            collector.hanging = set()
            collector.released.set()
            await until(lambda: monitor.get_healthy_partitions("slow"))

    run(work())


def test_async_streams(kind: Any) -> None:
    """KSP-18: before anything else has started the monitor, to every reader all of it, and over with the monitor."""

    async def work() -> None:
        collector = kind(orders={0: 0})
        monitor = AsyncPartitionHealthMonitor.embedded(collector, [], **SOON)
        seen: list[list[dict[int, float]]] = [[], [], []]

        async def read(into: list[dict[int, float]]) -> None:
            async for scores in monitor.health_stream("orders"):
                into.append(scores)

        readers = [asyncio.ensure_future(read(each)) for each in seen]
        abandoned = asyncio.ensure_future(read([]))
        expected = []
        for lag in (0, 100, 250, 1000):
            collector.lags["orders"] = {0: lag}
            expected.append({0: 1 - lag / 1000})
            await until(lambda: seen == [expected] * 3)
            abandoned.cancel()
        await monitor.stop()
        await asyncio.gather(*readers)
        assert seen == [expected] * 3
        assert [scores async for scores in monitor.health_stream("orders")] == expected[-1:]
        assert not monitor.is_running

    run(work())


def test_loop_that_ends_first(kind: Any) -> None:
    """A monitor that nobody stops ends with its loop, in silence, and starts again on another one."""
    monitor = AsyncPartitionHealthMonitor.embedded(kind(orders={0: 0}), ["orders"], **SOON)

    async def work() -> None:
        await monitor.start()
        await until(lambda: monitor.views)

    for _ in range(2):
        run(work())
        assert not monitor.is_running
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work())
    loop.close()  # with no word to what is pending on it
    gc.collect()
    assert not monitor.is_running
    asyncio.run(monitor.stop())


def test_two_loops() -> None:
    """A monitor runs on one loop; another one may ask it, and stop it, but not start it a second time."""
    collector = Fake(orders={0: 0})
    monitor = AsyncPartitionHealthMonitor.embedded(collector, ["orders"], **NEVER)
    started, over = threading.Event(), threading.Event()

    async def home() -> None:
        await monitor.start()
        started.set()
        await until(over.is_set)

    thread = threading.Thread(target=asyncio.run, args=(home(),))
    thread.start()
    assert started.wait(30)

    async def elsewhere() -> None:
        with pytest.raises(HealthManagerError, match="another event loop"):
            await monitor.start()
        collector.lags["orders"] = {0: 5000}
        assert await monitor.force_refresh()
        assert not await monitor.is_partition_healthy("orders", 0)
        stream = monitor.health_stream("orders")
        assert await stream.__anext__() == {0: 0.0}
        await monitor.stop()
        assert [scores async for scores in stream] == []

    run(elsewhere())
    over.set()
    thread.join(30)
    assert not monitor.is_running


def test_dropped_async_monitor(kind: Any) -> None:
    """A monitor that nobody holds any more asks its collector no more."""

    async def work() -> None:
        collector = kind(orders={0: 0})
        await AsyncPartitionHealthMonitor.embedded(collector, ["orders"], **SOON).start()
        gc.collect()
        await asyncio.sleep(0)  # what ends it was sent to the loop
        await until(lambda: not _ours())
        calls = len(collector.calls)
        other = AsyncPartitionHealthMonitor.embedded(other_collector := kind(orders={0: 0}), ["orders"], **SOON)
        async with other:
            await until(lambda: len(other_collector.calls) > 20)
        assert len(collector.calls) == calls

    run(work())


def test_stopped_while_it_reads(kind: Any) -> None:
    """stop() waits for no collector that hangs."""

    async def work() -> None:
        collector = kind(orders={0: 0})
        collector.hanging = {"orders"}
        monitor = AsyncPartitionHealthMonitor.embedded(collector, ["orders"], **NEVER)
        await monitor.start()
        await until(lambda: collector.calls)
        waiting = asyncio.ensure_future(monitor.force_refresh())
        await asyncio.sleep(0)
        await monitor.stop()
        assert await waiting is False
        collector.released.set()

    run(work())
