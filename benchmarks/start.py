"""What every Python of the machine pays: interpreter start, and imports that have nothing to do with Kafka.

    python -m benchmarks.start [--quick]

The start is that of `python -c pass`, to its end, in CPU time of the process (user and system, from the kernel) and in
elapsed time. The CPU time is compared: it does not know what else runs on the machine. `pass` is the hardest case: all
that it imports is frozen into the interpreter, so whoever imports first reads the folders of sys.path, which any real
program does anyway; hence the second figure.
"""

import json
import os
import subprocess
import time

from benchmarks._harness import BARE, OURS, Arm, Results, arms, interleave, options, progress, run, turns
from benchmarks._report import Row, compare, publish
from benchmarks._statistics import spread
from tests.environments import clean_environment

PEER_EVERY = 8  # rounds; its start takes many times as long
GOAL_START, GOAL_IMPORT = 1.05, 1.02


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    sides = arms(peer=not chosen.no_peer)
    rounds = 40 if chosen.quick else 240
    rows = _starts(sides, rounds)
    rows += _starts(sides, rounds // 2, "import json", "start of a program that imports json")
    publish("start", [*rows, _modules(sides), *_imports(sides, 3 if chosen.quick else 12)])


def _starts(sides: list[Arm], rounds: int, code: str = "pass", what: str = "interpreter start") -> list[Row]:
    progress(f"start: {rounds} rounds of python -c '{code}'")
    results = Results()
    for _, arm in turns(sides, rounds, PEER_EVERY):
        results.found[arm.name].append(_start(arm, code))
    return [
        compare(f"{what}, CPU time", results, "cpu", GOAL_START, "ms"),
        compare(f"{what}, elapsed", results, "elapsed", None, "ms"),
    ]


def _start(arm: Arm, code: str) -> dict[str, float]:
    """Elapsed and CPU milliseconds of one start and end."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        arm.python,
        [str(arm.python), "-c", code],
        clean_environment(arm.env),
        file_actions=[(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)],
    )
    _, status, usage = os.wait4(pid, 0)
    elapsed = time.perf_counter() - start
    if status:
        raise RuntimeError(f"python -c '{code}' ended with {status} in arm {arm.name}")
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
