"""What the soak's programs share: settings that change, who changes them and when, and what is left at the end.

A program of this kind knows that it is observed: it looks into the agent, and feeds it advice where that is quicker
than a report interval. What it sends through its producer is what any program would.
"""

import json
import os
import sys
import threading
import time

CODECS = ("gzip", "zstd", "none", "lz4", "snappy")
KEYS = 64


def document(number: int, topic: str) -> dict:
    """The metadata of one retune: other codec, level, batch size and linger each time, every fifth the program's own.

    The linger is never the same, so that one can tell which retune a plan is made of.
    """
    codec = CODECS[number % len(CODECS)]
    wanted = {"compression.type": codec, "batch.size": 16384 << number % 5, "linger.ms": 5 + number}
    if codec == "gzip":
        wanted["compression.level"] = 1 + number % 9
    entry = {"topic_name": topic, "potential_reduction_percentage": 50, "daily_writes_bytes": 1000}
    return {
        "active": number % 5 != 4,
        "report_interval_ms": 1000 if "published" in sys.argv else 300_000,
        "topics_configuration": [{**entry, "optimized_configuration": wanted}],
    }


def bad(number: int, topic: str) -> dict:
    """Metadata that no tool of ours would publish; the agent is to take what makes sense of it, and nothing else."""
    entry = {"topic_name": topic, "potential_reduction_percentage": 50, "daily_writes_bytes": 1000}
    fine = {"compression.type": "gzip", "batch.size": 32768, "linger.ms": 20}
    wanted: list = [
        [fine, {"compression.type": "none", "batch.size": 70000, "linger.ms": 1}],  # the topic twice
        [{**fine, "batch.size": 900_000_000}],
        [{**fine, "batch.size": 2_000_000}],  # beyond max.request.size
        [{**fine, "linger.ms": 3_600_000}],  # beyond any delivery timeout
        [{**fine, "linger.ms": 595_000}],  # beyond it with the time for an answer
        [{"compression.type": ["zstd"], "batch.size": "many", "linger.ms": float("nan"), "acks": 0}],
        [{"compression.type": "brotli", "compression.level": -5, "batch.size": -1, "linger.ms": 1e99}],
        ["nothing", None, 5],
        [{**fine, "compression.type": "zstd"}],  # whose library is gone by then: see vanish()
    ]
    chosen = wanted[number % len(wanted)]
    if number % len(wanted) == len(wanted) - 1:
        vanish()
    return {"active": True, "topics_configuration": [{**entry, "optimized_configuration": one} for one in chosen]}


def vanish() -> None:
    """The libraries that compress are gone, as if they could not be imported."""
    for module in ("kafka.codec", "aiokafka.codec"):
        if module in sys.modules:
            for name in ("zstd", "cramjam"):
                if hasattr(sys.modules[module], name):
                    setattr(sys.modules[module], name, None)


class Retunes(threading.Thread):
    """Changes the settings whenever so many more records were sent, and tells the test which change holds.

    `way`: "published", the test publishes the metadata, and the agent finds it at its next look; "direct", the advice
    is put where the agent keeps it, and its thread is woken; "bad", the same with metadata that is not.
    """

    def __init__(self, topic: str, records: int, count: int, way: str) -> None:
        super().__init__(name="retunes")
        self.topic, self.step, self.count, self.way = topic, records // (count + 1), count, way
        self.changes: list[dict] = []
        self.sent = threading.Semaphore(0)
        self.seen: list[int] = []
        self.gate = threading.Semaphore(2)  # the sending is at most two changes ahead
        self.ended = False

    def reached(self, sent: int) -> None:
        """Called by the program for every record, on a thread that may wait."""
        if sent % self.step == 0:
            self.sent.release()
            self.gate.acquire()

    def ahead(self, sent: int) -> bool:
        """The same for an event loop, which must not wait: whether it is to come again later."""
        if sent % self.step == 0:
            if not self.gate.acquire(blocking=False):
                return True
            self.sent.release()
        return False

    def run(self) -> None:
        try:
            for number in range(self.count):
                self.sent.acquire()
                self.change(number)
                self.gate.release()
        finally:
            self.gate.release(1_000_000)

    def change(self, number: int) -> None:
        print(f"retune {number}", flush=True)
        if self.way == "bad":
            advice = advise(bad(number, self.topic))
        elif self.way == "direct":
            advise(document(number, self.topic))
        end = time.monotonic() + 30
        while not (considered(advice) if self.way == "bad" else holds(number, self.topic)):
            if time.monotonic() > end:
                print(f"retune {number} does not hold: {plans()}", file=sys.stderr, flush=True)
                return
            time.sleep(0.005)
        self.seen.append(number)
        self.changes.append(dict(plans()[0].changes))


def advise(metadata: dict) -> object:
    """What a report interval would bring, at once."""
    from superclient.agent import pipeline
    from superclient.agent.model import Advice, State
    from superclient.contract import parse_metadata

    agent, advice = pipeline.agent(), Advice(State.KNOWN, "read", parse_metadata(json.dumps(metadata).encode()))
    for entry in list(agent.store._entries.values()):
        entry.settle(advice)
    agent.heartbeat.wake()
    return advice


def live() -> list:
    """The agent's records of the producers that are open."""
    from superclient.agent import pipeline

    return [tracked for tracked in pipeline.agent().tracker.everyone() if not tracked.closed]


def plans() -> list:
    return [tracked.plan for tracked in live()]


def considered(advice: object) -> bool:
    """Whether every producer's plan is made of this advice."""
    return all(tracked.considered is not None and tracked.considered[0] is advice for tracked in live())


def holds(number: int, topic: str) -> bool:
    wanted = document(number, topic)
    for plan in plans():
        if wanted["active"]:
            if plan.changes.get("linger.ms") != 5 + number:
                return False
        elif plan.changes:
            return False
    return True


def belongings() -> tuple[int, int]:
    """Threads and open descriptors of this process."""
    return len(threading.enumerate()), len(os.listdir("/proc/self/fd"))


def left_over(before: tuple[int, int]) -> list:
    """What is there more than before, once the agent has had time for its last report."""
    end = time.monotonic() + 30
    while any(now > then for now, then in zip(belongings(), before, strict=True)):
        if time.monotonic() > end:
            links = [os.readlink(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd") if each != "3"]
            return [str(threading.enumerate()), str(links)]
        time.sleep(0.05)
    return []


def result(**figures: object) -> None:
    print("result " + json.dumps(figures), flush=True)
