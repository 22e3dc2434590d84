"""What every Python of the machine pays: interpreter start, and imports that have nothing to do with Kafka. And what
the `superclient` command takes until it answers, and a program that imports the Gofka client until it begins.

    python -m benchmarks.start [--quick]

The start is that of `python -c pass`, to its end, in CPU time of the process (user and system, from the kernel) and in
elapsed time. The CPU time is compared: it does not know what else runs on the machine. `pass` is the hardest case: all
that it imports is frozen into the interpreter, so whoever imports first reads the folders of sys.path, which any real
program does anyway; hence the second figure. The command is compared with `python -c 'import click'`.
"""

import json
import os
import subprocess
import time
from collections.abc import Sequence

from benchmarks._harness import BARE, OURS, Arm, Results, arms, interleave, options, progress, run, turns
from benchmarks._report import Row, compare, publish
from benchmarks._statistics import spread
from tests.environments import clean_environment, environment

PEER_EVERY = 8  # rounds; its start takes many times as long
GOAL_START, GOAL_IMPORT, GOAL_COMMAND, GOAL_GOFKA = 1.05, 1.02, 3.0, 1.5
COMMANDS = (["--help"], ["admin", "--help"], ["info", "config-dump"])
PACKAGES = ("click", "confluent-kafka", "rich", "simpleeval")


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    sides = arms(peer=not chosen.no_peer)
    rounds = 40 if chosen.quick else 240
    rows = _starts(sides, rounds)
    rows += _starts(sides, rounds // 2, "import json", "start of a program that imports json")
    rows += [_modules(sides), *_imports(sides, 3 if chosen.quick else 12)]
    publish("start", [*rows, *_commands(rounds // 4), *_gofka(rounds // 4)])


def _starts(sides: list[Arm], rounds: int, code: str = "pass", what: str = "interpreter start") -> list[Row]:
    progress(f"start: {rounds} rounds of python -c '{code}'")
    results = Results()
    for _, arm in turns(sides, rounds, PEER_EVERY):
        results.found[arm.name].append(_start(arm, ["-c", code]))
    return [
        compare(f"{what}, CPU time", results, "cpu", GOAL_START, "ms"),
        compare(f"{what}, elapsed", results, "elapsed", None, "ms"),
    ]


def _commands(rounds: int) -> list[Row]:
    """Commands of ours beside an interpreter that imports click and does nothing; the agent is in neither."""
    bare = Arm(BARE, environment(packages=PACKAGES, superclient=False))
    ours = Arm(OURS, environment(packages=PACKAGES))
    rows = []
    for words in COMMANDS:
        name = " ".join(["superclient", *words])
        progress(f"start: {rounds} rounds of {name}")
        results = Results()
        for _, arm in turns([bare, ours], rounds):
            asked = ["-c", "import click"] if arm is bare else ["-m", "superclient", *words]
            results.found[arm.name].append(_start(arm, asked))
        rows.append(compare(f"{name}, CPU time (bare: import click)", results, "cpu", GOAL_COMMAND, "ms"))
    return rows


def _gofka(rounds: int) -> list[Row]:
    """Programs that import the Gofka client, as a package and with all its faces, beside one that imports asyncio."""
    bare = Arm(BARE, environment(superclient=False))
    ours = Arm(OURS, environment(), {"SUPERSTREAM_DISABLED": "true"})
    rows = []
    for code in (
        "import superclient.gofka",
        "from superclient.gofka import AsyncProducer, AsyncConsumer, AsyncAdminClient, Producer, Consumer",
    ):
        progress(f"start: {rounds} rounds of {code}")
        results = Results()
        for _, arm in turns([bare, ours], rounds):
            results.found[arm.name].append(_start(arm, ["-c", "import asyncio" if arm is bare else code]))
        rows.append(compare(f"{code}, CPU time (bare: import asyncio)", results, "cpu", GOAL_GOFKA, "ms"))
    return rows


def _start(arm: Arm, words: Sequence[str]) -> dict[str, float]:
    """Elapsed and CPU milliseconds of one start and end."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        arm.python,
        [str(arm.python), *words],
        clean_environment(arm.env),
        file_actions=[(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)],
    )
    _, status, usage = os.wait4(pid, 0)
    elapsed = time.perf_counter() - start
    if status:
        raise RuntimeError(f"python {' '.join(words)} ended with {status} in arm {arm.name}")
    return {"elapsed": elapsed * 1000, "cpu": (usage.ru_utime + usage.ru_stime) * 1000}


def _modules(sides: list[Arm]) -> Row:
    """How many modules a bare interpreter has more than without the agent, and which."""
    loaded = {arm.name: _loaded(arm) for arm in sides}
    extra = {name: sorted(modules - loaded[BARE]) for name, modules in loaded.items()}
    counts = {name: spread([float(len(modules))]) for name, modules in extra.items()}
    return Row("new modules at start", counts, counts[OURS], 2, "", "added", note=", ".join(extra[OURS]))


def _loaded(arm: Arm) -> set[str]:
    code = "import sys; names = list(sys.modules); import json; print('\\n' + json.dumps(names))"
    command = [arm.python, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment(arm.env))
    return set(json.loads(done.stdout.splitlines()[-1]))


def _imports(sides: list[Arm], rounds: int) -> list[Row]:
    progress(f"start: {rounds} rounds of imports")
    results = interleave(sides, rounds, lambda arm: run(arm, "imports", {}))
    return [
        compare("cached import (import os)", results, "cached", GOAL_IMPORT, "ns"),
        compare("import of another stdlib module", results, "fresh", GOAL_IMPORT, "us"),
    ]


if __name__ == "__main__":
    main()
