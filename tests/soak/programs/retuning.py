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


class Retunes(threading.Thread):
    """Changes the settings whenever so many more records were sent, and tells the test which change holds.

    `published`: the test publishes the metadata, and the agent finds it at its next look; else the advice is put where
    the agent keeps it, and its thread is woken.
    """

    def __init__(self, topic: str, records: int, count: int, published: bool) -> None:
        super().__init__(name="retunes")
        self.topic, self.step, self.count, self.published = topic, records // (count + 1), count, published
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
        if not self.published:
            advise(document(number, self.topic))
        end = time.monotonic() + 30
        while not holds(number, self.topic):
            if time.monotonic() > end:
                print(f"retune {number} does not hold: {plans()}", file=sys.stderr, flush=True)
                return
            time.sleep(0.005)
        self.seen.append(number)


def advise(metadata: dict) -> None:
    """What a report interval would bring, at once."""
    from superclient.agent import pipeline
    from superclient.agent.model import Advice, State
    from superclient.contract import parse_metadata

    agent = pipeline.agent()
    for entry in list(agent.store._entries.values()):
        entry.settle(Advice(State.KNOWN, "read", parse_metadata(json.dumps(metadata).encode())))
    agent.heartbeat.wake()


def plans() -> list:
    from superclient.agent import pipeline

    return [tracked.plan for tracked in pipeline.agent().tracker.everyone() if not tracked.closed]


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
