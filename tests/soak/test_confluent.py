"""AGT-35: a confluent-kafka producer in full flight is given other handles while its broker pauses and crashes."""

import json
import subprocess
import time

import pytest

from tests.environments import environment, start_program
from tests.servers import Broker

PROGRAM = """
import json, os, sys, threading, time
import superclient.agent.adapters.confluent
sys.modules["superclient.agent.adapters.confluent.making"].INTERVAL_MS = 1000
sys.modules["superclient.agent.adapters.confluent.coming"].RIPENING = 0.1
from confluent_kafka import Producer
address, topic, records, swaps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
KEYS = 3
producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "error_cb": lambda error: None})
producer.list_topics(topic, 20)
live, each = producer._superclient, records // KEYS
sent, called, failed = [0] * KEYS, bytearray(records), []


def resources():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def note(error, message):
    key, number = map(int, message.value().split())
    called[key * each + number] += 1
    if error is not None:
        failed.append(str(error))


def work(key):
    for number in range(each):
        while True:
            try:
                producer.produce(topic, key=b"%d" % key, value=b"%d %d" % (key, number), on_delivery=note)
                break
            except BufferError:
                producer.poll(0.1)
        sent[key] = number + 1
        if number % 500 == 499:
            producer.flush()
            time.sleep(0.002)


before = resources()
threads = [threading.Thread(target=work, args=(key,)) for key in range(KEYS)]
for thread in threads:
    thread.start()
done, late = 0, 0
while done < swaps:
    if sum(sent) < done * records // (swaps + 5) and any(thread.is_alive() for thread in threads):
        time.sleep(0.002)
        continue
    changes = {"compression.type": ("gzip", "zstd", "lz4", "snappy")[done % 4], "linger.ms": 5 + done % 7}
    live.tend(producer)
    if live.tune(producer, changes):
        late += not any(thread.is_alive() for thread in threads)
        print("swap", done, flush=True)
        done += 1
for thread in threads:
    thread.join()
left = producer.flush(60)
end = time.monotonic() + 30
while (live._left or resources() > before) and time.monotonic() < end:
    live.tend(producer)
    producer.poll(0.05)
result = {"left": left, "length": len(producer), "failed": failed[:5], "late": late, "once": set(called) == {1}}
print("result", json.dumps({**result, "before": before, "after": resources()}), flush=True)
"""
SWAPS = 21
PAUSED, CRASHED = 6, 13  # the exchanges at which the broker is silent for a while, and at which it is killed
SILENCE = 2.0  # seconds


@pytest.mark.timeout(170)
def test_a_tenth(fresh_kafka: Broker) -> None:
    """AGT-35: 100,000 records through 21 exchanges, a silent broker and a crash."""
    _soak(fresh_kafka, 99_999)


@pytest.mark.soak
def test_a_million(fresh_kafka: Broker) -> None:
    """AGT-35: the same ten times over."""
    _soak(fresh_kafka, 999_999)


def _soak(kafka: Broker, records: int) -> None:
    topic = kafka.create_topic("soak", 3)
    python = environment(packages=["confluent-kafka"])
    env = {"SUPERSTREAM_LIVE_SWAP": "true", "SUPERSTREAM_DEFAULTS": "off"}
    arguments = (kafka.bootstrap, topic, str(records), str(SWAPS))
    with start_program(python, PROGRAM, *arguments, env=env) as running:
        said = _accompany(kafka, running)
        _, complaints = running.communicate(timeout=60)
    assert running.returncode == 0, complaints
    assert (said["left"], said["length"], said["failed"], said["once"]) == (0, 0, [], True), complaints
    assert said["late"] <= 1, "the exchanges did not happen in full flight"
    assert said["after"] <= said["before"]
    found: dict[int, int] = {}
    for record in kafka.records(topic, timeout=150):
        key, number = (int(word) for word in (record.value or b"").split())
        assert number == found.get(key, 0), f"key {key}: {number} after {found.get(key, 0) - 1}"
        found[key] = number + 1
    assert sum(found.values()) == records
    assert {"gzip", "zstd", "lz4", "snappy"} <= kafka.log_bytes(topic).codecs


def _accompany(kafka: Broker, running: "subprocess.Popen[str]") -> dict[str, object]:
    """Do to the broker what is its lot while the program runs; what the program says at the end."""
    assert running.stdout is not None
    for line in running.stdout:
        word, _, rest = line.partition(" ")
        if word == "result":
            said: dict[str, object] = json.loads(rest)
            return said
        if int(rest) == PAUSED:
            kafka.pause()
            time.sleep(SILENCE)
            kafka.resume()
        if int(rest) == CRASHED:
            kafka.kill()
            kafka.start()
    raise AssertionError(running.communicate()[1])
