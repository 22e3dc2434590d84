"""The arms (bare, superclient, the peer), and running a program in each of them by turns.

An arm is an interpreter of its own with the same client libraries; only the agent differs. The machine's mood is
shared out evenly: every round runs every arm once, and each round begins with another one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["SUPERSTREAM_DISABLED"] = "true"  # this process measures; the agent belongs in the programs it starts

from tests.environments import environment, run_program
from tests.servers import Broker

PROGRAMS = Path(__file__).parent / "programs"
CLIENTS = ("kafka-python", "aiokafka", "confluent-kafka", "crc32c", "cramjam", "lz4", "python-snappy", "zstandard")
PEER = "superstream-clients==1.0.3"
LIBRARIES = ("kafka-python", "aiokafka", "confluent-kafka")
BARE, OURS, OTHER = "bare", "superclient", "peer"


@dataclass(frozen=True)
class Arm:
    """One side of a comparison."""

    name: str
    python: Path
    env: Mapping[str, str] = field(default_factory=dict)


def arms(peer: bool = True) -> list[Arm]:
    """Bare first: the others are compared with it."""
    found = [Arm(BARE, environment(packages=CLIENTS, superclient=False)), Arm(OURS, environment(packages=CLIENTS))]
    if peer:
        python = environment(packages=[*CLIENTS, PEER], superclient=False)
        # Its loader is installed by a command of its own; once more changes nothing.
        subprocess.run([python, "-I", "-m", "superclient", "install_pth"], check=True, stdout=subprocess.DEVNULL)
        found.append(Arm(OTHER, python))
    return found


def run(arm: Arm, program: str, job: Mapping[str, Any], timeout: float = 60.0) -> dict[str, Any] | str:
    """The program's result, its last JSON line; text where there is none: "> 60 s", or "fails" (the peer's alone)."""
    said = run_all(arm, program, job, timeout)
    return said if isinstance(said, str) else said[-1]


def run_all(arm: Arm, program: str, job: Mapping[str, Any], timeout: float) -> list[dict[str, Any]] | str:
    """The same for a program that has several results: each of its JSON lines."""
    env = {"PYTHONHASHSEED": "0", **arm.env, "SUPERSTREAM_TOPICS_LIST": str(job.get("topic", ""))}
    try:
        done = run_program(arm.python, PROGRAMS / f"{program}.py", json.dumps(job), env=env, timeout=timeout)
    except TimeoutError:
        return f"> {timeout:g} s"
    results = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0 and results:
        return [json.loads(line) for line in results]
    said = f"{program} failed in arm {arm.name}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    if arm.name != OTHER:
        raise RuntimeError(said)
    progress(said.strip().splitlines()[-1])
    return "fails"


def turns(sides: Sequence[Arm], rounds: int, peer_every: int = 1) -> Iterator[tuple[int, Arm]]:
    """(round, arm): A B C, B C A, C A B, …; the peer, where it is slow and nothing hangs on it, only now and then."""
    for number in range(rounds):
        start = number % len(sides)
        for arm in [*sides[start:], *sides[:start]]:
            if arm.name != OTHER or number % peer_every == 0:
                yield number, arm


@dataclass
class Results:
    """What the arms' programs said, by arm; `missing` tells why an arm has nothing to say."""

    found: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    missing: dict[str, str] = field(default_factory=dict)

    def of(self, arm: str, name: str) -> list[float]:
        """One figure of an arm, in the order of the rounds."""
        return [float(one[name]) for one in self.found[arm]]


def interleave(
    sides: Sequence[Arm], rounds: int, one: Callable[[Arm], dict[str, Any] | str], peer_every: int = 1
) -> Results:
    """Run `one` for every arm by turns; an arm that failed or took too long is not asked again."""
    results = Results()
    for _, arm in turns(sides, rounds, peer_every):
        if arm.name not in results.missing:
            said = one(arm)
            if isinstance(said, str):
                results.missing[arm.name] = said
            else:
                results.found[arm.name].append(said)
    return results


@contextmanager
def broker(metadata: Mapping[str, Any] | None = None) -> Iterator[Broker]:
    """A real Kafka of its own, with the agents' two topics and `metadata` in the first."""
    with tempfile.TemporaryDirectory(prefix="superclient-bench-") as folder:
        server = Broker(Path(folder) / "kafka", "kafka")
        server.start()
        try:
            server.create_system_topics()
            if metadata is not None:
                server.publish_metadata(metadata)
            yield server
        finally:
            server.close()


def recommendation(configuration: Mapping[str, Any], *topics: str) -> dict[str, Any]:
    """Metadata that recommends one configuration for these topics; for none, each agent falls back to its defaults."""
    return {
        "superstream_cluster_id": 1,
        "active": True,
        "report_interval_ms": 300_000,
        "topics_configuration": [
            {
                "topic_name": topic,
                "potential_reduction_percentage": 60.0,
                "daily_writes_bytes": 1_000_000_000,
                "optimized_configuration": dict(configuration),
                "allow_linger": True,
            }
            for topic in topics
        ],
    }


def configured(library: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan in canonical names as the settings that a program would write for this library by hand."""
    if library == "confluent-kafka":
        return dict(plan)
    size = "max_batch_size" if library == "aiokafka" else "batch_size"
    names = {"compression.type": "compression_type", "batch.size": size, "linger.ms": "linger_ms"}
    return {names[name]: value for name, value in plan.items()}


def options(doc: str | None, **flags: str) -> argparse.Namespace:
    """The command line that every program takes; `flags` are a program's own, by name, with what they do."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a first idea in a fraction of the time")
    parser.add_argument("--no-peer", action="store_true", help=f"leave {PEER} out")
    for name, meaning in flags.items():
        parser.add_argument(f"--{name}", action="store_true", help=meaning)
    return parser.parse_args()


def progress(text: str) -> None:
    """What is going on, for whoever waits; the table on stdout is only the result."""
    print(f"benchmarks: {text}", file=sys.stderr, flush=True)
