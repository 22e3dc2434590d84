"""The table that a benchmark prints, and the same rows as JSON in results/."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks._harness import BARE, OTHER, OURS, PEER, Results
from benchmarks._statistics import Spread, difference, ratio, spread

RESULTS = Path(__file__).parent / "results"
ARMS = (BARE, OURS, OTHER)


@dataclass(frozen=True)
class Row:
    """One figure: what each arm measured, ours compared with bare (a ratio or a difference), and the goal.

    `arms` maps an arm's name to its spread, or to text where there is no number ("> 20 s"). `goal` is the largest
    value of `compared` that is good enough, or with `at_least` the smallest; None: nothing was promised.
    """

    figure: str
    arms: dict[str, Spread | str]
    compared: Spread | str
    goal: float | None = None
    unit: str = ""
    kind: str = "×"
    at_least: bool = False
    note: str = ""

    def with_note(self, note: str) -> "Row":
        """The same row with a sentence below the table."""
        return replace(self, note=note)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met by the median; None where there is none, or nothing to compare."""
        if self.goal is None or isinstance(self.compared, str):
            return None
        return self.compared.median >= self.goal if self.at_least else self.compared.median <= self.goal


def compare(
    figure: str,
    results: Results,
    name: str,
    goal: float | None = None,
    unit: str = "",
    added: bool = False,
    *,
    ours: str = OURS,
    bare: str = BARE,
) -> Row:
    """One figure of all arms: ours ÷ bare, or what is `added` to bare. Where either has none, what stood in its way."""
    values = {arm: results.of(arm, name) for arm in results.found}
    arms: dict[str, Spread | str] = {**{arm: spread(found) for arm, found in values.items()}, **results.missing}
    kind = "added" if added else "×"
    if ours in results.missing or bare in results.missing:
        return Row(figure, arms, "not comparable", goal, unit, kind)
    compared = (difference if added else ratio)(values[ours], values[bare])
    return Row(figure, arms, compared, goal, unit, kind)


def publish(name: str, rows: Sequence[Row], arms: Sequence[str] = ARMS) -> None:
    """Print the table, with a column for each of `arms`, and write results/NAME.json."""
    print(f"\n## {name}\n")
    print(table(rows, arms))
    for row in rows:
        if row.note:
            print(f"\n{row.figure}: {row.note}")
    RESULTS.mkdir(exist_ok=True)
    document = {
        "benchmark": name,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "peer": PEER,
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def table(rows: Sequence[Row], arms: Sequence[str] = ARMS) -> str:
    """A Markdown table, its columns aligned for a terminal."""
    lines = [("figure", *arms, "compared", "interval", "goal", "met"), *(_cells(row, arms) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    ruled = [lines[0], tuple("-" * width for width in widths), *lines[1:]]
    return "\n".join(
        "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)) + " |" for line in ruled
    )


def _cells(row: Row, arms: Sequence[str]) -> tuple[str, ...]:
    measured = [_measured(row.arms.get(name, "–"), row.unit) for name in arms]
    compared = interval = "–"
    unit = "" if row.kind == "×" else f" {row.unit}"
    sign = "" if row.kind == "×" else "+"
    if isinstance(row.compared, Spread):
        compared = f"{row.compared.median:{sign}.3f}{unit}" if row.kind != "×" else f"× {row.compared.median:.3f}"
        interval = f"{row.compared.low:{sign}.3f} … {row.compared.high:{sign}.3f}"
    elif row.compared:
        compared = row.compared
    goal = "–" if row.goal is None else f"{'≥' if row.at_least else '≤'} {sign}{row.goal:g}{unit}"
    met = {None: "–", True: "yes", False: "NO"}[row.met]
    return (row.figure, *measured, compared, interval, goal, met)


def _measured(value: Spread | str, unit: str) -> str:
    if isinstance(value, str):
        return value
    return f"{_short(value.median)} {unit} ({_short(value.low)}–{_short(value.high)})".replace("  ", " ")


def _short(number: float) -> str:
    """Three significant digits, thousands in full."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"
