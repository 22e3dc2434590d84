"""Codec, level, batch size and linger over four kinds of records, three rates, awaited or not: behind the defaults.

    python -m benchmarks.sweep [--quick] [--pictures]

The bare libraries, no agent, settings written by hand (benchmarks/_design.py says which). Every few runs the library's
own settings run again, and speed, CPU time and waits are ratios to those neighbours: what slows the machine for a
while slows both. `of raw` is bytes in the broker's log ÷ bytes of the values. What sends at a rate and awaits nothing
runs in the three libraries at once (they leave most of a core idle); the rest runs alone. Writes results/sweep.json,
and docs/pictures from it; with --pictures it only draws them again from the last results.
"""

import json
import os
import platform
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from benchmarks import _pictures
from benchmarks._design import FULL, LIBRARYS_OWN, Group, Point, beside, groups, sequence
from benchmarks._harness import LIBRARIES, arms, broker, options, progress
from benchmarks._report import RESULTS
from benchmarks._wire import deliver_all
from tests.servers import Broker

FIGURES = ("raw", "requests", "cpu", "rate", "waited")  # what a run is measured by
COMPARED = {"cpu": "cpu_ratio", "rate": "rate_ratio", "waited": "waited_ratio"}
COLUMNS = {
    "raw": ("of raw", "{:.3f}"),
    "requests": ("batches a record", "{:.4f}"),
    "cpu": ("CPU us a record", "{:.1f}"),
    "cpu_ratio": ("CPU ÷ own", "{:.2f}"),
    "rate_ratio": ("speed ÷ own", "{:.2f}"),
    "waited": ("wait ms", "{:.2f}"),
    "waited_ratio": ("wait ÷ own", "{:.2f}"),
}


def main() -> None:
    """Measure, print, write, draw."""
    chosen = options(__doc__, pictures="only draw docs/pictures again, from the last results")
    results = RESULTS / "sweep.json"
    if not chosen.pictures:
        found = measure(groups(chosen.quick))
        about = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        RESULTS.mkdir(exist_ok=True)
        results.write_text(json.dumps({"benchmark": "sweep", "time": when, **about, "rows": found}, indent=1) + "\n")
    for path in _pictures.draw(json.loads(results.read_text())["rows"]):
        progress(f"sweep: drew {path}")


def measure(chosen: Sequence[Group]) -> list[dict[str, Any]]:
    """One row for each point of each group, printed as they come."""
    rows: list[dict[str, Any]] = []
    leisurely = [group for group in chosen if group.rate != FULL and not group.awaited]
    together = [[group for group in leisurely if group.library == name] for name in LIBRARIES]
    with broker() as kafka, ThreadPoolExecutor(len(LIBRARIES)) as pool:
        for found in pool.map(lambda those: [_group(kafka, group) for group in those], together):
            rows += (row for group in found for row in group)
        for group in chosen:
            if group not in leisurely:
                rows += _group(kafka, group)
    return rows


def _group(kafka: Broker, group: Group) -> list[dict[str, Any]]:
    progress(f"sweep: {group.name}, {len(group.points)} points, {group.rounds} rounds")
    samples: dict[Point, list[dict[str, float | None]]] = defaultdict(list)
    bare = arms(peer=False)[0]
    for turn in range(group.rounds):
        order = sequence(group.points, turn)
        about = {"library": group.library, "kind": group.kind, "rate": group.rate, "awaited": group.awaited}
        jobs = [{**about, **point.job(group.library), "records": group.records(point)} for point in order]
        for point, sample in zip(order, compared(order, deliver_all(kafka, bare, jobs)), strict=True):
            samples[point].append(sample)
    rows = [summary(group, point, samples[point]) for point in (LIBRARYS_OWN, *group.points)]
    print(f"\n### {group.name}\n\n{table(rows)}", flush=True)
    return rows


def compared(order: Sequence[Point], said: Sequence[dict[str, Any]]) -> Iterable[dict[str, float | None]]:
    """Each run's figures, and their ratios to the library's own before and after it."""
    for position, one in enumerate(said):
        sample = {name: one.get(name) for name in FIGURES}
        before, after = (said[index] for index in beside(order, position))
        for name, ratio in COMPARED.items():
            own = [other[name] for other in (before, after) if other.get(name)]
            value = sample[name]
            sample[ratio] = value / (sum(own) / len(own)) if own and value is not None else None
        yield sample


def summary(group: Group, point: Point, samples: Sequence[dict[str, float | None]]) -> dict[str, Any]:
    """A row: the point, and the median of each figure over the rounds; None where there is none."""
    row: dict[str, Any] = {"library": group.library, "kind": group.kind, "rate_asked": group.rate}
    row |= {"awaited": group.awaited, "point": point.label, "codec": point.codec_name, "batch": point.batch}
    row |= {"linger": point.linger, "runs": len(samples)}
    for name in (*FIGURES, *COMPARED.values()):
        values = [value for sample in samples if (value := sample[name]) is not None]
        row[name] = median(values) if values else None
    return row


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown; the columns that have a figure."""
    shown = [name for name in COLUMNS if any(row[name] is not None for row in rows)]
    lines = [["point", *(COLUMNS[name][0] for name in shown)], ["---"] * (len(shown) + 1)]
    for row in rows:
        cells = ["–" if row[name] is None else COLUMNS[name][1].format(row[name]) for name in shown]
        lines.append(["own: " + row["point"] if row["point"] == LIBRARYS_OWN.label else row["point"], *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
