"""One program per library that does what it is told, line by line, and answers each line with one.

argv: bootstrap servers, topic. Environment: CONF, a JSON object of the library's own settings. Lines: `send N SIZE`
(bytes that a codec halves; failures are the broker's business), `new` (another producer in the place of the
first), `explain`, `status`, `deactivate`, `end`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.environments import PATIENT, start_program

ROOT = Path(__file__).resolve().parents[2]

COMMON = """
import json, os, sys
where, topic = sys.argv[1:3]
conf = json.loads(os.environ.get("CONF", "{}"))
def answer(word, producer):
    import superclient
    if word == "explain":
        found = superclient.explain(producer)
        return {one.name: [one.value, one.origin, one.reason] for one in found.settings}
    if word == "status":
        found = superclient.status()
        return {"text": str(found), "active": found.active, "alive": found.heartbeat_alive, "repr": repr(found),
            "patched": [one.name for one in found.libraries if one.patched],
            "clusters": [[one.state, one.reported is not None] for one in found.clusters],
            "off": [[one.library, one.feature] for one in found.features_off]}
    if word == "deactivate":
        return superclient.deactivate()
    return {"new": "built", "end": "ended"}[word]
def say(what):
    print(json.dumps(what), flush=True)
"""

KAFKA_PYTHON = (
    COMMON
    + """
from kafka import KafkaProducer
from kafka.errors import KafkaError
producer = KafkaProducer(bootstrap_servers=where, **conf)
say("ready")
for line in sys.stdin:
    word, *numbers = line.split()
    if word == "send":
        count, size = map(int, numbers)
        futures = [producer.send(topic, os.urandom(size // 2).hex().encode()) for _ in range(count)]
        for future in futures:  # not flush(), which raises where the library splits a batch
            try:
                future.get(30)
            except KafkaError:
                pass
        say("sent")
        continue
    if word == "new":
        producer.close()
        producer = KafkaProducer(bootstrap_servers=where, **conf)
    say(answer(word, producer))
    if word == "end":
        break
producer.close()
"""
)

AIOKAFKA = (
    COMMON
    + """
import asyncio
from aiokafka import AIOKafkaProducer
async def build():
    producer = AIOKafkaProducer(bootstrap_servers=where, **conf)
    await producer.start()
    return producer
async def main():
    producer = await build()
    say("ready")
    while True:
        line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        word, *numbers = line.split()
        if word == "send":
            count, size = map(int, numbers)
            futures = [await producer.send(topic, os.urandom(size // 2).hex().encode()) for _ in range(count)]
            await asyncio.gather(*futures, return_exceptions=True)
            say("sent")
            continue
        if word == "new":
            await producer.stop()
            producer = await build()
        say(answer(word, producer))
        if word == "end":
            break
    await producer.stop()
asyncio.run(main())
"""
)

CONFLUENT = (
    COMMON
    + """
import select
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": where, **conf})
say("ready")
while True:
    while not select.select([sys.stdin], [], [], 0)[0]:
        producer.poll(0.02)
    word, *numbers = sys.stdin.readline().split()
    if word == "send":
        count, size = map(int, numbers)
        for _ in range(count):
            producer.produce(topic, os.urandom(size // 2).hex().encode())
            producer.poll(0.002)  # so that each is a request, where nothing lingers
        producer.flush()
        say("sent")
        continue
    if word == "new":
        producer = Producer({"bootstrap.servers": where, **conf})
    say(answer(word, producer))
    if word == "end":
        break
"""
)

SOURCES = {"kafka-python": KAFKA_PYTHON, "aiokafka": AIOKAFKA, "confluent-kafka": CONFLUENT}


class Told:
    """A program that waits for its next line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __call__(self, line: str) -> Any:
        """Tell it a line; its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """What it says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the program ended: {self.process.communicate(timeout=20)}")
        return json.loads(line)

    def end(self) -> str:
        """Let it end; what it said on stderr."""
        assert self("end") == "ended"
        out, err = self.process.communicate(timeout=30)
        assert (out, self.process.returncode) == ("", 0), err
        return err


@contextmanager
def told(library: str, bootstrap: str, topic: str, conf: dict[str, Any] | None = None, **env: str) -> Iterator[Told]:
    """The library's program with the agent, once its producer is built."""
    variables = {"PYTHONPATH": str(ROOT), "CONF": json.dumps(conf or {}), **PATIENT, **env}
    with start_program(Path(sys.executable), SOURCES[library], bootstrap, topic, env=variables) as process:
        program = Told(process)
        assert program.answer() == "ready"
        yield program
