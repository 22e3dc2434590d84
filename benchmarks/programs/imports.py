"""What an import costs: one that is in sys.modules already, and one of a standard library module that is not.

No argument. `cached`: nanoseconds for `import os`. `fresh`: microseconds for importing a few small pure Python modules
that nothing else loads, from their byte code on disk, through every finder of sys.meta_path. CPU time of this thread.
"""

import gc
import importlib
import json
import sys
import time

MODULES = ("colorsys", "chunk", "nturl2path", "stringprep", "quopri", "sched", "graphlib", "tomllib")
LOOPS = 200_000
REPEATS = 60


def main() -> None:
    gc.disable()
    modules = [name for name in MODULES if importable(name)]
    print(json.dumps({"cached": min(cached() for _ in range(7)), "fresh": fresh(modules)}))


def importable(name: str) -> bool:
    before = set(sys.modules)
    try:
        importlib.import_module(name)  # what it imports in turn stays; only itself is loaded again and again
    except ImportError:
        return False
    return name not in before


def cached() -> float:
    start = time.thread_time_ns()
    for _ in range(LOOPS):
        import os  # noqa: F401
    return (time.thread_time_ns() - start) / LOOPS


def fresh(modules: list[str]) -> float:
    taken = []
    for _ in range(REPEATS):
        for name in modules:
            sys.modules.pop(name, None)
        start = time.thread_time_ns()
        for name in modules:
            __import__(name)
        taken.append((time.thread_time_ns() - start) / 1000 / len(modules))
    return sorted(taken)[len(taken) // 2]


if __name__ == "__main__":
    main()
